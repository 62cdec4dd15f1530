"""Names that have little room: what is cut, where, and how the whole is read."""

from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFontMetrics, QHelpEvent
from PySide6.QtWidgets import QApplication, QStyleOptionViewItem, QToolTip

from gui.base.theme import Theme, style
from gui.inspect.picker import SubjectPicker
from gui.shell.main_window import MainWindow
from gui.widgets.combo import Combo
from gui.widgets.wrapping import wrapped


def painted(window: MainWindow, row: int) -> list[str]:
    """The lines of an entry of the palette, as they are painted."""
    palette = window.editor.palette_.list
    option, index = QStyleOptionViewItem(), palette.model().index(row, 0)
    option.font = palette.font()
    lines = palette.itemDelegate()._lines(option.font, index, palette.viewport().width())  # type: ignore[attr-defined]
    option.widget = palette
    height = palette.visualRect(index).height()
    assert height >= sum(metrics.height() for _, _, metrics, _ in lines), "there is room for every line"
    return [line for line, *_ in lines]


@pytest.mark.parametrize("size", [(1024, 700), (1280, 800)])
def test_the_palette_shows_titles_whole_and_the_chosen_description(
    qtbot: Any, window: MainWindow, size: tuple[int, int]
) -> None:
    """At 1024 pixels "Prune ch… / Removes t…" was to be read."""
    window.resize(*size)
    window.go("pipeline")
    palette = window.editor.palette_
    qtbot.waitUntil(lambda: 100 < palette.list.viewport().width() < 250)
    entries = palette.model.entries
    for row, entry in enumerate(entries):
        if entry.key:
            assert " ".join(painted(window, row)).startswith(entry.title)
    row = next(row for row, entry in enumerate(entries) if entry.key == "stage:prune-channels")
    assert painted(window, row)[-1].endswith("…")
    index = palette.model.index(row)
    palette.list.scrollTo(index)
    qtbot.mouseClick(
        palette.list.viewport(), Qt.MouseButton.LeftButton, pos=palette.list.visualRect(index).center()
    )
    assert " ".join(painted(window, row)) == f"{entries[row].title} {entries[row].help}"


def test_lines_break_between_words_and_the_last_is_cut(qapp: QApplication) -> None:
    metrics = QFontMetrics(qapp.font())
    width = metrics.horizontalAdvance("two words")
    assert wrapped("two words and two more", metrics, width)[0] == "two words"
    assert " ".join(wrapped("two words and two more", metrics, width)) == "two words and two more"
    cut = wrapped("two words and two more", metrics, width, 2)
    assert len(cut) == 2 and cut[1].endswith("…") and wrapped("", metrics, width) == []


def test_a_run_that_has_no_room_is_cut_in_the_middle_and_its_tooltip_is_whole(
    qtbot: Any, theme: Theme
) -> None:
    """Of runs and files that begin alike only the beginning was shown, with free room beside it."""
    picker = SubjectPicker("inspect", "Model")
    qtbot.addWidget(picker)
    style(picker)
    name = "30 Nov, 17:45 · photographs of every beetle"
    picker.runs.addItem(name)
    picker.resize(420, 40)
    picker.show()
    shown = picker.runs._shown()
    assert "…" in shown and shown.startswith("30 Nov") and shown.endswith("beetle")
    point = QPoint(5, 5)
    QApplication.sendEvent(
        picker.runs, QHelpEvent(QHelpEvent.Type.ToolTip, point, picker.runs.mapToGlobal(point))
    )
    assert QToolTip.text().startswith(name)
    QToolTip.hideText()
    picker.runs.showPopup()
    assert picker.runs.view().width() >= picker.runs.fontMetrics().horizontalAdvance(name)
    picker.runs.hidePopup()


@pytest.mark.parametrize("words", ["A name that is long enough", "ResNet-20 (CIFAR)", "sgd"])
def test_a_box_as_wide_as_it_likes_cuts_nothing_with_or_without_the_focus(
    qtbot: Any, theme: Theme, words: str
) -> None:
    """It kept the room of a second arrow free, and still cut by a part of a pixel."""
    box = Combo("box")
    box.addItem(words)
    qtbot.addWidget(box)
    style(box)
    box.show()
    box.adjustSize()
    free = box.width() - box.fontMetrics().horizontalAdvance(words)
    assert box._shown() == words and free < 48
    box.setFocus()
    assert box._shown() == words
