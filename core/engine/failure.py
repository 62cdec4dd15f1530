"""What is said of a run that an error ended."""

import traceback

from core.common.errors import EspalierError
from core.common.full_disk import full_disk
from core.records.events import RunDone


def failed(error: Exception) -> RunDone:
    """The last event of the run: an expected failure in its own words, any other with its traceback."""
    if isinstance(error, EspalierError):
        return RunDone("failed", error.message, error.advice, error.details, error.command)
    details = "".join(traceback.format_exception(error))
    if full := full_disk(error):
        return RunDone("failed", full.message, full.advice, details)
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return RunDone(
            "failed",
            "The memory was not enough for this stage.",
            "Choose a smaller batch size or image size, or another device.",
            details,
        )
    return RunDone(
        "failed",
        f"Something unexpected stopped the run: {error}",
        "Please report it with the end of the log, which says where; what is finished is kept.",
        details,
    )
