"""`espalier unpack`: the ONNX file that a Huffman-coded file holds."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands
from core.commands.terminal import show_result
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "unpack", help="write the ONNX file that a Huffman-coded file (.onnxh) holds"
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--out", type=Path, help="file to write; beside it with the ending .onnx unless given"
    )
    parser.set_defaults(do=unpack)


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
