"""`espalier cluster`: the certificates of several machines, and their scheduler."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands, whole
from core.commands.terminal import say, show_result

_HIGHEST_PORT = 65_535


def add_parser(commands: Commands) -> None:
    cluster = commands.add_parser("cluster", help="several machines: certificates, and the scheduler")
    parts = cluster.add_subparsers(required=True, metavar="COMMAND")
    init = parts.add_parser("init", help="make the certificates of a cluster that spans a network")
    init.add_argument("folder", type=Path, help="folder for them; every machine gets a copy")
    init.set_defaults(do=init_cluster)
    start = parts.add_parser("start", help="start a scheduler; Ctrl+C ends it")
    start.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; beyond this machine with --tls"
    )
    start.add_argument("--port", type=whole(0, _HIGHEST_PORT), default=8786, help="0: any that is free")
    tls_option(start)
    start.set_defaults(do=start_scheduler)


def tls_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="folder with the certificates of the cluster"
    )


def init_cluster(options: argparse.Namespace) -> int:
    from core.cluster.security import make_certificates

    for file in make_certificates(options.folder):
        show_result(str(file))
    say(
        "Copy this folder to every machine of the cluster. Whoever has its key can have code run by all of them."
    )
    return 0


def start_scheduler(options: argparse.Namespace) -> int:
    from core.cluster.serving import start_scheduler

    start_scheduler(options.host, options.port, options.tls, say)
    return 0
