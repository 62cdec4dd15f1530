"""The wheel over a box or a slider that a person has not chosen scrolls, and changes no value."""

import re
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDial,
    QDoubleSpinBox,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

import gui
from gui.data.correcting import CorrectionDialog, Labelled
from gui.shell.main_window import MainWindow
from gui.widgets.combo import Combo
from gui.widgets.fold import Fold
from gui.widgets.value_boxes import DoubleSpinBox, Slider, SpinBox

VALUES = (QComboBox, QAbstractSpinBox, QSlider, QDial)


def turn(box: QWidget, steps: int) -> None:
    """One notch of the wheel over the middle of a widget; up for a positive number."""
    middle = QPointF(box.rect().center())
    event = QWheelEvent(
        middle, box.mapToGlobal(middle), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, event)


def value(box: Any) -> Any:
    return box.currentText() if isinstance(box, QComboBox) else box.value()


def unfold(part: QWidget) -> None:
    """Open everything that is folded."""
    while closed := [fold for fold in part.findChildren(Fold) if not fold.button.isChecked()]:
        for fold in closed:
            fold.button.click()


def turn_all(part: QWidget) -> set[str]:
    """Turn the wheel over every box with a value below `part`; which were there, by name."""
    seen = set()
    for kind in VALUES:
        for box in part.findChildren(kind):
            box.clearFocus()
            assert not box.hasFocus(), box.objectName()
            assert box.focusPolicy() != Qt.FocusPolicy.WheelFocus, box.objectName()
            before = value(box)
            for steps in (-1, 1, 1):
                turn(box, steps)
                assert value(box) == before, box.objectName()
            seen.add(f"{type(box).__name__} {box.objectName()}")
    return seen


def test_the_wheel_changes_no_value_anywhere_in_the_window(tree: MainWindow) -> None:
    before = tree.document.pipeline
    seen = set()
    for kind, id in (
        ("data", ""),
        ("source", "net"),
        ("stage", "base"),
        ("stage", "small"),
        ("pipeline", ""),
    ):
        tree.editor.select(kind, id)
        unfold(tree)
        seen |= turn_all(tree)
        for button in tree.findChildren(QPushButton):
            if button.objectName().startswith("preset-"):
                turn(button, -1)
    for place in tree.places.views:
        tree.go(place)
        seen |= turn_all(tree)
    assert tree.document.pipeline == before
    names = {name.partition(" ")[2] for name in seen}
    assert len(seen) > 40
    assert {
        "field-training.epochs",
        "field-training.learning_rate",
        "share-slider",
        "calibration-draws",
    } <= names


def test_the_wheel_changes_no_value_in_a_dialog(qtbot: Any, tree: MainWindow, tmp_path: Path) -> None:
    settings = tree.dialogs.show_settings()
    images, model = tree.own_start.images(), tree.own_start.model()
    label = CorrectionDialog(tree, Labelled(tmp_path, "a.png", "cat", None), ("cat", "dog", "cow"))
    for dialog in (settings, images, model, label):
        assert turn_all(dialog), dialog.objectName()
        dialog.close()


@pytest.mark.parametrize("kind", [SpinBox, DoubleSpinBox, Slider, Combo])
def test_the_wheel_changes_the_value_that_has_the_focus(qtbot: Any, kind: type[QWidget]) -> None:
    box: Any = kind()
    qtbot.addWidget(box)
    if isinstance(box, QComboBox):
        box.addItems(["a", "b"])
    box.show()
    box.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    before = value(box)
    turn(box, -1 if isinstance(box, QComboBox) else 1)
    assert value(box) != before


def test_no_box_is_made_that_the_wheel_changes() -> None:
    """Dialogs that no test opens are made of the same boxes."""
    of_qt = "|".join(kind.__name__ for kind in (QComboBox, QSpinBox, QDoubleSpinBox, QSlider, QDial))
    made = [
        f"{file.name}: {line.strip()}"
        for file in Path(gui.__file__).parent.rglob("*.py")
        for line in file.read_text("utf-8").splitlines()
        if re.search(rf"\b(?:{of_qt})\(", line)
    ]
    assert made == []
