"""Means over seeds and heat maps, by hand."""

import math

import pytest

from core.analysis.heat_map import HeatMap
from core.analysis.seeds import mean_of
from core.analysis.table import format_metric, table_rows
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport


def test_r1s_published_seeds_give_its_published_mean():
    mean = mean_of([Metric(value=value, unit="%", how="test") for value in (80.42, 80.53, 80.52)])
    assert format_metric(METRICS["top1"], mean) == "80.49 ± 0.06"
    half = 4.302652729911275 * mean.deviation / math.sqrt(3)  # t quantile 0.975, 2 degrees of freedom
    assert mean.high == pytest.approx(mean.value + half) and mean.low == pytest.approx(mean.value - half)
    assert mean.n == 3 and mean.how == "mean of 3 seeds; each: test"


def test_one_missing_value_leaves_no_mean():
    assert mean_of([Metric(value=1.0), Metric(value=None)]).value is None


def report(seed: int, id: str, top1: float) -> StageReport:
    metrics = {"top1": Metric(value=top1, unit="%"), "params": Metric(value=1000.0)}
    file = Artefact(
        id="float32", label="ONNX float32", precision="float32", path="x", sha256="", bytes=1, metrics=metrics
    )
    return StageReport(
        key=f"{id}@{seed}", id=id, source="network", seed=seed, name=id, kind="train", headline="float32", artefacts=[file]
    )  # fmt: skip


def test_means_stand_above_the_single_seeds():
    reports = [report(1, "a", 80.0), report(1, "b", 81.0), report(2, "a", 82.0), report(2, "b", 85.0)]
    rows = table_rows(reports, "a")
    assert [row.label for row in rows] == [
        "a · mean of 2 seeds", "b · mean of 2 seeds", "a · seed 1", "b · seed 1", "a · seed 2", "b · seed 2",
    ]  # fmt: skip
    assert rows[0].baseline and not rows[0].change
    assert format_metric(METRICS["top1"], rows[1].metrics["top1"]) == "83.00 ± 2.83"
    assert rows[1].change["top1"].value == pytest.approx(2.0)  # changes of 1 and 3 points, seed by seed
    assert (
        format_metric(METRICS["params"], rows[0].metrics["params"]) == "0.001"
    )  # equal for all: no deviation


def test_one_seed_has_no_means():
    assert [row.label for row in table_rows([report(1, "a", 80.0)], "a")] == ["a"]


HEAT = HeatMap("Top-1 <%>", "Linear", ["0.1", "0.2"], "Convolution", ["0.5"], [[90.04], [None]])


def test_a_heat_map_as_markdown_and_csv():
    assert HEAT.as_markdown() == "| Linear ↓ · Convolution → | 0.5 |\n|---|---|\n| 0.1 | 90.0 |\n| 0.2 | — |"
    assert HEAT.as_csv() == "Linear,Convolution,Top-1 <%>\n0.1,0.5,90.0400\n0.2,0.5,\n"


def test_a_heat_map_as_a_picture_is_well_formed_and_writes_every_figure():
    from xml.etree import ElementTree

    picture = ElementTree.fromstring(HEAT.as_svg())
    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert texts == ["Top-1 <%>", "Linear ↓", "Convolution →", "0.5", "0.1", "90.0", "0.2", "—"]
