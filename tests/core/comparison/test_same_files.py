"""A file that two runs measured is one file: no two rows of it contradict each other."""

from typing import Any

import pytest
from made_runs import artefact, report

from core.comparison.compared_runs import ComparedRun
from core.comparison.same_files import all_rows, with_better_measurements
from core.records.reports import MeasuredWith, Metric, StageReport

HERE = {"processor": "This one", "versions": {"onnxruntime": "1.23"}}


def took(value: float, low: float, high: float, level: float | None = 0.99) -> Metric:
    return Metric(value=value, unit="ms", low=low, high=high, level=level, how="ONNX Runtime")


def made(stage: str, hash: str, latency: Metric, protocol: int = 7, **change: Metric) -> StageReport:
    file = artefact(stage, 80.0, 1.0, 4.0, **change)
    file = file.model_copy(update={"sha256": hash * 64, "measured": MeasuredWith(protocol=protocol)})
    file.metrics["latency_ms"] = latency
    return report(stage, stage.upper(), "train", file)


def run(name: str, *reports: StageReport, machine: dict[str, Any] = HERE) -> ComparedRun:
    return ComparedRun(
        folder=name, name=name, title=name, about="", started=0.0, status="completed", device="cpu", machine=machine,
        baseline="fp32", final="pruned", total=2, reports=list(reports), papers=[], notes=[], settings="{}",
    )  # fmt: skip


def latency(run: ComparedRun, stage: int = 0) -> Metric:
    return run.reports[stage].artefacts[0].metrics["latency_ms"]


def test_the_narrower_measurement_stands_in_both_runs_and_says_so() -> None:
    noisy, quiet = took(8.152, 7.0, 9.3), took(0.88, 0.87, 0.89)
    first, second = with_better_measurements(
        [run("a", made("fp32", "1", noisy)), run("b", made("fp32", "1", quiet))]
    )
    assert latency(first).value == latency(second).value == 0.88
    assert "the best of 2 measurements of this very file, from b" in latency(first).how
    assert latency(second) == quiet
    assert [row.metrics["latency_ms"].value for row in all_rows([first, second])] == [0.88, 0.88]


def test_changes_are_taken_over_only_where_both_were_compared_with_the_same_file() -> None:
    slow, fast = Metric(value=0.9, low=0.5, high=1.6), Metric(value=0.5, low=0.49, high=0.51)
    noisy = made("pruned", "2", took(0.9, 0.3, 3.0), latency_ms=slow, top1=Metric(value=-1.0, unit="points"))
    quiet = made("pruned", "2", took(0.5, 0.49, 0.51), latency_ms=fast)
    base = made("fp32", "1", took(1.0, 0.99, 1.01))
    other = made("fp32", "3", took(1.2, 1.19, 1.21))
    first, _ = with_better_measurements([run("a", base, noisy), run("b", base, quiet)])
    change = first.reports[1].artefacts[0].change
    assert change["latency_ms"] == fast and change["top1"].value == -1.0
    first, _ = with_better_measurements([run("a", base, noisy), run("b", other, quiet)])
    assert first.reports[1].artefacts[0].change["latency_ms"] == slow and latency(first, 1).value == 0.5


@pytest.mark.parametrize(
    ("other", "machine"),
    [("2", HERE), ("1", {**HERE, "processor": "Another"}), ("1", {**HERE, "versions": {"onnxruntime": "1.24"}}), ("1", {})],
)  # fmt: skip
def test_other_files_other_machines_and_other_runtimes_are_left_alone(
    other: str, machine: dict[str, Any]
) -> None:
    runs = [
        run("a", made("fp32", "1", took(2.0, 1.0, 3.0))),
        run("b", made("fp32", other, took(1.0, 0.9, 1.1)), machine=machine),
    ]
    assert with_better_measurements(runs) == runs


def test_the_newer_protocol_counts_for_more_than_a_narrow_interval() -> None:
    old, new = made("fp32", "1", took(1.0, 0.999, 1.001), 5), made("fp32", "1", took(1.2, 1.15, 1.25), 6)
    first, _ = with_better_measurements([run("a", old), run("b", new)])
    assert latency(first).value == 1.2


def test_runs_that_agree_stay_the_same_objects() -> None:
    same = made("fp32", "1", took(1.0, 0.9, 1.1))
    runs = [run("a", same), run("b", same)]
    assert all(now is then for now, then in zip(with_better_measurements(runs), runs, strict=True))
