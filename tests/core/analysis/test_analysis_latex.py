"""The LaTeX table: escaped, as many cells as columns, decimals aligned at the point."""

import re

from core.analysis.latex import as_latex, escape
from core.analysis.rows import Row
from core.records.metrics import METRICS
from core.records.reports import Metric

KINDS = [METRICS["top1"], METRICS["latency_ms"], METRICS["throughput"]]
ROWS = [
    Row("A_1 & 50 %", {"top1": Metric(value=9.5), "latency_ms": Metric(value=2)}, {}, baseline=True),
    Row(
        "B", {"top1": Metric(value=91.234, deviation=0.456), "latency_ms": Metric(value=1), "throughput": Metric(value=12345.6)},
        {"top1": Metric(value=-0.5, unit="points", low=-1, high=0.2), "latency_ms": Metric(value=-50, unit="%")},
        loose=frozenset({"latency_ms"}),
    ),
]  # fmt: skip


def test_every_line_has_the_columns_that_are_declared():
    text = as_latex(ROWS, KINDS, "A caption, 50 %", "tab:x")
    lines = text.splitlines()
    columns = re.search(r"\\begin\{tabular\}\{@\{\}l((?:r@\{\}l)*)@\{\}\}", text)
    assert columns is not None
    count = 1 + 2 * columns[1].count("r@{}l")
    assert count == 11  # the stage, three figures, two changes
    for line in lines:
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == count - 1, line
    head = next(line for line in lines if "multicolumn" in line)
    assert head.count(r"\multicolumn{2}{c}") == 5 and r"Top-1 [\%]" in head and "Change [points]" in head
    assert [text.count(word) for word in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"\caption{A caption, 50 \%}" in text and r"\label{tab:x}" in text


def test_cells_are_split_at_the_point_and_marked():
    a, b = (line for line in as_latex(ROWS, KINDS).splitlines() if line.startswith(("A", "B &")))
    assert a == r"A\_1 \& 50 \% (baseline) & 9&.50 & & & 2&.000 & & & ---& \\"
    assert b == r"B & 91&.23 $\pm$ 0.46 & $\approx$\,$-$0&.50 & 1&.000 & $-$50&.0\,\dag{} & 12\,345&.6 \\"


def test_notes_only_for_signs_that_are_there():
    text = as_latex(ROWS, KINDS)
    assert "no measurable difference" in text and "alternation" in text
    assert "footnotesize" not in as_latex(ROWS[:1], KINDS)


def test_nothing_that_latex_would_read_as_a_command_is_left():
    assert escape(r"50% \alpha_{i} #1 ~x^2 $&") == (
        r"50\% \textbackslash{}alpha\_\{i\} \#1 \textasciitilde{}x\textasciicircum{}2 \$\&"
    )
    assert escape("≤ — ± · ″") == r"$\le$ --- $\pm$ $\cdot$ ″"
