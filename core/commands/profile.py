"""`espalier profile`: a model's latency, throughput, memory, energy and size, in one or all runtimes."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.runs import stop_on_interrupt
from core.commands.terminal import say, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.stand_ins import refuse_stand_in
from core.models.checkpoint_files import is_checkpoint

if TYPE_CHECKING:
    from core.profiling.model_profile import Subject


def profile(options: argparse.Namespace) -> int:
    from core.profiling.energy import CORE_WATTS
    from core.profiling.model_profile import OPEN_SIZE, Request, profile_model
    from core.profiling.profile_text import as_text
    from core.profiling.runtimes import RUNTIMES, runtime
    from core.runs.cache import Measurements
    from core.runs.home import Home

    chosen = tuple(RUNTIMES) if "all" in options.runtime else tuple(dict.fromkeys(options.runtime))
    for name in chosen:
        runtime(name)
    for name, counts in (("--threads", options.threads), ("--batch", options.batch)):
        if any(count < 1 for count in counts):
            raise EspalierError(f"Expected numbers from 1 for {name}, received {min(counts)}.")
    request = Request(
        subject_of(options.model), subject_of(options.against) if options.against else None, chosen,
        tuple(options.threads), tuple(options.batch), options.size or OPEN_SIZE, options.per_layer, options.grid,
        options.core_watts or CORE_WATTS,
    )  # fmt: skip
    control = RunControl()
    stop_on_interrupt(control)
    messages: list[str] = []

    def on_progress(part: float, text: str) -> None:
        if not messages or messages[-1] != text:
            messages.append(text)
            say(f"{100 * part:3.0f} %  {text}")

    measurements = Measurements(Home.default().cache / "measurements")
    model_profile = profile_model(request, measurements, control, on_progress)
    if options.json:
        sys.stdout.write(json.dumps(model_profile.as_dict(), indent=1) + "\n")
    else:
        show_result(as_text(model_profile))
    return 0


def subject_of(text: str) -> "Subject":
    """The model named by `text`: an ONNX file, a checkpoint's folder, or a stage as RUN:STAGE.

    Raises:
        EspalierError: when it is none of them.
    """
    from core.profiling.model_profile import Subject

    path = Path(text)
    if path.is_file():
        refuse_stand_in(path, "an ONNX file")
        return Subject(path.name, onnx=path.resolve())
    if is_checkpoint(path):
        return Subject(path.name, checkpoint=path.resolve())
    run, colon, stage = text.rpartition(":")
    if colon and run:
        return _stage(run, stage)
    raise EspalierError(
        f"Expected an ONNX file, a checkpoint's folder or RUN:STAGE, received {text!r}.",
        "Give the path of a file that exists, or the name of a run and of one of its stages.",
    )


def _stage(name: str, key: str) -> "Subject":
    """A finished stage's headline file and, where it has one, its network."""
    from core.profiling.model_profile import Subject
    from core.runs.home import Home
    from core.runs.run_folder import resolve_run

    run = resolve_run(name, Home.default())
    main = run.finished_report(key).main
    assert main is not None  # a finished stage has files
    return Subject(f"{run.name}:{key}", run.folder / main.path, run.stage_folder(key).network)
