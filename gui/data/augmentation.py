"""Originals, and what training makes of them."""

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.common.declarations import declarations
from core.data.preview import SHOWN, VARIANTS
from core.data.settings import Augmentation
from gui.base import theme
from gui.base.translation import tr
from gui.data.jobs import Augmented
from gui.data.pictures import fitted
from gui.widgets.buttons import EmptyState, text

_SIDE, _GAP, _LABEL = 120, 8, 92


def in_words(settings: Augmentation) -> str:
    """The changes that are switched on, from their declarations: "Rotation ±15° · Brightness ±0.2"."""
    parts, values = [], settings.model_dump(mode="json")
    for field in declarations(Augmentation):
        value = values[field.name]
        if field.when is not None and not field.when.holds(values):
            continue
        if value is True:
            parts.append(field.label)
        elif value:
            unit = field.unit if field.unit == "°" else f"\u00a0{field.unit}" if field.unit else ""
            sign = "±" if field.when is None else ""  # what another change goes by is no strength of its own
            parts.append(f"{field.label} {sign}{value:.3g}{unit}")
    return " · ".join(parts)


class PreviewGrid(QWidget):
    """A column an image, as wide as there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("augmentation-grid")
        self.setAccessibleName(tr("Original images, and augmented ones below each"))
        self.samples: Augmented | None = None

    def show_images(self, samples: Augmented) -> None:
        self.samples = samples
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.samples is None:
            return
        c, painter = theme.colours(), QPainter(self)
        font = QFont(self.font())
        side = min(_SIDE, (self.width() - _LABEL) // SHOWN - _GAP)
        for line in range(1 + VARIANTS):
            font.setWeight(QFont.Weight.Normal if line else QFont.Weight.DemiBold)
            painter.setFont(font)
            painter.setPen(QColor(c.muted))
            where = QRect(0, line * (side + _GAP), _LABEL, side)
            words = tr("Augmented {line}", line=line) if line else tr("Original")
            painter.drawText(where, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
            for column, original in enumerate(self.samples.originals):
                pixels = self.samples.variants[column][line - 1] if line else original
                picture = fitted(pixels, side, self.devicePixelRatioF())
                painter.drawPixmap(_LABEL + column * (side + _GAP), where.top(), picture)


class AugmentationPane(QWidget):
    """A column an image: the original above, augmented ones below.

    Signals:
        roll_wanted: other random changes of the same images.
        others_wanted: other images.
        settings_wanted: the person wants to change the augmentation.
    """

    roll_wanted = Signal()
    others_wanted = Signal()
    settings_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words = text("", "muted", wrap=True)
        self.words.setObjectName("augmentation-words")
        self.roll = QPushButton(tr("Re-roll"))
        self.roll.setToolTip(tr("Draw other random changes for the same images"))
        self.others = QPushButton(tr("Other images"))
        self.change = QPushButton(tr("Change augmentation…"))
        for button, name, signal in (
            (self.roll, "re-roll", self.roll_wanted), (self.others, "other-images", self.others_wanted),
            (self.change, "change-augmentation", self.settings_wanted),
        ):  # fmt: skip
            button.setObjectName(name)
            button.clicked.connect(lambda _=False, signal=signal: signal.emit())
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.roll)
        buttons.addWidget(self.others)
        buttons.addStretch(1)
        buttons.addWidget(self.change)
        self.grid = PreviewGrid()
        self._waiting = EmptyState("augmentation", tr("Drawing …"), "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._waiting)
        self._stack.addWidget(self.grid)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(12)
        layout.addWidget(self.words)
        layout.addLayout(buttons)
        layout.addWidget(self._stack, 1)

    def show_settings(self, settings: Augmentation) -> None:
        """Say what is switched on."""
        words = in_words(settings)
        self.words.setText(
            tr("{words}. Each training image is changed anew in every epoch.", words=words)
            if words
            else tr("No augmentation is switched on: training sees every image as it is.")
        )

    def show_busy(self, words: str = "Drawing …", advice: str = "") -> None:
        """Nothing to show yet, or nothing at all."""
        self._waiting.title.setText(words)
        self._waiting.advice.setText(advice)
        self._stack.setCurrentIndex(0)

    def show_images(self, samples: Augmented) -> None:
        """Show these."""
        self.grid.show_images(samples)
        self._stack.setCurrentIndex(1)

    def retheme(self) -> None:
        self.roll.setIcon(theme.icon("reset"))
