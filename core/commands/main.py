"""The command line: the same jobs as the window, without one.

Results go to stdout, everything else to stderr. Exit status 0 only when the job succeeded;
2 for bad input, 130 after Ctrl+C.
"""

import argparse
import logging
import os
import sys

from pydantic import ValidationError

import core
from core.commands import (
    advise,
    attach,
    check,
    cluster,
    compare,
    coverage,
    data,
    doctor,
    evidence,
    export,
    profile,
    quantizers,
    recipes,
    reference,
    report,
    run,
    runs,
    search,
    trust,
    unpack,
    verify,
    weights,
    worker,
)
from core.commands.arguments import refuse_other_encodings
from core.commands.terminal import results_alone, say, say_command, say_details
from core.common.errors import EspalierError, Stopped
from core.common.logs import LOG_NAME, start_logging
from core.common.validation_messages import in_words
from core.runs.home import Home

# Each in a file of its name, in the order of `espalier --help`.
COMMANDS = (
    run, search, attach, check, evidence, recipes, runs, cluster, worker, compare, report, export, unpack, verify,
    advise, profile, weights, data, quantizers, reference, coverage, trust, doctor,
)  # fmt: skip
_log = logging.getLogger("core.commands.main")  # also where it is run as a program
_VERBOSE = "tell everything that is noted down, on stderr and in the log file"


def main(words: list[str] | None = None) -> int:
    """Entry point of `espalier`."""
    words = sys.argv[1:] if words is None else words
    options = _parser().parse_args(words)
    start_logging("command", Home.default().logs, verbose=options.verbose)
    try:
        refuse_other_encodings(words)
        with results_alone():
            return int(options.do(options))
    except EspalierError as error:
        say(f"Error: {error}")
        say_command(error.command)
        say_details(error.details)
        _log.warning("The command ended by an error: %s\n%s", error, error.details, exc_info=error)
        return 2
    except (KeyboardInterrupt, Stopped):
        _log.info("The command was interrupted.")
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (the interpreter flushes it at exit)
        return 1
    except ValidationError as error:
        say("\n".join(f"Error: {problem}" for problem in in_words(error)))
        return 2
    except OSError as error:
        say(f"Error: {error.filename or 'A file'} cannot be used: {error.strerror or error}.")
        _log.warning("The command ended by an error.", exc_info=error)
        return 2
    except Exception as error:
        _log.error("The command ended by what nobody foresaw.", exc_info=error)
        say(
            f"Error: Espalier made a mistake that nobody foresaw ({type(error).__name__}). Please report it with the "
            f"end of {Home.default().logs / LOG_NAME}, which says where."
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="espalier", description="Explore neural-network compression of image classifiers."
    )
    parser.add_argument("--version", action="version", version=f"Espalier {core.__version__}")
    parser.add_argument("--verbose", action="store_true", help=_VERBOSE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    for one in commands.choices.values():
        one.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=_VERBOSE)
    return parser


if __name__ == "__main__":
    sys.exit(main())
