"""One editor per kind of parameter. Each shows a value, and emits when a person changed it.

No bound is written here: spin boxes take theirs from the declaration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from core.common.declarations import ParameterDeclaration
from gui.base.translation import tr
from gui.widgets.combo import Combo
from gui.widgets.number_box import NumberBox
from gui.widgets.value_boxes import Slider, SpinBox

_SHARE_BOX = 84  # pixels at least; the slider takes the rest
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

    def value(self) -> Any:
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        raise NotImplementedError

    def sentence(self) -> str:
        """What the current choice means; empty for other fields."""
        return ""


class ToggleField(Field):
    def __init__(self, declaration: ParameterDeclaration):
        self.box = QCheckBox(declaration.label)
        super().__init__(self.box)
        self.box.toggled.connect(self.changed.emit)

    def value(self) -> bool:
        return self.box.isChecked()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setChecked(bool(value)))


class IntField(Field):
    def __init__(self, declaration: ParameterDeclaration):
        self.box = _int_box(declaration)
        super().__init__(self.box)
        self.box.valueChanged.connect(self.changed.emit)

    def value(self) -> int:
        return self.box.value()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setValue(int(value)))


class OptionalField(Field):
    """A check box that says whether there is a value, and the value."""

    def __init__(self, declaration: ParameterDeclaration):
        whole = declaration.kind == "int"
        self.box: Any = _int_box(declaration) if whole else NumberBox(declaration)
        self.check = QCheckBox()
        self.check.setAccessibleName(tr("{label}: set", label=declaration.label))
        self.check.setToolTip(
            tr("Off: {empty_means}.", empty_means=declaration.empty_means)
            if declaration.empty_means
            else tr("Off: not set.")
        )
        super().__init__(self.check, self.box)
        self._first = max(self.box.minimum(), 10 * self.box.singleStep())
        self._number = int if whole else float
        self.layout().setStretch(1, 1)  # type: ignore[union-attr]
        self.show_value(None)
        self.check.toggled.connect(self._toggled)
        self.box.valueChanged.connect(lambda _value: self.changed.emit(self.value()))

    def value(self) -> float | None:
        return self.box.value() if self.check.isChecked() else None

    def show_value(self, value: Any) -> None:
        _quietly(self.check, lambda: self.check.setChecked(value is not None))
        self.box.setEnabled(value is not None)
        _quietly(self.box, lambda: self.box.setValue(self._number(self._first if value is None else value)))

    def _toggled(self, on: bool) -> None:
        self.box.setEnabled(on)
        self.changed.emit(self.value())


class FloatField(Field):
    def __init__(self, declaration: ParameterDeclaration):
        self.box = NumberBox(declaration)
        super().__init__(self.box)
        self.box.valueChanged.connect(self.changed.emit)

    def value(self) -> float:
        return self.box.value()

    def show_value(self, value: Any) -> None:
        _quietly(self.box, lambda: self.box.setValue(float(value)))


class ShareField(FloatField):
    """A real number within a short range: a slider beside the box."""

    _FINE = 5  # places of the slider for one step of the box

    def __init__(self, declaration: ParameterDeclaration):
        super().__init__(declaration)
        self.slider = Slider()
        self.slider.setProperty("role", "share")
        self.slider.setObjectName("share-slider")
        self.slider.setAccessibleName(tr("{label}: slider", label=declaration.label))
        self.slider.setToolTip(declaration.help)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the box takes the arrow keys
        self._place = (declaration.step or 0.05) / self._FINE
        self.slider.setRange(
            round((declaration.low or 0) / self._place) + declaration.open_low,
            round((declaration.high or 1) / self._place) - declaration.open_high,
        )
        self.slider.setPageStep(self._FINE)
        self.layout().insertWidget(0, self.slider, 1)  # type: ignore[union-attr]
        self.box.lineEdit().textChanged.connect(lambda _text: self._fit())
        self.box.valueChanged.connect(lambda _value: self._fit())
        self._fit()
        self.slider.valueChanged.connect(self._slid)
        self.box.valueChanged.connect(lambda value: self._follow(value))

    def show_value(self, value: Any) -> None:
        super().show_value(value)
        self._fit()
        self._follow(self.box.value())

    def _fit(self) -> None:
        """Make room for a long number; the slider gets the rest."""
        self.box.setFixedWidth(max(_SHARE_BOX, self.box.width_for(self.box.text())))

    def _follow(self, value: float) -> None:
        _quietly(self.slider, lambda: self.slider.setValue(round(value / self._place)))

    def _slid(self, place: int) -> None:
        self.box.setValue(round(place * self._place, 6))


class ChoiceField(Field):
    """The values of a `Literal`, or options from a catalogue."""

    def __init__(self, declaration: ParameterDeclaration, options: Sequence[Option] = ()):
        self.box = Combo()
        self._shown = ""
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

        self._shown = str(value or "")
        _quietly(self.box, show)

    def allow_others(self, hint: str) -> None:
        """Values that are not offered may be typed."""
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        line = self.box.lineEdit()
        assert line is not None
        line.setObjectName(f"{self.box.objectName()}-typed")
        line.setAccessibleName(hint)
        line.setToolTip(hint)
        line.setAcceptDrops(False)
        line.editingFinished.connect(self._typed)

    def _typed(self) -> None:
        words = self.box.currentText().strip()
        value = next((o.value for o in self._options if words in (o.title, o.value)), words)
        if value and value != self._shown:
            self.show_value(value)
            self.changed.emit(value)

    def sentence(self) -> str:
        return next((option.help for option in self._options if option.value == self.value()), "")

    def _chosen(self) -> None:
        self._shown = self.value()
        self.changed.emit(self._shown)


def show_text(line: QLineEdit | QPlainTextEdit, words: str) -> None:
    """Show what the document says; what is being typed stays as long as the document says the same."""
    now = line.toPlainText() if isinstance(line, QPlainTextEdit) else line.text()
    changed = line.property("shown") != words
    line.setProperty("shown", words)
    if now != words and (changed or not line.hasFocus()):
        write = line.setPlainText if isinstance(line, QPlainTextEdit) else line.setText
        _quietly(line, lambda: write(words))
        if isinstance(line, QLineEdit) and not line.hasFocus():
            line.setCursorPosition(0)  # what is longer than the field is read from its beginning


class TextField(Field):
    def __init__(self, declaration: ParameterDeclaration):
        self.line = QLineEdit()
        self.line.setAcceptDrops(False)  # what is dropped opens as a whole
        super().__init__(self.line)
        self.line.editingFinished.connect(self._finished)
        self._shown = ""

    def value(self) -> str:
        return self.line.text()

    def show_value(self, value: Any) -> None:
        self._shown = str(value or "")
        show_text(self.line, self._shown)

    def _finished(self) -> None:
        if self.line.text() != self._shown:
            self._shown = self.line.text()
            self.changed.emit(self._shown)


def _int_box(declaration: ParameterDeclaration) -> SpinBox:
    box = SpinBox()
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
