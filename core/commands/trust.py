"""`espalier trust`: say that a Python file with a network may be run."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands
from core.commands.terminal import show_result


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("trust", help="say that a Python file with a network of yours may be run")
    parser.add_argument("file", type=Path)
    parser.set_defaults(do=trust)


def trust(options: argparse.Namespace) -> int:
    from core.machine.trusted_files import TrustList

    digest = TrustList.default().trust(options.file)
    show_result(
        f"{options.file} is trusted as it is now (SHA-256 {digest}). A changed file has to be trusted again."
    )
    return 0
