"""A spin box for real numbers as people write them."""

from PySide6.QtCore import QRect
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QStyle, QStyleOptionSpinBox

from core.common.declarations import ParameterDeclaration
from gui.widgets.value_boxes import DoubleSpinBox

_CURSOR = 8  # pixels for the cursor and the margins of the line
_DECIMALS = 12  # a spin box rounds to so many; parameters are never finer


class NumberBox(DoubleSpinBox):
    """A spin box that writes numbers short (5e-05, 0.3) and reads them in any form."""

    def __init__(self, declaration: ParameterDeclaration):
        super().__init__()
        self.setDecimals(_DECIMALS)
        tiny = 10.0**-_DECIMALS
        low = -1e15 if declaration.low is None else declaration.low + tiny * declaration.open_low
        high = 1e15 if declaration.high is None else declaration.high - tiny * declaration.open_high
        self.setRange(low, high)
        self.setSingleStep(declaration.step or 0.1)
        self.setSuffix(f" {declaration.unit}" if declaration.unit else "")

    def textFromValue(self, value: float) -> str:
        return f"{value:.10g}"

    def valueFromText(self, text: str) -> float:
        number = _number(self._bare(text))
        return self.value() if number is None else number

    def validate(self, text: str, position: int) -> object:
        bare = self._bare(text)
        number = _number(bare)
        if number is None:
            unfinished = all(character in "0123456789.,eE+-" for character in bare)
            return (QValidator.State.Intermediate if unfinished else QValidator.State.Invalid, text, position)
        inside = self.minimum() <= number <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate, text, position)

    def width_for(self, text: str) -> int:
        """How wide the box has to be to show `text` whole."""
        option = QStyleOptionSpinBox()
        self.initStyleOption(option)
        option.rect = QRect(0, 0, 200, self.sizeHint().height())
        part = QStyle.SubControl.SC_SpinBoxEditField
        line = self.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, part, self)
        words = self.fontMetrics().horizontalAdvance(text) + _CURSOR
        return words + option.rect.width() - line.width()

    def _bare(self, text: str) -> str:
        return text.removesuffix(self.suffix()).strip()


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ".")) if text else None
    except ValueError:
        return None
