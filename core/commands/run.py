"""`espalier run`: run a pipeline file or a recipe, on one data set or several, or go on with a run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.commands.arguments import Commands
from core.commands.cluster import tls_option
from core.commands.follow_run import STOPPED, follow, json_option, stay_option
from core.commands.machine_options import add_machine_options, machine_options
from core.commands.terminal import say, say_command, show_json
from core.common.command_lines import command_line
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("run", help="run a pipeline file, a recipe, or go on with a run")
    parser.add_argument("file", help="pipeline file, recipe name, or (with --resume) run folder")
    folder_options(parser)
    add_machine_options(parser)
    json_option(parser)
    stay_option(parser)
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="have the stages made by workers: a scheduler's address, local:N, or slurm:FILE",
    )
    tls_option(parser)
    parser.set_defaults(do=run)


def folder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help="run folder; without it one is made among your runs")
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run of this file")


def run(options: argparse.Namespace) -> int:
    from core.engine.run_follower import start_run
    from core.runs.home import Home

    home, pipelines = Home.default(), _on_data_sets(options)
    machine = machine_options(options)

    def work(run: Any, show: Callable[[Any], None] = show_json) -> int:
        if options.cluster:
            return follow(_start_by_cluster(run, home, machine, options), options, show)
        known = run.last_event_number
        return follow(start_run(run, home, machine, options.stay, known), options, show)

    return _run_series(options, home, pipelines, work) if pipelines else work(_open_run(options, home))


def _start_by_cluster(run: Any, home: Any, machine: Any, options: argparse.Namespace) -> Any:
    """Start a run whose stages are made by the cluster that a person named; its follower."""
    from core.cluster.run_process import start_run_by_cluster
    from core.cluster.security import Cluster

    cluster = Cluster(options.cluster, options.tls)
    return start_run_by_cluster(run, home, machine, cluster, options.stay, run.last_event_number)


def _on_data_sets(options: argparse.Namespace) -> Any:
    """The pipeline of a file with an axis over data sets; None of any other, and for a run folder."""
    from core.document import pipeline as documents
    from core.document.recipes import pipeline_file
    from core.runs.finding import is_run

    if is_run(Path(options.file)):
        return None
    pipeline = documents.load(pipeline_file(options.file))
    return pipeline if pipeline.axes.data is not None else None


def _run_series(options: argparse.Namespace, home: Any, pipeline: Any, work: Callable[..., int]) -> int:
    """Run a pipeline on one data set after the other; a failure on one leaves the others, a person's stop does not."""
    from core.document.data_axis import per_data_set
    from core.document.recipes import base_folder, pipeline_file
    from core.runs.finding import called, is_run
    from core.runs.new_run import create_run
    from core.runs.run_folder import RunFolder
    from core.runs.series import folders, new_series, newest_run

    base, series = base_folder(pipeline_file(options.file)), new_series(pipeline)
    places = folders(pipeline, options.out) if options.out else []
    runs: list[Any] = []
    results: list[Any] = []
    status = 0
    for number, one in enumerate(per_data_set(pipeline)):
        place = places[number] if places else None
        run = None
        if options.resume:
            run = newest_run(home, one) if place is None else RunFolder.open(place) if is_run(place) else None
        if run is None:
            run = create_run(one, base, home, place, series)
        elif run.status == "completed":
            say(f"{one.name}: complete in {run.folder}")
            runs.append(run)
            continue
        ended = work(run, results.append)
        runs.append(run)
        status = max(status, ended)
        if ended == STOPPED or run.active:  # stopped, or left to itself
            out = ("--out", options.out) if options.out else ()
            say("The data sets after it are not begun. Go on with:")
            say_command(command_line("run", options.file, *out, "--resume"))
            break
    if options.json:
        show_json({"runs": results})
    if len(runs) > 1:
        say("Side by side, each data set with its own baseline:")
        say_command(command_line("compare", *(called(each, home) for each in runs)))
    return status


def _open_run(options: argparse.Namespace, home: Any) -> Any:
    """The run folder that `espalier run` works in: a new one, or one to go on with."""
    from core.document import pipeline as documents
    from core.document.recipes import base_folder, pipeline_file
    from core.runs.finding import is_run, unfinished_run, unfinished_runs
    from core.runs.new_run import create_run
    from core.runs.resuming import check_same_pipeline
    from core.runs.run_folder import RunFolder

    if is_run(Path(options.file)):
        if not options.resume:
            raise EspalierError(f"{options.file} is a run folder.", "Add --resume to go on with it.")
        return RunFolder.open(Path(options.file))
    file = pipeline_file(options.file)
    pipeline = documents.load(file)
    if options.resume:
        if options.out and is_run(options.out):
            run = RunFolder.open(options.out)
            check_same_pipeline(run, pipeline)
            return run
        unfinished = None if options.out else unfinished_run(home, pipeline)
        if unfinished:
            return unfinished
        if not options.out:
            _mention_other(next(unfinished_runs(home, pipeline.name), None), pipeline)
        say("There is no unfinished run of this pipeline; starting a new one.")
    return create_run(pipeline, base_folder(file), home, options.out)


def _mention_other(run: Any, pipeline: Any) -> None:
    """Say of the newest unfinished run of that name why it is not gone on with: the file was edited since."""
    from core.runs.resuming import check_same_pipeline

    try:
        if run is not None:
            check_same_pipeline(run, pipeline)
    except EspalierError as error:
        say(error.message)
