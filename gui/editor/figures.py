"""Counts, sizes and times as cards and strips write them (no widgets)."""

from core.common.numbers import signed_percent, significant
from core.whatif import Forecast
from gui.base.translation import tr


def short_count(count: float) -> str:
    """ "272 k", "23.5 M", "4.09 G": three digits."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= limit * 0.9995:
            return significant(count / limit, 3) + unit
    return f"{count:.0f}"


def short_size(count: float) -> str:
    """Bytes as "94.1 MB"; a megabyte is 10⁶ bytes."""
    if count >= 999_500:
        return f"{significant(count / 1e6, 3)} MB"
    return f"{significant(count / 1e3, 3)} kB"


def short_latency(milliseconds: float) -> str:
    """ "12.3 ms": three digits."""
    return f"{significant(milliseconds, 3)} ms" if milliseconds >= 1 else f"{milliseconds:.2f} ms"


def change(now: float, before: float) -> str:
    """ "−34 %" against what came before, "" where nothing changed or nothing was there."""
    if not before or now == before:
        return ""
    part = (now - before) / before
    return signed_percent(part) if abs(part) >= 0.005 else tr("less than 1 %")


def facts(forecast: Forecast | None) -> str:
    """One line for a card: parameters, MACs, size of the file."""
    if forecast is None:
        return ""
    if forecast.impossible:
        return f"⚠ {forecast.remark}"
    parts = [
        tr("{count} params", count=short_count(forecast.params)) if forecast.params is not None else "",
        f"{short_count(forecast.macs)} MACs" if forecast.macs is not None else "",
        short_size(forecast.bytes) if forecast.bytes is not None else "",
        f"≈ {short_latency(forecast.latency_ms)}" if forecast.latency_ms is not None else "",
    ]
    figures = " · ".join(part for part in parts if part)
    if not figures:
        return tr("Counted by the run")
    return f"≈ {figures}" if forecast.sure == "about" else figures
