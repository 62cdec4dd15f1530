"""One true journey through the window: edit, run, stop, resume, compare, export, with the real engine."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from PySide6.QtWidgets import QAbstractSpinBox

from gui.shell.main_window import MainWindow


@pytest.mark.slow
def test_a_real_run_from_the_editor_to_the_exported_file(
    qtbot: Any, tiny_window: MainWindow, tmp_path: Path
) -> None:
    window, editor = tiny_window, tiny_window.editor
    editor.select("stage", "taught")
    editor.commands.remove.trigger()
    editor.select("stage", "fp32")
    box = editor.panel.findChild(QAbstractSpinBox, "field-training.epochs")
    box.setValue(2)

    with qtbot.waitSignal(window.session.run_ended, timeout=120_000) as ended:
        window.actions_.run.trigger()
        qtbot.waitUntil(lambda: window.session.state.phase == "Training", timeout=60_000)
        window.actions_.stop.trigger()
    assert ended.args == ["stopped"]

    with qtbot.waitSignal(window.session.run_ended, timeout=240_000) as ended:
        window.actions_.resume_run.trigger()
    assert ended.args == ["completed"], window.session.state.done
    assert [stage.status for stage in window.session.state.stages.values()] == ["done", "done"]
    assert window.session.state.stages["fp32"].series["val_top1"].steps.tolist() == [2, 4]
    assert window.places.current == "compare"
    assert [window.compare.model.data(window.compare.model.index(row, 0)) for row in range(2)] == [
        "FP32",
        "Pruned",
    ]

    target = tmp_path / "model.onnx"
    window.go("export")
    window.export.view.target.setText(str(target))
    with qtbot.waitSignal(window.export.exporter.completed, timeout=120_000):
        window.export.view.button.click()
    assert window.export.view.verdict.heading.text() == "Exported and verified"
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert len(session.get_outputs()) == 1
