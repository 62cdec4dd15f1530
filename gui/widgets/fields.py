"""One editor per kind of parameter. Each shows a value, and tells when a person changed it.

No bound is written here: spin boxes take theirs from the declaration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from gui.widgets.declared import Declared
from gui.widgets.number_box import NumberBox

_INT_MAX = 2**31 - 1  # what Qt's spin box can hold, not a bound of the parameter


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of a combo box that the declaration cannot know: a backbone, a data set, a stage."""

    value: str
    title: str
    help: str = ""


class Field(QWidget):
    """Base: `changed` carries the new value; `show_value` does not emit it."""

    changed = Signal(object)

    def __init__(self, main: QWidget, *others: QWidget):
        super().__init__()
        self.main = main
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (main, *others):
            layout.addWidget(widget)
        self.setFocusProxy(main)
        if isinstance(main, QAbstractSpinBox | QComboBox):
            main.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            main.installEventFilter(self)

    def value(self) -> Any:
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        raise NotImplementedError

    def sentence(self) -> str:
        """What the current choice means; empty for other fields."""
        return ""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls the page, and changes a value only in the field that has the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


class ToggleField(Field):
    def __init__(self, declaration: Declared):
        self.box = QCheckBox(declaration.label)
        super().__init__(self.box)
        self.box.toggled.connect(self.changed.emit)

    def value(self) -> bool:
        return self.box.isChecked()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setChecked(bool(value)))


class IntField(Field):
    def __init__(self, declaration: Declared):
        self.box = _int_box(declaration)
        super().__init__(self.box)
        self.box.valueChanged.connect(self.changed.emit)

    def value(self) -> int:
        return self.box.value()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setValue(int(value)))


class OptionalIntField(Field):
    """A check box that says whether there is a value, and the value."""

    def __init__(self, declaration: Declared):
        self.box = _int_box(declaration)
        self.check = QCheckBox()
        self.check.setAccessibleName(f"{declaration.label}: set")
        self.check.setToolTip(
            f"Off: {declaration.empty_means}." if declaration.empty_means else "Off: not set."
        )
        super().__init__(self.check, self.box)
        self._first = max(self.box.minimum(), 10 * self.box.singleStep())
        self.layout().setStretch(1, 1)  # type: ignore[union-attr]
        self.show_value(None)
        self.check.toggled.connect(self._toggled)
        self.box.valueChanged.connect(lambda _value: self.changed.emit(self.value()))

    def value(self) -> int | None:
        return self.box.value() if self.check.isChecked() else None

    def show_value(self, value: Any) -> None:
        _quietly(self.check, lambda: self.check.setChecked(value is not None))
        self.box.setEnabled(value is not None)
        _quietly(self.box, lambda: self.box.setValue(self._first if value is None else int(value)))

    def _toggled(self, on: bool) -> None:
        self.box.setEnabled(on)
        self.changed.emit(self.value())


class FloatField(Field):
    def __init__(self, declaration: Declared):
        self.box = NumberBox(declaration)
        super().__init__(self.box)
        self.box.valueChanged.connect(self.changed.emit)

    def value(self) -> float:
        return self.box.value()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setValue(float(value)))


class ChoiceField(Field):
    """The values of a `Literal`, or options from a catalogue."""

    def __init__(self, declaration: Declared, options: Sequence[Option] = ()):
        self.box = QComboBox()
        super().__init__(self.box)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(14)
        self.set_options(options or [Option(value, value, help) for value, help in declaration.choices])
        self.box.currentIndexChanged.connect(self._chosen)

    def set_options(self, options: Sequence[Option]) -> None:
        """Offer these; the chosen value stays chosen."""
        value, self._options = self.value(), list(options)

        def fill() -> None:
            self.box.clear()
            for index, option in enumerate(options):
                self.box.addItem(option.title, option.value)
                self.box.setItemData(index, option.help, Qt.ItemDataRole.ToolTipRole)

        _quietly(self.box, fill)
        self.show_value(value)

    def value(self) -> str:
        return str(self.box.currentData() or "")

    def show_value(self, value: Any) -> None:
        index = self.box.findData(str(value))

        def show() -> None:
            nonlocal index
            if index < 0 and value:  # a value that is not offered is still shown
                self.box.addItem(str(value), str(value))
                index = self.box.count() - 1
            self.box.setCurrentIndex(index)

        _quietly(self.box, show)

    def sentence(self) -> str:
        return next((option.help for option in self._options if option.value == self.value()), "")

    def _chosen(self) -> None:
        self.changed.emit(self.value())


class TextField(Field):
    def __init__(self, declaration: Declared):
        self.line = QLineEdit()
        self.line.setAcceptDrops(False)  # what is dropped opens as a whole
        super().__init__(self.line)
        self.line.editingFinished.connect(self._finished)
        self._shown = ""

    def value(self) -> str:
        return self.line.text()

    def show_value(self, value: Any) -> None:
        self._shown = str(value or "")
        _quietly(self.line, lambda: self.line.setText(self._shown))

    def _finished(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.changed.emit(self._shown)


class PathField(TextField):
    """A path with a button that picks a file, a folder, or either."""

    def __init__(self, declaration: Declared):
        super().__init__(declaration)
        self.base = Path()
        self.buttons: list[QPushButton] = []
        self.set_kind(declaration.path)

    def set_kind(self, path: str) -> None:
        """`path`: "file", "folder", "file or folder", each with ":Filter (*.x)" behind it, or "none"."""
        for button in self.buttons:
            button.setParent(None)
            button.deleteLater()
        kind, _, self._filter = path.partition(":")
        self.buttons = []
        for what in ("file", "folder"):
            if what in kind:
                button = QPushButton("Browse…" if kind == what else f"{what.capitalize()}…")
                button.setObjectName(f"pick-{what}")
                button.setAccessibleName(f"Pick a {what}")
                button.clicked.connect(lambda _=False, what=what: self._pick(what))
                self.layout().addWidget(button)  # type: ignore[union-attr]
                self.buttons.append(button)
        self.setEnabled(kind != "none")

    def _pick(self, what: str) -> None:
        start = str(self.base / self.value()) if self.value() else str(self.base)
        if what == "folder":
            chosen = QFileDialog.getExistingDirectory(self, "Pick a folder", start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, "Pick a file", start, self._filter)
        if chosen:
            self.line.setText(chosen)
            self._finished()


def make_field(declaration: Declared, options: Sequence[Option] | None = None) -> Field:
    """The editor for a parameter; `options` where a catalogue knows the values."""
    if options is not None or declaration.kind == "choice":
        return ChoiceField(declaration, options or ())
    if declaration.path:
        return PathField(declaration)
    if declaration.kind == "bool":
        return ToggleField(declaration)
    if declaration.kind == "int":
        return OptionalIntField(declaration) if declaration.optional else IntField(declaration)
    return FloatField(declaration) if declaration.kind == "float" else TextField(declaration)


def _int_box(declaration: Declared) -> QSpinBox:
    box = QSpinBox()
    low = -_INT_MAX if declaration.low is None else int(declaration.low) + declaration.open_low
    high = _INT_MAX if declaration.high is None else int(declaration.high) - declaration.open_high
    box.setRange(low, high)
    box.setSingleStep(int(declaration.step or 1))
    box.setSuffix(f" {declaration.unit}" if declaration.unit else "")
    return box


def _quietly(widget: QObject, change: Any) -> None:
    before = widget.blockSignals(True)
    try:
        change()
    finally:
        widget.blockSignals(before)
