"""A paper's claims answered from the measurements: confirmed, contradicted, or not to be told.

A claim bounds a value or a change. It is *confirmed* when the whole interval of what was measured lies
within the bounds, *contradicted* when all of it lies outside, else it *cannot be told* from these
data. Counted figures have no interval and are taken as they are; a measured figure without one
tells nothing. With a control the stage has to be measurably better than the control as well. A claim "at equal
latency" (MACs, size) cannot be told where the two differ in it by more than `ALIKE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.analysis.changes import against
from core.analysis.rows import Row, stage_rows
from core.analysis.wording import EXACT, format_metric
from core.common.text_tables import markdown
from core.records.claims import Claim
from core.records.metrics import METRICS
from core.records.reports import Metric

Verdict = Literal["confirmed", "contradicted", "undecided", "not measured"]
WORDS: dict[Verdict, str] = {
    "confirmed": "confirmed",
    "contradicted": "contradicted",
    "undecided": "cannot be told from these data",
    "not measured": "not measured",
}
ALIKE = 5.0  # percent: what a latency is met to, too
_EXACT = EXACT | {"compression_ratio", "weights_mb"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the measurements say to one claim.

    Attributes:
        ours: the value or change that the claim is about; None where it was not measured.
        control: the stage's change against the control, if the claim names one.
        reason: why the verdict is what it is, in a sentence.
    """

    claim: Claim
    verdict: Verdict
    ours: Metric | None = None
    control: Metric | None = None
    reason: str = ""


def answer(claim: Claim, rows: Sequence[Row], baseline: str) -> Answer:
    """The verdict on one claim.

    Args:
        rows: of one run, means over seeds included.
        baseline: id of the stage that the claim's is compared with in its run.
    """
    ours, missing = _measured(claim, claim.against or baseline, rows)
    if ours is None:
        return Answer(claim, "not measured", reason=missing)
    if unlike := _unlike(claim, claim.against or baseline, rows):
        return Answer(claim, "undecided", ours, reason=unlike)
    verdict, reason = _held_against(ours, claim)
    if not claim.control:
        return Answer(claim, verdict, ours, reason=reason)
    control, missing = _measured(claim, claim.control, rows, change=True)
    if control is None:
        verdict = "undecided" if verdict == "confirmed" else verdict
        return Answer(claim, verdict, ours, reason=f"{reason} The control is missing: {missing}")
    return _with_control(Answer(claim, verdict, ours, control, reason), _gain(control, claim))


def _unlike(claim: Claim, reference: str, rows: Sequence[Row]) -> str:
    """Why the two stages are not alike enough to be compared; "" where they are, or need not be."""
    if not claim.alike:
        return ""
    label = METRICS[claim.alike].label
    change, missing = _measured(
        claim.model_copy(update={"metric": claim.alike}), reference, rows, change=True
    )
    if change is None or change.value is None:
        return f"Whether {claim.stage} and {reference} have the same {label.lower()} is not known: {missing}"
    if abs(change.value) <= ALIKE:
        return ""
    return (
        f"{label} is not the same in {claim.stage} and {reference}: it differs by {_signed(change.value)} %."
    )


def _with_control(answer: Answer, gain: Verdict) -> Answer:
    """The answer, when the stage's gain over its control is so sure."""
    words = {
        "confirmed": "It is better than its control too.",
        "contradicted": "Its control, without the method, does better.",
        "undecided": "Its control, without the method, does as well as far as these data can tell.",
    }[gain]
    verdict = answer.verdict
    if verdict == "confirmed" and gain != "confirmed":
        verdict = gain
    return Answer(answer.claim, verdict, answer.ours, answer.control, f"{answer.reason} {words}")


def _measured(
    claim: Claim, reference: str, rows: Sequence[Row], change: bool = False
) -> tuple[Metric | None, str]:
    """The stage's value, or change against `reference`; and why there is none."""
    by_stage = stage_rows(rows)
    row = by_stage.get(claim.stage)
    if row is None:
        return None, f"the stage {claim.stage} has no result."
    if claim.of == "value" and not change:
        metric = row.metrics.get(claim.metric)
        missing = metric.how if metric is not None and metric.value is None else "not among its figures"
        return (metric, "") if metric is not None and metric.value is not None else (None, f"{missing}.")
    base = by_stage.get(reference)
    if base is None:
        return None, f"the stage {reference} has no result."
    changes, _ = against(row, base)
    found = changes.get(claim.metric)
    return found, "" if found else f"{_label(claim)} was not measured alike in {claim.stage} and {reference}."


def _held_against(ours: Metric, claim: Claim) -> tuple[Verdict, str]:
    low, high = ours.low, ours.high
    if low is None or high is None:
        if claim.metric not in _EXACT:
            return "undecided", "The figure has no interval, so it may be chance."
        low = high = ours.value
    assert low is not None and high is not None
    least = claim.at_least if claim.at_least is not None else float("-inf")
    most = claim.at_most if claim.at_most is not None else float("inf")
    if least <= low and high <= most:
        return "confirmed", f"All of it is {_bounds(claim)}."
    if high < least or low > most:
        return "contradicted", f"None of it is {_bounds(claim)}."
    return "undecided", f"Its interval holds figures that are {_bounds(claim)} and figures that are not."


def _gain(control: Metric, claim: Claim) -> Verdict:
    """Whether the stage is better than its control, in the metric's own direction."""
    low, high = control.low, control.high
    if low is None or high is None:
        if claim.metric not in _EXACT:
            return "undecided"
        low = high = control.value
    assert low is not None and high is not None
    if METRICS[claim.metric].better == "lower":
        low, high = -high, -low
    return "confirmed" if low > 0 else "contradicted" if high < 0 else "undecided"


def _bounds(claim: Claim) -> str:
    parts = [
        f"{words} {_plain(bound)} {unit_of(claim)}".rstrip()
        for words, bound in (("at least", claim.at_least), ("at most", claim.at_most))
        if bound is not None
    ]
    return " and ".join(parts)


def unit_of(claim: Claim) -> str:
    """The unit of the claim's bounds and of the paper's figure."""
    kind = METRICS[claim.metric]
    return kind.unit if claim.of == "value" else "points" if kind.change == "points" else "%"


def _label(claim: Claim) -> str:
    return METRICS[claim.metric].label


def _plain(number: float) -> str:
    return f"{number:g}".replace("-", "−")


def in_words(metric: Metric | None, claim: Claim, change: bool) -> str:
    """ "+1.20 points (+0.40 to +2.00)"; "—" where there is none."""
    if metric is None or metric.value is None:
        return "—"
    if not change:
        kind = METRICS[claim.metric]
        text = f"{format_metric(kind, metric)} {kind.shown_unit or kind.unit}".strip()
        if metric.low is None or metric.high is None:
            return text
        low, high = (f"{bound * kind.scale:.{kind.decimals}f}" for bound in (metric.low, metric.high))
        return f"{text} ({low} to {high})"
    text = f"{_signed(metric.value)} {metric.unit}"
    if metric.low is None or metric.high is None or metric.low == metric.high:
        return text
    return f"{text} ({_signed(metric.low)} to {_signed(metric.high)})"


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def paper_figure(claim: Claim) -> str:
    """The paper's own figure with its unit; "—" where it gives none."""
    if claim.paper is None:
        return "—"
    sign = "+" if claim.of == "change" and claim.paper > 0 else ""
    kind = METRICS[claim.metric]
    if claim.of == "value":
        return f"{_plain(claim.paper * kind.scale)} {kind.shown_unit or kind.unit}".strip()
    return f"{sign}{_plain(claim.paper)} {unit_of(claim)}"


def as_cells(answers: Sequence[Answer]) -> list[list[str]]:
    """The table's rows: claim, paper, ours, against the control, verdict, why."""
    return [
        [
            each.claim.says,
            paper_figure(each.claim),
            in_words(each.ours, each.claim, each.claim.of == "change"),
            in_words(each.control, each.claim, change=True) if each.claim.control else "",
            WORDS[each.verdict],
            each.reason,
        ]
        for each in answers
    ]


HEADINGS = ("Claim", "Paper", "Ours (interval)", "Against the control", "Verdict", "Why")


def as_markdown(answers: Sequence[Answer]) -> str:
    """The answers as a table in Markdown."""
    return markdown(HEADINGS, as_cells(answers), left=len(HEADINGS))
