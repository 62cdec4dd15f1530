"""What the comparison desk shows, worked out from the runs and a person's choices (no widgets)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from core.analysis.changes import conditions_differ, images_differ
from core.analysis.interval_support import uncertain, wide
from core.analysis.pareto import fits
from core.analysis.rows import Row
from core.analysis.table import columns_with_values, pinned
from core.comparison.compared_runs import (
    ComparedRun,
    mixed_conditions,
    mixed_images,
    mixed_protocols,
    run_labels,
)
from core.comparison.report import MIXED, MIXED_IMAGES, MIXED_PROTOCOLS
from core.comparison.same_files import with_better_measurements
from core.records.metrics import METRICS, MetricKind
from core.records.reports import StageReport
from gui.base.translation import tr

LABEL = "label"  # sorts by the first column


@dataclass(slots=True)
class ComparisonState:
    """Runs, and how a person wants to see them.

    Attributes:
        pin: id of the row that all others are compared with; "" compares each with its run's baseline.
        hidden: ids of rows that are not shown.
        words: what the label, file, run or kind of a row has to contain, word by word.
        columns: metric ids in order; None shows the usual ones.
        order: metric id (or `LABEL`) to sort by, "" for the runs' own order; and whether descending.
        limits: the worst value allowed, by metric id.
        axes: metric ids of the plot.
    """

    runs: list[ComparedRun] = field(default_factory=list)
    pin: str = ""
    hidden: set[str] = field(default_factory=set)
    words: str = ""
    columns: tuple[str, ...] | None = None
    order: tuple[str, bool] = ("", False)
    limits: dict[str, float] = field(default_factory=dict)
    axes: tuple[str, str] = ("latency_ms", "top1")
    _plain_rows: list[Row] = field(default_factory=list)
    _cached_rows: dict[str, tuple[ComparedRun, str, list[Row]]] = field(default_factory=dict)
    _pinned: tuple[str, list[Row]] = ("", [])

    def show_runs(self, runs: Sequence[ComparedRun]) -> None:
        """Compare these runs."""
        self.runs = with_better_measurements(runs)
        labels = run_labels(self.runs)
        rows_by_run = {run.folder: self._rows_of(run, labels[run.folder]) for run in self.runs}
        self._cached_rows = {
            run.folder: (run, labels[run.folder], rows_by_run[run.folder]) for run in self.runs
        }
        self._plain_rows = [row for rows in rows_by_run.values() for row in rows]
        self._pinned = ("", [])

    def _rows_of(self, run: ComparedRun, label: str) -> list[Row]:
        """A run's rows, made once for as long as nothing of it changes."""
        previous = self._cached_rows.get(run.folder)
        return previous[2] if previous and previous[0] is run and previous[1] == label else run.rows(label)

    @property
    def rows(self) -> list[Row]:
        """Every row, compared with the pinned one."""
        if not self.pin:
            return self._plain_rows
        if self._pinned[0] != self.pin:
            self._pinned = (self.pin, pinned(self._plain_rows, self.pin))
        return self._pinned[1]

    @property
    def base(self) -> Row | None:
        """The pinned row, where it is among the rows."""
        return next((row for row in self._plain_rows if self.pin and row.id == self.pin), None)

    def visible(self) -> list[Row]:
        """The rows that are shown, in order; a pinned row stands first."""
        rows = [row for row in self.rows if row.id not in self.hidden and self._matches_search(row)]
        name, descending = self.order
        if name:
            measured = [row for row in rows if _key(row, name) is not None]
            measured.sort(key=lambda row: _key(row, name), reverse=descending)  # type: ignore[arg-type, return-value]
            rows = measured + [row for row in rows if _key(row, name) is None]
            rows.sort(key=lambda row: row.id != self.pin)
        return rows

    def available(self) -> list[MetricKind]:
        """Every column that has a value somewhere."""
        there = {name for row in self._plain_rows for name in row.metrics}
        return [kind for kind in METRICS.values() if kind.id in there]

    def kinds(self) -> list[MetricKind]:
        """The columns that are shown."""
        if self.columns is None:
            return columns_with_values(self._plain_rows)
        there = {kind.id for kind in self.available()}
        return [METRICS[name] for name in self.columns if name in there]

    def outside(self, rows: Sequence[Row]) -> frozenset[str]:
        """Ids of the rows that do not keep the limits."""
        return frozenset(row.id for row in rows if not fits(row, self.limits)) if self.limits else frozenset()

    def finals(self) -> dict[str, str]:
        """The id of each run's final stage, by folder."""
        return {run.folder: run.final for run in self.runs}

    def run_of(self, row: Row) -> ComparedRun | None:
        """The run that a row belongs to."""
        folder = row.origin.folder if row.origin else ""
        return next((run for run in self.runs if run.folder == folder), None)

    def next_order(self, name: str) -> tuple[str, bool]:
        """Best first, then worst first, then the runs' own order again."""
        best_first = name != LABEL and METRICS[name].better != "lower"
        if self.order[0] != name:
            return name, best_first
        return (name, not best_first) if self.order[1] == best_first else ("", False)

    def warnings(self) -> list[str]:
        """What a person has to know before comparing, in sentences."""
        sentences = []
        rows, base = self.rows, self.base
        others = [row for row in rows if base is not None and row.id != base.id]
        if base is not None and any(conditions_differ(row, base) for row in others):
            sentences.append(
                tr(
                    "Some rows were measured on another machine or runtime than the baseline: "
                    "no change of time or memory is stated for them."
                )
            )
        elif base is None and mixed_conditions(self.runs):
            sentences.append(MIXED)
        if base is not None and any(images_differ(row, base) for row in others):
            sentences.append(
                tr("Some rows were judged on other test images: no change of accuracy is stated.")
            )
        elif base is None and mixed_images(self.runs):
            sentences.append(MIXED_IMAGES)
        if mixed_protocols(self.runs):
            sentences.append(MIXED_PROTOCOLS)
        if count := len(self.uncertain_rows()):
            sentences.append(
                tr(
                    "Rows that were measured on a busy machine, so that times are ranges: {count}.",
                    count=count,
                )
            )
        return sentences

    def uncertain_rows(self) -> list[Row]:
        """Rows whose latency, or its change, a busy machine left uncertain; a mean's members stand for it."""
        return [row for row in self._plain_rows if row.report is not None and _unsure(row)]

    def compared_stages(self, rows: Collection[Row]) -> list[tuple[ComparedRun, StageReport, str]]:
        """The stages of these rows, each once, with a name to put above their settings."""
        several = len({row.origin.folder for row in rows if row.origin}) > 1
        stages: dict[tuple[str, str], tuple[ComparedRun, StageReport, str]] = {}
        for row in rows:
            run, report = self.run_of(row), row.report
            if run is None or report is None or row.origin is None:
                continue
            seed = tr(" · seed {seed}", seed=report.seed) if "@" in report.key else ""
            name = f"{report.name}{seed}" + (f"\n{row.origin.run}" if several else "")
            stages.setdefault((run.folder, report.key), (run, report, name))
        return list(stages.values())

    def _matches_search(self, row: Row) -> bool:
        if not self.words.strip():
            return True
        parts = [row.label, row.artefact.label if row.artefact else "", row.origin.run if row.origin else ""]
        parts += [row.report.kind, row.report.id] if row.report else []
        text = " ".join(parts).casefold()
        return all(word in text for word in self.words.casefold().split())


def _unsure(row: Row) -> bool:
    change = row.change.get("latency_ms")
    doubtful = change is not None and (change.value is None or wide(change))
    return uncertain("latency_ms", row.metrics.get("latency_ms")) or (
        doubtful and "latency_ms" not in row.loose
    )


def _key(row: Row, name: str) -> float | str | None:
    if name == LABEL:
        return row.label.casefold()
    metric = row.metrics.get(name)
    return None if metric is None else metric.value
