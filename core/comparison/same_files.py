"""A file that was measured in several runs is one file: its better measurement stands in all of them.

Two runs of one pipeline share files, and each may have measured them, on a quiet machine or on a busy one. Two rows of
one file with different times would contradict each other; so all get the times, and the memory, of the measurement by
the newest protocol with the narrowest interval, and each figure says where it comes from. Only measurements on the
same machine with the same runtime are taken for each other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.analysis.interval_support import OF_THE_MACHINE, uncertain
from core.analysis.rows import Row, has_hash
from core.comparison.compared_runs import ComparedRun, run_labels
from core.records.reports import Artefact, Metric, StageReport

_MEASURED = OF_THE_MACHINE | {"latency_ms_prepared"}


@dataclass(frozen=True, slots=True)
class _Measurement:
    """One file as one run measured it; `baseline` is the hash of what it was compared with."""

    run: ComparedRun
    report: StageReport
    artefact: Artefact
    baseline: str

    @property
    def quality(self) -> tuple[int, bool, float, float]:
        """What makes one measurement better than another."""
        latency = self.artefact.metrics["latency_ms"]
        width = math.inf
        if latency.low is not None and latency.high is not None and latency.value:
            width = (latency.high - latency.low) / latency.value
        measured = self.artefact.measured
        return measured.protocol, not uncertain("latency_ms", latency), -width, measured.at


def with_better_measurements(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """The runs, each file with the best measurement that any of them has of it; those where nothing changes as they are."""
    groups: dict[tuple[str, str], list[_Measurement]] = {}
    for run in runs:
        for one in _measurements(run):
            groups.setdefault((one.artefact.sha256, run.conditions), []).append(one)
    better: dict[tuple[str, str, str], Artefact] = {}
    for same in groups.values():
        best = max(same, key=lambda each: each.quality)
        for one in same:
            if one.artefact.metrics["latency_ms"] != best.artefact.metrics["latency_ms"]:
                place = one.run.folder, one.report.key, one.artefact.id
                better[place] = _taken_over(one, best, len(same))
    touched = {folder for folder, _, _ in better}
    return [_replaced(run, better) if run.folder in touched else run for run in runs]


def all_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    """The rows of all runs, run after run; each is compared with its run's own baseline."""
    labels = run_labels(runs)
    return [row for run in with_better_measurements(runs) for row in run.rows(labels[run.folder])]


def _measurements(run: ComparedRun) -> Iterator[_Measurement]:
    if not run.conditions:
        return
    for report in run.reports:
        known = run.baseline_of(report.id)
        base = next((r.main for r in run.reports if r.id == known and r.seed == report.seed), None)
        for artefact in report.artefacts:
            latency = artefact.metrics.get("latency_ms")
            if has_hash(artefact) and latency is not None and latency.value is not None:
                yield _Measurement(run, report, artefact, base.sha256 if base is not None else "")


def _taken_over(one: _Measurement, best: _Measurement, count: int) -> Artefact:
    """A file with another measurement's times; its changes too where both were compared with the same file."""
    metrics = {
        name: _from_there(metric, best.run, count)
        for name, metric in best.artefact.metrics.items()
        if name in _MEASURED
    }
    change = dict(one.artefact.change)
    if change and one.baseline == best.baseline:
        change |= {name: metric for name, metric in best.artefact.change.items() if name in _MEASURED}
    update = {
        "metrics": {**one.artefact.metrics, **metrics},
        "change": change,
        "measured": best.artefact.measured,
    }
    return one.artefact.model_copy(update=update)


def _from_there(metric: Metric, run: ComparedRun, count: int) -> Metric:
    how = f"{metric.how}; the best of {count} measurements of this very file, from {run.title}, {run.when}"
    return metric.model_copy(update={"how": how.lstrip("; ")})


def _replaced(run: ComparedRun, better: dict[tuple[str, str, str], Artefact]) -> ComparedRun:
    reports = [
        report.model_copy(
            update={"artefacts": [better.get((run.folder, report.key, a.id), a) for a in report.artefacts]}
        )
        for report in run.reports
    ]
    return run.model_copy(update={"reports": reports})
