"""The calibration adviser: what it makes of trials, by hand, and a file that it is asked about."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from quantize_files import PREPROCESS, quiet, small
from torch import nn

from core.commands.main import main
from core.common.control import RunControl
from core.data.settings import DataSettings
from core.data.store import open_data
from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization.advice import Advice, Trial, advice_from, advise, as_text, enough, read
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.sessions import run, sqnr
from core.machine.answer_so_far import Extent, answer_so_far
from core.machine.child import Child
from core.machine.jobs import JobContext

SETTINGS = DataSettings(image_size=12, train_images=200, validation_images=100, test_images=50)


def trial(images: int, *signals: float, method: str = "minmax") -> Trial:
    return Trial(method, images, signals, (99.0,) * len(signals))


def test_enough_is_where_no_draw_falls_short_any_more() -> None:
    largest = trial(512, 30.0, 30.2)  # a mean of 30.1: no draw below 29.6
    assert enough([trial(32, 29.0, 31.0), trial(128, 29.7, 30.0), largest]) == 128
    assert enough([trial(32, 29.7, 31.0), trial(128, 29.5, 30.0), largest]) is None  # a lucky 32
    assert (
        enough([trial(32, 31.0, 31.0), trial(128, 30.5, 30.4), largest]) == 32
    )  # more images only widen ranges
    assert enough([trial(64, 20.0, 21.0)]) == 64


def test_another_method_has_to_be_clearly_better() -> None:
    plain = [trial(32, 29.8, 30.0), trial(128, 30.0, 30.0)]
    for signals, chosen in (((30.4, 30.4), "minmax"), ((31.5, 29.9), "minmax"), ((30.7, 30.6), "entropy")):
        other = [trial(32, 20.0, 20.0, method="entropy"), trial(128, *signals, method="entropy")]
        assert advice_from([*plain, *other]).method == chosen
    advice = advice_from(
        [*plain, trial(32, 20.0, 21.0, method="entropy"), trial(128, 31.0, 31.0, method="entropy")]
    )
    assert (advice.method, advice.images) == ("entropy", None)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("advice")
    data = open_data(SETTINGS, folder)
    model = small()
    model.head = nn.Linear(8, 10)
    export_module(
        model, PREPROCESS, folder / "float32.onnx", describe(data.classes, PREPROCESS, "float32", {})
    )
    return {
        "source": str(folder / "float32.onnx"), "data": SETTINGS.model_dump(mode="json"), "data_cache": str(folder),
        "methods": ["minmax"], "counts": [60, 10], "draws": 2, "judged": 40, "percentile": 99.99, "activations": "uint8",
        "threads": 1,
    }  # fmt: skip


def test_a_file_is_tried_as_the_stage_would_calibrate_it(arguments: dict[str, Any]) -> None:
    told = advise(arguments, JobContext(quiet))
    assert [(entry["method"], entry["images"]) for entry in told["trials"]] == [
        ("minmax", 10),
        ("minmax", 60),
    ]
    assert told["judged"] == 40
    graph = calibrated({**arguments, "method": "minmax", "images_count": 10, "seed": 1}, quiet)
    from core.deploy.quantization.calibration import draw

    blocks = list(draw(graph.model, arguments, "validation", 40, 0).blocks())
    model, _ = graph.quantized((), quiet)
    expected = sqnr(run(graph.model, blocks, 1), run(model, blocks, 1))
    assert told["trials"][0]["signals"][1] == pytest.approx(expected)
    assert len(set(np.round(told["trials"][0]["signals"], 6))) == 2  # other images, other ranges
    text = as_text(told)
    assert "on 40 validation images" in text and "settings: {method: minmax, images: " in text


def test_all_images_are_tried_once_and_called_so(arguments: dict[str, Any]) -> None:
    """On 216 training images, "512 images" stood beside two draws that were the same, and "take 512 or more"."""
    available = len(open_data(SETTINGS, Path(arguments["data_cache"])).split("train"))
    advice = read(advise({**arguments, "counts": [10, available + 1, 5 * available]}, JobContext(quiet)))
    assert [(trial.images, len(trial.signals)) for trial in advice.trials] == [(10, 2), (available, 1)]
    assert advice.available == available and advice.extent == Extent(3, 3)
    assert replace(advice, images=None).sentence == (
        f"By minmax, draws of fewer than all {available} training images still differ from all of them by more than 0.5 dB: take all."
    )


def test_each_draw_is_told_with_the_advice_so_far(arguments: dict[str, Any]) -> None:
    """Stopping at the fifth of six draws threw all of them away."""
    parts: list[dict[str, Any]] = []
    asked = {**arguments, "methods": ["minmax", "percentile"], "counts": [10]}
    told = advise(asked, JobContext(quiet, parts.append))
    advices = [read(part) for part in parts]
    assert [advice.extent for advice in advices] == [Extent(done, 4) for done in (1, 2, 3, 4)]
    assert [len(trial.signals) for trial in advices[2].trials] == [2, 1]
    assert parts[3] == told and not advices[3].left
    assert advices[0].settings == {} and "settings:" not in as_text(parts[0])
    assert advices[0].sentence == (
        "Stopped after 1 of 4 draws. No method was tried with every number of images, so nothing is advised."
    )
    assert advices[2].settings == {"method": "minmax", "images": 10}
    assert advices[2].sentence.startswith("Stopped after 3 of 4 draws. By minmax, 10 images are enough")
    assert advices[2].sentence.endswith("Not tried to the end: percentile.")
    assert not advices[3].sentence.startswith("Stopped")


def test_when_it_is_stopped_what_was_finished_is_the_answer(arguments: dict[str, Any]) -> None:
    control, asked = RunControl(), {**arguments, "counts": [10], "draws": 50}

    def stop_at_the_fourth(fraction: float, _text: str) -> None:
        if fraction >= 3 / 50:
            control.stop()

    with Child("tool") as child:
        told = answer_so_far(child, advise, asked, control, stop_at_the_fourth)
    advice = read(told)
    assert 3 <= advice.extent.done < 50 and len(advice.trials[0].signals) == advice.extent.done


@pytest.mark.parametrize(("done", "code"), [(5, 130), (36, 0)])
def test_an_interrupted_command_prints_what_was_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], done: int, code: int
) -> None:
    trials = (trial(32, 20.0, 21.0),)
    told = asdict(Advice("", None, trials, 40, Extent(done, 36), ("minmax",)))
    run = SimpleNamespace(
        pipeline=SimpleNamespace(data=SETTINGS), base=Path(), opened_data=None, folder=Path()
    )
    found = SimpleNamespace(name="FP32"), SimpleNamespace(precision="float32", path="float32.onnx")
    monkeypatch.setattr("core.runs.library.find_run", lambda *_words: run)
    monkeypatch.setattr("core.export.stage_file.find_file", lambda *_words: found)
    monkeypatch.setattr("core.machine.answer_so_far.answer_so_far", lambda *_words: told)
    assert main(["advise", "run:fp32"]) == code
    said = capsys.readouterr().out
    assert "20.50 dB" in said and ("Stopped after 5 of 36 draws." in said) == (done == 5)


def test_what_is_no_stage_of_a_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "model.onnx"]) == 2
    assert "Expected RUN:STAGE, received 'model.onnx'" in capsys.readouterr().err
