"""What the window calls the status of a run; the keys are those of `core.runs.library.STATUS_WORDS`."""

from gui.base.translation import QT_TR_NOOP, tr

_WORDS = {
    "completed": QT_TR_NOOP("Complete"), "stopped": QT_TR_NOOP("Stopped"), "failed": QT_TR_NOOP("Failed"),
    "running": QT_TR_NOOP("Running"), "paused": QT_TR_NOOP("Paused"), "interrupted": QT_TR_NOOP("Interrupted"),
    "new": QT_TR_NOOP("Not started"), "missing": QT_TR_NOOP("Not found"),
}  # fmt: skip


def status_word(status: str) -> str:
    """The status in the person's language."""
    return tr(_WORDS[status])
