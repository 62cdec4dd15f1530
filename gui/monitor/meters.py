"""How busy the computer is while one watches: processor, memory, GPUs."""

import logging
import threading

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QGridLayout, QProgressBar, QVBoxLayout, QWidget

from core.common.logs import passed_over
from core.machine.load import Sample, Sampler
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel, card, text

_log = logging.getLogger(__name__)

PERIOD = 2.0


class Sampling(QObject):
    """Samples the machine every two seconds on a thread of its own, from `start` to `stop`."""

    sampled = Signal(object)

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._ended: threading.Event | None = None

    def start(self) -> None:
        if self._ended is None:
            self._ended = threading.Event()
            threading.Thread(
                target=self._sample_until, args=(self._ended,), name="espalier-meters", daemon=True
            ).start()

    def stop(self) -> None:
        """The thread ends by itself; it never holds the window up."""
        if self._ended is not None:
            self._ended.set()
            self._ended = None

    def _sample_until(self, ended: threading.Event) -> None:
        sampler = Sampler()
        wait = 0.3
        while not ended.wait(wait):
            sample = sampler.sample()
            with passed_over(_log, "The meters' window is gone", RuntimeError):
                if not ended.is_set():
                    self.sampled.emit(sample)
            wait = PERIOD


class Meters(QWidget):
    """One row a thing: name, bar, figure. Samples while it is visible and nothing is being measured."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("meters")
        self.setAccessibleName(tr("Load of the computer"))
        self._rows: dict[str, tuple[QProgressBar, ElidedLabel]] = {}
        self._still = False
        self.sampling = Sampling(self)
        self.sampling.sampled.connect(self.show_sample)
        frame = card()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self._grid = QGridLayout(frame)
        self._grid.setContentsMargins(14, 9, 14, 9)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        self._row("cpu", tr("Processor"))
        self._row("memory", tr("Memory"))

    def hold(self, still: bool) -> None:
        """Stand still while something is measured."""
        if still != self._still:
            self._still = still
            self._follow()

    def show_sample(self, sample: Sample) -> None:
        """Show one sample of the machine."""
        self._show(
            "cpu", sample.cpu, tr("{cpu:.0f} % of {cores} threads", cpu=sample.cpu, cores=sample.cores)
        )
        own = tr("{own:.1f} GB of it Espalier's", own=sample.program / 1e9)
        self._show("memory", *_memory(sample.used, sample.total), own)
        for index, gpu in enumerate(sample.gpus):
            many = f" {index}" if len(sample.gpus) > 1 else ""
            self._row(f"gpu{index}", tr("GPU{many}", many=many))
            self._show(f"gpu{index}", gpu.load, f"{gpu.load:.0f} %", gpu.name)
            self._row(f"gpu-memory{index}", tr("GPU{many} memory", many=many))
            self._show(f"gpu-memory{index}", *_memory(gpu.used, gpu.total), gpu.name)

    def texts(self) -> dict[str, str]:
        """What the rows say, by name."""
        return {name: label.whole for name, (_bar, label) in self._rows.items()}

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._follow()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.sampling.stop()

    def _follow(self) -> None:
        if self.isVisible() and not self._still:
            self.sampling.start()
        else:
            self.sampling.stop()

    def _row(self, name: str, title: str) -> None:
        if name in self._rows:
            return
        bar, figure = QProgressBar(), ElidedLabel("…")
        bar.setObjectName(f"meter-{name}")
        bar.setAccessibleName(title)
        bar.setRange(0, 100)
        bar.setTextVisible(False)
        figure.setMinimumWidth(124)
        figure.setProperty("role", "muted")
        row = len(self._rows)
        self._grid.addWidget(text(title, "muted"), row, 0)
        self._grid.addWidget(bar, row, 1, Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(figure, row, 2)
        self._rows[name] = (bar, figure)

    def _show(self, name: str, part: float, figure: str, more: str = "") -> None:
        bar, label = self._rows[name]
        bar.setValue(round(part))
        label.setText(figure)
        tip = f"{figure} · {more}" if more else figure
        label.setToolTip(tip)
        bar.setToolTip(tip)
        bar.setAccessibleDescription(tip)


def _memory(used: int, total: int) -> tuple[float, str]:
    return 100 * used / max(1, total), tr("{used:.1f} of {total:.1f} GB", used=used / 1e9, total=total / 1e9)
