"""`espalier data`: public data sets, listed or downloaded."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands
from core.commands.interrupts import stop_on_interrupt
from core.commands.terminal import say, show_result
from core.common.control import RunControl


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("data", help="list public data sets, or download one")
    parser.add_argument("name", nargs="?", help="the data set to download; without it they are listed")
    parser.add_argument(
        "--to", type=Path, default=Path(), help="folder to download to; the current one otherwise"
    )
    parser.set_defaults(do=data)


def data(options: argparse.Namespace) -> int:
    from core.data.download import download
    from core.data.public_sets import PUBLIC_SETS

    if options.name is None:
        for data_set in PUBLIC_SETS.values():
            show_result(
                f"{data_set.id}: {data_set.title}, {sum(file.size for file in data_set.files) / 1e6:.0f} MB\n    {data_set.terms}"
            )
        return 0
    control = RunControl()
    stop_on_interrupt(control)
    place = download(options.name, options.to, control, lambda done, text: say(text))
    chosen = PUBLIC_SETS[options.name]
    say(chosen.terms)
    show_result(f"data:\n  source: {chosen.source}\n  path: {place}")
    return 0
