"""Where the events of a run go: into its folder, and to whoever listens."""

from collections.abc import Sequence

from core.records.events import Event, Listener, Note
from core.runs.run_folder import RunFolder


class RunEvents:
    """Records and tells the events of one run.

    Attributes:
        stage: the key of the stage under way, which warnings are about; "" before the first.
    """

    def __init__(self, run: RunFolder, listeners: Sequence[Listener]):
        self.run, self.listeners = run, listeners
        self.stage = ""

    def emit(self, event: Event) -> None:
        self.run.record(event)
        for listener in self.listeners:
            listener(event)

    def warn(self, text: str) -> None:
        """A warning about the stage under way."""
        self.emit(Note(self.stage, "warning", text))
