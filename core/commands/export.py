"""`espalier export`: a stage's model out of a run in any format, verified."""

import argparse
from pathlib import Path
from typing import Any

from core.commands.arguments import Commands, batch, whole
from core.commands.interrupts import stop_on_interrupt
from core.commands.terminal import saying_progress, show_result
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.deploy.formats.catalogue import FORMATS


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("export", help="write a stage's model out of a run in any format, verified")
    parser.add_argument("run", help="run folder or name")
    parser.add_argument("--stage", required=True, help="the stage's id (id@seed with several seeds)")
    parser.add_argument("--out", required=True, type=Path, help="file (or, for safetensors, folder) to write")
    parser.add_argument("--artefact", default="", help="which file, such as float32 or float16")
    _export_options(parser)
    parser.set_defaults(do=export)


def _export_options(parser: argparse.ArgumentParser) -> None:
    """The settings of `core.deploy.formats.settings.ExportSettings`."""
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        help="what to write; without it the end of the file's name decides",
    )
    parser.add_argument("--opset", type=whole(1, 100), help="ONNX operator set; without it the file's own")
    parser.add_argument(
        "--batch", type=batch, default="dynamic", help="images in a call: dynamic, or a number"
    )
    parser.add_argument(
        "--with-preprocessing",
        action="store_true",
        help="the file crops, resizes and normalises images itself",
    )
    parser.add_argument(
        "--describe", action="store_true", help="write the pipeline's hash, run and stage into the ONNX file"
    )
    parser.add_argument("--card", action="store_true", help="write the model card beside the file")
    parser.add_argument("--images", type=whole(1, 1_000_000), help="zip: how many test images travel along")
    parser.add_argument("--no-latency", action="store_true", help="do not time the exported file")


def export(options: argparse.Namespace) -> int:
    from core.analysis.wording import format_metric
    from core.export.export import ExportWatch, export_stage
    from core.export.verification_ladder import as_text
    from core.records.metrics import METRICS
    from core.runs.home import Home
    from core.runs.library import find_run

    run = find_run(Home.default(), options.run)
    settings = _export_settings(options)
    control = RunControl()
    stop_on_interrupt(control)
    result = export_stage(
        run, options.stage, options.artefact, options.out, settings, ExportWatch(control, saying_progress())
    )
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
