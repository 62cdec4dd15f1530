"""Figures in words: headings, values, changes, verdicts, and where a number comes from.

The terminal, the reports and the window say the same of the same number; nobody else words them.
"""

from collections.abc import Iterable, Mapping

from core.analysis.interval_support import estimated, measurable, uncertain, wide
from core.common.numbers import grouped, percent, significant
from core.records.metrics import METRICS, MetricKind
from core.records.reports import Metric

NOT_PAIRED, ESTIMATED = "†", "est. "
NOT_PAIRED_MEANS = (
    f"{NOT_PAIRED} ratio of two medians that were not measured in alternation: "
    "the machine's state may have changed in between"
)
RANGES_MEAN = (
    "A range of times, or of their changes, was measured on a busy machine: its interval says more than one figure. "
    "Measure again when it is quiet."
)
UNCERTAIN, UNCERTAIN_MEANS = (
    "⚠",
    "Too uncertain for one figure: the machine was busy. Measure again when it is quiet.",
)
EXACT = frozenset(
    {"size_mb", "stored_mb", "params", "nonzero_params", "macs", "flops"}
)  # counted, not sampled


def verdict(kind: MetricKind, change: Metric | None) -> str:
    """ "better", "worse", "same" (no measurable difference), "unsure" (its interval is too wide to tell) or "".

    A sampled figure without an interval, such as macro-F1, gets no verdict: its change may be chance.
    """
    if change is None or change.value is None or not kind.better:
        return ""
    if not measurable(change) and wide(change):
        return "unsure"
    if not measurable(change) or rounds_to_nothing(change):
        return "same"
    if change.low is None and kind.id not in EXACT:
        return ""
    return "better" if (change.value > 0) == (kind.better == "higher") else "worse"


def rounds_to_nothing(change: Metric) -> bool:
    """Whether a change is shown as zero."""
    return change.value is not None and abs(change.value) < (0.005 if change.unit == "points" else 0.05)


def heading(kind: MetricKind, rows: Iterable[Mapping[str, Metric]] = ()) -> str:
    """A column's heading with its unit, and whether its figures in these rows are estimated."""
    known = [row[kind.id] for row in rows if kind.id in row and row[kind.id].value is not None]
    unmeasured = sum(map(estimated, known))
    mark = "" if not unmeasured else ", estimated" if unmeasured == len(known) else ", partly estimated"
    unit = kind.shown_unit or kind.unit
    return kind.label + mark + (f" [{unit}]" if unit else "")


def format_metric(kind: MetricKind, metric: Metric | None) -> str:
    """A metric's value for a table, without its unit, "est." before one that was not measured; the range of an uncertain
    time; "—" where there is none."""
    if metric is None or metric.value is None:
        return "—"
    if uncertain(kind.id, metric):
        mark = ESTIMATED if estimated(metric) else ""
        return mark + time_range((metric.low or 0.0) * kind.scale, (metric.high or 0.0) * kind.scale)
    text = grouped(metric.value * kind.scale, f".{kind.decimals}f")
    text = f"{ESTIMATED}{text}" if estimated(metric) else text
    if metric.deviation:
        text += f" ± {metric.deviation * kind.scale:.{kind.decimals}f}"
    return text


def time_range(low: float, high: float) -> str:
    """What is known of an uncertain time: its ends, with two digits each, since more would pretend; no time begins at 0."""
    if low <= 0:
        return f"at most {significant(high, 2)}"
    return f"{significant(low, 2)} to {significant(high, 2)}"


def format_change(change: Metric | None, paired: bool = True) -> str:
    """A change for a table: "+1.2 points", "−34.0 %", "≈" where no difference is measurable, a range where it is wide.

    Args:
        paired: False marks a ratio of medians that were not measured in alternation.
    """
    if change is None or change.value is None:
        return ""
    mark = "" if paired else f" {NOT_PAIRED}"
    if wide(change):
        return f"{_signed(change.low or 0.0, 0)} to {_signed(change.high or 0.0, 0)} {change.unit}{mark}"
    text = f"{_signed(change.value, 2 if change.unit == 'points' else 1)} {change.unit}"
    return (text if measurable(change) else f"≈ ({text})") + mark


def _signed(value: float, digits: int) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{abs(value):.{digits}f}"


def change_text(change: Metric | None, paired: bool = True) -> str:
    """A change with an arrow for its direction: "▼ −34.0 %"; "≈" where no difference is measurable, "?" where none
    can be told."""
    text = format_change(change, paired)
    if not text or change is None or change.value is None or text.startswith("≈"):
        return text
    if not measurable(change):
        return f"? {text}"
    if rounds_to_nothing(change):
        return f"= 0 {change.unit}" + ("" if paired else f" {NOT_PAIRED}")
    return f"{'▲' if change.value > 0 else '▼'} {text}"


def provenance(kind: MetricKind, metric: Metric | None, change: Metric | None, paired: bool = True) -> str:
    """Where a figure comes from: definition, value, interval, n, how; the same of its change."""
    lines = [f"{kind.label}: {kind.help}"]
    if metric is None or metric.value is None:
        lines.append(f"Not available{': ' + metric.how if metric is not None and metric.how else ''}.")
        return "\n".join(lines)
    lines.append(value_in_full(kind.id, metric))
    lines += [metric.how] if metric.how else []
    lines += [UNCERTAIN_MEANS] if uncertain(kind.id, metric) else []
    if kind.id == "latency_ms" and metric.interrupted is None and metric.n is not None:
        lines.append("Measured by a version that did not look whether runs were interrupted.")
    if change is not None and change.value is None and change.how:
        lines.append(f"No change is stated: {change.how}.")
    if change is not None and change.value is not None:
        lines += _change_lines(kind, change, paired)
    return "\n".join(lines)


def value_in_full(name: str, metric: Metric) -> str:
    """Value, unit, spread, interval and number of observations of the metric `name`; of an uncertain time its range alone."""
    if metric.value is None:
        return "—"
    if uncertain(name, metric):
        text = f"{time_range(metric.low or 0.0, metric.high or 0.0)} {metric.unit}"
    else:
        text = f"{metric.value:.6g} {metric.unit}".strip()
        if metric.deviation is not None:
            text += f", standard deviation {metric.deviation:.3g}"
        if metric.low is not None and metric.high is not None:
            level = f"{metric.level * 100:g} % interval" if metric.level else "interval"
            text += f"  ({level} {metric.low:.6g} to {metric.high:.6g})"
    text += f", n = {metric.n}" if metric.n is not None else ""
    return text + (f", {percent(metric.interrupted)} of the runs set aside" if metric.interrupted else "")


def _change_lines(kind: MetricKind, change: Metric, paired: bool) -> list[str]:
    words = f"Change against the baseline: {format_change(change)}"
    if change.low is not None and change.high is not None:
        level = f"{change.level * 100:g} % interval" if change.level else "interval"
        words += f", {level} {change.low:+.4g} to {change.high:+.4g} {change.unit}".replace("-", "−")
    lines = [words + (f", n = {change.n}" if change.n is not None else "")]
    sentence = {
        "better": "Better than the baseline.",
        "worse": "Worse than the baseline.",
        "same": "No measurable difference.",
        "unsure": "Whether it differs from the baseline cannot be told.",
    }.get(verdict(kind, change), "")
    if not sentence and change.low is None and kind.id not in EXACT:
        sentence = "Its uncertainty is not known: the difference may be chance."
    lines += [sentence] if sentence else []
    lines += [change.how] if change.how else []
    return lines + ([] if paired else [f"{NOT_PAIRED_MEANS}."])


def unit_of_change(name: str) -> str:
    """ "points", "%" or "" for a metric id."""
    return {"points": "points", "percent": "%"}.get(METRICS[name].change, "") if name in METRICS else ""
