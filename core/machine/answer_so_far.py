"""Jobs whose answer grows by steps: when one is stopped, what was finished is the answer.

Every part that such a job sends is its answer so far, of the same form as the whole. Under ``extent`` each answer says how many
of its steps it holds (`Extent` as plain data).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.common.control import RunControl
from core.common.errors import Stopped
from core.machine.child import Child
from core.machine.jobs import Job, ProgressCallback


@dataclass(frozen=True, slots=True)
class Extent:
    """How many steps of a job an answer holds, of how many."""

    done: int = 0
    planned: int = 0

    @property
    def whole(self) -> bool:
        """Whether the job came to its end."""
        return self.done >= self.planned


WHOLE = Extent()  # of an answer whose steps were not counted


def answer_so_far(
    child: Child,
    job: Job,
    arguments: Mapping[str, Any],
    control: RunControl,
    on_progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """What a job answers; when it is stopped, the last of the parts that it sent.

    Raises:
        EspalierError: the job's own error.
        Stopped: before a part was sent.
    """
    parts: list[dict[str, Any]] = []

    def keep(part: dict[str, Any]) -> None:
        parts[:] = [part]

    try:
        return child.call(job, arguments, control, on_progress, on_part=keep)
    except Stopped:
        if not parts:
            raise
        return parts[0]
