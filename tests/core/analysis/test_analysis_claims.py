"""A paper's claims and what measurements say to them."""

import pytest

from core.analysis.claims import Answer, answer, as_markdown
from core.analysis.rows import Row
from core.document.paper import PaperTable
from core.records.claims import Claim
from core.records.reports import Artefact, Metric, StageReport


def row(stage: str, top1: float, half: float = 0.5, params: float = 1e6, seed: int = 0) -> Row:
    """A stage's file; times and accuracies with their intervals, counts without."""
    metrics = {
        "top1": Metric(value=top1, unit="%", low=top1 - half, high=top1 + half, level=0.95),
        "params": Metric(value=params),
        "macro_f1": Metric(value=top1, unit="%"),
    }
    artefact = Artefact(
        id="float32", label="ONNX", precision="float32", path=f"{stage}.onnx", sha256=stage, bytes=1, metrics=metrics
    )  # fmt: skip
    report = StageReport(
        key=f"{stage}@{seed}", id=stage, source="network", seed=seed, name=stage, kind="train",
        headline="float32", artefacts=[artefact],
    )  # fmt: skip
    return Row(stage, metrics, {}, report=report, artefact=artefact)


def asked(rows: list[Row], **claim: object) -> Answer:
    fields = {"says": "It gains.", "stage": "fem", "metric": "top1"} | claim
    return answer(Claim.parse(fields), rows, "plain")


ROWS = [row("plain", 60), row("fem", 64), row("wide", 61), row("wider", 64.2), row("best", 70)]


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"at_least": 2}, "confirmed"),  # +4.0, from 3.29 to 4.71
        ({"at_least": 12}, "contradicted"),
        ({"at_least": 4}, "undecided"),
        ({"at_most": 5}, "confirmed"),
        ({"at_least": 3, "at_most": 5}, "confirmed"),
        ({"at_least": 5, "at_most": 9}, "contradicted"),
    ],
)
def test_the_whole_interval_decides(bounds, verdict):
    given = asked(ROWS, **bounds)
    assert given.verdict == verdict and given.ours is not None and given.ours.value == pytest.approx(4)


@pytest.mark.parametrize(
    ("control", "verdict", "words"),
    [
        ("wide", "confirmed", "better than its control"),
        ("wider", "undecided", "does as well"),
        ("best", "contradicted", "does better"),
        ("absent", "undecided", "control is missing"),
    ],
)
def test_a_gain_that_the_control_has_too_is_not_the_methods(control, verdict, words):
    given = asked(ROWS, at_least=2, control=control)
    assert given.verdict == verdict and words in given.reason


@pytest.mark.parametrize(
    ("params", "verdict"), [(1e6, "confirmed"), (1.04e6, "confirmed"), (0.94e6, "undecided")]
)
def test_at_equal_size_cannot_be_told_of_unequal_ones(params, verdict):
    rows = [row("plain", 60), row("fem", 64, params=params)]
    given = asked(rows, at_least=2, alike="params")
    assert given.verdict == verdict and ("is not the same in fem and plain" in given.reason) == (
        verdict == "undecided"
    )
    assert given.ours is not None and given.ours.value == pytest.approx(4)
    unknown = asked(rows, at_least=2, alike="latency_ms")
    assert unknown.verdict == "undecided" and "is not known" in unknown.reason


def test_values_counts_and_figures_without_an_interval():
    assert asked(ROWS, of="value", at_least=63).verdict == "confirmed"
    assert asked(ROWS, of="value", at_least=64).verdict == "undecided"
    smaller = [row("plain", 60), row("fem", 60, params=7e5)]
    assert asked(smaller, metric="params", at_most=-30).verdict == "confirmed"
    assert asked(smaller, metric="params", at_most=-31).verdict == "contradicted"
    unsure = asked(ROWS, metric="macro_f1", at_least=1)
    assert unsure.verdict == "undecided" and "no interval" in unsure.reason


def test_what_was_not_measured_is_said():
    given = asked(ROWS, stage="pruned", at_least=1)
    assert given.verdict == "not measured" and "pruned has no result" in given.reason
    assert asked(ROWS, metric="latency_ms", at_most=0).verdict == "not measured"


def test_the_table_has_figures_with_signs_and_units():
    table = as_markdown([asked(ROWS, at_least=12, paper=24.07), asked(ROWS, of="value", at_least=63)])
    assert "| It gains. | +24.07 points | +4.00 points (+3.29 to +4.71) |" in table
    assert "| contradicted | None of it is at least 12 points. |" in table
    assert "64.00 % (63.50 to 64.50)" in table


def test_a_claim_wants_a_bound():
    with pytest.raises(ValueError, match="at_least, at_most or both"):
        Claim.parse({"says": "It gains.", "stage": "fem", "metric": "top1"})


def test_a_paper_without_a_setting_is_named_alone() -> None:
    """It was "Somebody 2026. " with a full stop and a space behind."""
    assert PaperTable(source="Somebody 2026", rows=()).about == "Somebody 2026"
    assert (
        PaperTable(source="Somebody 2026", setting="ten epochs", rows=()).about == "Somebody 2026. ten epochs"
    )
