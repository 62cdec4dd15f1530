"""`espalier reference`: every setting of every stage, as Markdown."""

import argparse

from core.commands.arguments import Commands
from core.commands.terminal import show_result


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("reference", help="print every setting of every stage, as Markdown")
    parser.set_defaults(do=reference)


def reference(options: argparse.Namespace) -> int:
    from core.document.reference import reference as settings

    show_result(settings().removesuffix("\n"))
    return 0
