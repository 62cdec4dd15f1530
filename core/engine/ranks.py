"""Has a stage made by several processes that train together, and follows them: `torchrun` starts them and ends all when one fails.

The processes are `core.engine.rank_process`; the first tells events and writes the network. What a person asks for goes to it
through a file; they end when their standard input closes, as it does when this process ends.
"""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

from core.common.content_hashes import read_sealed, write_sealed
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.files import discard
from core.common.logs import passed_over
from core.document.pipeline import StageNode
from core.engine.stage_inputs import RunContext
from core.machine.processes import environment, exit_in_words, kill_tree
from core.records.events import Progress, event_from
from core.runs.event_log import EventTail
from core.runs.stage_folder import StageFolder
from core.stages.context import StageContext

_log = logging.getLogger(__name__)

EVENTS, COMMANDS, RESULT, FAILURE, LOG = (
    "events.jsonl",
    "commands.jsonl",
    "result.json",
    "failure.json",
    "ranks.log",
)
_POLL_SECONDS = 0.1
_ENDING_SECONDS = 120.0  # for saving what was trained after a stop
_TAIL_BYTES = 4000


def together(context: RunContext, node: StageNode) -> bool:
    """Whether several processes train this stage."""
    return context.processes > 1 and node.stage.epochs(node.parameters) > 0


def made_by_ranks(run: RunContext, context: StageContext, stage: str, new_folder: StageFolder) -> int | None:
    """Make a stage's network in several processes; the step at which a person finished it, if one did.

    Args:
        stage: its id. new_folder: where the network goes.

    Raises:
        Stopped: when a person asked to stop; the first process has saved what was trained.
        EspalierError: when the stage fails, or one of the processes.
    """
    if getattr(sys, "frozen", False):
        raise EspalierError(
            "The packaged program trains in one process.",
            "Install Espalier into a Python environment to train on several GPUs.",
        )
    place = context.scratch / "ranks"
    discard(place)
    place.mkdir(parents=True)
    threads = max(1, run.threads // run.processes)
    request = {
        "folder": str(run.run.folder), "home": str(run.home.folder), "stage": stage, "seed": context.seed, "key": context.key,
        "device": run.device, "threads": threads, "deterministic": run.deterministic,
        "processes": run.processes, "all_threads": run.threads, "images": str(run.images) if run.images else None,
        "opened": run.data.opened.as_plain(), "scratch": str(context.scratch), "place": str(place), "target": str(new_folder.path),
    }  # fmt: skip
    context.phase("ranks", f"Starting {run.processes} processes")
    with (place / LOG).open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
                "--nproc-per-node", str(run.processes), "-m", "core.engine.rank_process", json.dumps(request),
            ],
            stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(threads), start_new_session=True,
        )  # fmt: skip
    try:
        _follow(process, place, context)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with passed_over(_log, "The processes of a training are killed", subprocess.TimeoutExpired):
            process.wait(0 if process.poll() is not None else 30)
        kill_tree(process)
        process.wait()
    return _outcome(process, place, context.control)


def _follow(process: "subprocess.Popen[bytes]", place: Path, context: StageContext) -> None:
    """Pass events on and commands over until the processes have ended, or do not although they were stopped."""
    tail, sent, stopped = EventTail(place / EVENTS), "", 0.0
    while True:
        ended = process.poll() is not None  # before reading, so that nothing is missed
        for record in tail.read():
            event = event_from(record)
            if isinstance(event, Progress):
                context.on_fraction(event.stage_fraction)
            elif event is not None:
                context.emit(event)
        if ended:
            return
        control = context.control
        wanted = "stop" if control.stopping else "pause" if control.paused else "resume"
        if wanted != (sent or "resume"):
            _send(place, wanted)
            sent = wanted
            stopped = stopped or (time.monotonic() if wanted == "stop" else 0.0)
        if control.take_finish_stage():
            _send(place, "finish_stage")
        if stopped and time.monotonic() - stopped > _ENDING_SECONDS:
            return
        time.sleep(_POLL_SECONDS)


def _send(place: Path, command: str) -> None:
    with (place / COMMANDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"do": command}) + "\n")


def _outcome(process: "subprocess.Popen[bytes]", place: Path, control: RunControl) -> int | None:
    if control.stopping:
        raise Stopped
    if process.returncode == 0 and (place / RESULT).is_file():
        cut_at = read_sealed(place / RESULT)["cut_at"]
        return None if cut_at is None else int(cut_at)
    failures = sorted(place.glob(f"*{FAILURE}"))  # of the first process first
    if failures:
        failure = read_sealed(failures[0])
        raise EspalierError(failure["message"], failure["advice"], failure["details"])
    how, advice = exit_in_words(process.returncode)
    with (place / LOG).open("rb") as log:
        log.seek(max(0, log.seek(0, 2) - _TAIL_BYTES))
        last = log.read().decode("utf-8", errors="replace").strip()
    raise EspalierError(
        f"A process of the training ended unexpectedly ({how}).",
        f"{advice} Resume goes on with the run: every finished epoch is kept.",
        last,
    )


def tell_failure(place: Path, rank: int, error: EspalierError) -> None:
    """Leave word of why a process cannot go on."""
    content = {"message": error.message, "advice": error.advice, "details": error.details}
    write_sealed(place / f"{rank}-{FAILURE}", content)
