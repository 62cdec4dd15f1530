"""Write docs/results.md from finished runs: their tables with intervals, and the papers' beside them.

    python packaging/results.py RUN… [--out docs/results.md]

RUN is a run folder or the name of a run, as for `espalier compare`. Every figure comes from the
run folders; the introduction is all that is written here.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.analysis import claims
from core.analysis.report import paper_rows
from core.analysis.rows import Row
from core.analysis.table import as_markdown, columns_with_values
from core.analysis.wording import NOT_PAIRED_MEANS, measurable
from core.common.text_tables import markdown
from core.comparison.compared_runs import ComparedRun, read_run
from core.comparison.report import machine_words
from core.records.metrics import METRICS, TABLE_COLUMNS
from core.records.reports import Metric
from core.runs.grid_results import read_grids
from core.runs.home import Home
from core.runs.run_folder import RunFolder, resolve_run

INTRODUCTION = """# Results

Runs of the recipes on the machine that is named with each, made with the commands that are shown. The small
recipes are scaled so that two processor cores need minutes: they show what every method does to a network and to its
speed, not the accuracy of the papers, whose data, sizes and epochs are larger. The papers' own tables stand beside them,
with what in them contradicts itself.

Every figure is of the exported file named in its row, on all test images, in ONNX Runtime on the processor. ≈ marks a
change that the measurement cannot tell from none. Accuracy intervals are paired over the same test images; latency intervals
come from alternating pairs of sessions. Your figures will differ with the processor and, in the last digits, with the
library versions.
"""

COLUMNS = tuple(name for name in TABLE_COLUMNS if name not in ("latency_ms_p90", "compression_ratio"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args(arguments)
    folders = [resolve_run(text, Home.default()) for text in options.runs]
    options.out.write_text(
        "\n".join([INTRODUCTION, *(section(folder) for folder in folders)]), encoding="utf-8"
    )
    return 0


def section(folder: RunFolder) -> str:
    """One run, from its heading to the papers' remarks."""
    run = read_run(folder)
    rows = run.rows()
    date = time.strftime("%-d %B %Y", time.localtime(folder.info.started))
    parts = [
        f"## {run.title}",
        run.about,
        f"`espalier run {recipe_of(folder)}` · {date} · {duration(folder)} · {machine_words(run)}",
        as_markdown(rows, COLUMNS),
        intervals(rows),
    ]
    if any(row.loose for row in rows):
        parts.append(f"{NOT_PAIRED_MEANS}.")
    for grid in read_grids(folder).values():
        parts += [f"{grid.title}:", grid.as_markdown()]
    parts += [
        *papers(run),
        *(["**Notes.**", "\n".join(f"- {note}" for note in run.notes)] if run.notes else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def duration(folder: RunFolder) -> str:
    """How long a run took, and how much of it an earlier run had done."""
    minutes, seconds = divmod(round(folder.info.seconds or 0.0), 60)
    reports = folder.reports()
    cached = sum(report.cached for report in reports)
    known = f" ({cached} of {len(reports)} stages came from the cache)" if cached else ""
    return f"{minutes} min {seconds:02d} s{known}"


def recipe_of(folder: RunFolder) -> str:
    """The recipe whose document the run keeps; its name where it is none of the recipes."""
    from core.document.pipeline import load
    from core.document.recipes import FOLDER

    for file in sorted(FOLDER.glob("*.yaml")):
        if load(file).name == folder.pipeline.name:
            return file.stem
    return f'"{folder.pipeline.name}"'


def intervals(rows: Sequence[Row]) -> str:
    """The changes of accuracy and latency with their intervals."""
    lines = [
        [row.label, *(interval(row.change.get(name)) for name in ("top1", "latency_ms"))]
        for row in rows
        if row.change
    ]
    head = ("Change against the baseline", "Top-1, 95 % interval", "Latency, 99 % interval")
    return markdown(head, lines) if lines else ""


def interval(change: Metric | None) -> str:
    """A change with its bounds, in its own unit."""
    if change is None or change.value is None:
        return "—"
    text = f"{change.value:+.2f} {change.unit}"
    if change.low is not None and change.high is not None:
        text += f" ({change.low:+.2f} to {change.high:+.2f})"
    text = text.replace("-", "−")
    return text if measurable(change) else f"≈ {text}"


def papers(run: ComparedRun) -> list[str]:
    """What the papers report, and what is to be said about it."""
    parts = []
    for paper in run.papers:
        rows = paper_rows(paper)
        names = dict.fromkeys(name for row in rows for name in row.metrics if name in METRICS)
        parts += [
            f"**The paper.** {paper.source}. {paper.setting}",
            as_markdown(rows, kinds=columns_with_values(rows, tuple(names))),
            "\n".join(f"- {remark}" for remark in paper.remarks),
        ]
    if answers := run.answers():
        parts += ["**What the measurements say to its claims.**", claims.as_markdown(answers)]
    return parts


if __name__ == "__main__":
    sys.exit(main())
