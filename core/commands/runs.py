"""`espalier run`, `espalier attach` and `espalier check`."""

import argparse
import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from core.commands.cluster import start_run_by_cluster
from core.commands.terminal import EventPrinter, say, say_command, say_details, show_json, show_result
from core.common.command_lines import command_line
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.document.stage_keys import stage_keys

_STOPPED = 130  # exit status, as a shell gives it for Ctrl+C


def machine_options(options: argparse.Namespace) -> Any:
    """The options that belong to the machine.

    Raises:
        EspalierError: for a power that cannot be.
    """
    from core.engine.options import Options
    from core.profiling.energy import CORE_WATTS

    watts = CORE_WATTS if options.core_watts is None else options.core_watts
    if not 0 < watts <= 1000:
        raise EspalierError(
            f"Expected the power of one busy core between 0 and 1000 watts, received {watts:g}.",
            "A laptop's core draws about 5 W, a desktop's about 10 W.",
        )
    return Options(
        options.device,
        options.threads,
        watts,
        not options.nondeterministic,
        processes=options.processes,
        compiled=options.compile,
    )


def run(options: argparse.Namespace) -> int:
    from core.engine.run_follower import start_run
    from core.runs.home import Home

    home, pipelines = Home.default(), _on_data_sets(options)
    machine = machine_options(options)

    def work(run: Any, show: Callable[[Any], None] = show_json) -> int:
        if options.cluster:
            return _follow(start_run_by_cluster(run, home, machine, options), options, show)
        known = run.last_event_number
        return _follow(start_run(run, home, machine, options.stay, known), options, show)

    return _run_series(options, home, pipelines, work) if pipelines else work(_open_run(options, home))


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
    from core.document.recipes import pipeline_file
    from core.runs.finding import is_run
    from core.runs.new_run import create_run
    from core.runs.run_folder import RunFolder
    from core.runs.series import folders, new_series, newest_run

    base, series = pipeline_file(options.file).resolve().parent, new_series(pipeline)
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
        if ended == _STOPPED or run.active:  # stopped, or left to itself
            out = ("--out", options.out) if options.out else ()
            say("The data sets after it are not begun. Go on with:")
            say_command(command_line("run", options.file, *out, "--resume"))
            break
    if options.json:
        show_json({"runs": results})
    if len(runs) > 1:
        say("Side by side, each data set with its own baseline:")
        say_command(command_line("compare", *(each.folder for each in runs)))
    return status


def search(options: argparse.Namespace) -> int:
    """Run a file that searches, go on with its run, or ask a run for more."""
    from core.document import pipeline as documents
    from core.document.recipes import pipeline_file
    from core.engine.run_follower import start_run
    from core.runs.finding import is_run, resolve_run
    from core.runs.home import Home
    from core.search.records import wish

    home = Home.default()
    machine = machine_options(options)
    if not (options.more or options.confirm):
        if not is_run(Path(options.file)) and documents.load(pipeline_file(options.file)).search is None:
            raise EspalierError(
                f"Expected a pipeline with a section 'search', {options.file} has none.",
                "Say what is free and what is wanted: the guide has an example ('Searching with limits').",
            )
        return run(options)
    study = resolve_run(options.file, home)
    wish(study, options.more, options.confirm)
    if study.active:
        say("The run goes on and takes it up after the trial under way.")
        return 0
    return _follow(start_run(study, home, machine, options.stay, study.last_event_number), options)


def attach(options: argparse.Namespace) -> int:
    """Follow a run in another process, or send it a command."""
    from core.engine.run_follower import RunFollower, send
    from core.runs.finding import resolve_run
    from core.runs.home import Home

    run = resolve_run(options.run, Home.default())
    if not run.active:
        raise EspalierError(
            f"Expected a run that goes on, {run.name} does not: it is {run.status}.",
            "A run that was not completed goes on with this.",
            command=command_line("run", run.folder, "--resume"),
        )
    if options.command is not None:
        send(run, options.command.replace("-", "_"))
        return 0
    options.stay = True
    return _follow(RunFollower(run), options)


def _follow(follower: Any, options: argparse.Namespace, show: Callable[[Any], None] = show_json) -> int:
    """Print a run's events until it ends or is detached from; the exit status."""
    run, stay = follower.run, options.stay
    control = RunControl()
    interrupted = stop_on_interrupt(control, follower.detach if stay else None)
    try:
        with EventPrinter() as printer:
            done = follower.follow(control, lambda timed_event: printer(timed_event.event))
    except KeyboardInterrupt:
        follower.kill()
        raise
    if interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if done is None:
        say(f"The run goes on. Follow it again with: {command_line('attach', run.name)}")
        return 0
    if options.json:
        show(run_as_json(run, stage_keys(run.pipeline)))
    elif done.status == "completed":
        print_results(run)
    if done.status == "completed":
        return 0
    say(f"{done.message} {done.advice}".strip())
    say_command(done.command)
    if done.details and done.status == "failed":
        say_details(done.details)
    return _STOPPED if done.status == "stopped" else 1


def _open_run(options: argparse.Namespace, home: Any) -> Any:
    """The run folder that `espalier run` works in: a new one, or one to go on with."""
    from core.document import pipeline as documents
    from core.document.recipes import pipeline_file
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
    return create_run(pipeline, file.resolve().parent, home, options.out)


def _mention_other(run: Any, pipeline: Any) -> None:
    """Say of the newest unfinished run of that name why it is not gone on with: the file was edited since."""
    from core.runs.resuming import check_same_pipeline

    try:
        if run is not None:
            check_same_pipeline(run, pipeline)
    except EspalierError as error:
        say(error.message)


def stop_on_interrupt(control: RunControl, detach: Callable[[], None] | None = None) -> list[int]:
    """Ctrl+C stops the work; a second one ends the process at once.

    Args:
        detach: called instead of stopping, where the work goes on without this process.
    """
    signals: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)
        if detach is not None:
            detach()
            return
        say("Stopping; press Ctrl+C again to end at once.")
        control.stop()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    return signals


def run_as_json(run: Any, keys: list[str]) -> dict[str, Any]:
    """The results as plain data: the baselines first, the final model last, else the file's order."""
    from core.analysis.support import uncertain
    from core.analysis.table import changes
    from core.records.metrics import METRICS
    from core.search.records import read_study
    from core.search.text import as_plain

    pipeline, info = run.pipeline, run.info
    order = {pipeline.final_id: len(keys), **dict.fromkeys(pipeline.baselines, -1)}
    reports = sorted(
        run.reports(), key=lambda r: (pipeline.axes.seed.index(r.seed), order.get(r.id, keys.index(r.key)))
    )
    stages = []
    for report in reports:
        baseline = pipeline.baseline_of(report.id)
        base = next((r for r in reports if r.id == baseline and r.seed == report.seed), None)
        main = report.main
        stages.append({
            "id": report.id, "from": report.source, "seed": report.seed, "name": report.name, "kind": report.kind, "baseline": baseline,
            "cached": report.cached, "seconds": round(report.seconds, 3), "artefact": main.path if main else None,
            "metrics": {name: _number(report.metric(name)) for name in METRICS},
            "change": {n: m.model_dump(include={"value", "unit", "low", "high"}) for n, m in changes(main, base).items()} if main and base and base is not report else {},
            "artefacts": [{
                "id": a.id, "path": a.path, "precision": a.precision, "sha256": a.sha256, "verified": bool(a.verification and a.verification.good),
                "metrics": {name: _number(metric) for name, metric in a.metrics.items()},
                "uncertain": [name for name, metric in a.metrics.items() if uncertain(name, metric)],
            } for a in report.artefacts],
            "pytorch": {name: _number(metric) for name, metric in report.pytorch.items()},
            "notes": report.notes,
            "why": report.why.model_dump() if report.why is not None else None,
        })  # fmt: skip
    study = read_study(run)
    return {
        "run": str(run.folder),
        "status": info.status,
        "pipeline": pipeline.name,
        "machine": info.machine,
        "stages": stages,
        **({"search": as_plain(study)} if study is not None else {}),
    }


def _number(metric: Any) -> float | None:
    if metric is None or metric.value is None or not math.isfinite(metric.value):
        return None
    return float(metric.value)


def print_results(run: Any) -> None:
    from core.analysis.report import paper_rows, why_lines
    from core.analysis.table import any_uncertain, as_text, columns_with_values, table_rows
    from core.analysis.wording import RANGES_MEAN
    from core.runs.grid_results import read_grids
    from core.search import text as study_text
    from core.search.records import read_study

    pipeline, reports = run.pipeline, run.reports()
    study = read_study(run)
    if study is not None:
        show_result(f"{study_text.as_text(study)}\n\n{study_text.headline(study)}")
        for line in study_text.confirmed_lines(study, {report.id: report for report in reversed(reports)}):
            show_result(line)
        show_result("")
    rows = table_rows(reports, pipeline.baseline_of_each())
    show_result(as_text(rows))
    if any_uncertain(rows, columns_with_values(rows)):
        show_result(f"{RANGES_MEAN}\n    {command_line('profile', run.name)}")
    for grid in read_grids(run).values():
        show_result(f"\n{grid.title}\n{grid.as_markdown()}")
    for paper in pipeline.paper:
        show_result(f"\n{paper.source}. {paper.setting}\n{as_text(paper_rows(paper))}")
    for report in run.reports():
        for note in (*why_lines(report), *report.notes):
            say(f"{report.name}: {note}")
    show_result(f"\nModel:  {run.final_model}\nReport: {run.markdown_report}")


def check(options: argparse.Namespace) -> int:
    from core.document import pipeline as documents
    from core.document.data_axis import data_sets, per_data_set
    from core.document.expansion import expanded
    from core.document.recipes import pipeline_file

    file = pipeline_file(options.file)
    pipeline = documents.load(file)
    count, names = len(expanded(per_data_set(pipeline)[0]).active), data_sets(pipeline)
    over = f" on each of {len(names)} data sets ({', '.join(names)})" if names else ""
    show_result(f"{pipeline.name}: {count} stages{over}, no broken rules.{_searching(pipeline)}")
    if options.preflight and not _preflight(options, pipeline, file.resolve().parent):
        return 1
    if options.no_estimate:
        return 0
    from core.engine.on_data_sets import estimate_on_each
    from core.runs.home import Home

    cost = estimate_on_each(
        pipeline,
        file.resolve().parent,
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
