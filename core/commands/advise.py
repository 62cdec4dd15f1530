"""`espalier advise`: which calibration a stage's float file wants."""

import argparse

from core.commands.arguments import Commands, whole
from core.commands.interrupts import stop_on_interrupt
from core.commands.terminal import saying_progress, show_json, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "advise", help="try how many calibration images are enough for a stage's file, and which method"
    )
    parser.add_argument("stage", help="a run's stage with a float file, as RUN:STAGE")
    parser.add_argument(
        "--images", type=whole(1, 10_000), nargs="+", default=[32, 128, 512], help="numbers of images to try"
    )
    parser.add_argument("--draws", type=whole(2, 100), default=4, help="draws of each number")
    parser.add_argument("--judged", type=whole(10, 10_000), default=256, help="validation images to judge by")
    parser.add_argument(
        "--methods", nargs="+", choices=("minmax", "percentile", "entropy"),
        default=["minmax", "percentile", "entropy"], help="ways to find ranges",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(do=advise)


def advise(options: argparse.Namespace) -> int:
    from core.common.temporary import temporary_folder
    from core.data.access import DataAccess
    from core.deploy.quantization.advice import Question, as_text, read
    from core.deploy.quantization.advice import advise as job
    from core.export.stage_file import find_file
    from core.machine.answer_so_far import answer_so_far
    from core.machine.child import Child
    from core.runs.home import Home
    from core.runs.library import find_run

    name, _, key = options.stage.rpartition(":")
    if not name:
        raise EspalierError(
            f"Expected RUN:STAGE, received {options.stage!r}.",
            "Name a run, a colon, and the id of one of its stages with a float file.",
        )
    run = find_run(Home.default(), name)
    report, artefact = find_file(run, key, "")
    if artefact.precision not in ("float32", "given"):
        raise EspalierError(
            f"The file of {report.name} is {artefact.label}, which is not float.",
            "Name the stage that a quantization continues.",
        )
    access = DataAccess(run.pipeline.data, Home.default().data, run.base, opened=run.opened_data)
    question = Question(tuple(options.methods), tuple(options.images), options.draws, options.judged)
    arguments = question.arguments(access, run.folder / artefact.path)
    control = RunControl()
    stop_on_interrupt(control)
    with temporary_folder() as folder, Child("tool", folder / "tool.log") as child:
        told = answer_so_far(child, job, arguments, control, saying_progress())
    if options.json:
        show_json(told)
    else:
        show_result(as_text(told))
    if not read(told).extent.whole:  # what was finished is printed
        raise Stopped
    return 0
