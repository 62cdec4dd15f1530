"""`espalier attach`: follow a run in another process, or send it a command."""

import argparse

from core.commands.arguments import Commands
from core.commands.follow_run import follow, json_option
from core.common.command_lines import command_line
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("attach", help="follow a run that goes on; Ctrl+C leaves it")
    parser.add_argument("run", help="run folder or name")
    parser.add_argument(
        "--do",
        dest="command",
        choices=("pause", "resume", "stop", "finish-stage"),
        help="ask the run for this instead",
    )
    json_option(parser)
    parser.set_defaults(do=attach)


def attach(options: argparse.Namespace) -> int:
    """Follow a run in another process, or send it a command."""
    from core.engine.run_follower import RunFollower, send
    from core.runs.home import Home
    from core.runs.library import find_run

    run = find_run(Home.default(), options.run)
    if not run.active:
        raise EspalierError(
            f"Expected a run that goes on, {run.name} does not: it is {run.status}.",
            "A run that was not completed goes on with this.",
            command=command_line("run", run.folder, "--resume"),
        )
    if options.command is not None:
        send(run, options.command.replace("-", "_"))
        return 0
    options.stay = True
    return follow(RunFollower(run), options)
