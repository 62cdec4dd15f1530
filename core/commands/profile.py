"""`espalier profile`: a model's latency, throughput, memory, energy and size, in one or all runtimes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.arguments import MOST_THREADS, Commands, number, whole
from core.commands.interrupts import stop_on_interrupt
from core.commands.run_results import print_results, run_as_json
from core.commands.terminal import say, saying_progress, show_json, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.placeholder_files import refuse_stand_in
from core.models.checkpoint_files import is_checkpoint
from core.profiling.runtimes import DEFAULT, RUNTIMES, runtime

if TYPE_CHECKING:
    from core.profiling.model_profile import Subject
    from core.runs.run_folder import RunFolder


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "profile",
        help="measure a model's latency, throughput, memory, energy and size, alone or against another",
    )
    parser.add_argument(
        "model", help="ONNX file, checkpoint folder, a run's stage as RUN:STAGE, or a RUN to measure again"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure RUN:STAGE again and put the figures into the run"
    )
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime"], metavar="NAME", help=_runtimes())
    parser.add_argument(
        "--threads",
        type=whole(1, MOST_THREADS),
        nargs="+",
        default=[],
        help="numbers of threads",
    )
    parser.add_argument("--batch", type=whole(1, 4096), nargs="+", default=[], help="batch sizes")
    parser.add_argument("--against", metavar="MODEL", help="another model, measured in turns with this one")
    parser.add_argument(
        "--size", type=whole(1, 4096), help="pixels a side, for models that take any size (224)"
    )
    parser.add_argument("--per-layer", action="store_true", help="time every layer in ONNX Runtime")
    parser.add_argument(
        "--grid", action="store_true", help="throughput over batch sizes and threads, with the sweet spot"
    )
    parser.add_argument(
        "--core-watts",
        type=number(0.001, 1000),
        help="power of one busy core, where nothing measures energy",
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(do=profile)


def _runtimes() -> str:
    names = [f"{name} (the default)" if name == DEFAULT else name for name in RUNTIMES]
    return f"{', '.join(names)}, or all"


def profile(options: argparse.Namespace) -> int:
    run = _run_to_measure(options)
    if run is not None:
        return _again(run, options)
    from core.profiling.energy import CORE_WATTS
    from core.profiling.model_profile import OPEN_SIZE, Request, profile_model
    from core.profiling.profile_text import as_text
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
    control, on_progress = _interruptible(), saying_progress()
    measurements = Measurements(Home.default().cache / "measurements")
    model_profile = profile_model(request, measurements, control, on_progress)
    if options.json:
        show_json(model_profile.as_dict())
    else:
        show_result(as_text(model_profile))
    return 0


def _run_to_measure(options: argparse.Namespace) -> "tuple[RunFolder, list[str]] | None":
    """The run whose files are measured again, and the keys of its stages (none: all); None for any other model.

    Raises:
        EspalierError: other options are given with it, or there is no such run.
    """
    from core.runs.finding import is_run
    from core.runs.home import Home
    from core.runs.library import find_run, names_runs

    path, home = Path(options.model), Home.default()
    other = path.is_file() or is_checkpoint(path)
    named, colon, stage = options.model.rpartition(":")
    if options.again and colon and named and not other and not is_run(path):
        run, keys = find_run(home, named), [stage]
    elif options.again or (
        not other and not (colon and named) and (is_run(path) or names_runs(home, options.model))
    ):
        run, keys = find_run(home, options.model), []
    else:
        return None
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("against", "threads", "batch", "size", "per_layer", "grid", "core_watts")
        if getattr(options, name)
    ]
    if given or options.runtime != ["onnxruntime"]:
        raise EspalierError(
            f"A run's files are measured again as its stages were; received {', '.join(given or ['--runtime'])} as well.",
            "Name a stage as RUN:STAGE for a profile of your own.",
        )
    return run, keys


def _again(chosen: "tuple[RunFolder, list[str]]", options: argparse.Namespace) -> int:
    """Measure a run's files again."""
    from core.document.stage_keys import stage_keys
    from core.engine.measure_again import measure_again
    from core.runs.home import Home

    run, keys = chosen
    done = measure_again(run, Home.default(), keys, _interruptible(), saying_progress())
    if options.json:
        show_json(run_as_json(run, stage_keys(run.pipeline)))
    else:
        print_results(run)
    for label in done.busy:
        say(f"The machine was too busy to measure {label}. Try again when less runs on it.")
    return 1 if done.busy else 0


def _interruptible() -> RunControl:
    control = RunControl()
    stop_on_interrupt(control)
    return control


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
    from core.common.content_hashes import intact
    from core.profiling.model_profile import Subject
    from core.runs.home import Home
    from core.runs.library import find_run

    run = find_run(Home.default(), name)
    main = run.finished_report(key).main
    assert main is not None  # a finished stage has files
    return Subject(f"{run.name}:{key}", intact(run.folder / main.path), run.stage_folder(key).network)
