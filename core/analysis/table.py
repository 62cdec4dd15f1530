"""The comparison table: one row per deployable file, one column per metric, changes beside.

The terminal, the report, CSV and the window all show these rows; nobody else makes them.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from core.analysis.seeds import means
from core.metrics import METRICS, TABLE_COLUMNS, MetricKind
from core.reports import Artefact, Metric, StageReport

_PACKS_WELL = 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """One file of one stage; a mean over seeds or a row of a paper's table has no `report`.

    Attributes:
        metrics: by metric id.
        change: against the baseline, by metric id: points for accuracies, percent for the rest.
        baseline: whether this is the row that others are compared with.
    """

    label: str
    metrics: dict[str, Metric]
    change: dict[str, Metric]
    baseline: bool = False
    report: StageReport | None = None
    artefact: Artefact | None = None


def table_rows(reports: Sequence[StageReport], baseline: str) -> list[Row]:
    """Rows for finished stages, in their order; with several seeds the means come first.

    Args:
        baseline: id of the baseline stage; reports of one seed are compared with it at that seed.
    """
    several = len({report.seed for report in reports}) > 1
    rows = []
    for report in reports:
        reference = next((r for r in reports if r.id == baseline and r.seed == report.seed), None)
        for artefact in report.artefacts:
            is_baseline = report.id == baseline and artefact.id == report.headline
            label = report.name + (f" · seed {report.seed}" if several else "")
            if artefact.id != report.headline:
                label += f" · {artefact.label}"
            change = {} if is_baseline or reference is None else changes(artefact, reference)
            rows.append(Row(label, artefact.metrics, change, is_baseline, report, artefact))
    return [*_mean_rows(rows), *rows] if several else rows


def _mean_rows(rows: Sequence[Row]) -> list[Row]:
    """One row per stage and file, for those that are there for more than one seed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.report is not None and row.artefact is not None:
            groups.setdefault((row.report.id, row.artefact.id), []).append(row)
    found = []
    for same in groups.values():
        if len(same) > 1:
            label = same[0].label.replace(f" · seed {same[0].report.seed}" if same[0].report else "", "")
            change = {} if same[0].baseline else means([row.change for row in same])
            metrics = means([row.metrics for row in same])
            found.append(Row(f"{label} · mean of {len(same)} seeds", metrics, change, same[0].baseline))
    return found


def changes(artefact: Artefact, baseline: StageReport) -> dict[str, Metric]:
    """Every metric's change against the baseline's headline file.

    What was measured in pairs (accuracy on the same images, latency in alternating blocks) comes
    from those pairs, with its interval; the rest is the plain difference.
    """
    result: dict[str, Metric] = {}
    for name, metric in artefact.metrics.items():
        kind, old = METRICS.get(name), baseline.metric(name)
        if kind is None or not kind.change or metric.value is None:
            continue
        if name in artefact.change:
            result[name] = _stated(artefact.change[name])
        elif old is not None and old.value is not None and kind.change == "points":
            result[name] = Metric(value=metric.value - old.value, unit="points")
        elif old is not None and old.value and kind.change == "percent":
            result[name] = Metric(value=100.0 * (metric.value / old.value - 1), unit="%")
    return result


def _stated(change: Metric) -> Metric:
    """A ratio (candidate / baseline) as a change in percent; points stay as they are."""
    if change.unit == "points" or change.value is None:
        return change

    def percent(value: float | None) -> float | None:
        return None if value is None else 100.0 * (value - 1)

    return change.model_copy(
        update={
            "value": percent(change.value),
            "low": percent(change.low),
            "high": percent(change.high),
            "unit": "%",
        }
    )


def measurable(change: Metric) -> bool:
    """Whether a change's interval leaves out zero; changes without an interval are exact."""
    return change.low is None or change.high is None or not change.low <= 0 <= change.high


def shown(kind: MetricKind, metric: Metric | None) -> str:
    """A metric's value for a table, without its unit; "—" where there is none."""
    if metric is None or metric.value is None:
        return "—"
    text = f"{metric.value * kind.scale:,.{kind.decimals}f}".replace(",", "\u202f")
    if metric.deviation:
        text += f" ± {metric.deviation * kind.scale:.{kind.decimals}f}"
    return text


def shown_change(change: Metric | None) -> str:
    """A change for a table: "+1.2 points", "−34.0 %", "≈" where no difference is measurable."""
    if change is None or change.value is None:
        return ""
    sign = "+" if change.value > 0 else "−" if change.value < 0 else "±"
    digits = 2 if change.unit == "points" else 1
    text = f"{sign}{abs(change.value):.{digits}f} {change.unit}"
    return text if measurable(change) else f"≈ ({text})"


def heading(kind: MetricKind) -> str:
    """A column's heading with its unit."""
    unit = kind.shown_unit or kind.unit
    return f"{kind.label} [{unit}]" if unit else kind.label


def columns_with_values(rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS) -> list[MetricKind]:
    """The columns in which at least one row has something to show.

    top5 joins top1 where it is there; the stored size joins the size where compressing a file
    saves much more than float weights allow: zeros and shared weights.
    """
    wanted = list(columns)
    if "top1" in wanted and "top5" not in wanted:
        wanted.insert(wanted.index("top1") + 1, "top5")
    if "size_mb" in wanted and any(_packs_well(row) for row in rows):
        wanted.insert(wanted.index("size_mb") + 1, "stored_mb")
    return [METRICS[name] for name in wanted if any(row.metrics.get(name) is not None for row in rows)]


def _packs_well(row: Row) -> bool:
    values = [row.metrics[name].value for name in ("stored_mb", "size_mb") if name in row.metrics]
    stored, size = values if len(values) == 2 else (None, None)
    return stored is not None and size is not None and stored < _PACKS_WELL * size


def as_text(rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS) -> str:
    """The table for a terminal: figures above, the change against the baseline below each."""
    kinds = columns_with_values(rows, columns)
    lines = [["Stage", *(heading(kind) for kind in kinds)]]
    for row in rows:
        lines.append(
            [
                row.label + (" (baseline)" if row.baseline else ""),
                *(shown(kind, row.metrics.get(kind.id)) for kind in kinds),
            ]
        )
        if row.change:
            lines.append(["  change", *(shown_change(row.change.get(kind.id)) for kind in kinds)])
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]

    def laid(line: list[str]) -> str:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([laid(lines[0]), rule, *(laid(line) for line in lines[1:])])


def as_markdown(rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS) -> str:
    """The table in Markdown, changes in parentheses."""
    kinds = columns_with_values(rows, columns)
    lines = [
        "| Stage | " + " | ".join(heading(kind) for kind in kinds) + " |",
        "|---|" + "---:|" * len(kinds),
    ]
    for row in rows:
        cells = []
        for kind in kinds:
            change = shown_change(row.change.get(kind.id))
            cells.append(shown(kind, row.metrics.get(kind.id)) + (f" ({change})" if change else ""))
        label = f"**{row.label}** (baseline)" if row.baseline else row.label
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_csv(rows: Sequence[Row]) -> str:
    """Every metric of every row, full precision, with interval and provenance, one metric per line."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        [
            "stage",
            "seed",
            "file",
            "metric",
            "value",
            "unit",
            "low",
            "high",
            "level",
            "n",
            "change",
            "change_low",
            "change_high",
            "change_unit",
            "how",
        ]
    )
    for row in rows:
        for name, metric in row.metrics.items():
            change = row.change.get(name, Metric(value=None))
            stage, seed = (row.report.id, row.report.seed) if row.report else (row.label, "")
            file = row.artefact.id if row.artefact else ""
            writer.writerow(
                [
                    stage,
                    seed,
                    file,
                    name,
                    metric.value,
                    metric.unit,
                    metric.low,
                    metric.high,
                    metric.level,
                    metric.n,
                    change.value,
                    change.low,
                    change.high,
                    change.unit,
                    metric.how,
                ]
            )
    return text.getvalue()
