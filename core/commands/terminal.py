"""What a run looks like in a terminal: progress bars where there is one, lines where there is not."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from core.analysis.wording import format_metric
from core.common.durations import time_left
from core.common.shown_text import harmless
from core.machine.jobs import ProgressCallback
from core.records import events
from core.records.events import Event
from core.records.metrics import METRICS
from core.records.reports import Metric

_console = Console(stderr=True, highlight=False)
_OF_A_LIBRARY = re.compile(
    r"\[Errno|Traceback \(most recent call last\)|\b\w*(?:Error|Exception)\b[]):(]|\.(?:py|cc|cpp|h):\d|\btorch\."
)
_DETAILS_SHOWN = 12
_results: TextIO | None = None  # where results go while stdout is kept for them


def say(text: str) -> None:
    """One message for a person, on stderr."""
    _console.print(_printable(text), markup=False, emoji=False, soft_wrap=True)


def saying_progress() -> ProgressCallback:
    """A callback that says on stderr what is done, each time that this changes, and how far it is."""
    said = ""

    def progress(fraction: float, words: str) -> None:
        nonlocal said
        if words != said:
            said = words
            say(f"{100 * fraction:3.0f} %  {words}")

    return progress


def say_command(command: str) -> None:
    """A command line that helps, where there is one."""
    if command:
        say(f"    {command}")


def say_details(details: str) -> None:
    """The details of an error, where they are words; what a library said of itself stays in the log."""
    lines = details.strip().splitlines()
    if lines and not _OF_A_LIBRARY.search(details):
        say("\n".join(f"    {line}" for line in lines[-_DETAILS_SHOWN:]))


def show_result(text: str) -> None:
    """A line of results, on stdout."""
    print(_printable(text), file=_results or sys.stdout)


def show_json(content: Any) -> None:
    """Results as one JSON value, on stdout."""
    print(json.dumps(content, indent=1), file=_results or sys.stdout)


@contextlib.contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for results: what networks, libraries and programs print meanwhile is heard on stderr."""
    global _results
    usual, real, private = sys.stdout, sys.__stdout__, None
    if real is not None and usual is real and real.fileno() == 1:
        real.flush()
        private = os.fdopen(os.dup(1), "w", encoding=real.encoding, errors=real.errors)
        os.dup2(2, 1)
    _results, sys.stdout = private or usual, sys.stderr
    try:
        yield
        _results.flush()
    finally:
        _results, sys.stdout = None, usual
        if private is not None:
            os.dup2(private.fileno(), 1)
            with contextlib.suppress(BrokenPipeError):  # who read the results went away
                private.close()


def _printable(text: str) -> str:
    """Text without what a terminal obeys; names of files may hold anything, halves of characters too."""
    return harmless(text).encode("utf-8", "replace").decode("utf-8")


class EventPrinter:
    """Prints a run's events and shows progress bars; a context manager, which removes the bars at its end."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            console=_console, transient=True, disable=not _console.is_terminal,
        )  # fmt: skip
        self._run: TaskID | None = None
        self._stage: TaskID | None = None
        self._under_way: dict[str, str] = {}  # names by key: workers make several stages at a time

    def __enter__(self) -> "EventPrinter":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                say(f"{event.pipeline}: {len(event.stages)} stages, run folder {event.folder}")
                self._run = self._bars.add_task("Whole run", total=1.0, note="")
                self._stage = self._bars.add_task("", total=1.0, note="")
            case events.StageStarted():
                self._under_way[event.stage] = event.name
                say(f"[{event.index + 1}/{event.total}] {event.name}")
                self._show(self._stage, description=event.name, completed=0.0, note="")
            case events.PhaseStarted():
                self._show(self._stage, note=event.text)
            case events.Progress():
                self._show(self._stage, completed=event.stage_fraction)
                self._show(self._run, completed=event.run_fraction, note=time_left(event.run_seconds_left))
            case events.StepDone():
                losses = ", ".join(
                    f"{name.replace('_', ' ')} {value:.3f}" for name, value in event.losses.items()
                )
                self._show(
                    self._stage, note=f"epoch {event.epoch}, {losses}, {event.images_per_second:.0f} images/s"
                )
            case events.EpochDone():
                values = event.metrics
                say(
                    f"    {self._whose(event.stage)}epoch {event.epoch}/{event.epochs}: loss {values['train_loss']:.3f}, validation loss {values['val_loss']:.3f}, "
                    f"top-1 {values['val_top1']:.2f} %{' (best)' if event.best else ''}"
                )
            case events.Note():
                whose = self._whose(event.stage)
                say(f"    {whose}{'Warning: ' if event.level == 'warning' else ''}{event.text}")
            case events.TrialStarted():
                of = f" of {event.total}" if event.total is not None else ""
                say(f"Trial {event.trial} ({event.counted}{of} made): {event.text}")
            case events.TrialDone():
                say(f"    {event.text}")
            case events.StageDone():
                self._under_way.pop(event.stage, None)
                say(f"    {_summary(event)}")

    def _whose(self, stage: str) -> str:
        """The beginning of a line about a stage, where several are under way."""
        return f"{self._under_way[stage]}: " if len(self._under_way) > 1 and stage in self._under_way else ""

    def _show(self, task: TaskID | None, **fields: object) -> None:
        if task is not None:
            fields = {name: _printable(one) if isinstance(one, str) else one for name, one in fields.items()}
            self._bars.update(task, **fields)  # type: ignore[arg-type]


def _summary(event: events.StageDone) -> str:
    report = event.report
    file = next((a for a in report["artefacts"] if a["id"] == report["headline"]), None)
    if file is None:
        return "done"
    latency = format_metric(METRICS["latency_ms"], Metric.model_validate(file["metrics"]["latency_ms"]))
    top1, size = (file["metrics"][name]["value"] for name in ("top1", "size_mb"))
    shown = f"top-1 {top1:.2f} %, {latency} ms, {size:.2f} MB"
    return ("from the cache: " if event.cached else "") + shown
