"""What an empty place says stands in its middle, and a long title leaves the window as it is."""
# ruff: noqa: F401, F811 (fixtures are imported by name)

from typing import Any

import pytest
from PySide6.QtWidgets import QPushButton
from window_fixtures import qapp, theme

from gui.base.theme import Theme
from gui.widgets.buttons import EmptyState, Header


@pytest.mark.parametrize("width", [400, 900, 1600])
def test_words_and_button_stand_in_the_middle(qtbot: Any, theme: Theme, width: int) -> None:
    button = QPushButton("Run")
    empty = EmptyState("here", "Nothing yet", "As soon as there is something, it stands here. " * 4, button)
    qtbot.addWidget(empty)
    empty.resize(width, 500)
    empty.show()
    qtbot.waitExposed(empty)
    middle = width / 2
    for part in (empty.title, empty.advice, button):
        assert abs(part.geometry().center().x() - middle) <= 2, part.geometry()
    assert empty.advice.width() >= min(width - 40, 740)


def test_a_long_title_makes_no_place_wider_than_the_window(qtbot: Any, theme: Theme) -> None:
    header = Header(
        "Channel and layer pruning of a network with a long name " * 3, QPushButton("Save report…")
    )
    qtbot.addWidget(header)
    assert header.minimumSizeHint().width() < 400
    assert header.title.whole.endswith("long name") and header.title.toolTip() == header.title.whole
