"""`espalier doctor`: check this installation."""

import argparse
import json

from core.commands.arguments import Commands
from core.commands.terminal import say, show_result


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("doctor", help="check this installation; a report for bug reports")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.set_defaults(do=doctor)


def doctor(options: argparse.Namespace) -> int:
    from core.doctor.checks import examine

    examination = examine(lambda name: say(f"Checking: {name}"))
    show_result(json.dumps(examination.as_dict(), indent=1) if options.json else examination.as_text())
    return 0 if examination.good else 1
