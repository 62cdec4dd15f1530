"""The one type of expected failure, the signal that a person asked to stop, and found problems."""

from dataclasses import dataclass


class EspalierError(Exception):
    """A failure that a person can understand and act on.

    Args:
        message: one sentence: what was expected and what was received.
        advice: what to do next, as a sentence; may be empty.
        details: text for the "Details" fold (a log's tail, a traceback); may be empty.
        command: a command line that helps; a terminal shows it, the window has buttons.
    """

    def __init__(self, message: str, advice: str = "", details: str = "", command: str = ""):
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.details = details
        self.command = command

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class Fault(EspalierError):
    """A failure that nobody foresaw: a mistake of this program or of a library, or a process that died."""


class Stopped(Exception):
    """Raised inside long work when a person asked to stop; not an error."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a pipeline, found before work starts.

    Attributes:
        message: what was expected and what was received.
        advice: what to do about it; may be empty.
        place: where, as keys and indices into the document (`("stages", 2, "settings", "ratio")`).
        line: the line in the file, from 1; 0 where there is none.
        command: as of `EspalierError`.
    """

    message: str
    advice: str = ""
    place: tuple[str | int, ...] = ()
    line: int = 0
    command: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, " if self.line else ""
        path = ".".join(str(part) for part in self.place) or "the document"
        return f"{where}{path}: {self.message} {self.advice}".strip()
