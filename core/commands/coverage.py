"""`espalier coverage`: every method on every backbone; a table as Markdown."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands
from core.commands.interrupts import stop_on_interrupt
from core.commands.machine_options import add_machine_options, machine_options
from core.commands.terminal import say, show_result
from core.common.control import RunControl


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("coverage", help="try every method on every backbone; a table as Markdown")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="only these, such as static channels")
    parser.add_argument("--backbones", nargs="+", metavar="NAME", help="only these; timm:NAME too")
    parser.add_argument("--out", type=Path, help="file to write instead of the terminal")
    add_machine_options(parser)
    parser.set_defaults(do=coverage)


def coverage(options: argparse.Namespace) -> int:
    from core.common.files import write_atomically
    from core.engine import coverage as table
    from core.runs.home import Home

    control = RunControl()
    stop_on_interrupt(control)
    cells = table.coverage(
        options.backbones or table.BACKBONES,
        options.methods or tuple(table.methods()),
        Home.default(),
        machine_options(options),
        lambda cell: say(f"{cell.backbone}, {cell.method}: {cell.sentence} ({cell.seconds:.0f} s)"),
        control,
    )
    text = table.as_markdown(cells)
    if options.out:
        before = options.out.read_text(encoding="utf-8") if options.out.is_file() else ""
        write_atomically(options.out, text + table.networks_part(before))
    else:
        show_result(text.removesuffix("\n"))
    return 1 if any(cell.state == "fails" for cell in cells) else 0
