"""What-if: counts equal to what the stages then give, marked where they cannot be, and fast."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_stages import SETTINGS, document, small_data, stage_context

from core.common.params import Params, param, when_of
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.profiling.counting import count_parameters
from core.runs.home import Home
from core.stages.base import ModelStage
from core.surgery.meta_copy import count
from core.whatif import Forecast, WhatIf


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def forecasts_of(pipeline: Pipeline, home: Home, what_if: WhatIf | None = None) -> dict[str, Forecast]:
    return {f.id: f for f in (what_if or WhatIf(home)).forecasts(pipeline, Path())}


def run_stages(pipeline: Pipeline, tmp_path: Path) -> dict[str, tuple[int, int]]:
    """What the stages themselves leave, one after the other, without training."""
    data, counts = small_data(tmp_path / "data"), {}
    model, _ = build_network(BackboneSettings(backbone="resnet20"), 10, Path(), 42, 16)
    for node in pipeline.active:
        settings = node.parameters
        assert isinstance(node.stage, ModelStage)
        untrained = settings.model_copy(
            update={"training": settings.training.model_copy(update={"epochs": 0}), "batch_norm_batches": 0}  # type: ignore[attr-defined]
        )
        context = stage_context(data, tmp_path)
        model = node.stage.run(model, untrained, context).model
        counts[node.id] = (count_parameters(model)["params"], count(model, SETTINGS.image_size or 0).macs)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        "ratio: 0.3",
        "ratio: 0.65, round_to: 1",
        "ratio: 0.4, scope: whole-groups",
        "ratio: 0.4, importance: batch-norm",
        "ratio: 0.4, importance: random, own_ratios: 'body.layer1.*=0.2'",
    ],
)
def test_a_ratio_gives_what_the_run_gives(settings: str, home: Home, tmp_path: Path) -> None:
    pipeline = document(
        "id: fp32, kind: train", f"id: pruned, kind: prune-channels, settings: {{{settings}}}"
    )
    forecasts = forecasts_of(pipeline, home)
    expected = run_stages(pipeline, tmp_path)
    for id in ("fp32", "pruned"):
        assert (forecasts[id].params, forecasts[id].macs) == expected[id]
        assert forecasts[id].sure == "exact"
    assert forecasts["net"].params == 269722


@pytest.mark.slow
def test_two_prunings_after_each_other_are_exact_too(home: Home, tmp_path: Path) -> None:
    pipeline = document(
        "id: fp32, kind: train", "id: once, kind: prune-channels, settings: {ratio: 0.3}",
        "id: between, kind: train", "id: twice, kind: prune-channels, settings: {ratio: 0.5, round_to: 4}",
        "id: wide, kind: prune-channels, settings: {ratio: 0.2, scope: whole-groups}",
    )  # fmt: skip
    forecasts = forecasts_of(pipeline, home)
    expected = run_stages(pipeline, tmp_path)
    assert {id: (forecasts[id].params, forecasts[id].macs) for id in expected} == expected
    assert {forecasts[id].sure for id in expected} == {"exact"}


def test_several_prunings_of_one_stage_reach_the_same_ratio(home: Home) -> None:
    at_once = forecasts_of(document("id: p, kind: prune-channels, settings: {ratio: 0.5}"), home)["p"]
    in_steps = forecasts_of(document("id: p, kind: prune-channels, settings: {ratio: 0.5, steps: 4}"), home)[
        "p"
    ]
    assert (at_once.params, at_once.macs) == (in_steps.params, in_steps.macs)


def test_a_forecast_says_how_many_images_there_are(home: Home) -> None:
    """A card said "256 calibration images" where there were 172."""
    pipeline = document("id: p, kind: prune-channels, settings: {ratio: 0.5}")
    told = forecasts_of(pipeline, home)["p"]
    assert (told.train_images, told.validation_images) == (
        pipeline.data.train_images,
        pipeline.data.validation_images,
    )
    assert told.train_images is not None


@pytest.mark.slow
def test_a_budget_is_exact_on_weights_that_are_there_and_about_after_training(
    home: Home, tmp_path: Path
) -> None:
    budget = "kind: prune-channels, settings: {target: macs, budget: 0.5, round_to: 4}"
    fresh = document(f"id: p, {budget}")
    forecast = forecasts_of(fresh, home)["p"]
    assert (forecast.params, forecast.macs) == run_stages(fresh, tmp_path)["p"]
    assert forecast.sure == "exact" and forecast.remark == ""
    trained = forecasts_of(document("id: fp32, kind: train", f"id: p, {budget}"), home)["p"]
    assert trained.sure == "about" and "depends on the trained weights" in trained.remark
    assert trained.macs is not None and forecast.macs is not None
    assert abs(trained.macs - forecast.macs) < 0.03 * forecast.macs


def test_a_budget_out_of_reach_is_said_before_the_run(home: Home) -> None:
    stages = ("id: p, kind: prune-channels, settings: {target: size, size_mb: 0.01}", "id: t, kind: train")
    forecasts = forecasts_of(document(*stages), home)
    assert forecasts["p"].impossible and "cannot go lower than" in forecasts["p"].remark
    assert forecasts["t"].params is None and forecasts["t"].remark == "Known when the stage before it is."


def test_what_only_the_run_knows_is_left_out_with_the_reason(home: Home) -> None:
    forecasts = forecasts_of(document(
        "id: fp32, kind: train",
        "id: layers, kind: prune-layers, from: fp32, settings: {share: 0.3}",
        "id: after, kind: train",
        "id: ranks, kind: factorise, from: fp32",
        "id: once, kind: only-train-once, from: fp32",
        "id: down, kind: scale-down, from: fp32, settings: {budget: 0.4}",
    ), home)  # fmt: skip
    assert forecasts["layers"].params is None
    assert forecasts["layers"].remark == (
        "2 of 9 residual blocks go; which ones, training decides: 121\u202f754 to 260\u202f378 parameters are left."
    )
    assert forecasts["after"].params is None and "training decides" in forecasts["after"].remark
    assert forecasts["ranks"].params is None and "ranks follow" in forecasts["ranks"].remark
    assert forecasts["once"].params is None and "About 50 % of the channels" in forecasts["once"].remark
    assert forecasts["down"].params is None and forecasts["down"].macs == round(0.4 * 10138240)


def test_constraints_and_storage_leave_the_counts(home: Home) -> None:
    forecasts = forecasts_of(document(
        "id: fp32, kind: train",
        "id: sparse, kind: prune-weights, from: fp32, settings: {linear_amount: 0.5, convolution_amount: 0.5}",
        "id: shared, kind: share-weights, from: fp32, settings: {linear_bits: 4, convolution_bits: 8}",
        "id: int8, kind: quantize-static, from: fp32",
        "id: half, kind: half-precision, from: fp32",
    ), home)  # fmt: skip
    fp32 = forecasts["fp32"]
    for id in ("sparse", "shared", "int8", "half"):
        assert (forecasts[id].params, forecasts[id].macs, forecasts[id].sure) == (
            fp32.params,
            fp32.macs,
            "exact",
        )
    # all weights but the first layer's 16 * 3 * 9, half of each layer
    assert forecasts["sparse"].remark.startswith("133\u202f952 weights become zero.")
    assert fp32.bytes is not None
    weights = 269722 - 2 * 688 - 10  # without the norms' scales and shifts and the classifier's biases
    assert forecasts["int8"].bytes == fp32.bytes - 3 * weights
    assert forecasts["half"].bytes == fp32.bytes - 2 * weights
    # 267,264 weights of 18 convolutions as bytes, 640 of the classifier as half bytes, and their values
    saved = 3 * 267264 - 18 * 4 * 256 + 4 * 640 - 320 - 4 * 16
    assert forecasts["shared"].bytes == fp32.bytes - saved


def test_the_estimated_file_is_close_to_the_exported_one(home: Home) -> None:
    """An earlier run exported this network as a file of 1,133,744 bytes."""
    text = """
espalier: 1
name: Sizes
data: {source: fashion-mnist-sample, image_size: 28}
sources: [{id: net, settings: {backbone: resnet20, fem: {place: pooled}}}]
stages: [{id: fp32, kind: train}]
"""
    forecast = forecasts_of(documents.loads(text), home)["fp32"]
    assert forecast.params == 278196 and forecast.bytes == pytest.approx(1133744, rel=0.02)


def test_another_ratio_costs_milliseconds(home: Home) -> None:
    stages = (
        "id: fp32, kind: train",
        "id: p, kind: prune-channels, settings: {ratio: 0.3}",
        "id: d, kind: train",
    )
    pipeline, what_if = document(*stages), WhatIf(home)
    forecasts_of(pipeline, home, what_if)
    started = time.process_time()
    for ratio in (0.2, 0.25, 0.5, 0.6, 0.7):
        forecasts = forecasts_of(pipeline.with_settings("p", {"ratio": ratio}), home, what_if)
        assert forecasts["p"].params == forecasts["d"].params
    assert (time.process_time() - started) / 5 < 0.1


def test_a_stopped_question_ends_at_once(home: Home) -> None:
    from core.common.control import RunControl
    from core.common.errors import Stopped

    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        list(WhatIf(home).forecasts(document("id: fp32, kind: train"), Path(), control))


def test_data_that_is_not_there_is_said(home: Home) -> None:
    pipeline = document("id: fp32, kind: train")
    data = pipeline.data.model_copy(update={"source": "folder", "path": "nowhere"})
    missing = pipeline.model_copy(update={"data": data})
    forecasts = forecasts_of(missing, home)
    assert forecasts["net"].params is None and "does not exist" in forecasts["net"].remark
    assert forecasts["fp32"].remark == forecasts["net"].remark


def test_no_torch_is_imported_to_name_a_forecast() -> None:
    import subprocess
    import sys

    code = "import sys, core.whatif, core.engine.preflight; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_conditions_are_read_and_checked() -> None:
    assert when_of("") is None
    for text, settings, holds in (
        ("target=macs|size", {"target": "size"}, True),
        ("target=macs|size", {"target": "ratio"}, False),
        ("place!=none", {"place": "map"}, True),
        ("steps>1", {"steps": 1}, False),
        ("image_size", {"image_size": None}, False),
        ("image_size", {"image_size": 32}, True),
    ):
        condition = when_of(text)
        assert condition is not None and condition.holds(settings) is holds
    with pytest.raises(ValueError, match="expected a condition"):
        when_of("a b")

    def declare(when: str) -> Any:
        class Broken(Params):
            a: int = param(1, "A", "Help.")
            b: int = param(1, "B", "Help.", when=when)

        return Broken

    assert declare("a>1")
    with pytest.raises(TypeError, match="names 'c', which is no other field"):
        declare("c=1")


def test_torch_is_left_as_it_was(home: Home) -> None:
    before = torch.random.get_rng_state()
    forecasts_of(document("id: p, kind: prune-channels, settings: {ratio: 0.3}"), home)
    assert torch.equal(before, torch.random.get_rng_state())
