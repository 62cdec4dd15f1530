"""Intervals, accuracies and the comparison table against numbers worked out by hand."""

import csv
import io

import numpy as np
import pytest

from core.analysis.accuracy import accuracy_metrics, confusion_matrix, paired_change, wilson
from core.analysis.latex import as_latex
from core.analysis.table import (
    as_csv,
    as_markdown,
    as_text,
    changes,
    format_change,
    format_metric,
    pinned,
    table_rows,
)
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_gives_the_published_intervals(right, n, low, high):
    """Newcombe 1998, table I, method 3."""
    assert wilson(right, n) == pytest.approx((low, high), abs=0.006)
    assert wilson(n - right, n) == pytest.approx((100 - high, 100 - low), abs=0.006)


def test_an_image_without_finite_logits_is_wrong():
    logits = np.array([[np.nan] * 3, [np.inf, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    metrics = accuracy_metrics(logits, np.array([0, 0, 1, 1]), "here")
    assert metrics["top1"].value == 25.0
    assert metrics["top1"].how == "here; 2 images without finite logits count as wrong"
    assert metrics["balanced_accuracy"].value == 25.0  # none of two, and one of two


def test_a_paired_change_by_hand():
    baseline = np.array([True] * 60 + [False] * 40)
    candidate = baseline.copy()
    candidate[:2] = False  # lost
    candidate[-5:] = True  # won
    change = paired_change(baseline, candidate)
    # b = 2.5, c = 5.5, n = 102: (3 ± 1.959964 · √(8 − 9/102)) / 102
    assert change.value == pytest.approx(3.0)
    assert (change.low, change.high) == pytest.approx((-2.46368, 8.34604), abs=1e-4)
    assert (change.unit, change.level, change.n) == ("points", 0.95, 100)
    assert change.how == "2 images right before and wrong now, 5 the other way round"


def test_no_change_at_all_has_an_interval_around_zero():
    same = np.array([True, False] * 50)
    change = paired_change(same, same)
    assert change.value == 0
    assert change.high == pytest.approx(100 * 1.959964 / 102) and change.low == pytest.approx(-change.high)


def logits_for(guesses: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[guesses]


def test_accuracies_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    guesses = [0, 0, 0, 1, 1, 1, 3]  # class 3 never occurs
    metrics = accuracy_metrics(logits_for(guesses, 4), labels, "by hand")
    assert metrics.keys() == {"top1", "balanced_accuracy", "macro_f1"}
    assert metrics["top1"].value == pytest.approx(500 / 7)
    assert (metrics["top1"].low, metrics["top1"].high) == wilson(5, 7)
    assert metrics["balanced_accuracy"].value == pytest.approx(100 * (3 / 4 + 1 + 0) / 3)
    assert metrics["macro_f1"].value == pytest.approx(100 * (6 / 7 + 4 / 5 + 0) / 3)
    assert {metric.how for metric in metrics.values()} == {"by hand"}
    assert confusion_matrix(np.array(guesses), labels, 4).tolist() == [
        [3, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0],
    ]  # fmt: skip


def test_top5_counts_the_five_best_from_20_classes_on():
    logits = np.tile(np.arange(20, dtype=np.float32), (4, 1))  # best five: 15…19
    metrics = accuracy_metrics(logits, np.array([19, 15, 14, 0]), "")
    assert metrics["top1"].value == 25 and metrics["top5"].value == 50
    assert "top5" not in accuracy_metrics(logits[:, :19], np.array([1, 2, 3, 4]), "")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Metric(value=1.2, unit="points"), "+1.20 points"),
        (Metric(value=-34.04, unit="%"), "−34.0 %"),
        (Metric(value=0.0, unit="%"), "±0.0 %"),
        (Metric(value=0.5, unit="points", low=-0.1, high=1.1), "≈ (+0.50 points)"),
        (Metric(value=0.5, unit="points", low=0.1, high=0.9), "+0.50 points"),
        (Metric(value=-3.0, unit="%", low=-6.0, high=0.0), "≈ (−3.0 %)"),
        (Metric(value=None), ""),
        (None, ""),
    ],
)
def test_changes_in_words(change, text):
    assert format_change(change) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("top1", 91.234, "91.23"), ("params", 1234567, "1.235"), ("throughput", 12345.6, "12\u202f345.6"), ("top1", None, "—")],
)  # fmt: skip
def test_values_in_words(name, value, text):
    assert format_metric(METRICS[name], Metric(value=value)) == text


def report(id: str, seed: int = 42, change: dict[str, Metric] | None = None, **values: float) -> StageReport:
    metrics = {name: Metric(value=value, unit=METRICS[name].unit) for name, value in values.items()}
    artefact = Artefact(
        id="fp32", label="float32", precision="float32", path="m.onnx", sha256="", bytes=1,
        metrics=metrics, change=change or {},
    )  # fmt: skip
    return StageReport(
        key=id, id=id, source="", seed=seed, name=id.title(), kind="train", headline="fp32",
        artefacts=[artefact],
    )  # fmt: skip


def test_changes_are_the_difference_or_what_was_measured_in_pairs():
    baseline = report("a", top1=90.0, latency_ms=2.0, size_mb=10.0, compression_ratio=1.0)
    pairs = {
        "top1": Metric(value=-1.5, unit="points", low=-2.5, high=-0.5),
        "latency_ms": Metric(value=0.6, low=0.55, high=0.7),
    }
    other = report("b", change=pairs, top1=89.0, latency_ms=1.0, size_mb=4.0, compression_ratio=2.5)
    found = changes(other.artefacts[0], baseline)
    assert found.keys() == {"top1", "latency_ms", "size_mb"}  # no change of what is one already
    assert found["top1"] == pairs["top1"]
    latency = found["latency_ms"]
    assert (latency.value, latency.low, latency.high) == pytest.approx((-40.0, -45.0, -30.0))
    assert latency.unit == "%"
    assert found["size_mb"].value == pytest.approx(-60.0)
    plain = changes(report("c", top1=89.0).artefacts[0], baseline)
    assert plain["top1"] == Metric(value=-1.0, unit="points")


def test_the_table_as_text_and_markdown():
    rows = table_rows([report("a", top1=90.0, size_mb=10.0), report("b", top1=91.2, size_mb=6.6)], "a")
    assert as_text(rows).splitlines() == [
        "Stage            Top-1 [%]  Size [MB]",
        "────────────  ────────────  ─────────",
        "A (baseline)         90.00     10.000",
        "B                    91.20      6.600",
        "  change      +1.20 points    −34.0 %",
    ]
    assert as_markdown(rows).splitlines() == [
        "| Stage | Top-1 [%] | Size [MB] |",
        "|---|---:|---:|",
        "| **A** (baseline) | 90.00 | 10.000 |",
        "| B | 91.20 (+1.20 points) | 6.600 (−34.0 %) |",
    ]


def test_rows_with_baselines_of_their_own_say_which():
    reports = [report("a", top1=90.0), report("b", top1=91.0), report("x", top1=50.0), report("y", top1=53.5)]
    rows = table_rows(reports, {"a": "a", "b": "a", "x": "x", "y": "x"})
    assert [row.baseline for row in rows] == [True, False, True, False]
    assert [row.against for row in rows] == ["", "A", "", "X"]
    assert [row.change["top1"].value for row in rows if row.change] == pytest.approx([1.0, 3.5])
    assert [line.split("  ")[0] for line in as_text(rows).splitlines()[2::1]] == [
        "A (baseline)", "B (against A)", "", "X (baseline)", "Y (against X)", "",
    ]  # fmt: skip
    assert "| Y (against X) | 53.50 (+3.50 points) |" in as_markdown(rows).splitlines()
    lines = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [(line["stage"], line["against"]) for line in lines] == [
        ("a", ""),
        ("b", "A"),
        ("x", ""),
        ("y", "X"),
    ]
    assert r"Y (against X) & 53&.50" in as_latex(rows, [METRICS["top1"]])
    alike = table_rows(reports[:2], {"a": "a", "b": "a"})
    assert alike == table_rows(reports[:2], "a")  # of one baseline nothing has to be said
    assert [row.against for row in pinned(rows, rows[0].id)] == [""] * 4


def test_every_seed_is_compared_with_the_baseline_of_its_seed():
    reports = [report("a", 1, top1=90.0), report("b", 1, top1=91.0), report("a", 2, top1=80.0), report("b", 2, top1=79.0)]  # fmt: skip
    rows = table_rows(reports, "a")[2:]  # the means stand above: test_seeds_heat_map
    assert [row.label for row in rows] == ["A · seed 1", "B · seed 1", "A · seed 2", "B · seed 2"]
    assert [row.baseline for row in rows] == [True, False, True, False]
    assert [row.change["top1"].value for row in rows if row.change] == pytest.approx([1.0, -1.0])


def test_csv_has_every_metric_in_full_precision():
    rows = table_rows([report("a", top1=90.0), report("b", top1=91.23456789)], "a")
    lines = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [(line["stage"], line["metric"], line["value"]) for line in lines] == [
        ("a", "top1", "90.0"), ("b", "top1", "91.23456789"),
    ]  # fmt: skip
    assert float(lines[1]["change"]) == pytest.approx(1.23456789) and lines[1]["change_unit"] == "points"
