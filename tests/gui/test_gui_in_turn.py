"""Work that waits for its turn: in order, once, early where it is needed."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject

from gui.base.in_turn import InTurn
from gui.shell.main_window import MainWindow


def noting(done: list[str], word: str) -> Callable[[], None]:
    return lambda: done.append(word)


def test_pieces_are_done_in_order_with_the_events_of_the_window_between(qtbot: Any, qapp: Any) -> None:
    parent, done = QObject(), list[str]()
    pieces = InTurn(parent)
    for word in ("a", "b", "c"):
        pieces.put(word, noting(done, word))
    pieces.put("a", noting(done, "a again"))
    assert not done and pieces.waiting == 3
    pieces.do("c")
    pieces.do("c")
    assert done == ["c"]
    qapp.processEvents()
    assert done == ["c", "b"]
    qtbot.waitUntil(lambda: pieces.waiting == 0)
    assert done == ["c", "b", "a again"]


def test_what_waits_can_be_finished_and_forgotten(qtbot: Any) -> None:
    parent, done = QObject(), list[str]()
    pieces = InTurn(parent)
    pieces.put("a", noting(done, "a"))
    pieces.finish()
    pieces.put("b", noting(done, "b"))
    pieces.forget()
    pieces.finish()
    assert done == ["a"]


def test_a_run_is_shown_where_one_is_now_and_elsewhere_in_turn(qtbot: Any, window: MainWindow) -> None:
    done: list[str] = []
    window.go("compare")
    window.places.show_results({name: noting(done, name) for name in ("export", "compare", "inspect")})
    assert done == ["compare"]
    window.go("inspect")
    assert done == ["compare", "inspect"]
    qtbot.waitUntil(lambda: "export" in done)
    assert done == ["compare", "inspect", "export"]
