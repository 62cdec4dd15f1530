"""What the selected stage would leave: parameters, MACs, file, time and predicted latency."""

from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from core.common.durations import rough_duration
from core.common.numbers import grouped
from core.whatif import Forecast
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.editor.figures import change, short_count, short_latency, short_size
from gui.widgets.buttons import text
from gui.widgets.narrow_layout import Flow, tell_above

_FIGURES = (
    ("params", QT_TR_NOOP("Parameters"), QT_TR_NOOP("Of the network, norms included.")),
    (
        "macs",
        QT_TR_NOOP("MACs"),
        QT_TR_NOOP("Multiply-accumulates for one image: convolutions and linear layers."),
    ),
    ("bytes", QT_TR_NOOP("File"), QT_TR_NOOP("About the size of the exported file.")),
    (
        "time",
        QT_TR_NOOP("Time"),
        QT_TR_NOOP("About how long the stage takes here. Check measures a few steps and says it."),
    ),
    (
        "latency_ms",
        QT_TR_NOOP("Latency"),
        QT_TR_NOOP(
            "Predicted from times of layers that were measured on this machine: one image, one thread, float32. "
            "The run measures the exported file itself."
        ),
    ),
)
_GAP = 16  # pixels between figures
_UNKNOWN = "–"
_MEASURING = QT_TR_NOOP("Measuring this machine: a predicted latency follows within a minute or so.")


class ForecastStrip(QFrame):
    """Figures in rows as the width has room, each with its change against the stage before; a remark below.

    In a low window they stand in running text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("forecast")
        self.setProperty("role", "strip")
        self.setAccessibleName(tr("What this stage would leave"))
        self._measuring = False
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(5)
        self._figures, self.line = QWidget(), text("", "help", wrap=True)
        self.line.setObjectName("forecast-line")
        self.line.hide()
        figures = Flow(self._figures, gap=_GAP)
        self.values: dict[str, QLabel] = {}
        self.changes: dict[str, QLabel] = {}
        for name, title, help in _FIGURES:
            figures.addWidget(self._figure(name, tr(title), tr(help)))
        column.addWidget(self._figures)
        column.addWidget(self.line)
        self.remark = text("", "help", wrap=True)
        self.remark.setObjectName("forecast-remark")
        column.addWidget(self.remark)

    def _figure(self, name: str, title: str, help: str) -> QWidget:
        """A heading, the figure, and below it its change."""
        self.values[name], self.changes[name] = text(_UNKNOWN, "figure"), text("", "help")
        self.values[name].setObjectName(f"forecast-{name}")
        whole = QWidget()
        inside = QVBoxLayout(whole)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        for label in (text(title, "muted"), self.values[name], self.changes[name]):
            label.setToolTip(help)
            inside.addWidget(label)
        return whole

    def set_low(self, low: bool) -> None:
        """Whether the window is low: all figures in a line or two."""
        self._figures.setVisible(not low)
        self.line.setVisible(low)
        self._show_remark()

    def show_forecast(
        self, now: Forecast | None, before: Forecast | None, seconds: float | None, otherwise: str
    ) -> None:
        """Show these; `otherwise` says why there is no forecast."""
        about = "≈ " if now is not None and now.sure == "about" else ""
        for name, shown, mark in (
            ("params", short_count, about), ("macs", short_count, about), ("bytes", short_size, "≈ "),
        ):  # fmt: skip
            value, old = _of(now, name), _of(before, name)
            self.values[name].setText(_UNKNOWN if value is None else f"{mark}{shown(value)}")
            self.values[name].setToolTip("" if value is None else grouped(value))
            self.changes[name].setText("" if value is None or old is None else change(value, old))
        self.values["time"].setText(f"≈ {rough_duration(seconds)}" if seconds is not None else _UNKNOWN)
        source = now is not None and not now.before
        self.changes["time"].setText("" if seconds is not None or source else tr("Check says it"))
        self._show_latency(now, before)
        self._measuring = now is not None and now.measuring and not now.remark
        remark = otherwise if now is None else now.remark or (tr(_MEASURING) if now.measuring else "")
        bad = now is not None and now.impossible
        self.remark.setText(f"⚠ {remark}" if bad else remark)
        self._show_remark()
        self.line.setText(self._in_a_line())
        for label in (*self.values.values(), *self.changes.values()):
            tell_above(label)  # the form may be filled before it is shown for the first time
        theme.mark(self.remark, "bad", bad)

    def _show_remark(self) -> None:
        """In the line the latency's own words say that it is being measured."""
        said = self._measuring and not self.line.isHidden()
        self.remark.setVisible(bool(self.remark.text()) and not said)

    def _in_a_line(self) -> str:
        parts = []
        for name, title, _help in _FIGURES:
            value, words = self.values[name].text(), self.changes[name].text()
            shown = [tr(title), "" if words and value == _UNKNOWN else value, f"({words})" if words else ""]
            parts.append(" ".join(part for part in shown if part))
        return " · ".join(part.replace(" ", "\u00a0") for part in parts)  # broken between figures alone

    def _show_latency(self, now: Forecast | None, before: Forecast | None) -> None:
        """A prediction with its usual error, or why there is none."""
        value, words = self.values["latency_ms"], self.changes["latency_ms"]
        if now is None or now.latency_ms is None:
            value.setText(_UNKNOWN)
            value.setToolTip("")
            words.setText(tr("measuring") if now is not None and now.measuring else tr("by the run"))
            return
        usual = f"± {max(100 * now.latency_error, 1):.0f} %"
        value.setText(f"≈ {short_latency(now.latency_ms)}")
        value.setToolTip(
            tr("Predicted; such predictions are usually within {usual} of what is measured", usual=usual)
        )
        old = before.latency_ms if before is not None else None
        words.setText(", ".join(part for part in (change(now.latency_ms, old) if old else "", usual) if part))


def _of(forecast: Forecast | None, name: str) -> int | None:
    value: int | None = getattr(forecast, name, None)
    return value
