"""One model's answer to the image: five likeliest classes as bars, and how long it took."""

from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout

from core.analysis.tryout import Answer
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.top_five import TopFive
from gui.widgets.buttons import ElidedLabel, text

NOTHING = "—"
_FIGURES = (
    ("now", QT_TR_NOOP("This image"), QT_TR_NOOP("Time of this image: the median of up to three runs")),
    (
        "median",
        QT_TR_NOOP("Median"),
        QT_TR_NOOP("Median over the images tried so far: a slow first image hardly moves it"),
    ),
    (
        "rate",
        QT_TR_NOOP("Frames per second"),
        QT_TR_NOOP("1 divided by the median time: what the model alone could do"),
    ),
)


class AnswerCard(QFrame):
    """The card of one model."""

    def __init__(self, name: str, role: str):
        """`role`: what the model stands for, "Baseline" or "Compressed"."""
        super().__init__()
        self.setObjectName(f"answer-{name}")
        self.setProperty("role", "card")
        self._role = role
        self.title = ElidedLabel()
        self.title.setProperty("role", "heading")
        self.first = ElidedLabel()
        self.first.setObjectName(f"answer-{name}-first")
        self.bars = TopFive(f"tryout-{name}")
        self.figures = {key: text(NOTHING, "figure") for key, _, _ in _FIGURES}
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(1)
        for column, (key, label, tip) in enumerate(_FIGURES):
            caption = text(tr(label), "help")
            for widget in (caption, self.figures[key]):
                widget.setToolTip(tr(tip))
            self.figures[key].setObjectName(f"answer-{name}-{key}")
            grid.addWidget(self.figures[key], 0, column)
            grid.addWidget(caption, 1, column)
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(8)
        layout.addWidget(text(role, "section"))
        layout.addWidget(self.title)
        layout.addSpacing(2)
        layout.addWidget(self.first)
        layout.addWidget(self.bars)
        layout.addStretch(1)
        layout.addLayout(grid)
        self.show_model("")

    def show_model(self, title: str) -> None:
        """Name the model; "" when none is chosen."""
        self.title.setText(title or tr("No model chosen"))
        self.setAccessibleName(f"{self._role}: {title or 'no model chosen'}")
        self.show_answer(None)
        self.show_median(None)

    def show_answer(self, answer: Answer | None, words: str = "") -> None:
        """Show an answer; `words` stand where there is none."""
        self.first.setText(words)
        self.first.setVisible(answer is None)
        self.bars.setVisible(answer is not None)
        self.bars.show_best([(name, share, None) for name, share in answer.best] if answer else [])
        self.figures["now"].setText(milliseconds(answer.seconds) if answer else NOTHING)

    def show_median(self, seconds: float | None) -> None:
        """Show the median so far."""
        self.figures["median"].setText(milliseconds(seconds) if seconds else NOTHING)
        self.figures["rate"].setText(f"{1 / seconds:,.0f}".replace(",", "\u202f") if seconds else NOTHING)


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, three digits that matter."""
    value = 1000 * seconds
    decimals = next((digits for least, digits in ((100, 0), (10, 1), (1, 2)) if value >= least), 3)
    return f"{value:.{decimals}f} ms"
