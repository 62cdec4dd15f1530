"""Export asks for a file and a place, runs on the worker, shows the verification."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import GOOD, made_run

import core.exporting
from core.errors import EspalierError
from core.exporting import ExportResult
from core.pipeline import Pipeline
from core.runs import Home
from gui.files import Opened
from gui.main_window import MainWindow


@pytest.fixture
def ready(make_window: Any, tiny: Pipeline, home: Home, tmp_path: Path) -> MainWindow:
    """The window on a finished run."""
    window: MainWindow = make_window(Opened(tiny, None, tmp_path, made_run(tiny, home, tmp_path)))
    window.go("export")
    return window


def test_the_final_stage_is_offered_first(ready: MainWindow) -> None:
    view = ready.export
    assert view.table.currentIndex().row() == 2
    assert view.target.text().endswith("taught-float32.onnx")
    view.table.selectRow(0)
    assert view.target.text().endswith("fp32-float32.onnx")


def test_a_good_export_shows_its_verification(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, Path]] = []

    def export(
        run: Any, key: str, artefact: str, target: Path, control: Any, on_progress: Any, home: Any = None
    ) -> ExportResult:
        asked.append((key, artefact, target))
        on_progress(0.5, "Verifying")
        target.write_bytes(b"0" * 2_000_000)
        return ExportResult(target, 2_000_000, "0", 76.0, GOOD, {})

    monkeypatch.setattr(core.exporting, "export_stage", export)
    view, target = ready.export, tmp_path / "model.onnx"
    view.target.setText(str(target))
    with qtbot.waitSignal(ready.jobs.exporter.ended, timeout=5000):
        view.button.click()
        assert view.cancel.isVisible() and not view.table.isEnabled()
    assert asked == [("taught", "float32", target)]
    assert view.verdict.heading.text() == "Exported and verified"
    shown = {name: label.text() for name, label in view.verdict._values.items()}
    assert shown["Agreement"] == "100.00 %" and shown["Top-1"] == "76.00 %" and shown["Size"] == "2.000 MB"
    assert "2.5e-06" in shown["Largest logit difference"] and "0.001" in shown["Largest logit difference"]
    assert view.button.isVisible() and not view.cancel.isVisible()


def test_a_failed_export_says_why(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_args: Any, **_kwargs: Any) -> None:
        raise EspalierError("The copy does not agree.", "Run the stage again.")

    monkeypatch.setattr(core.exporting, "export_stage", export)
    said: list[Any] = []
    monkeypatch.setattr(ready.messages, "_open", lambda *words: said.append(words))
    ready.export.target.setText(str(tmp_path / "model.onnx"))
    with qtbot.waitSignal(ready.jobs.exporter.ended, timeout=5000):
        ready.export.button.click()
    assert said[0][2:4] == ("The copy does not agree.", "Run the stage again.")
    assert ready.export.button.isEnabled() and ready.export.verdict.path is None


def test_the_button_says_what_is_missing(ready: MainWindow, tmp_path: Path) -> None:
    view = ready.export
    for text, reason in (
        ("", "Choose where"),
        (str(tmp_path / "no" / "m.onnx"), "does not exist"),
        (str(tmp_path / "m.pt"), ".onnx"),
    ):
        view.target.setText(text)
        assert not view.button.isEnabled() and reason in view.hint.text()
    view.target.setText(str(tmp_path / "m.onnx"))
    assert view.button.isEnabled()


def test_an_empty_place_says_what_to_do(window: MainWindow) -> None:
    window.go("export")
    assert window.export.empty.isVisible()
    assert "Run the pipeline" in window.export.empty.advice.text()
