"""A comparison as one standalone HTML page: no script, no font, no picture from anywhere else.

Light or dark as the reader's system says. Every figure carries its provenance as a tooltip, and
all of it stands in a table at the end, for paper and for screen readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from core.analysis.claims import HEADINGS, Answer, as_cells
from core.analysis.heat_map import HeatMap
from core.analysis.interval_support import uncertain
from core.analysis.rows import Row
from core.analysis.settings_table import SettingRow
from core.analysis.svg import pareto_plot
from core.analysis.table import any_uncertain
from core.analysis.wording import (  # fmt: skip
    NOT_PAIRED_MEANS,
    RANGES_MEAN,
    UNCERTAIN,
    change_text,
    format_metric,
    heading,
    provenance,
    value_in_full,
    verdict,
)
from core.records.metrics import METRICS, MetricKind

_STYLE = """
:root { color-scheme: light dark; --page:#f3f5f4; --surface:#ffffff; --raised:#f8faf9; --border:#d5dcd9;
  --text:#1b2422; --muted:#55625d; --accent:#1d6f54; --good:#17683f; --bad:#b3261e; --warn:#7a4d00;
  --warn-surface:#fdf3dc; --low:#f7f4e9; --high:#1f5f4a;
  --s0:#1f66c1; --s1:#c2570c; --s2:#7b4fc9; --s3:#0b7f8a; --s4:#a8326e; --s5:#5f6b00; }
@media (prefers-color-scheme: dark) { :root { --page:#1a1e1d; --surface:#222827; --raised:#272e2c; --border:#37403d;
  --text:#e7edea; --muted:#a3b0ab; --accent:#58bd97; --good:#6fd6a0; --bad:#ff9c93; --warn:#eabf66;
  --warn-surface:#3a3120; --low:#2c3432; --high:#58bd97;
  --s0:#6ea8f7; --s1:#f09a5b; --s2:#b79bf2; --s3:#55c3cf; --s4:#ee88b8; --s5:#c3cc5a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 1.6em; margin: 0; } h2 { font-size: 1.15em; margin: 34px 0 10px; } h3 { font-size: 1em; margin: 18px 0 6px; }
.muted, .legend { color: var(--muted); } p { margin: 4px 0 8px; } .legend { text-align: center; }
.card { background: var(--surface); border: 1px solid var(--border); border-radius: 8px; padding: 6px 4px; overflow-x: auto; }
.warning { background: var(--warn-surface); border: 1px solid var(--warn); border-radius: 8px; padding: 8px 14px; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--border); vertical-align: top; white-space: nowrap; }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; } tr:last-child td { border-bottom: none; }
th:first-child, td:first-child { text-align: left; } td.words, th.words { text-align: left; white-space: normal; }
td[title] { cursor: help; } td .change { display: block; font-size: 0.86em; color: var(--muted); }
.better { color: var(--good) !important; } .worse { color: var(--bad) !important; } .unsure { color: var(--warn) !important; } .name small { display: block; color: var(--muted); }
tr.out td { opacity: 0.5; } tr.group td { font-weight: 600; background: var(--raised); }
svg { width: 100%; height: auto; max-width: 1100px; display: block; margin: 0 auto; } svg text { fill: var(--muted); font-size: 12px; }
svg .label { font-weight: 600; } svg .name { fill: var(--text); } svg .grid { stroke: var(--border); stroke-width: 0.7; }
svg .bound { stroke: var(--muted); stroke-dasharray: 4 4; } svg .spread { stroke: var(--muted); stroke-width: 1; }
svg .front { fill: none; stroke: var(--accent); stroke-width: 1.6; } svg .point { fill: var(--surface); stroke: var(--muted); stroke-width: 1.8; }
svg .point.best { fill: var(--accent); stroke: var(--accent); } svg .point.unsure { stroke: var(--warn); stroke-dasharray: 3 2; } svg .curve { fill: none; stroke-width: 2; } svg .dashed { stroke-dasharray: 6 4; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); } .s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); }
svg .dot { stroke: none; } .key { font-weight: 700; } .key.s0 { color: var(--s0); } .key.s1 { color: var(--s1); } .key.s2 { color: var(--s2); }
.key.s3 { color: var(--s3); } .key.s4 { color: var(--s4); } .key.s5 { color: var(--s5); }
.dot.s0 { fill: var(--s0); } .dot.s1 { fill: var(--s1); } .dot.s2 { fill: var(--s2); } .dot.s3 { fill: var(--s3); } .dot.s4 { fill: var(--s4); } .dot.s5 { fill: var(--s5); }
summary { cursor: pointer; color: var(--muted); padding: 6px 0; } li { margin: 3px 0; }
.headline { font-size: 1.35em; line-height: 1.35; font-weight: 600; margin: 18px 0 4px; max-width: 46em; }
.tiles, .strip { display: flex; flex-wrap: wrap; gap: 12px; margin: 14px 0; }
.tile { background: var(--surface); border: 1px solid var(--border); border-radius: 8px; padding: 10px 16px; display: flex;
  flex-direction: column; min-width: 158px; } .tile b { font-size: 1.4em; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile .change { font-weight: 600; }
figure { margin: 0; width: 112px; } figure img { height: 96px; max-width: 112px; object-fit: contain; display: block; border-radius: 4px; }
figcaption { font-size: 0.82em; line-height: 1.3; overflow-wrap: anywhere; margin-top: 4px; } figcaption > * { display: block; }
.bar { display: inline-block; height: 8px; border-radius: 2px; margin-right: 8px; background: currentColor; }
section.wide table { font-size: 0.84em; } section.wide th, section.wide td { padding: 7px 4px 7px 5px; }
@page { margin: 14mm; } @page wide { size: landscape; margin: 14mm; }
@media print {
  :root { color-scheme: light; --page:#ffffff; --surface:#ffffff; --raised:#f5f5f5; --border:#c4c9c7; --text:#111111; --muted:#444444;
    --accent:#1d6f54; --good:#17683f; --bad:#b3261e; --warn:#7a4d00; --warn-surface:#ffffff;
    --s0:#1f66c1; --s1:#c2570c; --s2:#7b4fc9; --s3:#0b7f8a; --s4:#a8326e; --s5:#5f6b00; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } h2, h3 { break-after: avoid; }
  .card { overflow: visible; } tr, figure, .tile, svg { break-inside: avoid; }
  .card table { font-size: 8.5pt; } .card th, .card td { white-space: normal; padding: 3px 5px; overflow-wrap: break-word; }
  section.wide { page: wide; } .card td .change { white-space: nowrap; } .strip { gap: 8px; } figure { width: 104px; } figure img { max-width: 104px; }
  details > *:not(summary) { display: block; } details::details-content { content-visibility: visible; display: block; }
}
"""


@dataclass(frozen=True, slots=True)
class RunPart:
    """The page's section on one run: plots of its curves, notes stage by stage, its grids."""

    title: str
    about: str
    machine: str
    plots: Sequence[str] = ()
    notes: Sequence[tuple[str, Sequence[str]]] = ()
    grids: Sequence[HeatMap] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """Everything on the page.

    Attributes:
        rows: in their order; where they come from several runs, the run stands below the name.
        outside: ids of the rows that do not fit the limits, which are then given in words.
        settings: names of the stages and the settings that differ between them.
        papers: (source and setting, rows, remarks) per table of a paper.
        answers: per run its name and what its measurements say to the papers' claims.
        lead: what stands before everything else, as HTML.
    """

    title: str
    byline: str
    rows: Sequence[Row]
    kinds: Sequence[MetricKind]
    axes: tuple[str, str]
    runs: Sequence[RunPart]
    warnings: Sequence[str] = ()
    outside: frozenset[str] = frozenset()
    limits: str = ""
    settings: tuple[Sequence[str], Sequence[SettingRow]] = field(default=((), ()))
    papers: Sequence[tuple[str, Sequence[Row], Sequence[str]]] = ()
    answers: Sequence[tuple[str, Sequence[Answer]]] = ()
    lead: Sequence[str] = ()


def html_report(content: Content) -> str:
    """The whole page."""
    parts = [f"<h1>{escape(content.title)}</h1>", f'<p class="muted">{escape(content.byline)}</p>']
    parts += [f'<div class="warning">⚠ {escape(warning)}</div>' for warning in content.warnings]
    parts += content.lead
    parts += _comparison(content)
    plot = pareto_plot(content.rows, *content.axes)
    if plot:
        x, y = (METRICS[name].label for name in content.axes)
        parts += [f"<h2>{escape(y)} against {escape(x)}</h2>", f'<div class="card">{plot}</div>']
        parts.append('<p class="muted">Filled points are on the Pareto front: no other file is at least as good in both and better in one. Lines show the intervals.</p>')  # fmt: skip
    parts += _settings(*content.settings)
    for source, rows, remarks in content.papers:
        parts += _paper(source, rows, remarks)
    for run_name, answers in content.answers:
        parts += _answers(run_name if len(content.runs) > 1 else "", answers)
    for run in content.runs:
        parts += _run(run, len(content.runs) > 1)
    parts += _sources(content.rows)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(content.title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body><main>\n" + "\n".join(parts) + "\n</main></body>\n</html>\n"
    )


def _comparison(content: Content) -> list[str]:
    parts = ['<section class="wide">', "<h2>Comparison</h2>"]
    parts += [f'<p class="muted">{escape(content.limits)}</p>'] if content.limits else []
    parts.append(_figures(content.rows, content.kinds, content.outside))
    parts.append('<p class="muted">Accuracy, times, memory and size are those of the exported file itself; what is counted, stated or estimated says so. ≈ no measurable difference: the interval of the change includes zero. Point at a figure for its provenance.</p>')  # fmt: skip
    if any_uncertain(content.rows, content.kinds):
        parts.append(f'<p class="muted">{escape(RANGES_MEAN)}</p>')
    if any(row.loose for row in content.rows):
        parts.append(f'<p class="muted">{escape(NOT_PAIRED_MEANS)}.</p>')
    return [*parts, "</section>"]


def _figures(rows: Sequence[Row], kinds: Sequence[MetricKind], outside: frozenset[str] = frozenset()) -> str:
    head = "".join(
        f'<th title="{escape(kind.help)}">{escape(heading(kind, [row.metrics for row in rows])).replace(" [", "<br>[")}</th>'
        for kind in kinds
    )
    several = len({row.origin.folder for row in rows if row.origin}) > 1
    lines = [f'<div class="card"><table><thead><tr><th>Stage</th>{head}</tr></thead><tbody>']
    for row in rows:
        about = [row.artefact.label] if row.artefact else []
        about += [row.origin.run] if several and row.origin else []
        about += ["baseline"] if row.baseline else [f"against {row.against}"] if row.against else []
        about += ["outside the limits"] if row.id in outside else []
        name = f'<td class="name">{escape(row.label)}<small>{escape(" · ".join(about))}</small></td>'
        cells = "".join(_cell(row, kind) for kind in kinds)
        kind = ' class="out"' if row.id in outside else ""
        lines.append(f"<tr{kind}>{name}{cells}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _cell(row: Row, kind: MetricKind) -> str:
    metric, change, paired = row.metrics.get(kind.id), row.change.get(kind.id), kind.id not in row.loose
    text = change_text(change, paired)
    below = f'<span class="change {verdict(kind, change)}">{escape(text)}</span>' if text else ""
    unsure = ' class="unsure"' if uncertain(kind.id, metric) else ""
    mark = f"{UNCERTAIN} " if unsure else ""
    title = escape(provenance(kind, metric, change, paired))
    return f'<td title="{title}"{unsure}>{mark}{format_metric(kind, metric)}{below}</td>'


def _settings(names: Sequence[str], rows: Sequence[SettingRow]) -> list[str]:
    if not rows:
        return []
    head = "".join(f'<th class="words">{escape(name)}</th>' for name in names)
    lines = [f'<div class="card"><table><thead><tr><th>Setting</th>{head}</tr></thead><tbody>']
    group = ""
    for row in rows:
        if row.group != group and row.label:
            lines.append(f'<tr class="group"><td colspan="{len(names) + 1}">{escape(row.group)}</td></tr>')
        group = row.group
        cells = "".join(f'<td class="words">{"—" if v is None else escape(v)}</td>' for v in row.values)
        kind = "" if row.label else ' class="group"'
        lines.append(f"<tr{kind}><td>{escape(row.label or row.group)}</td>{cells}</tr>")
    return ["<h2>Settings that differ</h2>", "\n".join([*lines, "</tbody></table></div>"])]


def _paper(source: str, rows: Sequence[Row], remarks: Sequence[str]) -> list[str]:
    kinds = [kind for kind in METRICS.values() if any(kind.id in row.metrics for row in rows)]
    parts = [
        "<h2>What the paper reports</h2>",
        f'<p class="muted">{escape(source)}</p>',
        _figures(rows, kinds),
    ]
    return [*parts, _list(remarks)]


def _answers(run: str, answers: Sequence[Answer]) -> list[str]:
    head = "".join(f'<th class="words">{escape(name)}</th>' for name in HEADINGS)
    lines = [f'<div class="card"><table><thead><tr>{head}</tr></thead><tbody>']
    for each, cells in zip(answers, as_cells(answers), strict=True):
        colour = {"confirmed": " better", "contradicted": " worse"}.get(each.verdict, "")
        words = [f'<td class="words">{escape(cell)}</td>' for cell in cells]
        words[4] = f'<td class="words{colour}">{escape(cells[4])}</td>'
        lines.append(f"<tr>{''.join(words)}</tr>")
    title = "What the paper claims, and what was measured" + (f": {run}" if run else "")
    return [f"<h2>{escape(title)}</h2>", "\n".join([*lines, "</tbody></table></div>"])]


def _run(run: RunPart, several: bool) -> list[str]:
    parts = [
        f"<h2>{escape(run.title if several else 'The run')}</h2>",
        f'<p class="muted">{escape(run.about)}</p>',
    ]
    parts.append(f'<p class="muted">{escape(run.machine)}</p>')
    if run.plots:
        parts += ["<h3>Learning curves</h3>", *(f'<div class="card">{plot}</div>' for plot in run.plots)]
    for grid in run.grids:
        parts += [f"<h3>{escape(grid.title)}</h3>", _grid(grid)]
    if run.notes:
        parts.append("<h3>Stage by stage: causes, checks and remarks</h3>")
    for stage, notes in run.notes:
        parts.append(f"<details><summary>{escape(stage)}</summary>{_list(notes)}</details>")
    return parts


def _grid(grid: HeatMap) -> str:
    values = [value for row in grid.cells for value in row if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    head = "".join(f"<th>{escape(name)}</th>" for name in grid.columns)
    corner = f"{escape(grid.row_name)} ↓ · {escape(grid.column_name)} →"
    lines = [f'<div class="card"><table><thead><tr><th>{corner}</th>{head}</tr></thead><tbody>']
    for name, row in zip(grid.rows, grid.cells, strict=True):
        cells = "".join(_heat(value, low, high) for value in row)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _heat(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "<td>—</td>"
    share = 45 * (value - low) / (high - low) if high > low else 0.0
    best = " ★" if value == high and high > low else ""
    return f'<td style="background: color-mix(in srgb, var(--high) {share:.0f}%, var(--surface))">{value:.1f}{best}</td>'


def _sources(rows: Sequence[Row]) -> list[str]:
    """Where every figure comes from, in a table that can be printed."""
    several = len({row.origin.folder for row in rows if row.origin}) > 1
    lines = ['<details><summary>Provenance of every figure</summary><div class="card"><table><thead><tr><th>Stage and file</th><th class="words">Metric</th><th class="words">Value</th><th class="words">Measured</th></tr></thead><tbody>']  # fmt: skip
    for row in rows:
        for name, metric in row.metrics.items():
            label = METRICS[name].label if name in METRICS else name
            cells = "".join(f'<td class="words">{escape(text)}</td>' for text in (label, value_in_full(name, metric), metric.how))  # fmt: skip
            run = f"{row.origin.run}: " if several and row.origin else ""
            lines.append(f"<tr><td>{escape(run + row.label)}</td>{cells}</tr>")
    return ["<h2>Provenance</h2>", "\n".join([*lines, "</tbody></table></div></details>"])]


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""
