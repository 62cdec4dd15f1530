"""`espalier compare`: the stages of runs side by side, as a table, a page or a figure."""

import argparse
from pathlib import Path
from typing import Any

from core.commands.arguments import Commands
from core.commands.terminal import say, show_result
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("compare", help="compare the stages of runs")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folder or name, or the report.json of a device"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "markdown", "latex", "html"), default="table",
        help="latex: booktabs; html: one standalone page with plots, settings and notes",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="file to write instead of the terminal")
    parser.add_argument("--columns", help="metrics between commas, such as top1,latency_ms,size_mb")
    parser.add_argument(
        "--baseline", metavar="STAGE", help="compare all with this stage, as STAGE or RUN:STAGE, of the first run that has it"
    )  # fmt: skip
    parser.add_argument(
        "--figure", metavar="NAME",
        help="draw a figure for print into --out (.svg, .pdf, .png), such as stages, bars, curves; 'help' lists them",
    )  # fmt: skip
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of the figure")
    parser.add_argument(
        "--width", choices=("column", "page"), default="column", help="of the figure: 85 or 175 mm"
    )
    parser.set_defaults(do=compare)


def compare(options: argparse.Namespace) -> int:
    from core.analysis.table import pinned
    from core.comparison.compared_runs import read_report, read_run
    from core.comparison.report import as_format, baseline_row_id, columns_of, warnings, write
    from core.comparison.same_files import all_rows
    from core.runs.home import Home
    from core.runs.library import find_run

    runs = [
        read_report(Path(text)) if Path(text).is_file() else read_run(find_run(Home.default(), text))
        for text in options.runs
    ]
    if options.figure:
        return _draw(options, runs)
    rows = all_rows(runs)
    if options.baseline:
        rows = pinned(rows, baseline_row_id(options.baseline, runs))
    for warning in warnings(runs):
        say(f"Warning: {warning}")
    kinds = columns_of(options.columns, rows)
    text = as_format(options.format, runs, rows, kinds, Home.default())
    if options.out:
        write(options.out, text)
        say(f"Written to {options.out}.")
    else:
        show_result(text.removesuffix("\n"))
    return 0


def _draw(options: argparse.Namespace, runs: Any) -> int:
    from core.comparison.figures import FIGURES, save

    if options.figure == "help":
        show_result("\n".join(f"{name:10} {title}" for name, (title, _) in FIGURES.items()))
        return 0
    if options.out is None:
        raise EspalierError("A figure wants a file.", "Add --out FILE.svg (or .pdf, .png).")
    save(options.out, options.figure, runs, options.theme, options.width)
    say(f"Written to {options.out}.")
    return 0
