"""One image with the likeliest answers of one or two models; in the side panel and in a dialog of its own."""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from core.analysis.confusion import Answers
from core.common.numbers import percent
from gui.base import theme
from gui.base.translation import tr
from gui.data.correcting import NotedLabel, correct_button
from gui.data.pictures import fitted
from gui.inspect.gallery import FlipsModel
from gui.widgets.buttons import ElidedLabel, text

_LINE = 24
_SIDE = 420


class TopFive(QWidget):
    """A model's five likeliest classes as bars; the true class, where it is known, is marked by a word."""

    def __init__(self, name: str):
        super().__init__()
        self.setObjectName(f"top-five-{name}")
        self._best: Sequence[tuple[str, float, bool | None]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(150)

    def show_answers(self, answers: Answers, image: int) -> None:
        """Show what a model answered on an image."""
        true = int(answers.labels[image])
        self.show_best(
            [(answers.classes[label], share, label == true) for label, share in answers.best(image)]
        )

    def show_best(self, best: Sequence[tuple[str, float, bool | None]]) -> None:
        """Show classes with their probability; None where nobody knows whether it is the true one."""
        self._best = best
        words = ", ".join(f"{name} {percent(share, 1)}" for name, share, _ in self._best)
        self.setAccessibleName(tr("Five likeliest classes: {words}", words=words))
        self.updateGeometry()
        self.update()

    @property
    def shown(self) -> Sequence[tuple[str, float, bool | None]]:
        """Class, probability and whether it is the true one."""
        return self._best

    def sizeHint(self) -> QSize:
        return QSize(220, _LINE * max(1, len(self._best)))

    def minimumSizeHint(self) -> QSize:
        return QSize(150, _LINE * max(1, len(self._best)))

    def paintEvent(self, event: QPaintEvent) -> None:
        c, painter = theme.colours(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, (name, share, true) in enumerate(self._best):
            line = self.rect().adjusted(0, number * _LINE, 0, 0)
            line.setHeight(_LINE - 3)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.hover))
            painter.drawRoundedRect(QRectF(line.left(), line.bottom() - 4, line.width(), 4), 2, 2)
            tone = _tone(number == 0, true)
            painter.setBrush(QColor(getattr(c, tone or "strong_border")))
            painter.drawRoundedRect(
                QRectF(line.left(), line.bottom() - 4, max(2.0, line.width() * share), 4), 2, 2
            )
            words = line.adjusted(0, 0, 0, -4)
            figure = percent(share, 1)
            painter.setPen(QColor(c.text))
            painter.drawText(words, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)
            room = words.width() - painter.fontMetrics().horizontalAdvance(figure) - 10
            shown = tr("{name} (true)", name=name) if true else name
            painter.setPen(QColor(c.text if tone in ("", "accent") else getattr(c, tone)))
            shown = painter.fontMetrics().elidedText(shown, Qt.TextElideMode.ElideRight, room)
            painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()


def _tone(first: bool, true: bool | None) -> str:
    """The theme's colour of a bar; "" for one that says nothing."""
    if true is None:
        return "accent" if first else ""
    return "good" if true else "bad" if first else ""


class FlipDetails(QWidget):
    """One image and both models' answers below each other (or beside the picture where `wide`).

    Signals:
        correction_wanted: the image's file and its class, which is wrong.
    """

    correction_wanted = Signal(str, str)

    def __init__(self, name: str, side: int, wide: bool = False):
        super().__init__()
        self._side = side
        self.picture = QLabel()
        self.picture.setObjectName(f"{name}-picture")
        self.picture.setFixedSize(side, side)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption = ElidedLabel()
        self.caption.setObjectName(f"{name}-caption")
        self.caption.setProperty("role", "heading")
        self.before_name, self.after_name = ElidedLabel(), ElidedLabel()
        self.before, self.after = TopFive(f"{name}-before"), TopFive(f"{name}-after")
        answers = QVBoxLayout()
        answers.setSpacing(6)
        for label, bars in ((self.before_name, self.before), (self.after_name, self.after)):
            label.setProperty("role", "section")
            answers.addWidget(label)
            answers.addWidget(bars)
            answers.addSpacing(4)
        self._named = ("", "")
        self.wrong = correct_button(f"{name}-wrong")
        self.wrong.clicked.connect(lambda: self.correction_wanted.emit(*self._named))
        answers.addWidget(self.wrong, 0, Qt.AlignmentFlag.AlignLeft)
        answers.addStretch(1)
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignHCenter)
        left.addWidget(self.caption)
        self.noted = NotedLabel(f"{name}-noted")
        left.addWidget(self.noted)
        layout = QHBoxLayout(self) if wide else QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(22 if wide else 12)
        layout.addLayout(left)
        layout.addLayout(answers, 1)

    def show_image(self, cards: FlipsModel, image: int, name: str, reference: str) -> None:
        """Show an image of the test split; `name` and `reference` are the models."""
        pair, pixels = cards.pair, cards.pixels(image)
        if pair is None:
            return
        true = pair.after.classes[int(pair.after.labels[image])]
        self._named = cards.name(image), true
        place = self._named[0] or tr("test image {image}", image=image)
        self.caption.setText(tr("{true} · {place}", true=true, place=place))
        self.noted.show_noted(cards.noted(image))
        self.wrong.setEnabled(bool(self._named[0]))
        self.picture.setAccessibleName(tr("Test image {image}, {true}", image=image, true=true))
        self.show_pixels(pixels)
        self.after_name.setText(tr("Now: {name}", name=name))
        self.after.show_answers(pair.after, image)
        for widget in (self.before_name, self.before):
            widget.setVisible(pair.before is not None)
        if pair.before is not None:
            self.before_name.setText(tr("Before: {other}", other=reference))
            self.before.show_answers(pair.before, image)

    def show_pixels(self, pixels: np.ndarray | None) -> None:
        if pixels is None:
            self.picture.setText(tr("Opening the images …"))
        else:
            self.picture.setPixmap(fitted(pixels, self._side, self.devicePixelRatioF()))


class EnlargedFlip(QDialog):
    """An image of the gallery, large; the arrow keys lead to its neighbours."""

    def __init__(self, parent: QWidget, cards: FlipsModel, row: int, name: str, reference: str):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("enlarged-flip")
        self.setWindowTitle(tr("Test image"))
        self._cards, self.row, self._names = cards, row, (name, reference)
        self.details = FlipDetails("enlarged-flip", _SIDE, wide=True)
        self.details.setMinimumWidth(_SIDE + 300)
        self.place = text("", "muted")
        self.before, self.after, close = (
            QPushButton(tr("Previous")),
            QPushButton(tr("Next")),
            QPushButton(tr("Close")),
        )
        self.before.setIcon(theme.icon("up"))
        self.after.setIcon(theme.icon("down"))
        close.setDefault(True)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button, label, slot in (
            (self.before, "flip-previous", lambda: self.move_by(-1)),
            (self.after, "flip-next", lambda: self.move_by(1)),
            (close, "flip-close", self.accept),
        ):
            button.setObjectName(label)
            button.clicked.connect(lambda _checked=False, slot=slot: slot())
        buttons.addWidget(self.before)
        buttons.addWidget(self.after)
        buttons.addWidget(self.place)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 20, 22, 16)
        layout.setSpacing(14)
        layout.addWidget(self.details, 1)
        layout.addLayout(buttons)
        for key, step in (("Left", -1), ("Up", -1), ("Right", 1), ("Down", 1)):
            QShortcut(QKeySequence(key), self, lambda step=step: self.move_by(step))
        cards.dataChanged.connect(self._refresh)
        self.move_by(0)

    def _refresh(self) -> None:
        self.move_by(0)

    def move_by(self, step: int) -> None:
        """Show the image so many places on, as far as there are images."""
        count = len(self._cards.images)
        self.row = max(0, min(count - 1, self.row + step))
        self.details.show_image(self._cards, int(self._cards.images[self.row]), *self._names)
        self.place.setText(tr("{row} of {count}", row=self.row + 1, count=count))
        self.before.setEnabled(self.row > 0)
        self.after.setEnabled(self.row + 1 < count)
