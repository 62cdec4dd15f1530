"""Scans: channels at zero compute what the network without them would; ratios that follow from losses."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_stages import NETWORK, SETTINGS, small_data, small_network

from core.analysis import sensitivity
from core.analysis.histograms import of_files
from core.analysis.sensitivity import (
    LayerSensitivity,
    least_important,
    most_sensitive,
    prune_scan,
    quantize_scan,
    ratios_text,
    read_scan,
    suggested_ratios,
    zeroed_units,
)
from core.common.errors import EspalierError
from core.data.preprocess import make_preprocess
from core.deploy.onnx_export import describe, export_module
from core.machine.answer_so_far import Extent
from core.machine.jobs import JobContext
from core.models.catalogue import BACKBONES
from core.models.checkpoint import Checkpoint, save_checkpoint
from core.stages.prune_channels import own_ratios
from core.surgery.groups import channel_groups
from core.surgery.importance import importances


def quiet(fraction: float, text: str) -> None:
    pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its export and the data's cache."""
    folder = tmp_path_factory.mktemp("scan")
    data, model = small_data(folder / "cache"), small_network()
    preprocess = make_preprocess(SETTINGS, data)
    save_checkpoint(folder / "checkpoint", Checkpoint(model, NETWORK, preprocess, data.classes))
    about = describe(data.classes, preprocess, "float32", {})
    export_module(model, preprocess, folder / "float32.onnx", about)
    return folder


def arguments(place: Path, **more: object) -> dict[str, object]:
    data = SETTINGS.model_dump(mode="json")
    return {"data": data, "data_cache": str(place / "cache"), "base": None, "count": 60, **more}


@pytest.mark.parametrize("scope", ["block-internal", "whole-groups"])
def test_zeros_compute_what_the_pruned_network_computes(scope: str) -> None:
    model = small_network()
    groups, _ = channel_groups(model, 16, BACKBONES["resnet20"].blocks, scope)  # type: ignore[arg-type]
    scores, _ = importances(model, groups, "l1")
    group = groups[1]
    gone = least_important(scores[group.path], 0.5)
    assert len(gone) == group.units // 2
    image = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = model(image)
        with zeroed_units(model, group, gone):
            zeros = model(image)
        assert torch.equal(model(image), whole)  # as it was afterwards
        group.prune(gone)
        assert torch.allclose(model(image), zeros, atol=1e-4)
    assert not torch.allclose(whole, zeros, atol=1e-2)


def test_the_least_important_go_but_never_all() -> None:
    scores = torch.tensor([3.0, 1.0, 2.0, 4.0])
    assert least_important(scores, 0.5) == [1, 2]
    assert least_important(scores, 1.0) == [1, 2, 0]
    assert least_important(scores, 0.0) == []


def test_a_scan_measures_every_group(place: Path) -> None:
    told: list[str] = []
    parts: list[tuple[Extent, list[str]]] = []
    found = prune_scan(
        arguments(place, checkpoint=str(place / "checkpoint"), scope="block-internal", shares=[0.25, 0.75]),
        JobContext(
            lambda fraction, text: told.append(text),
            lambda part: parts.append((Extent(**part["extent"]), [layer.path for layer in read_scan(part)])),
        ),
    )
    layers = read_scan(found)
    assert [layer.path for layer in layers] == [
        f"body.layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)
    ]
    assert parts == [(Extent(done, 9), [layer.path for layer in layers[:done]]) for done in range(1, 10)]
    assert found["images"] == 60 and 0 <= found["top1"] <= 100
    assert all(set(layer.top1) == {0.25, 0.75} for layer in layers)
    assert all(
        layer.spreads[share].low <= layer.loss(share, found["top1"]) <= layer.spreads[share].high
        for layer in layers
        for share in layer.top1
    )
    assert layers[0].channels == 16 and "body.layer1.0.conv2" in layers[0].members
    assert any(text == "body.layer3.2.conv1: 9 of 9 layers" for text in told)
    assert [
        "body.conv1",
        "shared by several blocks (residual stream), outside the scope 'block-internal'",
    ] in (found["skipped"])


def test_no_more_images_are_taken_than_the_interval_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer whose loss hardly varies is known after a few; one that turns many answers needs all."""
    monkeypatch.setattr(sensitivity, "_LEAST", 20)
    draw = np.random.default_rng(0)
    batches = [(torch.zeros(20, 1) + number, torch.zeros(20, dtype=torch.int64)) for number in range(10)]
    answers = {"now": np.ones((10, 20), bool)}

    class Network(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            right = torch.from_numpy(answers["now"][int(images[0, 0])]).float()
            return torch.stack([right, 1 - right], 1)

    judge = sensitivity._Judge(Network(), batches, 10.0)
    assert (judge.baseline, judge.images) == (100.0, 200)
    loss, spread = judge.loss()
    assert (loss, spread.images) == (0.0, 20) and spread.high - spread.low <= 20
    answers["now"] = draw.random((10, 20)) < 0.5
    loss, spread = judge.loss()
    assert spread.images > 80 and spread.low < loss < spread.high


def test_the_ratio_is_where_the_loss_reaches_what_is_allowed() -> None:
    layers = [
        LayerSensitivity("robust", 16, (), {0.25: 90.0, 0.5: 90.0, 0.75: 89.5}),
        LayerSensitivity("middling", 16, (), {0.25: 89.0, 0.5: 87.0, 0.75: 50.0}),
        LayerSensitivity("touchy", 16, (), {0.25: 70.0, 0.5: 20.0, 0.75: 10.0}),
    ]
    found = suggested_ratios(layers, 90.0, 2.0)
    assert found == {"robust": 0.75, "middling": 0.37, "touchy": 0.02}  # 0.25 + (2−1)/(3−1)·0.25; 2/20·0.25
    text = ratios_text(found)
    assert text == "robust=0.75, middling=0.37, touchy=0.02"
    assert own_ratios(text) == [("robust", 0.75), ("middling", 0.37), ("touchy", 0.02)]
    assert suggested_ratios(layers, 90.0, 0.0)["touchy"] == 0.0
    assert most_sensitive(["a", "b", "c"], 2) == "a, b"


def test_quantization_ranks_the_layers(place: Path) -> None:
    parts: list[tuple[Extent, int]] = []
    context = JobContext(quiet, lambda part: parts.append((Extent(**part["extent"]), len(part["ranking"]))))
    found = quantize_scan(arguments(place, file=str(place / "float32.onnx")), context)
    assert parts == [(Extent(done, 20), done) for done in range(1, 21)]
    values = [value for _, value, *_ in found["ranking"]]
    assert all(low < value < high and images == 60 for _, value, low, high, images in found["ranking"])
    assert values == sorted(values) and found["unit"] == "dB" and found["images"] == 60
    assert {"body.conv1", "head"} < {name for name, *_ in found["ranking"]} and len(values) == 20


def test_weights_and_activations_of_a_file(place: Path) -> None:
    files = [str(place / "float32.onnx")] * 2
    weights = of_files(arguments(place, what="weights", files=files, layer="body.layer1.0.conv1"), quiet)
    assert [each["n"] for each in weights["histograms"]] == [2304, 2304]
    folded = onnx.numpy_helper.to_array(
        next(t for t in onnx.load(files[0]).graph.initializer if t.name == "body.layer1.0.conv1.weight")
    )
    assert weights["histograms"][0]["mean"] == pytest.approx(float(np.mean(folded, dtype=np.float64)))
    found = of_files(arguments(place, what="activations", files=files[:1], layer="head", count=10), quiet)
    assert found["images"] == 10 and found["histograms"][0]["n"] == 100
    with pytest.raises(EspalierError, match="no layer 'nowhere' with weights"):
        of_files(arguments(place, what="weights", files=files, layer="nowhere"), quiet)
