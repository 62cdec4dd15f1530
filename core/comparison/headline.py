"""What a run achieved, in one sentence and a few figures: for somebody who was not there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.analysis.interval_support import TIMED, uncertain, wide
from core.analysis.rows import Row
from core.analysis.wording import change_text, format_metric, verdict
from core.common.numbers import grouped
from core.comparison.compared_runs import ComparedRun
from core.records.metrics import METRICS
from core.records.reports import Metric

_TILES = ("top1", "size_mb", "latency_ms", "params", "memory_mb")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure before and after. `verdict`: "better", "worse", "same", "unsure" or ""."""

    label: str
    before: str
    after: str
    change: str
    verdict: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """The result of a run against its baseline."""

    sentence: str
    about: str
    tiles: tuple[Tile, ...]


def headline(run: ComparedRun, rows: Sequence[Row]) -> Headline | None:
    """The run's result; None where its final stage, or what it is compared with, is not there yet."""
    own = [row for row in rows if row.origin is not None and row.origin.folder == run.folder]
    base = next((row for row in own if row.baseline and row.stage == run.baseline_of(run.final)), None)
    final = next((row for row in own if row.stage == run.final), None)
    if base is None or final is None or final is base:
        return None
    parts = [part for part in (_size(final), _speed(final)) if part]
    accuracy = _accuracy(final)
    words = " and ".join(parts)
    sentence = f"{words[:1].upper()}{words[1:]}{', ' if words and accuracy else ''}{accuracy if words else _capital(accuracy)}."
    if not words and not accuracy:
        sentence = f"{final.label} is measured; no difference from {base.label} is."
    latency = final.metrics.get("latency_ms")
    about = f"{final.label} against {base.label}" + (
        f"; latency: {latency.how}" if latency and latency.how else ""
    )
    return Headline(sentence, f"{about}.", tuple(_tiles(base, final)))


def _size(row: Row) -> str:
    change = row.change.get("size_mb")
    if change is None or change.value is None:
        return ""
    return _factor(change, "smaller", "larger")


def _speed(row: Row) -> str:
    change = row.change.get("latency_ms")
    if change is None or change.value is None or "latency_ms" in row.loose:  # not measured in alternation
        return ""
    said = verdict(METRICS["latency_ms"], change)
    if said == "same":
        return "not measurably faster or slower"
    return _factor(change, "faster", "slower") if said in ("better", "worse") else ""


def _factor(change: Metric, less: str, more: str) -> str:
    """ "3.5 times smaller", "12 % smaller" of a change in percent; "1.6 to 2 times faster" where its interval is wide."""
    value = change.value or 0.0
    if abs(value) < 0.5:
        return ""
    way, low, high = less if value < 0 else more, change.low or 0.0, change.high or 0.0
    if wide(change) and low <= -100:  # no more than the direction is known
        return way
    ends = (low, high) if wide(change) else (value,)
    as_times = value <= -33.3 or value >= 50
    shown = {_times(end) if as_times else f"{abs(end):.0f}" for end in ends}
    return f"{' to '.join(sorted(shown, key=float))} {'times' if as_times else '%'} {way}"


def _times(percent: float) -> str:
    """How many times as small, or as large, a change in percent makes."""
    ratio = 100 / (100 + percent) if percent < 0 else (100 + percent) / 100
    return f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}"


def _accuracy(row: Row) -> str:
    change, metric = row.change.get("top1"), row.metrics.get("top1")
    if change is None or change.value is None or metric is None:
        return ""
    said, images = verdict(METRICS["top1"], change), change.n or metric.n
    on = f" on {grouped(images)} images" if images else ""
    if said == "same":
        known = change.low is not None and change.high is not None
        between = f" ({_signed(change.low or 0.0)} to {_signed(change.high or 0.0)} points)" if known else ""
        return f"accuracy not measurably changed{on}{between}"
    if said not in ("better", "worse"):
        return ""
    words = "more" if said == "better" else "less"
    bounds = ""
    if change.low is not None and change.high is not None:
        low, high = sorted((abs(change.low), abs(change.high)))
        bounds = f" ({low:.1f} to {high:.1f})"
    return f"{abs(change.value):.1f} points{bounds} {words} accurate{on}"


def _tiles(base: Row, final: Row) -> Iterator[Tile]:
    for name in _TILES:
        kind, before, after = METRICS[name], base.metrics.get(name), final.metrics.get(name)
        if before is None or after is None or before.value is None or after.value is None:
            continue
        change = final.change.get(name)
        unit = f" {kind.shown_unit or kind.unit}".rstrip()
        yield Tile(
            kind.label, format_metric(kind, before) + unit, format_metric(kind, after) + unit,
            change_text(change, name not in final.loose), verdict(kind, change), _interval(name, after),
        )  # fmt: skip


def _interval(name: str, metric: Metric) -> str:
    if metric.low is None or metric.high is None or uncertain(name, metric):
        return ""
    kind = METRICS[name]
    low, high = (f"{bound * kind.scale:.{kind.decimals}f}" for bound in (metric.low, metric.high))
    return f"{low} to {high}" if name in TIMED or name == "top1" else ""


def _signed(points: float) -> str:
    return f"{'+' if points > 0 else '−' if points < 0 else '±'}{abs(points):.1f}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
