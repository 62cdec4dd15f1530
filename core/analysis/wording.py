"""Figures in words: headings, values, changes, verdicts, and where a number comes from.

The terminal, the reports and the window say the same of the same number; nobody else words them.
"""

from core.records.metrics import METRICS, MetricKind
from core.records.reports import Metric

NOT_PAIRED = "†"
NOT_PAIRED_MEANS = (
    f"{NOT_PAIRED} ratio of two medians that were not measured in alternation: "
    "the machine's state may have changed in between"
)
EXACT = frozenset(
    {"size_mb", "stored_mb", "params", "nonzero_params", "macs", "flops"}
)  # counted, not sampled


def measurable(change: Metric) -> bool:
    """Whether a change's interval leaves out zero; without one, or with one of no width, it is exact."""
    if change.low is None or change.high is None or change.low == change.high:
        return True
    return not change.low <= 0 <= change.high


def verdict(kind: MetricKind, change: Metric | None) -> str:
    """ "better", "worse", "same" (no measurable difference) or "" where neither can be said.

    A sampled figure without an interval, such as macro-F1, gets no verdict: its change may be chance.
    """
    if change is None or change.value is None or not kind.better:
        return ""
    if not measurable(change) or rounds_to_nothing(change):
        return "same"
    if change.low is None and kind.id not in EXACT:
        return ""
    return "better" if (change.value > 0) == (kind.better == "higher") else "worse"


def rounds_to_nothing(change: Metric) -> bool:
    """Whether a change is shown as zero."""
    return change.value is not None and abs(change.value) < (0.005 if change.unit == "points" else 0.05)


def heading(kind: MetricKind) -> str:
    """A column's heading with its unit."""
    unit = kind.shown_unit or kind.unit
    return f"{kind.label} [{unit}]" if unit else kind.label


def format_metric(kind: MetricKind, metric: Metric | None) -> str:
    """A metric's value for a table, without its unit; "—" where there is none."""
    if metric is None or metric.value is None:
        return "—"
    text = f"{metric.value * kind.scale:,.{kind.decimals}f}".replace(",", "\u202f")
    if metric.deviation:
        text += f" ± {metric.deviation * kind.scale:.{kind.decimals}f}"
    return text


def format_change(change: Metric | None, paired: bool = True) -> str:
    """A change for a table: "+1.2 points", "−34.0 %", "≈" where no difference is measurable.

    Args:
        paired: False marks a ratio of medians that were not measured in alternation.
    """
    if change is None or change.value is None:
        return ""
    sign = "+" if change.value > 0 else "−" if change.value < 0 else "±"
    digits = 2 if change.unit == "points" else 1
    text = f"{sign}{abs(change.value):.{digits}f} {change.unit}"
    return (text if measurable(change) else f"≈ ({text})") + ("" if paired else f" {NOT_PAIRED}")


def change_text(change: Metric | None, paired: bool = True) -> str:
    """A change with an arrow for its direction: "▼ −34.0 %"; "≈" where no difference is measurable."""
    text = format_change(change, paired)
    if not text or change is None or change.value is None or text.startswith("≈"):
        return text
    if rounds_to_nothing(change):
        return f"= 0 {change.unit}" + ("" if paired else f" {NOT_PAIRED}")
    return f"{'▲' if change.value > 0 else '▼'} {text}"


def provenance(kind: MetricKind, metric: Metric | None, change: Metric | None, paired: bool = True) -> str:
    """Where a figure comes from: definition, value, interval, n, how; the same of its change."""
    lines = [f"{kind.label}: {kind.help}"]
    if metric is None or metric.value is None:
        lines.append(f"Not available{': ' + metric.how if metric is not None and metric.how else ''}.")
        return "\n".join(lines)
    lines.append(value_in_full(metric))
    lines += [metric.how] if metric.how else []
    if change is not None and change.value is not None:
        lines += _change_lines(kind, change, paired)
    return "\n".join(lines)


def value_in_full(metric: Metric) -> str:
    """Value, unit, spread, interval and number of observations."""
    if metric.value is None:
        return "—"
    text = f"{metric.value:.6g} {metric.unit}".strip()
    if metric.deviation is not None:
        text += f", standard deviation {metric.deviation:.3g}"
    if metric.low is not None and metric.high is not None:
        level = f"{metric.level * 100:g} % interval" if metric.level else "interval"
        text += f"  ({level} {metric.low:.6g} to {metric.high:.6g})"
    return text + (f", n = {metric.n}" if metric.n is not None else "")


def _change_lines(kind: MetricKind, change: Metric, paired: bool) -> list[str]:
    words = f"Change against the baseline: {format_change(change)}"
    if change.low is not None and change.high is not None:
        level = f"{change.level * 100:g} % interval" if change.level else "interval"
        words += f", {level} {change.low:+.4g} to {change.high:+.4g} {change.unit}"
    lines = [words + (f", n = {change.n}" if change.n is not None else "")]
    sentence = {
        "better": "Better than the baseline.",
        "worse": "Worse than the baseline.",
        "same": "No measurable difference.",
    }.get(verdict(kind, change), "")
    if not sentence and change.low is None and kind.id not in EXACT:
        sentence = "Its uncertainty is not known: the difference may be chance."
    lines += [sentence] if sentence else []
    lines += [change.how] if change.how else []
    return lines + ([] if paired else [f"{NOT_PAIRED_MEANS}."])


def unit_of_change(name: str) -> str:
    """ "points", "%" or "" for a metric id."""
    return {"points": "points", "percent": "%"}.get(METRICS[name].change, "") if name in METRICS else ""
