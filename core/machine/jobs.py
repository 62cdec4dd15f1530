"""Jobs: functions of `core` that another process runs; callers pass the function, the processes its name as text.

A job is ``def job(arguments: dict, progress: Callable[[float, str], None]) -> dict``: plain data in,
plain data out. What it is given as `progress` is a `JobContext`, by which a job can also send parts of its answer
and be stopped. Its module must import nothing heavy (torch, ONNX, ONNX Runtime) before it is called,
for the caller imports it, too.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.common.control import RunControl
from core.common.errors import EspalierError

ProgressCallback = Callable[[float, str], None]
PartCallback = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job has beside its arguments; calling it reports progress (fraction 0…1, sentence).

    Attributes:
        send_part: sends a part of the answer, plain data, before the whole is there.
        control: stopped when the caller no longer wants the answer. A job that looks at it is given time to
            end by itself (`core.machine.child.Child`, `patience`).
    """

    on_progress: ProgressCallback = lambda fraction, text: None
    send_part: PartCallback = lambda part: None
    control: RunControl = field(default_factory=RunControl)

    def __call__(self, fraction: float, text: str) -> None:
        self.on_progress(fraction, text)


Job = Callable[[dict[str, Any], JobContext], dict[str, Any]]
J = TypeVar("J", bound=Callable[..., dict[str, Any]])
RunJob = Callable[[Job, Mapping[str, Any]], dict[str, Any]]  # runs a job in a child, with arguments

_USUAL_SECONDS, _QUICK_SECONDS = 6 * 3600.0, 1800.0
_quick: set[str] = set()


def quick(job: J) -> J:
    """Marks a job that takes seconds: it counts as hanging after half an hour, and others after six hours without progress."""
    _quick.add(name_of(job))
    return job


def silent_seconds(name: str) -> float:
    """How long a job, by its name, may tell no progress before its process counts as hanging."""
    return _QUICK_SECONDS if name in _quick else _USUAL_SECONDS


def name_of(job: Callable[..., dict[str, Any]]) -> str:
    """The text that a job travels by: "core.module:function".

    Raises:
        TypeError: when it is not a public function at the top of a module of `core`.
    """
    name = f"{getattr(job, '__module__', '')}:{getattr(job, '__qualname__', '')}"
    if not _is_job_name(name):
        raise TypeError(f"Expected a public function at the top of a module of core, received {name!r}.")
    return name


def job_named(name: str) -> Job:
    """The function that `name_of` named.

    Raises:
        EspalierError: when the text names something else, or nothing.
    """
    if not _is_job_name(name):
        raise EspalierError(f"Expected a job of the form core.module:function, received {name!r}.")
    module, _, function = name.partition(":")
    job = getattr(importlib.import_module(module), function, None)
    if not callable(job):
        raise EspalierError(f"The module {module} has no job {function!r}.")
    return job


def words_of(name: str) -> str:
    """A job's name for people: its function in words."""
    return name.rpartition(":")[2].replace("_", " ")


def _is_job_name(name: str) -> bool:
    module, colon, function = name.partition(":")
    return (
        bool(colon)
        and module.startswith("core.")
        and not function.startswith("_")
        and function.isidentifier()
    )
