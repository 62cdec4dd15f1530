"""`espalier runs`: the person's runs as a list; other names and tags; the trash."""

import argparse
import json
from pathlib import Path
from typing import Any

from core.commands.arguments import Commands
from core.commands.terminal import say, show_result
from core.common.command_lines import command_line
from core.common.errors import EspalierError

_HEAD = ("Run", "Name", "Tags", "Status", "Started", "Top-1 [%]", "Latency [ms]", "Size [MB]")
_WORDS = 5  # of the columns: what is not a figure


def add_parser(commands: Commands) -> None:
    """Declare the command and what it can do with a run."""
    parser = commands.add_parser("runs", help="list your runs; name, tag, delete them and put them back")
    parser.add_argument(
        "--find", nargs="+", metavar="WORD", default=[], help="only runs in which every word stands"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list with all that is known")
    parser.set_defaults(do=runs)
    actions = parser.add_subparsers(metavar="ACTION")
    named = "the run's folder or name, or the beginning of the folder's name"
    rename = actions.add_parser("rename", help="give a run another name; its folder stays")
    rename.add_argument("run", metavar="RUN", help=named)
    rename.add_argument("name", metavar="NAME")
    rename.set_defaults(do=rename_run)
    tag = actions.add_parser("tag", help="add tags to a run, or take them off")
    tag.add_argument("run", metavar="RUN", help=named)
    tag.add_argument("tags", nargs="+", metavar="TAG")
    tag.add_argument("--remove", action="store_true", help="take these tags off")
    tag.set_defaults(do=tag_run)
    delete = actions.add_parser("delete", help="move runs to the trash, where they stay for 30 days")
    delete.add_argument("runs", nargs="+", metavar="RUN", help=named)
    delete.set_defaults(do=delete_runs)
    restore = actions.add_parser("restore", help="put deleted runs back; without a name, list the trash")
    restore.add_argument("runs", nargs="*", metavar="RUN", help=f"{named}; or a folder to list again")
    restore.set_defaults(do=restore_runs)


def runs(options: argparse.Namespace) -> int:
    from core.common.text_tables import aligned
    from core.runs.home import Home
    from core.runs.library import STATUS_WORDS, list_runs, matches, with_figures

    words = " ".join(options.find)
    home = Home.default()
    lines = [line for line in with_figures(home, list_runs(home)) if matches(line, words)]
    if options.json:
        show_result(
            json.dumps(
                [_plain(line) for line in lines],
                indent=1,
            )
        )
    elif lines:
        rows = [
            (
                str(line.folder) if line.elsewhere else line.folder.name, line.name, ", ".join(line.tags),
                STATUS_WORDS[line.status], line.when,
                _number(line.figures.top1, 2), line.figures.latency or "–",
                _number(line.figures.size_mb, 3),
            )
            for line in lines
        ]  # fmt: skip
        show_result(aligned(_HEAD, rows, _WORDS))
    else:
        say("No run fits." if words else "There are no runs yet.")
    return 0


def _plain(line: Any) -> dict[str, Any]:
    figures = line.figures
    return {
        "run": str(line.folder), "name": line.name, "pipeline": line.pipeline, "status": line.status,
        "started": line.started, "seconds": line.seconds, "top1": figures.top1, "latency_ms": figures.latency_ms,
        "latency_range": figures.latency_range,
        "size_mb": figures.size_mb, "data": figures.data, "network": figures.network, "tags": list(line.tags), "notes": line.notes, "elsewhere": line.elsewhere,
        "here": line.this_machine,
    }  # fmt: skip


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def rename_run(options: argparse.Namespace) -> int:
    from core.runs.home import Home
    from core.runs.library import annotate, find_line

    home = Home.default()
    line = find_line(home, options.run)
    show_result(f"{line.folder.name}: {annotate(home, line, options.name, line.tags, line.notes).name}")
    return 0


def tag_run(options: argparse.Namespace) -> int:
    from core.runs.home import Home
    from core.runs.library import annotate, find_line, parse_tags

    home = Home.default()
    line = find_line(home, options.run)
    tags_named = parse_tags(",".join(options.tags))
    others = tuple(tag for tag in line.tags if tag not in tags_named)
    if options.remove and (missing := [tag for tag in tags_named if tag not in line.tags]):
        raise EspalierError(
            f"The run {line.folder.name} has no tag {missing[0]!r}.",
            f"Tags: {', '.join(line.tags) or 'none'}.",
        )
    tags = others if options.remove else (*line.tags, *(tag for tag in tags_named if tag not in line.tags))
    changed = annotate(home, line, line.name, tags, line.notes)
    show_result(f"{line.folder.name}: {', '.join(changed.tags) or 'no tags'}")
    return 0


def delete_runs(options: argparse.Namespace) -> int:
    from core.runs.home import Home
    from core.runs.library import find_line
    from core.runs.trash import KEPT_DAYS, delete

    home = Home.default()
    lines = {line.folder: line for line in (find_line(home, text) for text in options.runs)}
    for line in lines.values():  # one by one: what is deleted before a failure is printed
        delete(home, [line])
        if line.elsewhere:
            show_result(
                f"{line.folder}: off the list, with the name, tags and notes given here; the folder stays."
            )
            say(f"To list it again: {command_line('runs', 'restore', line.folder)}")
        else:
            show_result(f"{line.folder.name}: in the trash for {KEPT_DAYS} days.")
            say(f"To put it back: {command_line('runs', 'restore', line.folder.name)}")
    return 0


def restore_runs(options: argparse.Namespace) -> int:
    from core.common.durations import date_and_time
    from core.common.text_tables import aligned
    from core.runs.home import Home
    from core.runs.library import register, the_named
    from core.runs.trash import restore, trashed

    home = Home.default()
    if not options.runs:
        rows = [(entry.folder.name, entry.name, date_and_time(entry.at)) for entry in trashed(home)]
        show_result(aligned(("Run", "Name", "Deleted"), rows, 3)) if rows else say("The trash is empty.")
        return 0
    for text in options.runs:
        if (Path(text) / "run.json").is_file() and home.folder.resolve() not in Path(text).resolve().parents:
            register(home, Path(text))
            show_result(f"{text}: on the list.")
            continue
        show_result(f"{restore(home, the_named(trashed(home), text, 'trash')).name}: back among the runs.")
    return 0
