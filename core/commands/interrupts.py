"""Ctrl+C in a command that works itself."""

import signal
from collections.abc import Callable
from types import FrameType

from core.commands.terminal import say
from core.common.control import RunControl


def stop_on_interrupt(control: RunControl, detach: Callable[[], None] | None = None) -> list[int]:
    """Ctrl+C stops the work; a second one ends the process at once.

    Args:
        detach: called instead of stopping, where the work goes on without this process.
    """
    signals: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)
        if detach is not None:
            detach()
            return
        say("Stopping; press Ctrl+C again to end at once.")
        control.stop()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    return signals
