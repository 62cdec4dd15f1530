"""Export asks for a file, a format and a place, runs on the worker, shows the ladder and the model card."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import GOOD, made_run
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

import core.export.export as exporting
from core.common.errors import EspalierError, Stopped
from core.deploy.formats.onnx_file import OnnxFile
from core.document.pipeline import Pipeline
from core.export.export import FORMATS, ExportResult
from core.export.verification_ladder import Step, ladder
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from gui.base.worker import Worker
from gui.export.ladder_view import LadderView
from gui.export.place import ExportPlace
from gui.shell.main_window import MainWindow

LABELS = np.arange(200) % 10


def answers(wrong: int, shift: float = 0.0) -> np.ndarray:
    """Logits [200, 10] that are right but for the first `wrong` images; `shift` moves the first logit."""
    logits = np.zeros((200, 10), np.float32)
    logits[np.arange(200), LABELS] = 5.0
    logits[:wrong] = np.roll(logits[:wrong], 1, axis=1)
    logits[:, 0] += shift
    return logits


def predicted(run: RunFolder, stage: str) -> None:
    """What an evaluated stage leaves beside its file."""
    folder = run.stage_folder(stage).path
    np.save(folder / "labels.npy", LABELS)
    np.save(folder / "pytorch.logits.npy", answers(20))
    np.save(folder / "float32.logits.npy", answers(20, 1e-5))


@pytest.fixture
def run(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    made = made_run(tiny, home, tmp_path)
    for stage in ("fp32", "taught"):
        predicted(made, stage)
        made.stage_folder(stage).checkpoint.mkdir()
        (made.stage_folder(stage).checkpoint / "architecture.json").write_text("{}")
        (made.stage_folder(stage).path / "float32.onnx").write_bytes(b"0" * 1000)
    return made


@pytest.fixture
def ready(make_window: Any, tiny: Pipeline, tmp_path: Path, run: RunFolder) -> MainWindow:
    """The window on a finished run."""
    window: MainWindow = make_window(OpenedDocument(tiny, None, tmp_path, run))
    window.go("export")
    return window


def idle(qtbot: Any, place: ExportPlace) -> None:
    qtbot.waitUntil(lambda: not any(worker.running for worker in place.findChildren(Worker)), timeout=10_000)


def test_the_final_stage_is_offered_first(qtbot: Any, ready: MainWindow) -> None:
    view = ready.export.view
    assert view.table.currentIndex().row() == 2
    assert view.target.text().endswith("taught-float32.onnx")
    view.table.selectRow(0)
    assert view.target.text().endswith("fp32-float32.onnx")


def test_the_ladder_and_the_card_stand_there_before(qtbot: Any, ready: MainWindow) -> None:
    idle(qtbot, ready.export)
    head, network, exported, pending = ready.export.view.ladder.lines()
    assert head[1] == "Top-1" and network[0] == "PyTorch network" and network[-1] == "reference"
    assert network[1].startswith("90.00 %\n± ") and network[2:5] == ["—", "—", "—"]
    assert exported[0] == "Taught: ONNX float32" and exported[-1] == "good"
    assert exported[2:5] == ["100.00 %", "100.00 %", "1e-05"]
    assert pending[0] == "Exported file" and pending[-1] == "waiting"
    card = ready.export.view.model_card.toPlainText()
    assert "Taught" in card and "90.00" in card
    ready.export.view.table.selectRow(1)  # nothing was predicted for this one
    idle(qtbot, ready.export)
    assert len(ready.export.view.ladder.lines()) == 1


def test_the_steps_names_are_read_whole_in_a_small_window(qtbot: Any, ready: MainWindow) -> None:
    """They ended in "Ex…" where the figures beside them took the room."""
    ready.resize(1024, 700)
    ready.go("export")
    qtbot.waitUntil(lambda: ready.export.view.ladder.lines()[-1][0] == "Exported file", timeout=10_000)
    titles = ready.export.view.ladder.findChildren(QLabel, "rung-title")
    assert {"PyTorch network", "Exported file"} <= {title.text() for title in titles}
    for title in titles:
        qtbot.waitUntil(lambda title=title: title.heightForWidth(title.width()) <= title.height())
        assert title.minimumSizeHint().width() <= title.width()


def test_nothing_is_scrolled_to_in_a_usual_window(qtbot: Any, ready: MainWindow) -> None:
    """The button Export lay below the edge: its settings asked for the height that they would like to have."""
    ready.resize(1152, 720)
    ready.go("export")
    frame = ready.export.view.parentWidget().parentWidget()
    qtbot.waitUntil(lambda: len(ready.export.view.ladder.lines()) > 1, timeout=10_000)
    qtbot.waitUntil(lambda: not frame.verticalScrollBar().maximum())  # type: ignore[attr-defined]
    assert not ready.export.view.button.visibleRegion().isEmpty()


def test_the_format_decides_the_ending_and_a_written_name_stays(ready: MainWindow) -> None:
    place, view = ready.export, ready.export.view
    for name, form in FORMATS.items():
        place.view.settings_edited.emit(("format",), name, False)
        assert Path(view.target.text()).suffix == form.suffix
    place.view.settings_edited.emit(("format",), "zip", False)
    view.target.setText("")
    view.target.insert("/tmp/mine.zip")  # as a person types
    view.target_typed.emit("/tmp/mine.zip")
    view.table.selectRow(0)
    assert view.target.text() == "/tmp/mine.zip"
    place.view.settings_edited.emit(("format",), "onnx", True)
    assert view.target.text() == "/tmp/mine.onnx" and place.settings.format == "onnx"


def test_what_a_format_cannot_hold_is_said_before(ready: MainWindow, run: RunFolder, tmp_path: Path) -> None:
    view = ready.export.view
    (run.stage_folder("taught").checkpoint / "architecture.json").unlink()
    view.settings_edited.emit(("format",), "torch-export", False)
    view.target.setText(str(tmp_path / "m.pt2"))
    assert view.reason_card.isVisible() and not view.button.isEnabled()
    assert "This file can leave as: " in view.reason.text() and FORMATS["onnx"].title in view.reason.text()
    view.settings_edited.emit(("format",), "onnx", False)
    assert not view.reason_card.isVisible() and view.button.isEnabled()


def test_a_good_export_shows_its_verification(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, Path, str]] = []
    steps = [
        Step("pytorch", "PyTorch network", "float32", "PyTorch", answers(20)),
        Step("taught/float32", "ONNX float32", "float32", "ONNX Runtime", answers(20, 1e-5)),
        Step("exported", "Exported file", "float32", "ONNX Runtime", answers(20, 2e-5)),
    ]
    rungs = tuple(ladder(steps, LABELS))

    def export(
        run: Any,
        key: str,
        artefact: str,
        target: Path,
        settings: Any,
        watch: Any,
    ) -> ExportResult:
        asked.append((key, artefact, target, settings.format))
        watch.tell(0.5, "Verifying")
        target.write_bytes(b"0" * 2_000_000)
        found = rungs[-1].network or GOOD
        return ExportResult(
            target,
            2_000_000,
            "0",
            90.0,
            found,
            {},
            (target,),
            rungs,
            "# The card\n\nOf the file.",
            ("A note.",),
        )

    monkeypatch.setattr(exporting, "export_stage", export)
    idle(qtbot, ready.export)
    view, target = ready.export.view, tmp_path / "model.onnx"
    view.target.setText(str(target))
    with qtbot.waitSignal(ready.export.exporter.ended, timeout=5000):
        view.button.click()
        assert view.cancel.isVisible() and not view.table.isEnabled() and not view.form.isEnabled()
    assert asked == [("taught", "float32", target, "onnx")]
    assert (
        view.verdict.heading.text() == "Exported and verified" and "A note." in view.verdict.sentence.text()
    )
    assert view.verdict.place.whole == f"{target} · 2.000 MB"
    assert [line[0] for line in view.ladder.lines()[1:]] == [
        "PyTorch network",
        "ONNX float32",
        "Exported file",
    ]
    assert view.ladder.lines()[-1][-1] == "good" and view.model_card.toPlainText().startswith("The card")
    assert view.button.isVisible() and not view.cancel.isVisible()
    view.settings_edited.emit(("card",), True, False)  # the result was of other settings
    assert not view.verdict.isVisible() and view.ladder.lines()[-1][-1] == "waiting"


@pytest.mark.parametrize(
    "error", [EspalierError("The file does not agree.", "Run the stage again."), Stopped()]
)
def test_an_export_that_ends_otherwise(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def export(*_args: Any, **_kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(exporting, "export_stage", export)
    said: list[Any] = []
    heard: list[str] = []
    monkeypatch.setattr(ready.messages, "_open", lambda *words: said.append(words))
    ready.export.status_message.connect(heard.append)
    ready.export.view.target.setText(str(tmp_path / "model.onnx"))
    with qtbot.waitSignal(ready.export.exporter.ended, timeout=5000):
        ready.export.view.button.click()
    if isinstance(error, Stopped):
        assert not said and heard == ["The export was stopped; nothing was written."]
    else:
        assert said[0][2:4] == ("The file does not agree.", "Run the stage again.")
    assert ready.export.view.button.isEnabled() and ready.export.view.verdict.path is None


def test_the_keyboard_is_on_cancel_during_an_export_and_then_back(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button hides, and Qt passed the focus on to the rail: Space then left the place."""

    def export(*arguments: Any) -> None:
        while True:
            arguments[5].control.checkpoint()
            time.sleep(0.005)

    monkeypatch.setattr(exporting, "export_stage", export)
    view = ready.export.view
    view.target.setText(str(tmp_path / "model.onnx"))
    view.button.setFocus()
    qtbot.keyClick(view.button, Qt.Key.Key_Space)
    assert ready.focusWidget() is view.cancel
    with qtbot.waitSignal(ready.export.exporter.ended, timeout=5000):
        qtbot.keyClick(view.cancel, Qt.Key.Key_Space)
    assert view.button.isVisible() and ready.focusWidget() is view.button


def test_measuring_is_said_and_can_be_left_out(
    qtbot: Any, ready: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 20 kB was timed for a minute below the words that stood there before, and only all could be given up."""
    result = ExportResult(
        tmp_path / "model.onnx", 20_000, "0", 90.0, GOOD, {}, (), (), "# Card", ("Its latency: left out.",)
    )

    def export(*arguments: Any) -> ExportResult:
        watch: exporting.ExportWatch = arguments[5]

        def measure(control: Any) -> None:
            watch.tell(0.8, "Measuring latency, session 3 of 8")
            while True:
                control.checkpoint()
                time.sleep(0.005)

        watch.measure(measure)
        return result

    monkeypatch.setattr(exporting, "export_stage", export)
    view = ready.export.view
    view.target.setText(str(tmp_path / "model.onnx"))
    assert not view.skip.isVisible()
    view.button.click()
    qtbot.waitUntil(view.skip.isVisible, timeout=5000)
    assert view.hint.text() == "Measuring latency, session 3 of 8" and view.bar.value() == 800
    view.skip.setFocus()
    with qtbot.waitSignal(ready.export.exporter.ended, timeout=5000):
        qtbot.keyClick(view.skip, Qt.Key.Key_Space)
        assert not view.skip.isVisible() and ready.focusWidget() is view.cancel
    assert view.verdict.isVisible() and "left out" in view.verdict.sentence.text()


def test_the_button_says_what_is_missing(ready: MainWindow, tmp_path: Path) -> None:
    view = ready.export.view
    for text, reason in (
        ("", "Choose where"),
        (str(tmp_path / "no" / "m.onnx"), "does not exist"),
        (str(tmp_path / "m.pt"), ".onnx"),
    ):
        view.target.setText(text)
        assert not view.button.isEnabled() and reason in view.hint.text()
    view.target.setText(str(tmp_path / "m.onnx"))
    assert view.button.isEnabled()
    (tmp_path / "network").write_text("a file")
    view.settings_edited.emit(("format",), "safetensors", False)
    view.target.setText(str(tmp_path / "network"))
    assert "writes a folder" in view.hint.text()


def test_a_step_that_breaks_its_limit_says_so(qtbot: Any) -> None:
    steps = [
        Step("pytorch", "PyTorch network", "float32", "PyTorch", answers(20)),
        Step("exported", "Exported file", "float32", "ONNX Runtime", answers(50)),
    ]
    view = LadderView()
    qtbot.addWidget(view)
    view.show_rungs(ladder(steps, LABELS))
    assert view.lines()[-1][-1] == "refused" and view.lines()[-1][3] == "85.00 %"


def test_an_empty_place_says_what_to_do(window: MainWindow) -> None:
    window.go("export")
    assert window.export.view.empty.isVisible()
    assert "Run the pipeline" in window.export.view.empty.advice.text()


class OtherFormat(OnnxFile):
    id = "other"
    title = "Other format"
    suffix = ".other"


def test_a_format_that_is_added_is_offered(
    make_window: Any, tiny: Pipeline, tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, OtherFormat.id, OtherFormat())
    window: MainWindow = make_window(OpenedDocument(tiny, None, tmp_path, run))
    window.go("export")
    place = window.export
    field = place.view.form.field(("format",))
    titles = [field.box.itemText(index) for index in range(field.box.count())]  # type: ignore[attr-defined]
    assert titles[-1] == "Other format"
    place.view.form.edited.emit(("format",), "other", False)
    assert place.settings.format == "other" and place.view.target.text().endswith(".other")
