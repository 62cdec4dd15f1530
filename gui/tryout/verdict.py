"""Whether both models say the same: of one image in a line with a sign, of many in a sentence."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel

from core.analysis.tryout import Tally, Trial
from gui.base import theme
from gui.base.translation import tr
from gui.tryout.answers import milliseconds
from gui.widgets.buttons import text


class VerdictLine(QFrame):
    """Hidden where only one model was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("tryout-verdict")
        self._trial: Trial | None = None
        self._icon, self.words = QLabel(), text("", "heading")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 7, 12, 7)
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addWidget(self.words, 1)
        self.retheme()

    def show_trial(self, trial: Trial | None) -> None:
        """Say what came of an image; None while it waits."""
        self._trial = trial
        self.retheme()
        self.setVisible(trial is None or bool(trial.problem) or trial.agree is not None)

    def retheme(self) -> None:
        role, icon, colour, words = _verdict(self._trial)
        theme.mark(self, "role", role)
        self._icon.setPixmap(theme.pixmap(icon, colour, 20, self.devicePixelRatioF()))
        self.words.setText(words)


def _verdict(trial: Trial | None) -> tuple[str, str, str, str]:
    """Role of the frame, icon, its colour, and the words."""
    if trial is None:
        return "card", "waiting", "muted", tr("Waiting for an answer …")
    if trial.problem:
        return "notice", "warning", "warning", trial.problem
    firsts = [answer.best[0][0] for answer in trial.answers]
    if trial.agree_wrongly:
        both = tr("Both say {answer}; it shows {truth}", answer=firsts[0], truth=trial.truth)
        return "problems", "error", "bad", both
    if trial.agree:
        return "fine", "done", "good", tr("They agree: {answer}", answer=firsts[0])
    return "problems", "error", "bad", tr("They differ: {answers}", answers=" against ".join(firsts))


def in_words(tally: Tally, total: int, both: bool, rate: float | None) -> str:
    """What came of all images.

    Args:
        total: images, those that wait included. both: two models were asked.
        rate: a camera's pictures that are tried in a second.
    """
    done = tally.tried + tally.unreadable
    parts = [tr("1 image tried") if tally.tried == 1 else tr("{count} images tried", count=tally.tried)]
    if done < total:
        parts = [tr("{count} of {total} images tried", count=tally.tried, total=total)]
    if both and tally.tried:
        share = 100 * tally.agreeing / tally.tried
        parts.append(
            tr(
                "{agreeing} agree ({share:.1f} %), {tried} differ",
                agreeing=tally.agreeing,
                share=share,
                tried=tally.tried - tally.agreeing,
            )
        )
    if tally.labelled:
        parts.append(_accuracy(tally))
    if tally.unreadable:
        parts.append(tr("{unreadable} not readable", unreadable=tally.unreadable))
    if tally.tried:
        times = [milliseconds(tally.median_seconds(place) or 0.0) for place in range(len(tally.seconds))]
        parts.append(tr("median time ") + " against ".join(times))
    if rate is not None:
        parts.append(tr("{rate:.1f} pictures a second, preparing the picture included", rate=rate))
    return " · ".join(parts)


def _accuracy(tally: Tally) -> str:
    """How many answers are right, of those images whose class is known."""
    figures = [tally.accuracy(place) for place in range(len(tally.right))]
    shown = [
        f"{figure[0]:.1f} % ({figure[1]:.1f} to {figure[2]:.1f})" for figure in figures if figure is not None
    ]
    return tr(
        "right: {figures} of {count} whose class is known",
        figures=tr(" against ").join(shown),
        count=tally.labelled,
    )
