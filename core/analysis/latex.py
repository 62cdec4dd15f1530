r"""The comparison as a LaTeX table: `booktabs`, decimals aligned, everything escaped.

A column of figures is two columns, `r@{}l`, split at the decimal point: that aligns decimals
without another package, whatever stands behind the figure.
"""

from collections.abc import Sequence

from core.analysis.interval_support import estimated, measurable, uncertain, wide
from core.analysis.rows import Row
from core.analysis.table import any_uncertain
from core.analysis.wording import (  # fmt: skip
    ESTIMATED,
    NOT_PAIRED,
    NOT_PAIRED_MEANS,
    RANGES_MEAN,
    format_change,
    format_metric,
    heading,
    unit_of_change,
)
from core.records.metrics import MetricKind
from core.records.reports import Metric

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "—": "---", "–": "--", "−": "$-$",
    "±": r"$\pm$", "≈": r"$\approx$", "≤": r"$\le$", "≥": r"$\ge$", "×": r"$\times$", "→": r"$\to$",
    "·": r"$\cdot$", "°": r"$^\circ$", "\u202f": r"\,", "\u00a0": "~", "…": r"\ldots{}", "†": r"\dag{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "µ": r"$\mu$", "Δ": r"$\Delta$",
}  # fmt: skip


def as_latex(rows: Sequence[Row], kinds: Sequence[MetricKind], caption: str = "", label: str = "") -> str:
    """A `table` environment with a change column behind every metric that has changes.

    Rows come with their labels as they stand; put their runs in with `by_run` first.
    """
    columns: list[tuple[MetricKind, bool]] = []
    for kind in kinds:
        columns.append((kind, False))
        if any(kind.id in row.change for row in rows):
            columns.append((kind, True))
    lines = [r"% Needs \usepackage{booktabs}", r"\begin{table}", r"\centering", r"\small"]
    lines += [rf"\caption{{{escape(caption)}}}"] if caption else []
    lines += [rf"\label{{{label}}}"] if label else []
    lines += [rf"\begin{{tabular}}{{@{{}}l{'r@{}l' * len(columns)}@{{}}}}", r"\toprule"]
    lines += [_line(["Stage", *(_head(*column, rows) for column in columns)]), r"\midrule"]
    for row in rows:
        lines.append(_line([_name(row), *(_cell(row, *column) for column in columns)]))
    lines += [r"\bottomrule", r"\end{tabular}", *_footnotes(rows, kinds), r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text with every character that LaTeX would take for a command written out."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _head(kind: MetricKind, change: bool, rows: Sequence[Row]) -> str:
    shown = heading(kind, [row.metrics for row in rows])
    text = f"Change [{unit_of_change(kind.id)}]" if change else shown
    return rf"\multicolumn{{2}}{{c}}{{{escape(text)}}}"


def _name(row: Row) -> str:
    return escape(row.name)


def _cell(row: Row, kind: MetricKind, change: bool) -> str:
    if change:
        return _change(row.change.get(kind.id), kind.id in row.loose)
    if uncertain(kind.id, row.metrics.get(kind.id)):
        return rf"\multicolumn{{2}}{{r}}{{{escape(format_metric(kind, row.metrics[kind.id]))}}}"
    figure, _, spread = format_metric(kind, row.metrics.get(kind.id)).removeprefix(ESTIMATED).partition(" ± ")
    before = ESTIMATED if estimated(row.metrics.get(kind.id)) else ""
    return _split(figure, f" ± {spread}" if spread else "", before)


def _change(change: Metric | None, loose: bool) -> str:
    """A change without its unit; the heading has it."""
    if change is None or change.value is None:
        return "&"
    if wide(change):
        return rf"\multicolumn{{2}}{{r}}{{{escape(format_change(change, not loose).replace(f' {change.unit}', ''))}}}"
    digits = 2 if change.unit == "points" else 1
    sign = "+" if change.value > 0 else "−" if change.value < 0 else "±"
    before = ("" if measurable(change) else "≈\u202f") + sign
    return _split(f"{abs(change.value):.{digits}f}", f"\u202f{NOT_PAIRED}" if loose else "", before)


def _split(figure: str, after: str = "", before: str = "") -> str:
    whole, point, decimals = figure.partition(".")
    return f"{escape(before + whole)}&{point}{decimals}{escape(after)}"


def _footnotes(rows: Sequence[Row], kinds: Sequence[MetricKind]) -> list[str]:
    shown_changes = [
        (row.change[kind.id], kind.id in row.loose) for row in rows for kind in kinds if kind.id in row.change
    ]
    notes = []
    if any(not measurable(change) and not wide(change) for change, _ in shown_changes):
        notes.append("≈ no measurable difference: the interval of the change includes zero.")
    if any_uncertain(rows, kinds):
        notes.append(RANGES_MEAN)
    if any(loose for _, loose in shown_changes):
        notes.append(NOT_PAIRED_MEANS + ".")
    return [rf"\par\smallskip\footnotesize {escape(note)}" for note in notes]
