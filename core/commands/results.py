"""`espalier compare`, `report`, `export` and `verify`: results of finished runs and of files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.runs import stop_on_interrupt
from core.commands.terminal import say, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.stand_ins import refuse_stand_in

if TYPE_CHECKING:
    from core.data.preprocess import Preprocess


def compare(options: argparse.Namespace) -> int:
    from core.analysis.table import pinned
    from core.comparison.compared_runs import read_report, read_run
    from core.comparison.report import as_format, baseline_row_id, columns_of, warnings, write
    from core.comparison.same_files import all_rows
    from core.runs.finding import resolve_run
    from core.runs.home import Home

    runs = [
        read_report(Path(text)) if Path(text).is_file() else read_run(resolve_run(text, Home.default()))
        for text in options.runs
    ]
    if options.figure:
        return _draw(options, runs)
    rows = all_rows(runs)
    if options.baseline:
        rows = pinned(rows, baseline_row_id(options.baseline, runs))
    for warning in warnings(runs):
        say(f"Warning: {warning}")
    kinds = columns_of(options.columns, rows)
    text = as_format(options.format, runs, rows, kinds, Home.default())
    if options.out:
        write(options.out, text)
        say(f"Written to {options.out}.")
    else:
        show_result(text.removesuffix("\n"))
    return 0


def _draw(options: argparse.Namespace, runs: Any) -> int:
    from core.comparison.figures import FIGURES, save

    if options.figure == "help":
        show_result("\n".join(f"{name:10} {title}" for name, (title, _) in FIGURES.items()))
        return 0
    if options.out is None:
        raise EspalierError("A figure wants a file.", "Add --out FILE.svg (or .pdf, .png).")
    save(options.out, options.figure, runs, options.theme, options.width)
    say(f"Written to {options.out}.")
    return 0


def report(options: argparse.Namespace) -> int:
    from core.analysis.claims import as_markdown
    from core.comparison.compared_runs import read_run
    from core.runs.finding import resolve_run
    from core.runs.home import Home
    from core.search.records import read_study
    from core.search.text import as_text, headline

    run = resolve_run(options.run, Home.default())
    if options.claims:
        answers = read_run(run).answers()
        if not answers:
            raise EspalierError(
                f"The pipeline of {run.name} carries no claims of a paper.",
                "Those of the published systems do: 'espalier recipes' lists them.",
            )
        show_result(as_markdown(answers))
        return 0
    if options.similarity:
        from core.comparison.stage_similarity import similarity_table

        control = RunControl()
        stop_on_interrupt(control)
        show_result(similarity_table(run, Home.default(), control))
        return 0
    if not run.markdown_report.is_file():
        if (study := read_study(run)) is not None:
            show_result(f"{as_text(study)}\n\n{headline(study)}")
            return 0
        raise EspalierError(
            f"The run {run.name} has no report yet: it is {run.status}.",
            "A report is written when all stages are done.",
        )
    show_result(run.markdown_report.read_text(encoding="utf-8").rstrip())
    return 0


def export(options: argparse.Namespace) -> int:
    from core.analysis.wording import format_metric
    from core.export.export import export_stage
    from core.export.verification_ladder import as_text
    from core.records.metrics import METRICS
    from core.runs.finding import resolve_run
    from core.runs.home import Home

    run = resolve_run(options.run, Home.default())
    settings = _export_settings(options)
    control = RunControl()
    stop_on_interrupt(control)
    result = export_stage(run, options.stage, options.artefact, options.out, settings, control)
    show_result(
        f"{result.path}: {result.bytes / 1e6:.3f} MB, top-1 {result.top1:.2f} % on {result.verification.images} test images."
    )
    show_result(result.verification.sentence)
    if settings.latency and result.metrics["latency_ms"].value is not None:
        latency = result.metrics["latency_ms"]
        show_result(f"Latency {format_metric(METRICS['latency_ms'], latency)} ms: {latency.how}.")
    show_result(f"\n{as_text(result.ladder)}")
    for note in result.notes:
        show_result(note)
    for file in result.files[1:]:
        show_result(f"Also written: {file}")
    return 0


def _export_settings(options: argparse.Namespace) -> Any:
    """The settings that the command line gives; the format follows from the file's name unless named.

    Raises:
        EspalierError: when a value is out of bounds, or no format ends as the file's name does.
    """
    from pydantic import ValidationError

    from core.common.validation_messages import in_words
    from core.deploy.formats.catalogue import format_for
    from core.export.export import ExportSettings

    plain = {
        "format": options.format or format_for(options.out).id,
        "opset": options.opset,
        "batch": None if options.batch == "dynamic" else options.batch,
        "preprocessing": options.with_preprocessing,
        "describe": options.describe,
        "card": options.card,
        "latency": not options.no_latency,
        **({} if options.images is None else {"images": options.images}),
    }
    try:
        return ExportSettings.parse(plain)
    except ValidationError as error:
        problem = in_words(error)[0]
        name = ".".join(str(part) for part in problem.place)
        raise EspalierError(
            f"The export's {name} does not fit: {problem.message}", "See espalier export --help."
        ) from error


def unpack(options: argparse.Namespace) -> int:
    from core.onnx_graph.stored_form import SUFFIX, unpack

    target = options.out or options.file.with_suffix(".onnx")
    if options.file.suffix != SUFFIX:
        raise EspalierError(f"Expected a file that ends with {SUFFIX}, received {options.file.name!r}.")
    if target.exists():
        raise EspalierError(f"{target} is there already.", "Name another file with --out.")
    unpack(options.file, target)
    show_result(
        f"{target}: {target.stat().st_size / 1e6:.3f} MB, from {options.file.stat().st_size / 1e6:.3f} MB."
    )
    return 0


def verify(options: argparse.Namespace) -> int:
    from core.common.temporary import temporary_folder
    from core.data.access import DataAccess
    from core.data.catalogue import SOURCES
    from core.data.settings import DataSettings
    from core.deploy.artefacts import ToolCalls, receive_onnx, verify_onnx
    from core.deploy.received import Reading
    from core.machine.child import Child
    from core.onnx_graph.class_names import names_beside
    from core.runs.home import Home

    refuse_stand_in(options.model, "an ONNX file")
    if options.data in SOURCES:
        data = {"source": options.data, "path": options.path}
    else:
        data = {"source": "folder", "path": options.data}
    if options.size:
        data["image_size"] = options.size
    if options.class_order:
        data["class_order"] = options.class_order
    access = DataAccess(DataSettings.parse(data), Home.default().data, Path.cwd())
    reading = Reading(
        options.model.name,
        _preprocessing(options),
        options.output,
        not options.ignore_names,
        beside=tuple(names_beside(options.model.resolve())),
    )
    with temporary_folder() as folder, Child("tool", folder / "tool.log") as child:
        tool = ToolCalls(child)
        file, notes = receive_onnx(tool, options.model.resolve(), folder / "received.onnx", access, reading)
        for note in notes:
            say(f"{options.model.name}: {note}")
        check = verify_onnx(tool, file, access, folder, name=options.model.name)
    for note in (*check.notes, *check.order):
        show_result(note)
    show_result(f"{options.model}: top-1 {check.top1:.2f} % on {check.n} test images.")
    return 0


def _preprocessing(options: argparse.Namespace) -> "Preprocess | None":
    """How images are prepared, where the person says so; None leaves it to the file's metadata."""
    from core.data.preprocess import Preprocess

    if options.mean is None and options.std is None:
        return None
    if options.size is None or options.mean is None or options.std is None:
        raise EspalierError(
            "Expected --size, --mean and --std together.", "Give all three, or none where the file says them."
        )
    mean, std = (tuple(values * 3 if len(values) == 1 else values) for values in (options.mean, options.std))
    return Preprocess(options.size, 3, mean, std)
