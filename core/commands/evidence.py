"""`espalier evidence`: the pipelines behind the page of evidence, run one after the other, and the page from their runs.

Every row of the page is of a run folder. What is finished is not run again; with `--minutes` a run is stopped in
between, and goes on where it was when the command is given once more. Where another tool cannot make its file, the run's
end says so: the pipeline goes on without that stage, and the page gives the reason.
"""

import argparse
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.commands.arguments import Commands, whole
from core.commands.interrupts import stop_on_interrupt
from core.commands.machine_options import add_machine_options, machine_options
from core.commands.terminal import EventPrinter, say, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.files import RESOURCES, write_atomically

FOLDER = RESOURCES / "evidence"
_INTRODUCTION = """# Evidence

What this program's methods do to real networks on real images, beside the tools that people would use instead. Made by
`espalier evidence --data FOLDER --out PAGE`: every figure is of a run folder, on all test images; nothing is trained or
chosen on them. ≈ marks a change that the measurement cannot tell from none.
"""
_COMPARED = (
    "Each tool's file against the one of ours that stands before it in the pipeline file, on the same test images: the change of top-1 in points with its 95 % "
    "interval (above 0: ours is right more often), and of the latency on one thread (below 0: ours is faster)."
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pipeline of the page.

    Attributes:
        id: name of its file. pipeline: without what cannot be run here. left_out: what that is, in sentences.
        runs: its runs, newest first. failed: the tools that made no file, each with its reason.
    """

    id: str
    pipeline: Any
    left_out: tuple[str, ...]
    runs: tuple[Any, ...]
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def completed(self) -> Any:
        """The newest finished run, or None."""
        return next((run for run in self.runs if run.status == "completed"), None)

    @property
    def shown(self) -> Any:
        """The run that the page is made from: the finished one, else the newest with finished stages, or None."""
        return self.completed or next((run for run in self.runs if run.reports()), None)

    @property
    def state(self) -> str:
        if self.completed is not None:
            return f"completed, {self.completed.name}"
        return f"{self.runs[0].status}, {self.runs[0].name}" if self.runs else "not run yet"


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "evidence", help="run the pipelines behind the page of evidence, and write it"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="where their data sets lie"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="those whose name contains one of these"
    )
    parser.add_argument(
        "--list", action="store_true", help="run nothing: say what there is, and how far it is"
    )
    parser.add_argument(
        "--minutes", type=whole(1, 100_000), help="stop after so many; the same command goes on"
    )
    parser.add_argument(
        "--measure-again", action="store_true", help="also measure the files of finished runs anew; nothing is made again"
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="PAGE", help="write the page from what is finished")
    add_machine_options(parser)
    parser.set_defaults(do=evidence)


def evidence(options: argparse.Namespace) -> int:
    from core.runs.home import Home

    home, machine = Home.default(), machine_options(options)
    chosen = find_evidence(home, options.data, options.only)
    if options.list:
        for each in chosen:
            show_result(f"{each.id}: {each.pipeline.name}\n    {each.state}")
            for words in each.left_out:
                show_result(f"    left out: {words}")
        _write(chosen, options.out)
        return 0
    ends = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    status = 0
    for each in chosen:
        if options.measure_again and each.completed is not None and time.monotonic() < ends:
            _measure_again(each.completed, home, ends)
        status = _finish(each, home, machine, options.data, ends)
        if status:
            break
    chosen = find_evidence(home, options.data, options.only)
    open_ones = [each.id for each in chosen if each.completed is None]
    if open_ones:
        say(f"Not finished yet: {', '.join(open_ones)}. Give the same command again to go on.")
    _write(chosen, options.out)
    return status or (3 if open_ones else 0)


def _write(chosen: list[Evidence], target: Path | None) -> None:
    if target is not None:
        write_atomically(target, page(chosen))
        say(f"Written to {target}.")


def find_evidence(home: Any, data: Path, only: list[str]) -> list[Evidence]:
    """The pipelines whose id contains one of `only` (all without), with their runs on the data in this folder.

    Raises:
        EspalierError: when there is none.
    """
    from core.document import edits
    from core.document import pipeline as documents
    from core.runs.finding import find_runs

    runs = find_runs(home)
    known = []
    for file in sorted(FOLDER.glob("*.yaml")):
        if only and not any(words in file.stem for words in only):
            continue
        failed = dict[str, str]()
        while True:
            pipeline, left_out = runnable(file, failed)
            pipeline = edits.with_absolute_paths(pipeline, data.resolve())
            document = documents.dumps(pipeline)
            own = tuple(run for run in runs if _document(run) == document)
            without = _failure(own[0]) if own else {}
            if not without:
                break
            failed |= without
        tools = tuple((_tool(pipeline, stage), reason) for stage, reason in failed.items())
        known.append(Evidence(file.stem, pipeline, left_out, own, tools))
    if not known:
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise EspalierError(f"Nothing of the evidence is called {' or '.join(only)}.", f"There are: {names}.")
    return known


def _document(run: Any) -> str:
    try:
        return str(run.info.document)
    except EspalierError:
        return ""  # a damaged run is none of these


def _tool(pipeline: Any, stage: str) -> str:
    from core.comparison.rivals import tool_of

    return tool_of(next(node for node in pipeline.stages if node.id == stage))


def _failure(run: Any) -> dict[str, str]:
    """The stage of another tool that a run failed at, with the reason; empty for any other run."""
    if run.status != "failed":
        return {}
    stage = reason = ""
    for event in run.events():
        if event["event"] == "StageStarted":
            stage = str(event["stage"])
        elif event["event"] == "RunDone":
            reason = str(event["message"])
    return {stage: reason} if stage and _tool(run.pipeline, stage) else {}


def runnable(file: Path, failed: Mapping[str, str] = MappingProxyType({})) -> tuple[Any, tuple[str, ...]]:
    """A pipeline file without the stages of tools that are not installed, or that failed, and which those are.

    Args:
        failed: by stage, why another tool made no file.
    """
    from core.common import yaml
    from core.deploy.quantizers.catalogue import QUANTIZERS
    from core.document import pipeline as documents

    content: Any = yaml.parse(file.read_text(encoding="utf-8")).content
    left_out = []
    for stage in content["stages"]:
        tool = QUANTIZERS.get(stage.get("settings", {}).get("quantizer", ""))
        if tool is not None and (reason := tool.missing()):
            stage["enabled"] = False
            left_out.append(f"{stage.get('name', stage['id'])}. {reason} {tool.remedy()}")
        elif stage["id"] in failed:
            stage["enabled"] = False
            left_out.append(f"{stage.get('name', stage['id'])}. It made no file: {failed[stage['id']]}")
    problems, pipeline = documents.validate(content)
    if pipeline is None or problems:
        raise documents.PipelineError(problems, file.name)
    return pipeline, tuple(left_out)


def _finish(each: Evidence, home: Any, machine: Any, data: Path, ends: float) -> int:
    """Run it until it is done, without the tools that fail on the way, or the time is over; the exit status."""
    status = 0
    while each.completed is None and time.monotonic() < ends:
        status = _run(each, home, machine, data, ends)
        (after,) = (one for one in find_evidence(home, data, [each.id]) if one.id == each.id)
        if len(after.failed) == len(each.failed):
            return status
        say(f"{after.failed[-1][0]} is left out: {after.failed[-1][1]}")
        each, status = after, 0
    return status


def _measure_again(run: Any, home: Any, ends: float) -> None:
    """Measure a finished run's files once more: nothing is made anew."""
    from core.engine.measure_again import measure_again

    control = RunControl()
    stop_on_interrupt(control)
    try:
        with _stopping(control, ends):
            done = measure_again(run, home, (), control)
    except Stopped:
        if time.monotonic() < ends:
            raise
        return
    for label in done.busy:
        say(f"{run.name}: the machine was too busy to measure {label}.")


@contextmanager
def _stopping(control: RunControl, ends: float) -> Iterator[None]:
    """Stops what happens inside when the time is over."""
    timer = threading.Timer(max(0.0, min(ends - time.monotonic(), threading.TIMEOUT_MAX)), control.stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _run(each: Evidence, home: Any, machine: Any, data: Path, ends: float) -> int:
    """Run it, or go on with it, until it is done or the time is over; the exit status."""
    from core.engine.run_follower import start_run
    from core.runs.new_run import create_run

    say(f"{each.id}: {each.pipeline.name}")
    run = each.runs[0] if each.runs else create_run(each.pipeline, data.resolve(), home)
    control = RunControl()
    stop_on_interrupt(control)
    with _stopping(control, ends), EventPrinter() as printer:
        done = start_run(run, home, machine, False, run.last_event_number).follow(
            control, lambda timed_event: printer(timed_event.event)
        )
    if done is None or done.status == "completed":
        return 0
    if done.status == "stopped":
        return 0 if time.monotonic() >= ends else 130
    say(f"{done.message} {done.advice}".strip())
    return 1


def page(chosen: list[Evidence]) -> str:
    """The page, of the stages that are finished: who is better where, then each network."""
    from core.comparison import rivals
    from core.comparison.results_page import section

    done = [(each, rivals.beside(each.shown)) for each in chosen if each.shown is not None]
    whole = rivals.summary([(each.pipeline.name, files, each.failed) for each, files in done])
    parts = [_INTRODUCTION, f"## Ours and others\n\n{_COMPARED}\n\n{whole}\n" if whole else ""]
    for each, files in done:
        parts.append(section(each.shown, f"espalier evidence --only {each.id}"))
        if each.completed is None:
            of = f"{len(each.shown.reports())} of {len(each.pipeline.active)}"
            parts.append(f"**Not finished yet:** {of} stages are.\n")
        if files:
            parts.append(f"**Beside other tools.**\n\n{rivals.table(files)}\n")
        if each.left_out:
            parts.append("\n".join(f"- Left out: {words}" for words in each.left_out) + "\n")
    return "\n".join(part for part in parts if part)
