"""`espalier cluster`, `espalier worker`, and runs whose stages a cluster makes."""

import argparse
from pathlib import Path
from typing import Any

from core.commands import arguments
from core.commands.terminal import say, show_result

_HIGHEST_PORT = 65_535


def add_parsers(commands: Any) -> None:
    cluster = commands.add_parser("cluster", help="several machines: certificates, and the scheduler")
    parts = cluster.add_subparsers(required=True, metavar="COMMAND")
    init = parts.add_parser("init", help="make the certificates of a cluster that spans a network")
    init.add_argument("folder", type=Path, help="folder for them; every machine gets a copy")
    init.set_defaults(do=init_cluster)
    start = parts.add_parser("start", help="start a scheduler; Ctrl+C ends it")
    start.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; beyond this machine with --tls"
    )
    start.add_argument(
        "--port", type=arguments.whole(0, _HIGHEST_PORT), default=8786, help="0: any that is free"
    )
    tls_option(start)
    start.set_defaults(do=start_scheduler)

    worker = commands.add_parser("worker", help="make stages for a cluster; Ctrl+C ends it")
    worker.add_argument("address", help="the scheduler's address, as it says it")
    worker.add_argument(
        "--name", default="", help="what it is called; machine and process number if not given"
    )
    worker.add_argument(
        "--with-input",
        action="store_true",
        help="end when standard input closes, with the program that started it",
    )
    worker.add_argument(
        "--patience",
        type=arguments.number(0, 10**9),
        default=0.0,
        metavar="SECONDS",
        help="end when no scheduler has answered for so long; without it the worker waits for ever",
    )
    tls_option(worker)
    worker.set_defaults(do=start_worker)


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


def start_worker(options: argparse.Namespace) -> int:
    from core.cluster.serving import Ending, start_worker

    ending = Ending(options.with_input, options.patience)
    start_worker(options.address, options.tls, options.name, ending, say)
    return 0


def start_run_by_cluster(run: Any, home: Any, machine: Any, options: argparse.Namespace) -> Any:
    """Start a run whose stages are made by the cluster that a person named; its follower."""
    from core.cluster.run_process import start_run_by_cluster
    from core.cluster.security import Cluster

    cluster = Cluster(options.cluster, options.tls)
    return start_run_by_cluster(run, home, machine, cluster, options.stay, run.last_event_number)
