"""Following a run until it ends, and its results then; what to say of that on the command line."""

import argparse
import signal
from collections.abc import Callable
from typing import Any

from core.commands.interrupts import stop_on_interrupt
from core.commands.run_results import print_results, run_as_json
from core.commands.terminal import EventPrinter, say, say_command, say_details, show_json
from core.common.command_lines import command_line
from core.common.control import RunControl
from core.document.stage_keys import stage_keys

STOPPED = 130  # exit status, as a shell gives it for Ctrl+C


def json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object with all results")


def stay_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stay", action="store_true", help="the run goes on when this terminal closes; Ctrl+C leaves it"
    )


def follow(follower: Any, options: argparse.Namespace, show: Callable[[Any], None] = show_json) -> int:
    """Print a run's events until it ends or is detached from; the exit status."""
    run, stay = follower.run, options.stay
    control = RunControl()
    interrupted = stop_on_interrupt(control, follower.detach if stay else None)
    try:
        with EventPrinter() as printer:
            done = follower.follow(control, lambda timed_event: printer(timed_event.event))
    except KeyboardInterrupt:
        follower.kill()
        raise
    if interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if done is None:
        from core.runs.finding import called
        from core.runs.home import Home

        say(f"The run goes on. Follow it again with: {command_line('attach', called(run, Home.default()))}")
        return 0
    if options.json:
        show(run_as_json(run, stage_keys(run.pipeline)))
    elif done.status == "completed":
        print_results(run)
    if done.status == "completed":
        return 0
    say(f"{done.message} {done.advice}".strip())
    say_command(done.command)
    if done.details and done.status == "failed":
        say_details(done.details)
    return STOPPED if done.status == "stopped" else 1
