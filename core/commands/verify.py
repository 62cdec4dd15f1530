"""`espalier verify`: an ONNX file's accuracy on a data set's test images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.arguments import Commands, number, whole
from core.commands.terminal import say, show_result
from core.common.errors import EspalierError
from core.common.placeholder_files import refuse_stand_in

if TYPE_CHECKING:
    from core.data.preprocess import Preprocess


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("verify", help="measure an ONNX file's accuracy on a data set's test images")
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--data",
        required=True,
        help="data set: one of the sources, or a folder, zip or CSV file, tar shards or Parquet files",
    )
    parser.add_argument("--path", default="", help="folder or file of the data set, where it needs one")
    parser.add_argument(
        "--class-order",
        choices=("text", "number"),
        help="order of the classes, for files that do not name theirs",
    )
    parser.add_argument("--size", type=whole(1, 4096), help="image size, for files that do not say theirs")
    parser.add_argument(
        "--mean",
        type=number(-1000, 1000),
        nargs="+",
        help="mean per channel (or one for all), likewise",
    )
    parser.add_argument(
        "--std",
        type=number(1e-6, 1000),
        nargs="+",
        help="standard deviation per channel (or one for all), likewise",
    )
    parser.add_argument(
        "--output", default="", help="the output with the classes' numbers, for files with several"
    )
    parser.add_argument(
        "--ignore-names",
        action="store_true",
        help="pass over class names in the file: its classes are in the data set's order",
    )
    parser.set_defaults(do=verify)


def verify(options: argparse.Namespace) -> int:
    from core.common.paths import resolved
    from core.common.temporary import temporary_folder
    from core.data.access import DataAccess
    from core.data.catalogue import SOURCES
    from core.data.guess_source import guess_source
    from core.data.settings import DataSettings
    from core.deploy.artefacts import ToolCalls, receive_onnx, verify_onnx
    from core.deploy.received_onnx import Reading
    from core.machine.child import Child
    from core.onnx_graph.class_names import names_beside
    from core.runs.home import Home

    refuse_stand_in(options.model, "an ONNX file")
    if options.data in SOURCES:
        data = {"source": options.data, "path": options.path}
    else:
        place = resolved(options.data, Path.cwd())
        source, place = guess_source(place) if place.exists() else ("folder", place)
        data = {"source": source, "path": str(place)}
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
