"""`espalier worker`: make stages for a cluster."""

import argparse

from core.commands.arguments import Commands, number
from core.commands.cluster import tls_option
from core.commands.terminal import say


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("worker", help="make stages for a cluster; Ctrl+C ends it")
    parser.add_argument("address", help="the scheduler's address, as it says it")
    parser.add_argument(
        "--name", default="", help="what it is called; machine and process number if not given"
    )
    parser.add_argument(
        "--with-input",
        action="store_true",
        help="end when standard input closes, with the program that started it",
    )
    parser.add_argument(
        "--patience",
        type=number(0, 10**9),
        default=0.0,
        metavar="SECONDS",
        help="end when no scheduler has answered for so long; without it the worker waits for ever",
    )
    tls_option(parser)
    parser.set_defaults(do=worker)


def worker(options: argparse.Namespace) -> int:
    from core.cluster.serving import Ending, start_worker

    ending = Ending(options.with_input, options.patience)
    start_worker(options.address, options.tls, options.name, ending, say)
    return 0
