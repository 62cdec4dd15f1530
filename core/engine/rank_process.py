"""One of the processes that train a stage together; `torchrun` starts them, `core.engine.ranks` follows the first.

All do the same: they read the stage's network, change it, and train it, each with its part of every batch
(`core.training.ranks`). The first tells events, obeys commands and writes what came of it. Their last word is JSON, as `made_by_ranks` makes it.
"""

import json
import logging
import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.common.content_hashes import write_sealed
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.logs import log_to_standard_error, passed_over
from core.data.access import DataAccess
from core.data.image_data import Opened
from core.engine.ranks import COMMANDS, EVENTS, RESULT, tell_failure
from core.profiling.energy import CORE_WATTS
from core.records.events import Event, Listener, Progress
from core.runs.event_log import EventLog
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_folder import StageFolder

_log = logging.getLogger("core.engine.rank_process")  # also where it is run as a program

_POLL_SECONDS = 0.1
_LEFT_SECONDS = 60.0  # after the program that started it has gone, for saving
_FRACTION_SECONDS = 0.5
_PATIENCE = timedelta(
    days=14
)  # of processes that wait for one that a person has paused; milliseconds have to fit 31 bits


def main(argv: list[str]) -> int:
    """Entry point: 0 when the stage is made, 130 when it was stopped, 1 when it failed."""
    request = json.loads(argv[-1])
    log_to_standard_error()
    rank, control, place = int(os.environ["RANK"]), RunControl(), Path(request["place"])
    threading.Thread(target=_end_with_input, args=(control,), daemon=True).start()
    if rank == 0:
        threading.Thread(target=_obey, args=(control, place / COMMANDS), daemon=True).start()
    try:
        cut_at = _make(request, rank, control)
    except Stopped:
        return 130
    except EspalierError as error:
        tell_failure(place, rank, error)
        return 1
    if rank == 0:
        write_sealed(place / RESULT, {"cut_at": cut_at})
    return 0


def _make(request: dict[str, Any], rank: int, control: RunControl) -> int | None:
    from torch import cuda, distributed

    from core.engine.reproducible import reproducible
    from core.engine.stage_inputs import RunContext
    from core.engine.stage_runner import StageRunner
    from core.machine.child import Child

    run, home = RunFolder(Path(request["folder"])), Home(Path(request["home"]))
    local = int(os.environ["LOCAL_RANK"])
    on_gpus = request["device"].startswith("cuda")
    device = f"cuda:{local}" if on_gpus else "cpu"
    pipeline = run.pipeline
    images = Path(request["images"]) if request["images"] else None
    opened = Opened.from_plain(request["opened"])
    data = DataAccess(pipeline.data, images or home.data, run.base, request["threads"], opened).open(control)
    place = Path(request["place"])
    with ExitStack() as stack:
        stack.enter_context(reproducible(request["threads"], request["deterministic"]))
        if on_gpus:
            cuda.set_device(local)
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=_PATIENCE)
        stack.callback(distributed.destroy_process_group)
        emit, on_fraction = _telling(place / EVENTS) if rank == 0 else (_to_nobody, _to_nobody)
        context = RunContext(
            run, home, pipeline, data, device, request["all_threads"], control, emit,
            stack.enter_context(Child("tool", place / f"tool-{rank}.log")), CORE_WATTS, images=images,
            deterministic=request["deterministic"], processes=request["processes"],
        )  # fmt: skip
        runner, node, seed = StageRunner(context), pipeline.stage(request["stage"]), request["seed"]
        stage_input = runner.inputs.stage_input(node, seed)
        node, add_notes = runner.settled(node, seed, stage_input)  # as it was written down
        stage = runner.model_context(
            node, seed, stage_input, request["key"], Path(request["scratch"]), on_fraction
        )
        if rank:
            stage = replace(stage, scratch=place / f"scratch-{rank}", resume=stage.scratch)
            stage.scratch.mkdir()
        target = StageFolder(Path(request["target"])) if rank == 0 else None
        return runner.make_network(node, stage_input, stage, target, add_notes)


def _telling(path: Path) -> tuple[Listener, Any]:
    """What writes events, and fractions as `Progress`, into a file that is followed."""
    log, lock, told = EventLog(path), threading.Lock(), 0.0

    def emit(event: Event) -> None:
        with lock:
            log.record(event)

    def on_fraction(fraction: float) -> None:
        nonlocal told
        if time.monotonic() - told >= _FRACTION_SECONDS:
            told = time.monotonic()
            emit(Progress("", fraction, 0.0, None, None))

    return emit, on_fraction


def _to_nobody(anything: object) -> None:
    """The first process tells it."""


def _obey(control: RunControl, path: Path) -> None:
    offset = 0
    verbs = {
        "stop": control.stop, "pause": control.pause, "resume": control.resume, "finish_stage": control.finish_stage,
    }  # fmt: skip
    while True:
        time.sleep(_POLL_SECONDS)
        with passed_over(_log, "There is no command yet", OSError):
            content = path.read_bytes()[offset:]
            whole = content[: content.rfind(b"\n") + 1]
            offset += len(whole)
            for line in whole.splitlines():
                verbs[json.loads(line)["do"]]()


def _end_with_input(control: RunControl) -> None:
    """All save together after a stop of the first; one that is stuck ends some time later."""
    with passed_over(_log, "The input is gone", OSError):
        while os.read(0, 1024):
            pass
    if os.environ["RANK"] == "0":
        control.stop()
    time.sleep(_LEFT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
