"""Between parts whose sizes a person changes lies the same handle everywhere."""

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QSplitter, QWidget

from gui.base.theme import Choice, Theme, style
from gui.shell.main_window import MainWindow
from gui.widgets.splitter import WIDTH, FittingSplitter, Splitter

WAYS = Qt.Orientation


def test_all_splitters_of_the_window_are_of_one_kind(make_window: Callable[..., MainWindow]) -> None:
    window = make_window()
    for name in window.places.views:
        window.go(name)
    splitters = window.findChildren(QSplitter)
    assert {splitter.objectName() for splitter in splitters} >= {
        "editor-splitter", "monitor-splitter", "monitor-side", "compare-splitter", "compare-below", "data-splitter",
        "distribution-splitter", "classes-splitter", "graph-splitter", "study-splitter", "study-upper",
    }  # fmt: skip
    for splitter in splitters:
        assert isinstance(splitter, Splitter) and splitter.handleWidth() == WIDTH, splitter.objectName()


@pytest.mark.parametrize("choice", ["light", "dark"])
@pytest.mark.parametrize("way", WAYS)
def test_its_handle_is_seen_and_tells_that_the_mouse_is_on_it(
    qtbot: Any, theme: Theme, choice: Choice, way: Qt.Orientation
) -> None:
    theme.choose(choice)
    theme.finish()
    splitter = Splitter("parts", QWidget(), QWidget(), orientation=way)
    qtbot.addWidget(splitter)
    style(splitter)
    splitter.resize(300, 300)
    splitter.show()
    handle = splitter.handle(1)

    def colours() -> tuple[QColor, QColor]:
        """Of the line in the middle, and of the ground beside it."""
        picture, centre = handle.grab().toImage(), handle.rect().center()
        beside = (6, centre.y() - 40) if way == WAYS.Horizontal else (centre.x() - 40, 6)
        return picture.pixelColor(centre), picture.pixelColor(*beside)

    window, c = QColor(theme.colours.window), theme.colours
    assert colours() == (QColor(c.strong_border), window)
    handle.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)
    assert colours() == (QColor(c.accent), QColor(c.border))


def test_kept_sizes_bring_no_other_handle_along(qtbot: Any) -> None:
    """What was kept by a version whose handles were narrower."""
    before, now = QSplitter(), Splitter("parts", QWidget(), QWidget())
    for splitter in (before, now):
        qtbot.addWidget(splitter)
        splitter.resize(405, 100)
    before.setHandleWidth(5)
    for _ in range(2):
        before.addWidget(QWidget())
    before.setSizes([100, 300])
    assert now.restoreState(before.saveState()) and now.handleWidth() == WIDTH
    assert now.sizes()[0] < now.sizes()[1]


def test_a_splitter_that_was_dragged_stays_where_it_is(qtbot: Any, theme: Theme) -> None:
    def make() -> FittingSplitter:
        above = QWidget()
        above.setMaximumHeight(300)
        splitter = FittingSplitter("fitting", above, QWidget(), lower=100)
        qtbot.addWidget(splitter)
        splitter.resize(300, 512)
        splitter.show()
        return splitter

    splitter = make()
    assert splitter.sizes() == [300, 200] and splitter.saveState().isEmpty()
    splitter.resize(300, 312)
    assert splitter.sizes() == [200, 100]
    splitter.widget(0).setMaximumHeight(120)
    qtbot.waitUntil(lambda: splitter.sizes() == [120, 180])
    handle = splitter.handle(1)
    qtbot.mousePress(handle, Qt.MouseButton.LeftButton, pos=QPoint(50, 5))
    qtbot.mouseMove(handle, QPoint(50, -35))
    qtbot.mouseRelease(handle, Qt.MouseButton.LeftButton, pos=QPoint(50, 5))
    dragged = splitter.sizes()
    assert dragged == [80, 220]
    splitter.widget(0).setMaximumHeight(400)
    QApplication.processEvents()
    assert splitter.sizes() == dragged
    again = make()
    again.resize(300, 312)
    assert again.restoreState(splitter.saveState()) and again.sizes() == dragged
