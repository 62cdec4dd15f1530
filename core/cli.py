"""The command line: the same jobs as the window, without one.

Results go to stdout, everything else to stderr. Exit status 0 only when the job succeeded;
2 for bad input, 130 after Ctrl+C.
"""

import argparse
import json
import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import core
from core.control import RunControl
from core.errors import EspalierError, Stopped
from core.terminal import Narrator, say


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `espalier`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except EspalierError as error:
        say(f"Error: {error}")
        if error.details and getattr(options, "verbose", False):
            say(error.details)
        return 2
    except (KeyboardInterrupt, Stopped):
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (the interpreter flushes it at exit)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="espalier", description="Explore neural-network compression of image classifiers."
    )
    parser.add_argument("--version", action="version", version=f"Espalier {core.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a pipeline file, a recipe, or go on with a run")
    run.add_argument("file", help="pipeline file, recipe name, or (with --resume) run folder")
    run.add_argument("--out", type=Path, help="run folder; without it one is made among your runs")
    run.add_argument("--resume", action="store_true", help="go on with the unfinished run of this file")
    _machine_options(run)
    run.add_argument("--json", action="store_true", help="print one JSON object with all results")
    run.set_defaults(do=_run)

    check = commands.add_parser("check", help="check a pipeline and estimate its time, disk and memory")
    check.add_argument("file", help="pipeline file or recipe name")
    _machine_options(check)
    check.add_argument("--no-estimate", action="store_true", help="only check the rules")
    check.add_argument(
        "--preflight", action="store_true", help="push a few images through every stage, to the exported file"
    )
    check.set_defaults(do=_check)

    commands.add_parser("recipes", help="list the recipes").set_defaults(do=_recipes)

    compare = commands.add_parser("compare", help="compare the stages of runs")
    compare.add_argument("runs", nargs="+", metavar="RUN", help="run folder or name")
    compare.add_argument(
        "--format", choices=("table", "csv", "markdown", "latex", "html"), default="table",
        help="latex: booktabs; html: one standalone page with plots, settings and notes",
    )  # fmt: skip
    compare.add_argument("--out", type=Path, help="file to write instead of the terminal")
    compare.add_argument("--columns", help="metrics between commas, such as top1,latency_ms,size_mb")
    compare.add_argument(
        "--baseline", metavar="STAGE", help="compare all with this stage, as STAGE or RUN:STAGE, of the first run that has it"
    )  # fmt: skip
    compare.set_defaults(do=_compare)

    export = commands.add_parser("export", help="copy a stage's exported model out of a run, verified")
    export.add_argument("run", help="run folder or name")
    export.add_argument("--stage", required=True, help="the stage's id (id@seed with several seeds)")
    export.add_argument("--out", required=True, type=Path, help="file to write")
    export.add_argument("--artefact", default="", help="which file, such as float32 or float16")
    export.set_defaults(do=_export)

    verify = commands.add_parser("verify", help="measure an ONNX file's accuracy on a data set's test images")
    verify.add_argument("model", type=Path)
    verify.add_argument(
        "--data", required=True, help="data set: one of the sources, or a folder or zip of images"
    )
    verify.add_argument("--path", default="", help="folder or file of the data set, where it needs one")
    verify.add_argument("--size", type=int, help="image size, for files that do not say theirs")
    verify.add_argument("--mean", type=float, nargs="+", help="mean per channel (or one for all), likewise")
    verify.add_argument(
        "--std", type=float, nargs="+", help="standard deviation per channel (or one for all), likewise"
    )
    verify.set_defaults(do=_verify)

    weights = commands.add_parser("weights", help="download a backbone's ImageNet weights")
    weights.add_argument("backbone")
    weights.set_defaults(do=_weights)

    data = commands.add_parser("data", help="list public data sets, or download one")
    data.add_argument("name", nargs="?", help="the data set to download; without it they are listed")
    data.add_argument(
        "--to", type=Path, default=Path(), help="folder to download to; the current one otherwise"
    )
    data.set_defaults(do=_data)

    reference = commands.add_parser("reference", help="print every setting of every stage, as Markdown")
    reference.set_defaults(do=_reference)

    trust = commands.add_parser("trust", help="say that a Python file with a network of yours may be run")
    trust.add_argument("file", type=Path)
    trust.set_defaults(do=_trust)

    doctor = commands.add_parser("doctor", help="check this installation; a report for bug reports")
    doctor.add_argument("--json", action="store_true", help="print the report as one JSON object")
    doctor.set_defaults(do=_doctor)
    return parser


def _machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="training threads; 0: one per physical core")
    parser.add_argument(
        "--core-watts",
        type=float,
        help="power of one busy core in watts, for energy where the processor's counters cannot be read",
    )


def _machine(options: argparse.Namespace) -> Any:
    """The options that belong to the machine.

    Raises:
        EspalierError: for a power that cannot be.
    """
    from core.engine import Options
    from core.profiling.energy import CORE_WATTS

    watts = CORE_WATTS if options.core_watts is None else options.core_watts
    if not 0 < watts <= 1000:
        raise EspalierError(
            f"Expected the power of one busy core between 0 and 1000 watts, received {watts:g}.",
            "A laptop's core draws about 5 W, a desktop's about 10 W.",
        )
    return Options(options.device, options.threads, watts)


def _run(options: argparse.Namespace) -> int:
    from core.engine import Engine
    from core.runs import Home, stage_keys

    home = Home.default()
    run = _open_run(options, home)
    control = RunControl()
    interrupted = _stop_on_interrupt(control)
    narrator = Narrator()
    with narrator:
        done = Engine(run, home, _machine(options), control, narrator).run()
    if interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if options.json:
        sys.stdout.write(json.dumps(run_as_json(run, stage_keys(run.pipeline)), indent=1) + "\n")
    elif done.status == "completed":
        _print_results(run)
    if done.status == "completed":
        return 0
    say(f"{done.message} {done.advice}".strip())
    if done.details and done.status == "failed":
        say(done.details)
    return 130 if done.status == "stopped" else 1


def _open_run(options: argparse.Namespace, home: Any) -> Any:
    """The run folder that `espalier run` works in: a new one, or one to go on with."""
    from core import pipeline as documents
    from core.recipes import pipeline_file
    from core.runs import RunFolder, unfinished_run

    if (Path(options.file) / "run.json").is_file():
        if not options.resume:
            raise EspalierError(f"{options.file} is a run folder.", "Add --resume to go on with it.")
        return RunFolder.open(Path(options.file))
    file = pipeline_file(options.file)
    pipeline = documents.load(file)
    if options.resume:
        if options.out and (options.out / "run.json").is_file():
            return RunFolder.open(options.out)
        found = None if options.out else unfinished_run(home, pipeline)
        if found:
            return found
        say("There is no unfinished run of this pipeline; starting a new one.")
    return RunFolder.create(pipeline, file.resolve().parent, home, options.out)


def _stop_on_interrupt(control: RunControl) -> list[int]:
    """Ctrl+C asks the run to stop; a second one ends the process at once."""
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        say("Stopping; press Ctrl+C again to end at once.")
        control.stop()

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    return seen


def run_as_json(run: Any, keys: list[str]) -> dict[str, Any]:
    """The results as plain data: the baseline first, the final model last, else the file's order."""
    from core.analysis.table import changes
    from core.metrics import METRICS

    pipeline, info = run.pipeline, run.info
    order = {pipeline.baseline_id: -1, pipeline.final_id: len(keys)}
    reports = sorted(
        run.reports(), key=lambda r: (pipeline.axes.seed.index(r.seed), order.get(r.id, keys.index(r.key)))
    )
    stages = []
    for report in reports:
        base = next((r for r in reports if r.id == pipeline.baseline_id and r.seed == report.seed), None)
        main = report.main
        stages.append({
            "id": report.id, "from": report.source, "seed": report.seed, "name": report.name, "kind": report.kind,
            "cached": report.cached, "seconds": round(report.seconds, 3), "artefact": main.path if main else None,
            "metrics": {name: _number(report.metric(name)) for name in METRICS},
            "change": {n: m.model_dump(include={"value", "unit", "low", "high"}) for n, m in changes(main, base).items()} if main and base and base is not report else {},
            "artefacts": [{
                "id": a.id, "path": a.path, "precision": a.precision, "sha256": a.sha256, "verified": bool(a.verification and a.verification.good),
                "metrics": {name: _number(metric) for name, metric in a.metrics.items()},
            } for a in report.artefacts],
            "pytorch": {name: _number(metric) for name, metric in report.pytorch.items()},
            "notes": report.notes,
        })  # fmt: skip
    return {
        "run": str(run.folder),
        "status": info["status"],
        "pipeline": pipeline.name,
        "machine": info.get("machine", {}),
        "stages": stages,
    }


def _number(metric: Any) -> float | None:
    if metric is None or metric.value is None or not math.isfinite(metric.value):
        return None
    return float(metric.value)


def _print_results(run: Any) -> None:
    from core.analysis.report import paper_rows
    from core.analysis.table import as_text, table_rows
    from core.grid import read_grid

    pipeline = run.pipeline
    print(as_text(table_rows(run.reports(), pipeline.baseline_id)))
    if grid := read_grid(run):
        print(f"\n{grid.title}\n{grid.as_markdown()}")
    for paper in pipeline.paper:
        print(f"\n{paper.source}. {paper.setting}\n{as_text(paper_rows(paper))}")
    for report in run.reports():
        for note in report.notes:
            say(f"{report.name}: {note}")
    print(f"\nModel:  {run.final_model}\nReport: {run.folder / 'report.md'}")


def _check(options: argparse.Namespace) -> int:
    from core import pipeline as documents
    from core.recipes import pipeline_file

    file = pipeline_file(options.file)
    pipeline = documents.load(file)
    print(f"{pipeline.name}: {len(pipeline.active)} stages, no broken rules.")
    if options.preflight and not _preflight(options, pipeline, file.resolve().parent):
        return 1
    if options.no_estimate:
        return 0
    from core.estimate import estimate
    from core.runs import Home

    found = estimate(
        pipeline,
        file.resolve().parent,
        Home.default(),
        _machine(options),
        lambda done, text: say(text),
    )
    for line in found.lines():
        print(line)
    return 0


def _preflight(options: argparse.Namespace, pipeline: Any, base: Path) -> bool:
    """Try every stage on a few images; whether all came through."""
    from core.preflight import preflight
    from core.runs import Home

    control = RunControl()
    _stop_on_interrupt(control)
    found = preflight(
        pipeline, base, Home.default(), _machine(options), lambda done, text: say(text), control
    )
    for line in found.lines():
        print(line)
    return found.passed


def _recipes(options: argparse.Namespace) -> int:
    from core.recipes import recipes

    for recipe in recipes():
        pipeline = recipe.load()
        print(f"{recipe.id}: {pipeline.name}\n    {pipeline.about}\n    {recipe.path}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from core.analysis.table import pinned
    from core.comparison import all_rows, read_run
    from core.comparison_report import as_format, columns_of, pin_of, warnings, write
    from core.runs import Home, resolve_run

    runs = [read_run(resolve_run(text, Home.default())) for text in options.runs]
    rows = all_rows(runs)
    if options.baseline:
        rows = pinned(rows, pin_of(options.baseline, runs))
    for warning in warnings(runs):
        say(f"Warning: {warning}")
    kinds = columns_of(options.columns, rows)
    text = as_format(options.format, runs, rows, kinds)
    if options.out:
        write(options.out, text)
        say(f"Written to {options.out}.")
    else:
        sys.stdout.write(text)
    return 0


def _export(options: argparse.Namespace) -> int:
    from core.exporting import export_stage
    from core.runs import Home, resolve_run

    run = resolve_run(options.run, Home.default())
    control = RunControl()
    _stop_on_interrupt(control)
    result = export_stage(run, options.stage, options.artefact, options.out, control)
    print(
        f"{result.path}: {result.bytes / 1e6:.3f} MB, top-1 {result.top1:.2f} % on {result.verification.images} test images."
    )
    print(result.verification.sentence)
    return 0


def _verify(options: argparse.Namespace) -> int:
    import tempfile

    from core.child import Child
    from core.data.catalogue import SOURCES
    from core.data.settings import DataSettings
    from core.deploy.artefacts import verify_onnx
    from core.runs import Home

    if options.data in SOURCES:
        data = {"source": options.data, "path": options.path}
    else:
        data = {"source": "folder", "path": options.data}
    if options.size:
        data["image_size"] = options.size
    settings = DataSettings.parse(data).model_dump(mode="json")
    with tempfile.TemporaryDirectory() as folder, Child("tool", Path(folder) / "tool.log") as tool:
        check = verify_onnx(
            tool,
            options.model.resolve(),
            settings,
            Home.default().data,
            Path(folder),
            Path.cwd(),
            preprocess=_preprocessing(options),
        )
    print(f"{options.model}: top-1 {check.top1:.2f} % on {check.n} test images.")
    return 0


def _preprocessing(options: argparse.Namespace) -> dict[str, Any] | None:
    """How images are prepared, where the person says so; None leaves it to the file's metadata."""
    from core.data.preprocess import Preprocess

    if options.mean is None and options.std is None:
        return None
    if options.size is None or options.mean is None or options.std is None:
        raise EspalierError(
            "Expected --size, --mean and --std together.", "Give all three, or none where the file says them."
        )
    mean, std = (tuple(values * 3 if len(values) == 1 else values) for values in (options.mean, options.std))
    return Preprocess(options.size, 3, mean, std).as_dict()


def _data(options: argparse.Namespace) -> int:
    from core.data.download import PUBLIC_SETS, download

    if options.name is None:
        for each in PUBLIC_SETS.values():
            print(
                f"{each.id}: {each.title}, {sum(file.size for file in each.files) / 1e6:.0f} MB\n    {each.terms}"
            )
        return 0
    control = RunControl()
    _stop_on_interrupt(control)
    place = download(options.name, options.to, control, lambda done, text: say(text))
    chosen = PUBLIC_SETS[options.name]
    say(chosen.terms)
    print(f"data:\n  source: {chosen.source}\n  path: {place}")
    return 0


def _reference(options: argparse.Namespace) -> int:
    from core.reference import reference

    sys.stdout.write(reference())
    return 0


def _trust(options: argparse.Namespace) -> int:
    from core.trust import TrustList

    digest = TrustList.default().trust(options.file)
    print(
        f"{options.file} is trusted as it is now (SHA-256 {digest}). A changed file has to be trusted again."
    )
    return 0


def _weights(options: argparse.Namespace) -> int:
    from core.models.catalogue import backbone
    from core.models.weights import download_imagenet

    print(download_imagenet(backbone(options.backbone)))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from core.doctor import examine

    found = examine(lambda name: say(f"Checking: {name}"))
    print(json.dumps(found.as_dict(), indent=1) if options.json else found.as_text())
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
