"""How a person follows an export and steers it, from another thread than it works on."""

from collections.abc import Callable
from typing import TypeVar

from core.common.control import RunControl
from core.common.errors import Stopped

Result = TypeVar("Result")


class ExportWatch:
    """Hears how far one export is, stops it, or leaves out that its file is measured.

    Attributes:
        control: stops the whole export.
        measuring: whether the file is being measured, so that `skip_measuring` ends something.
    """

    def __init__(
        self, control: RunControl | None = None, on_progress: Callable[[float, str], None] | None = None
    ):
        """`on_progress` hears a fraction 0…1 and what is done, as a sentence."""
        self.control, self.measuring = control or RunControl(), False
        self._on_progress = on_progress
        self._measurement = RunControl()

    @property
    def skipped(self) -> bool:
        """Whether measuring is left out."""
        return self._measurement.stopping

    def skip_measuring(self) -> None:
        """Leave measuring out, or what is left of it: the file is written without a latency of its own."""
        self._measurement.stop()

    def tell(self, fraction: float, words: str) -> None:
        """Say how far it is.

        Raises:
            Stopped: a person asked to stop.
        """
        self.control.checkpoint()
        if self._on_progress is not None:
            self._on_progress(fraction, words)

    def measure(self, work: Callable[[RunControl], Result]) -> Result | None:
        """Do `work`, which looks at the control that it is given; None where a person left it out.

        Raises:
            Stopped: a person asked to stop the export.
        """
        forget = self.control.on_stop(self._measurement.stop)
        self.measuring = True
        try:
            return work(self._measurement)
        except Stopped:
            self.control.checkpoint()
            return None
        finally:
            self.measuring = False
            forget()
