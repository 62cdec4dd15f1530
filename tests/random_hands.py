"""Hands that do at random what a person could do: every action is chosen among those that are possible.

An action is a name and plain arguments, so that a list of them can be kept and done again.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hands import Hands, place_of
from PySide6.QtCore import QPoint, Qt, QThread, QTimer
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from shiboken6 import isValid
from window_fixtures import TINY

from core.document import pipeline as documents
from gui.editor.cards import MOVED
from gui.shell.main_window import MainWindow

W = TypeVar("W", bound=QWidget)
LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
# Runs are started on the tiny pipeline alone, nothing is downloaded, and the end closes the window.
_NOT = ("button-run", "button-check", "button-resume-run", "check-run", "download", "run", "check", "resume-run", "quit", "empty-run", "queue-start")  # fmt: skip
_KEYS = {
    "Tab": NONE, "Backtab": SHIFT, "Up": NONE, "Down": NONE, "Left": NONE, "Right": NONE, "Space": NONE,
    "Return": NONE, "Escape": NONE, "Delete": NONE, "Home": NONE, "End": NONE, "PageDown": NONE, "F2": NONE,
    "Z": CONTROL, "Y": CONTROL, "D": CONTROL, "F": CONTROL, "A": CONTROL, "C": CONTROL, "S": CONTROL,
    "Plus": NONE, "Minus": NONE, "5": NONE, "E": NONE,
}  # fmt: skip
_WORDS = ("0", "1", "3", "0.5", "0.0005", "-7", "1e-3", "99999", "", "a b", "fp32", "{", "net work", "2,5")
_WEIGHTS = {
    "click": 14, "menu": 5, "key": 10, "drag_entry": 3, "drag_card": 2, "edit": 12, "row": 8, "tab": 3,
    "place": 6, "undo": 4, "redo": 2, "size": 1, "slide": 2, "run": 0.4, "steer": 2, "reject": 2,
}  # fmt: skip


class Stuck(Exception):
    """The window does not come to an end."""


class RandomHands:
    """Chooses and does actions; dialogs and menus that wait for an answer get a random one."""

    def __init__(self, window: MainWindow, seed: int, log: Path):
        self.window, self.seed, self.random, self._log = window, seed, random.Random(seed), log
        self.runs = False
        self.done = 0
        self._acting = False
        self._leaving = False
        self._counts: Counter[str] = Counter()
        self._last: list[str] = []
        self._warden = QTimer(window)
        self._warden.timeout.connect(self._answer)
        self._warden.start(10)

    def step(self) -> None:
        """One random action."""
        for _ in range(50):
            name = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            arguments = getattr(self, f"_choose_{name}")()
            if arguments is not None:
                self.do(name, *arguments)
                return
        raise Stuck("no action is possible")

    def do(self, name: str, *arguments: Any) -> None:
        """Do an action, and let the window come to rest."""
        line = json.dumps([name, *arguments], ensure_ascii=False)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.done += 1
        self._counts[name] += 1
        self._last = [*self._last[-39:], line]
        self._acting = True
        try:
            getattr(self, f"_do_{name}")(*arguments)
            for _ in range(3):  # what an action starts when it is over may ask as well
                QApplication.processEvents()
        finally:
            self._acting = False

    def story(self) -> str:
        """What was done last."""
        counts = ", ".join(f"{name} {count}" for name, count in self._counts.most_common())
        return (
            f"ACTIONS_SEED={self.seed}, {self.done} actions ({counts}); all are in {self._log}; the last:\n"
            + "\n".join(self._last)
        )

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Meanwhile whatever asks is refused."""
        self._acting = self._leaving = True
        try:
            yield
        finally:
            self._acting = self._leaving = False

    def leave(self) -> None:
        """End every dialog and close the window."""
        self._leaving = True
        until = time.monotonic() + 120
        while self.window.isVisible():
            if time.monotonic() > until:
                busy = [worker.title for worker in self.window.closing._busy()]
                raise Stuck(f"the window does not close: {busy}, {QApplication.activeModalWidget()}")
            modal = QApplication.activePopupWidget() or QApplication.activeModalWidget()
            if modal is not None:
                modal.close()
            elif not self.window.closing.is_closing:
                self._acting = True
                self.window.close()
                self._acting = False
            QTest.qWait(20)
        self._warden.stop()

    # what waits for an answer

    def _answer(self) -> None:
        """Inside an action: something waits in an event loop of its own."""
        if not self._acting or not QThread.currentThread().loopLevel():
            return
        top = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        if isinstance(top, QMenu):
            chosen = [a for a in top.actions() if a.isEnabled() and not _never(a.objectName())]
            if chosen and self.random.random() < 0.5 and not self._leaving:
                action = self.random.choice(chosen)
                top.close()
                action.trigger()
            else:
                top.close()
        elif isinstance(top, QDialog):
            buttons = [b for b in top.findChildren(QAbstractButton) if b.isVisible() and b.isEnabled()]
            buttons = [b for b in buttons if b.objectName() and not _never(b.objectName())]
            wanted = [b for b in buttons if b.objectName() in ("message-stop", "message-don't")]
            if self._leaving and wanted:
                wanted[0].click()
            elif buttons and self.random.random() < 0.7 and not self._leaving:
                self.random.choice(buttons).click()
            else:
                top.reject()
        elif top is not None:
            top.close()

    # finding

    @property
    def _top(self) -> QWidget:
        """Where a person can act now."""
        modal = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        return modal or self.window

    def _visible(self, kind: type[W]) -> list[W]:
        found = self._top.findChildren(kind)
        return [
            w
            for w in found
            if isValid(w)
            and w.isVisible()
            and w.isEnabled()
            and w.objectName()
            and not _never(w.objectName())
        ]

    def _one(self, kind: type[W]) -> list[Any] | None:
        """A name, and which of those with this name."""
        found = self._visible(kind)
        if not found:
            return None
        chosen = self.random.choice(found)
        return [
            chosen.objectName(),
            [w for w in found if w.objectName() == chosen.objectName()].index(chosen),
        ]

    def _get(self, kind: type[W], name: str, number: int) -> W | None:
        found = [w for w in self._visible(kind) if w.objectName() == name]
        return found[number] if number < len(found) else None

    # actions: what is possible, and doing it

    def _choose_click(self) -> list[Any] | None:
        return self._one(QAbstractButton)

    def _do_click(self, name: str, number: int) -> None:
        button = self._get(QAbstractButton, name, number)
        if button is not None:
            QTest.mouseClick(button, LEFT, NONE, QPoint(min(10, button.width() // 2), button.height() // 2))

    def _choose_menu(self) -> list[Any] | None:
        if self._top is not self.window:
            return None
        found = [
            a for a in _actions(self.window) if a.isEnabled() and a.isVisible() and not _never(a.objectName())
        ]
        return [self.random.choice(found).text()]

    def _do_menu(self, text: str) -> None:
        for action in _actions(self.window):
            if action.text() == text and action.isEnabled() and action.isVisible():
                action.trigger()
                return

    def _choose_key(self) -> list[Any]:
        return [self.random.choice(list(_KEYS))]

    def _do_key(self, key: str) -> None:
        target = QApplication.focusWidget() or self._top
        if not _never(target.objectName()):
            QTest.keyClick(target, getattr(Qt.Key, f"Key_{key}"), _KEYS[key])

    def _choose_edit(self) -> list[Any] | None:
        kind = self.random.choice([QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit])
        found = self._one(kind)
        return None if found is None else [kind.__name__, *found, self.random.choice(_WORDS)]

    def _do_edit(self, kind: str, name: str, number: int, text: str) -> None:
        field = self._get(globals()[kind], name, number)
        if field is None:
            return
        if isinstance(field, QComboBox) and not field.isEditable():
            QTest.keyClick(field, Qt.Key.Key_Down if len(text) % 2 else Qt.Key.Key_Up)
            return
        field.setFocus()
        QTest.keyClick(field, Qt.Key.Key_A, CONTROL)
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Tab)

    def _choose_slide(self) -> list[Any] | None:
        found = self._one(QAbstractSlider)
        return None if found is None else [*found, self.random.randint(-3, 3)]

    def _do_slide(self, name: str, number: int, by: int) -> None:
        slider = self._get(QAbstractSlider, name, number)
        if slider is not None:
            slider.setValue(slider.value() + by * slider.pageStep())

    def _choose_row(self) -> list[Any] | None:
        found = self._one(QAbstractItemView)
        how = self.random.choice(["click", "click", "twice", "more", "menu"])
        return None if found is None else [*found, self.random.random(), how]

    def _do_row(self, name: str, number: int, part: float, how: str) -> None:
        view = self._get(QAbstractItemView, name, number)
        if view is None or not view.model() or not view.model().rowCount():
            return
        index = view.model().index(int(part * view.model().rowCount()), 0)
        view.scrollTo(index)
        place, port = view.visualRect(index).center(), view.viewport()
        QTest.mouseClick(port, LEFT, CONTROL if how == "more" else NONE, place)
        if how == "twice":
            QTest.mouseDClick(port, LEFT, NONE, place)
        elif how == "menu":
            event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, port.mapToGlobal(place))
            QApplication.sendEvent(port, event)

    def _choose_tab(self) -> list[Any] | None:
        bars = [bar for bar in self._top.findChildren(QTabBar) if bar.isVisible() and bar.count()]
        return None if not bars else [bars.index(self.random.choice(bars)), self.random.random()]

    def _do_tab(self, number: int, part: float) -> None:
        bars = [bar for bar in self._top.findChildren(QTabBar) if bar.isVisible() and bar.count()]
        if number < len(bars):
            place = bars[number].tabRect(int(part * bars[number].count())).center()
            QTest.mouseClick(bars[number], LEFT, NONE, place)

    def _choose_place(self) -> list[Any] | None:
        return [self.random.choice(list(self.window.places.views))] if self._top is self.window else None

    def _do_place(self, name: str) -> None:
        QTest.mouseClick(self.window.places.rail.buttons[name], LEFT)

    def _in_editor(self) -> bool:
        return self._top is self.window and self.window.places.current == "pipeline"

    def _card(self) -> tuple[str, str]:
        card = self.random.choice(self.window.editor.model.cards)
        return card.kind, card.id

    def _choose_drag_entry(self) -> list[Any] | None:
        entries = [entry.key for entry in self.window.editor.palette_.model.entries if entry.key]
        if not self._in_editor() or not entries:
            return None
        return [self.random.choice(entries), *self._card(), self.random.random()]

    def _do_drag_entry(self, key: str, kind: str, id: str, part: float) -> None:
        editor = self.window.editor
        if (
            key in [entry.key for entry in editor.palette_.model.entries]
            and editor.model.row_of(kind, id) >= 0
        ):
            place = place_of(editor.list, kind, id, part)
            Hands(None).drag_entry(editor.palette_, key, editor.list, place)

    def _choose_drag_card(self) -> list[Any] | None:
        stages = self.window.document.pipeline.stage_ids
        return (
            [self.random.choice(stages), *self._card(), self.random.random()] if self._in_editor() else None
        )

    def _do_drag_card(self, what: str, kind: str, id: str, part: float) -> None:
        editor = self.window.editor
        row = editor.model.row_of("stage", what)
        if row >= 0 and editor.model.row_of(kind, id) >= 0:
            carried = editor.model.mimeData([editor.model.index(row)])
            assert carried.hasFormat(MOVED)
            Hands.drop(editor.list.viewport(), carried, place_of(editor.list, kind, id, part))

    def _choose_undo(self) -> list[Any] | None:
        return [] if self._top is self.window and self.window.document.undo_stack.canUndo() else None

    def _do_undo(self) -> None:
        self.window.editor.commands.undo.trigger()

    def _choose_redo(self) -> list[Any] | None:
        return [] if self._top is self.window and self.window.document.undo_stack.canRedo() else None

    def _do_redo(self) -> None:
        self.window.editor.commands.redo.trigger()

    def _choose_size(self) -> list[Any]:
        return [self.random.randint(1080, 1700), self.random.randint(680, 1000)]

    def _do_size(self, width: int, height: int) -> None:
        self.window.resize(width, height)

    def _choose_run(self) -> list[Any] | None:
        return [self.random.random() < 0.3] if self.runs and self._top is self.window else None

    def _do_run(self, checked: bool) -> None:
        """Run the tiny pipeline, sometimes with the check before it."""
        from PySide6.QtCore import QSettings

        QSettings().setValue("check-before-run", "true" if checked else "false")
        self.window.document.apply(documents.loads(TINY), "The tiny pipeline")
        if self.window.actions_.run.isEnabled():
            self.window.actions_.run.trigger()

    def _choose_steer(self) -> list[Any] | None:
        a = self.window.actions_
        names = [name for name in ("pause", "stop", "finish", "resume_run") if getattr(a, name).isEnabled()]
        if not self.runs or self._top is not self.window or not names:
            return None
        return [self.random.choice(names)]

    def _do_steer(self, name: str) -> None:
        action: QAction = getattr(self.window.actions_, name)
        if name != "resume_run" or self.window.session.resumable(self.window.document.text):
            action.trigger()

    def _choose_reject(self) -> list[Any] | None:
        return [] if self._top is not self.window else None

    def _do_reject(self) -> None:
        self._top.close()


def _never(name: str) -> bool:
    return any(name == each or (each == "download" and name.startswith(each)) for each in _NOT)


def _actions(window: MainWindow) -> list[QAction]:
    """Every entry of the menus."""
    menus = window.menuBar().findChildren(QMenu)
    return [action for menu in menus for action in menu.actions() if not _leads_on(action, menus)]


def _leads_on(action: QAction, menus: list[QMenu]) -> bool:
    """Whether it does nothing itself: a line, or the heading of a menu (`QAction.menu` would own it)."""
    return action.isSeparator() or action in [menu.menuAction() for menu in menus]
