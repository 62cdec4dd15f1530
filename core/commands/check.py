"""`espalier check`: check a pipeline's rules, estimate what it costs, try it on a few images."""

import argparse
from pathlib import Path
from typing import Any

from core.commands.arguments import Commands
from core.commands.interrupts import stop_on_interrupt
from core.commands.machine_options import add_machine_options, machine_options
from core.commands.terminal import say, show_result
from core.common.control import RunControl


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("check", help="check a pipeline and estimate its time, disk and memory")
    parser.add_argument("file", help="pipeline file or recipe name")
    add_machine_options(parser)
    parser.add_argument("--no-estimate", action="store_true", help="only check the rules")
    parser.add_argument(
        "--preflight", action="store_true", help="push a few images through every stage, to the exported file"
    )
    parser.set_defaults(do=check)


def check(options: argparse.Namespace) -> int:
    from core.document import pipeline as documents
    from core.document.data_axis import data_sets, per_data_set
    from core.document.expansion import expanded
    from core.document.recipes import base_folder, pipeline_file

    file = pipeline_file(options.file)
    base = base_folder(file)
    pipeline = documents.load(file)
    count, names = len(expanded(per_data_set(pipeline)[0]).active), data_sets(pipeline)
    over = f" on each of {len(names)} data sets ({'; '.join(names)})" if names else ""
    show_result(f"{pipeline.name}: {count} stages{over}, no broken rules.{_searching(pipeline)}")
    if options.preflight and not _preflight(options, pipeline, base):
        return 1
    if options.no_estimate:
        return 0
    from core.engine.on_data_sets import estimate_on_each
    from core.runs.home import Home

    cost = estimate_on_each(
        pipeline,
        base,
        Home.default(),
        machine_options(options),
        lambda done, text: say(text),
    )
    for line in cost.lines():
        show_result(line)
    return 0


def _searching(pipeline: Any) -> str:
    """What a search of the pipeline has free, as a sentence; "" without one."""
    from core.document.dimensions import dimensions

    every = dimensions(pipeline)
    return f" Free: {', '.join(one.label for one in every)}." if every else ""


def _preflight(options: argparse.Namespace, pipeline: Any, base: Path) -> bool:
    """Try every stage on a few images; whether all passed."""
    from core.engine.on_data_sets import preflight_on_each
    from core.engine.preflight import Watcher
    from core.runs.home import Home

    control = RunControl()
    stop_on_interrupt(control)
    outcome = preflight_on_each(
        pipeline,
        base,
        Home.default(),
        machine_options(options),
        control,
        Watcher(lambda done, text: say(text)),
    )
    for line in outcome.lines():
        show_result(line)
    return outcome.passed
