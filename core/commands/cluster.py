"""`espalier cluster`, `espalier worker`, and runs whose stages a cluster makes."""

import argparse
from pathlib import Path
from typing import Any

from core.commands import arguments
from core.commands.terminal import say, show_result
from core.records import events
from core.records.events import Event

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
    from core.cluster.serving import start_worker

    start_worker(options.address, options.tls, options.name, say)
    return 0


def make_by_cluster(run: Any, home: Any, machine: Any, options: argparse.Namespace) -> None:
    """Have the stages of a run made by the cluster that a person named."""
    from core.cluster.client import Cluster, Heard, fill_caches

    try:
        fill_caches(run, home, machine, Cluster(options.cluster, options.tls), Heard(say, _show))
    except KeyboardInterrupt:
        say(
            "What the workers are making goes on. Come back with: "
            f"espalier run {run.folder} --resume --cluster {options.cluster}"
        )
        raise
    say("All stages are made; this machine takes them over and measures.")


def _show(worker: str, plan: Any, event: Event) -> None:
    match event:
        case events.EpochDone():
            values = event.metrics
            say(
                f"{worker}: {plan.title} epoch {event.epoch}/{event.epochs}: loss {values['train_loss']:.3f}, "
                f"top-1 {values['val_top1']:.2f} %"
            )
        case events.PhaseStarted():
            say(f"{worker}: {plan.title}: {event.text}")
        case events.Note(level="warning"):
            say(f"{worker}: {plan.title}: Warning: {event.text}")
