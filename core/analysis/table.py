"""The comparison table: one row per deployable file, one column per metric, with the changes.

The terminal, the reports, CSV and the window all show these rows; nobody else makes them.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.analysis.changes import against, changes, not_alternated
from core.analysis.interval_support import uncertain, wide
from core.analysis.rows import Origin, Row, file_id, row_id
from core.analysis.seeds import means
from core.analysis.wording import format_change, format_metric, heading
from core.common import text_tables as tables
from core.common.shown_text import SafeCsv
from core.records.metrics import METRICS, TABLE_COLUMNS, MetricKind
from core.records.reports import Metric, StageReport
from core.stages.catalogue import remark_on

_PACKS_WELL = 0.8
_NO_BRACKETS = str.maketrans("", "", "()")


def table_rows(
    reports: Sequence[StageReport],
    baseline: str | Mapping[str, str],
    origin: Origin | None = None,
    right: Mapping[str, Mapping[str, NDArray[np.bool_]]] | None = None,
) -> list[Row]:
    """Rows for finished stages, in their order; with several seeds the means come first.

    Args:
        baseline: id of the stage to compare with, of all or by the stage's id; of the same seed.
        right: `Row.right` by "stage key/artefact id".
    """
    several = len({report.seed for report in reports}) > 1
    folder = origin.folder if origin else ""
    rows, names = [], {report.id: report.name for report in reports}
    for report in reports:
        base = baseline if isinstance(baseline, str) else baseline.get(report.id, "")
        reference = next((r for r in reports if r.id == base and r.seed == report.seed), None)
        told = names.get(base, "") if _differ(baseline) and base != report.id else ""
        compared = ""
        if reference is not None:
            compared = file_id(row_id(folder, reference.key, reference.headline), reference.main)
        for artefact in report.artefacts:
            is_baseline = report.id == base and artefact.id == report.headline
            remark = remark_on(report.kind, report.facts)
            label = report.name + (f" · {remark}" if remark else "")
            label += f" · seed {report.seed}" if several else ""
            if artefact.id != report.headline:
                label += f" · {artefact.label}"
            change = {} if is_baseline or reference is None else changes(artefact, reference)
            beside = report.figures_in_pytorch if artefact.id == report.headline else {}
            rows.append(
                Row(
                    label, artefact.metrics | beside, change, is_baseline, report, artefact, origin,
                    not_alternated(artefact, change), "" if is_baseline else compared,
                    against=told, right=(right or {}).get(f"{report.key}/{artefact.id}", {}),
                )
            )  # fmt: skip
    rows = _paired_where_possible(rows) if right else rows
    return [*_mean_rows(rows), *rows] if several else rows


def _differ(baseline: str | Mapping[str, str]) -> bool:
    return not isinstance(baseline, str) and len(set(baseline.values())) > 1


def _paired_where_possible(rows: Sequence[Row]) -> list[Row]:
    """Accuracies that the run did not pair (a stage before the baseline) are paired now."""
    bases = {row.file: row for row in rows}
    paired_rows = []
    for row in rows:
        base = bases.get(row.reference)
        if base is not None and row.artefact is not None and set(row.right) - row.artefact.change.keys():
            change, loose = against(row, base)
            row = replace(row, change=change, loose=loose)
        paired_rows.append(row)
    return paired_rows


def _mean_rows(rows: Sequence[Row]) -> list[Row]:
    """One row per stage and file, for those that are there for more than one seed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.report is not None and row.artefact is not None:
            groups.setdefault((row.report.id, row.artefact.id), []).append(row)
    mean_rows = []
    for same in groups.values():
        if len(same) > 1:
            label = same[0].label.replace(f" · seed {same[0].report.seed}" if same[0].report else "", "")
            change = {} if same[0].baseline else means([row.change for row in same])
            mean_rows.append(
                Row(
                    f"{label} · mean of {len(same)} seeds", means([row.metrics for row in same]), change,
                    same[0].baseline, origin=same[0].origin, members=tuple(same), against=same[0].against,
                    loose=frozenset().union(*(row.loose for row in same)) & change.keys(),
                )
            )  # fmt: skip
    return mean_rows


def pinned(rows: Sequence[Row], id: str) -> list[Row]:
    """The rows with their changes against the row `id`; as they are where it is not among them."""
    base = next((row for row in rows if row.id == id), None)
    if base is None:
        return list(rows)
    compared_rows = []
    for row in rows:
        change, loose = against(row, base)
        compared_rows.append(replace(row, change=change, loose=loose, baseline=row.id == id, against=""))
    return compared_rows


def by_run(rows: Sequence[Row]) -> list[Row]:
    """The rows with their run's name in the label, where they come from several runs."""
    if len({row.origin.folder for row in rows if row.origin}) < 2:
        return list(rows)
    return [replace(row, label=f"{row.origin.run}: {row.label}") if row.origin else row for row in rows]


def columns_with_values(rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS) -> list[MetricKind]:
    """The columns in which at least one row has something to show.

    top5 joins top1 where it is there; the stored size joins the size where compressing a file
    saves much more than float weights allow: zeros and shared weights.
    """
    names = list(columns)
    if "top1" in names and "top5" not in names:
        names.insert(names.index("top1") + 1, "top5")
    if "size_mb" in names and "stored_mb" not in names and any(_packs_well(row) for row in rows):
        names.insert(names.index("size_mb") + 1, "stored_mb")
    return [METRICS[name] for name in names if any(row.metrics.get(name) is not None for row in rows)]


def _packs_well(row: Row) -> bool:
    values = [row.metrics[name].value for name in ("stored_mb", "size_mb") if name in row.metrics]
    stored, size = values if len(values) == 2 else (None, None)
    return stored is not None and size is not None and stored < _PACKS_WELL * size


def as_text(
    rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS, kinds: Sequence[MetricKind] | None = None
) -> str:
    """The table for a terminal: figures above, the change against the baseline below each."""
    kinds = columns_with_values(rows, columns) if kinds is None else kinds
    lines = []
    for row in rows:
        lines.append([row.name, *(format_metric(kind, row.metrics.get(kind.id)) for kind in kinds)])
        if row.change:
            lines.append(["  change", *(change_of(row, kind.id) for kind in kinds)])
    return tables.aligned(["Stage", *_headings(kinds, rows)], lines)


def _headings(kinds: Sequence[MetricKind], rows: Sequence[Row]) -> list[str]:
    return [heading(kind, [row.metrics for row in rows]) for kind in kinds]


def any_uncertain(rows: Sequence[Row], kinds: Sequence[MetricKind]) -> bool:
    """Whether a range stands in a table, of a time or of its change."""
    return any(
        uncertain(kind.id, row.metrics.get(kind.id)) or (kind.id in row.change and wide(row.change[kind.id]))
        for row in rows
        for kind in kinds
    )


def change_of(row: Row, name: str) -> str:
    """A row's change of one metric, for a table."""
    return format_change(row.change.get(name), name not in row.loose)


def as_markdown(
    rows: Sequence[Row], columns: Sequence[str] = TABLE_COLUMNS, kinds: Sequence[MetricKind] | None = None
) -> str:
    """The table in Markdown, changes in parentheses; `kinds` are exactly the columns to show."""
    kinds = columns_with_values(rows, columns) if kinds is None else kinds
    lines = []
    for row in rows:
        cells = []
        for kind in kinds:
            change = change_of(row, kind.id).translate(_NO_BRACKETS)
            cells.append(format_metric(kind, row.metrics.get(kind.id)) + (f" ({change})" if change else ""))
        lines.append([f"**{row.label}** (baseline)" if row.baseline else row.name, *cells])
    return tables.markdown(["Stage", *_headings(kinds, rows)], lines)


_CSV = (
    "stage", "seed", "file", "metric", "value", "unit", "low", "high", "level", "n",
    "change", "change_low", "change_high", "change_unit", "how", "run", "interrupted", "uncertain",
    "against",
)  # fmt: skip


def as_csv(rows: Sequence[Row]) -> str:
    """Every metric of every row, full precision, with interval and provenance, one metric per line."""
    text = io.StringIO()
    writer = SafeCsv(text, lineterminator="\r\n")
    writer.writerow(_CSV)
    for row in rows:
        stage, seed = (row.report.id, row.report.seed) if row.report else (row.label, "")
        file, run = row.artefact.id if row.artefact else "", row.origin.run if row.origin else ""
        for name, metric in row.metrics.items():
            change = row.change.get(name, Metric(value=None))
            writer.writerow(
                [
                    stage, seed, file, name, metric.value, metric.unit, metric.low, metric.high, metric.level,
                    metric.n, change.value, change.low, change.high, change.unit, metric.how, run,
                    metric.interrupted, "yes" if uncertain(name, metric) else "", row.against,
                ]
            )  # fmt: skip
    return text.getvalue()
