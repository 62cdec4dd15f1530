"""`espalier report`: a run's report, its paper's claims, or how alike its stages' features are."""

import argparse

from core.commands.arguments import Commands
from core.commands.interrupts import stop_on_interrupt
from core.commands.terminal import show_result
from core.common.control import RunControl
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("report", help="print a run's report, or what it says to its paper's claims")
    parser.add_argument("run", help="run folder or name")
    parser.add_argument(
        "--claims", action="store_true", help="only the paper's claims, each with what was measured and a verdict"
    )  # fmt: skip
    parser.add_argument(
        "--similarity", action="store_true",
        help="only how alike every stage's features are to the baseline's, on validation images",
    )  # fmt: skip
    parser.set_defaults(do=report)


def report(options: argparse.Namespace) -> int:
    from core.analysis.claims import as_markdown
    from core.comparison.compared_runs import read_run
    from core.runs.home import Home
    from core.runs.library import find_run
    from core.search.records import read_study
    from core.search.text import as_text, headline

    run = find_run(Home.default(), options.run)
    if options.claims:
        answers = read_run(run).answers()
        if not answers:
            raise EspalierError(
                f"The pipeline of {run.name} carries no claims of a paper.",
                "Those of the published systems do: 'espalier recipes' lists them.",
            )
        show_result(as_markdown(answers))
        return 0
    if options.similarity:
        from core.comparison.stage_similarity import similarity_table

        control = RunControl()
        stop_on_interrupt(control)
        show_result(similarity_table(run, Home.default(), control))
        return 0
    if not run.markdown_report.is_file():
        if (study := read_study(run)) is not None:
            show_result(f"{as_text(study)}\n\n{headline(study)}")
            return 0
        raise EspalierError(
            f"The run {run.name} has no report yet: it is {run.status}.",
            "A report is written when all stages are done.",
        )
    show_result(run.markdown_report.read_text(encoding="utf-8").rstrip())
    return 0
