"""A model dragged into the window starts a pipeline from it."""

from pathlib import Path
from typing import Any

import pytest
from model_files import onnx_file

from core.document.from_model import Match, WeightsDescription
from core.models.catalogue import BACKBONES
from gui.shell.main_window import MainWindow
from gui.start.backbone_dialog import BackboneDialog, classes_in_words, in_words


def test_a_dropped_onnx_file_starts_a_pipeline(window: MainWindow, tmp_path: Path, qtbot: Any) -> None:
    with qtbot.waitSignal(window.dropped_files.inspector.ended, timeout=30_000):
        window.dropped_files.take(onnx_file(tmp_path / "net.onnx"))
    pipeline = window.document.pipeline
    assert pipeline.name == "net" and pipeline.sources[0].kind == "onnx" and not window.document.problems
    assert pipeline.sources[0].settings["path"] == str(tmp_path / "net.onnx")
    assert window.places.current == "pipeline"


def test_dropped_weights_ask_for_the_backbone(window: MainWindow, weights: Path, qtbot: Any) -> None:
    shown: list[tuple[str, bool]] = []

    def agree(dialog: BackboneDialog) -> bool:
        shown.append((dialog.box.currentText(), dialog.fresh.isChecked()))
        return True

    window.dropped_files.ask_with = agree
    with qtbot.waitSignal(window.dropped_files.inspector.ended, timeout=60_000):
        window.dropped_files.take(weights)
    assert shown == [("ResNet-20 (CIFAR) · 100 % of the tensors fit", True)]
    settings = window.document.pipeline.sources[0].settings
    assert settings["backbone"] == "resnet20" and settings["weights_file"] == str(weights)
    assert settings["fresh_head"] is True and not window.document.problems


def test_saying_no_changes_nothing(window: MainWindow, weights: Path, qtbot: Any) -> None:
    before = window.document.text
    window.dropped_files.ask_with = lambda _dialog: False
    with qtbot.waitSignal(window.dropped_files.inspector.ended, timeout=60_000):
        window.dropped_files.take(weights)
    assert window.document.text == before


def test_a_file_that_is_no_model_is_explained(
    window: MainWindow, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    said: list[str] = []
    window.dropped_files.inspector.failed.disconnect()
    window.dropped_files.inspector.failed.connect(lambda failure: said.append(failure.message))
    with qtbot.waitSignal(window.dropped_files.inspector.ended, timeout=30_000):
        window.dropped_files.take(tmp_path / "broken.onnx")
    assert said == ["Expected an ONNX file, but broken.onnx is a text that begins with 'not a model'."]


def look(share: float, classes: int | None, data: int | None) -> WeightsDescription:
    return WeightsDescription(10, (Match("resnet18", share),) if share else (), classes, data)


@pytest.mark.parametrize(
    ("found", "words", "count", "fresh"),
    [
        (look(1.0, 10, 10), "Every one of its 10 tensors fits ResNet-18", "as many as", False),
        (look(0.8, 1000, 10), "comes nearest to ResNet-18: 80 %", "the open data set has 10", True),
        (look(0.0, None, 10), "No backbone of the list fits", "could not be told", False),
        (look(1.0, 10, None), "Every one", "could not be counted", False),
    ],
)
def test_the_dialog_says_what_is_known(
    qtbot: Any, found: WeightsDescription, words: str, count: str, fresh: bool
) -> None:
    assert words in in_words(found) and count in classes_in_words(found)
    dialog = BackboneDialog(None, Path("x.pth"), found)
    qtbot.addWidget(dialog)
    assert dialog.fresh_head is fresh and dialog.backbone in BACKBONES
    assert dialog.box.count() == len(BACKBONES)
