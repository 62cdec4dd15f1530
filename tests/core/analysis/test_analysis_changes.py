"""Changes between any two rows, by hand: paired, from two intervals, or not at all."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from core.analysis.changes import against, changes, difference, inverted, ratio
from core.analysis.html_report import Content, html_report
from core.analysis.interval_support import uncertain
from core.analysis.latex import as_latex, escape
from core.analysis.rows import Origin, Row
from core.analysis.seeds import mean_of
from core.analysis.table import as_csv, as_markdown, as_text, by_run, pinned, table_rows
from core.analysis.wording import (
    RANGES_MEAN,
    change_text,
    format_change,
    format_metric,
    heading,
    provenance,
    verdict,
)
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport

HERE = Origin("runs/a", "A", "this machine", "these images")


def report(
    id: str, seed: int = 1, key: str = "", sha256: str = "", change: dict[str, Metric] | None = None, **metrics: Metric
) -> StageReport:  # fmt: skip
    artefact = Artefact(
        id="float32", label="ONNX float32", precision="float32", path="x", sha256=sha256, bytes=1,
        metrics=metrics, change=change or {},
    )  # fmt: skip
    return StageReport(
        key=key or id, id=id, source="network", seed=seed, name=id.upper(), kind="train", headline="float32",
        artefacts=[artefact],
    )  # fmt: skip


def figure(value: float, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(value=value, low=low, high=high, level=None if low is None else 0.95)


def test_a_difference_of_two_intervals():
    found = difference(figure(80, 78, 82), figure(85, 84, 86.5))
    # 5 − √((85 − 84)² + (82 − 80)²) and 5 + √((86.5 − 85)² + (80 − 78)²)
    assert found.value == 5 and found.unit == "points" and found.level == 0.95
    assert (found.low, found.high) == pytest.approx((2.763932, 7.5), abs=1e-6)


def test_a_ratio_of_two_intervals():
    found = ratio(figure(2.0, 1.9, 2.2), figure(1.0, 0.9, 1.1))
    assert found.value == -50 and found.unit == "%"
    assert (found.low, found.high) == pytest.approx((-56.62212, -44.28447), abs=1e-4)
    assert ratio(figure(2.0), figure(1.0)) == Metric(value=-50.0, unit="%")


def test_pairs_can_be_read_the_other_way_round():
    ratio_ = inverted(Metric(value=0.5, low=0.4, high=0.8, level=0.99, n=8, how="8 pairs"))
    assert (ratio_.value, ratio_.low, ratio_.high) == pytest.approx((2.0, 1.25, 2.5))
    assert ratio_.how == "the other way round: 8 pairs"
    points = inverted(Metric(value=-1.0, unit="points", low=-2.0, high=0.5))
    assert (points.value, points.low, points.high) == (1.0, -0.5, 2.0)


def rows(origin: Origin | None = HERE, **right: np.ndarray) -> list[Row]:
    """Baseline a; b was measured in alternation with it; c was not."""
    pair = {"latency_ms": Metric(value=0.5, low=0.4, high=0.8, level=0.99, n=8)}
    reports = [
        report("a", top1=figure(80), latency_ms=figure(2.0, 1.9, 2.1), size_mb=figure(10)),
        report("b", change=pair, top1=figure(90), latency_ms=figure(1.0, 0.9, 1.1), size_mb=figure(5)),
        report("c", change=pair, top1=figure(70), latency_ms=figure(1.0, 0.9, 1.1), size_mb=figure(4)),
    ]
    return table_rows(
        reports, "a", origin, {f"{key}/float32": {"top1": value} for key, value in right.items()}
    )


def test_a_pinned_row_uses_what_was_measured_in_pairs_either_way():
    a, b, c = pinned(rows(), "runs/a|b|float32")
    assert b.baseline and not b.change and not a.baseline
    assert a.change["latency_ms"].value == pytest.approx(100.0) and a.change["latency_ms"].n == 8
    assert not a.loose
    assert c.change["latency_ms"].value == 0 and not c.loose  # each took turns with a
    assert c.change["latency_ms"].low < -20
    assert c.change["size_mb"].value == pytest.approx(-20) and format_change(c.change["size_mb"]) == "−20.0 %"
    assert change_text(a.change["latency_ms"]) == "▲ +25 to +150 %"


def test_times_that_were_not_alternated_are_marked():
    b = rows()[1]
    c = replace(rows(replace(HERE, folder="runs/c"))[2], reference="another baseline")
    _, c = pinned([b, c], b.id)
    assert c.loose == {"latency_ms"}
    kind = METRICS["latency_ms"]
    assert change_text(c.change["latency_ms"], paired=False) == "? −13 to +15 % †"
    words = provenance(kind, c.metrics["latency_ms"], c.change["latency_ms"], False)
    assert "not measured in alternation" in words
    assert " interval −" in words and " -" not in words  # one sign for less, everywhere


def test_accuracies_on_the_same_images_are_paired():
    before = np.array([True] * 60 + [False] * 40)
    after = before.copy()
    after[:2], after[-5:] = False, True
    _, _, c = pinned(rows(b=before, c=after), "runs/a|b|float32")
    change = c.change["top1"]
    assert change.value == pytest.approx(3.0) and change.n == 100
    assert (change.low, change.high) == pytest.approx((-2.46368, 8.34604), abs=1e-4)
    assert verdict(METRICS["top1"], change) == "same"


def test_other_machines_and_other_images_are_not_compared():
    elsewhere = Origin("runs/b", "B", "another machine", "other images")
    mine, theirs = rows()[0], rows(elsewhere)[1]
    found, loose = against(theirs, mine)
    assert found.keys() == {"size_mb"} and not loose
    there = Origin("runs/b", "B", "this machine", "")  # images unknown: a plain difference is shown
    found, loose = against(rows(there)[1], mine)
    assert found["top1"] == Metric(value=10.0, unit="points") and loose == {"latency_ms"}
    assert verdict(METRICS["top1"], found["top1"]) == ""  # without an interval it may be chance
    assert verdict(METRICS["size_mb"], found["size_mb"]) == "better"  # counted, not sampled


def test_a_stage_shared_by_two_runs_keeps_its_pairs():
    """The same file in both runs: what was alternated with it in one holds for the other's row of it."""
    sha256, pair = "a" * 64, {"latency_ms": Metric(value=0.5, low=0.4, high=0.6)}
    other = Origin("runs/b", "B", "this machine", "these images")
    base = table_rows([report("a", sha256=sha256, latency_ms=figure(2.0))], "a", HERE)[0]
    second = table_rows([report("a", sha256=sha256, latency_ms=figure(2.1)), report("b", sha256="b" * 64, change=pair, latency_ms=figure(1.0))], "a", other)  # fmt: skip
    found, loose = against(second[1], base)
    assert found["latency_ms"].value == pytest.approx(-50.0) and not loose


def test_means_over_seeds_are_compared_seed_by_seed():
    reports = [
        report(id, seed, f"{id}@{seed}", top1=figure(value))
        for seed, values in ((1, (80.0, 81.0)), (2, (90.0, 94.0)))
        for id, value in zip("ab", values, strict=True)
    ]
    table = table_rows(reports, "a", HERE)
    assert [row.id for row in table[:2]] == ["runs/a|a@mean|float32", "runs/a|b@mean|float32"]
    a, _ = pinned(table, table[1].id)[:2]
    assert a.change["top1"].value == pytest.approx(-2.5)  # −1 and −4 points
    assert a.change["top1"].deviation == pytest.approx(2.12132, abs=1e-5)


def test_a_pin_that_is_not_there_changes_nothing():
    assert pinned(rows(), "gone") == rows()


def test_runs_are_named_only_where_there_are_several():
    assert [row.label for row in by_run(rows())] == ["A", "B", "C"]
    both = by_run([*rows(), *rows(Origin("runs/b", "B"))])
    assert [row.label for row in both][:4] == ["A: A", "A: B", "A: C", "B: A"]


def test_a_runs_own_times_are_marked_where_they_were_not_alternated():
    base, plain = report("a", latency_ms=figure(2.0, 1.9, 2.1)), report("b", latency_ms=figure(1.0, 0.9, 1.1))
    table = table_rows([base, plain], "a")
    assert table[1].loose == {"latency_ms"} and table[1].change == changes(plain.artefacts[0], base)
    assert not changes(report("c", latency_ms=figure(1.0)).artefacts[0], base)  # nothing supports it


def in_turns(ratio: Metric, ms: Metric, **others: Metric) -> StageReport:
    return report("b", change={"latency_ms": ratio}, latency_ms=ms, **others)


def test_figures_that_contradict_their_pairs_are_a_range():
    """0.584 → 0.497 ms beside −84 %: the baseline of the pairs was held up, and nobody knows by how much."""
    base = report("a", latency_ms=figure(0.584, 0.57, 0.6))
    pairs = Metric(value=0.16, low=0.12, high=0.2, level=0.99)
    change = changes(in_turns(pairs, figure(0.497, 0.48, 0.51)).artefacts[0], base)["latency_ms"]
    assert change.low == pytest.approx(-88) and -12 < change.high < -10 and change.level is None
    assert change_text(change) == "▼ −88 to −12 %" and "measure again" in change.how
    agreeing = Metric(value=0.85, low=0.84, high=0.86, level=0.99)
    change = changes(in_turns(agreeing, figure(0.497, 0.48, 0.51)).artefacts[0], base)["latency_ms"]
    assert change_text(change) == "▼ −15.0 %" and change.level == 0.99


def test_a_busy_machine_states_no_change_and_says_why():
    base = report("a", latency_ms=figure(0.6, 0.58, 0.62))
    ms = Metric(value=0.9, low=0.7, high=6.5, unit="ms")
    busy = in_turns(Metric(value=None, how="the machine was too busy"), ms).artefacts[0]
    found = changes(busy, base)["latency_ms"]
    kind = METRICS["latency_ms"]
    assert found.value is None and change_text(found) == "" and verdict(kind, found) == ""
    assert format_metric(kind, ms) == "0.70 to 6.5" and uncertain("latency_ms", ms)
    words = provenance(kind, ms, found)
    assert "No change is stated: the machine was too busy." in words and "Measure again" in words


def test_a_wide_interval_is_shown_as_a_range_and_not_as_no_difference():
    kind, unsure = METRICS["latency_ms"], Metric(value=-30.0, unit="%", low=-70.0, high=60.0)
    assert change_text(unsure) == "? −70 to +60 %" and verdict(kind, unsure) == "unsure"
    slower = Metric(value=90.0, unit="%", low=40.0, high=200.0)
    assert change_text(slower) == "▲ +40 to +200 %" and verdict(kind, slower) == "worse"
    same = Metric(value=1.0, unit="%", low=-2.0, high=4.0)
    assert change_text(same) == "≈ (+1.0 %)" and verdict(kind, same) == "same"


def test_estimated_energy_says_so_and_has_no_change_of_its_own():
    def estimated(ms: float, watts: float = 10.0) -> dict[str, Metric]:
        how, power = "estimated: median latency × a stated power", Metric(value=watts, unit="W")
        return {
            "energy_mj": Metric(value=ms * watts, low=0.99 * ms * watts, high=1.01 * ms * watts, how=how),
            "power_w": power,
        }

    base = report("a", latency_ms=figure(2.0, 1.98, 2.02), **estimated(2.0))
    ratio_ = Metric(value=0.5, low=0.49, high=0.51, level=0.99)
    half = in_turns(ratio_, figure(1.04, 1.03, 1.05), **estimated(1.04))
    table, kind = table_rows([base, half], "a"), METRICS["energy_mj"]
    change = table[1].change["energy_mj"]
    assert change.value is None and "estimated from the latency" in change.how and not table[1].loose
    assert changes(half.artefacts[0], base)["energy_mj"].value is None
    assert format_metric(kind, table[1].metrics["energy_mj"]) == "est. 10.400"
    kinds = [METRICS["latency_ms"], kind]
    for text in (as_text(table, kinds=kinds), as_markdown(table, kinds=kinds), as_latex(table, kinds)):
        assert "Energy, estimated [mJ]" in text and "est. 10.400" in text.replace("&.", ".")
    measured = table[0].metrics["energy_mj"].model_copy(update={"how": "measured"})
    assert heading(kind, [{"energy_mj": measured}]) == "Energy [mJ]"
    assert heading(kind, [{"energy_mj": measured}, table[1].metrics]) == "Energy, partly estimated [mJ]"
    averaged = mean_of([table[0].metrics["energy_mj"], table[1].metrics["energy_mj"]])
    assert format_metric(kind, averaged).startswith("est. 15.200 ± ")


def test_every_form_of_a_table_says_the_same_of_a_busy_machine():
    ms = Metric(value=0.9, low=0.7, high=6.5, unit="ms", interrupted=0.97)
    busy = in_turns(Metric(value=0.9, low=0.3, high=2.0), ms)
    table = table_rows([report("a", latency_ms=figure(0.6, 0.58, 0.62)), busy], "a", HERE)
    kinds = [METRICS["latency_ms"]]
    assert "0.70 to 6.5 (−70 to +100 %)" in as_markdown(table, kinds=kinds)
    assert "0.70 to 6.5" in as_text(table, kinds=kinds)
    latex = as_latex(table, kinds)
    assert r"\multicolumn{2}{r}{0.70 to 6.5}" in latex and r"\multicolumn{2}{r}{$-$70 to +100}" in latex
    assert escape(RANGES_MEAN) in latex
    line = next(each for each in csv.DictReader(io.StringIO(as_csv(table))) if each["stage"] == "b")
    assert (line["low"], line["high"], line["interrupted"], line["uncertain"]) == (
        "0.7",
        "6.5",
        "0.97",
        "yes",
    )
    page = html_report(Content("t", "b", table, kinds, ("latency_ms", "latency_ms"), []))
    assert 'class="unsure">⚠ 0.70 to 6.5<span class="change unsure">? −70 to +100 %' in page
    assert RANGES_MEAN in page and "point unsure" in page.replace("point best unsure", "point unsure")


def test_figures_in_pytorch_are_columns_of_the_stage_s_main_file():
    stage = report("a", latency_ms=figure(2.0, 1.9, 2.1)).model_copy(
        update={
            "pytorch": {
                "latency_ms": figure(5.0, 4.9, 5.1),
                "mixed_throughput": figure(90.0, 80.0, 99.0),
                "top1": figure(80.0, 79.0, 81.0),
            }
        }
    )
    second = stage.artefacts[0].model_copy(update={"id": "float16"})
    stage.artefacts.append(second)
    first, other = table_rows([stage], "a")
    assert (
        first.metrics["pytorch_latency_ms"].value == 5.0
        and first.metrics["pytorch_mixed_throughput"].value == 90.0
    )
    assert first.metrics["latency_ms"].value == 2.0 and "pytorch_top1" not in first.metrics
    assert "pytorch_latency_ms" not in other.metrics
    assert ",pytorch_latency_ms,5.0," in as_csv([first])
    markdown = as_markdown([first], kinds=[METRICS["pytorch_latency_ms"]])
    assert "PyTorch latency [ms]" in markdown and "5.000" in markdown
