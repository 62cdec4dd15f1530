"""Durations and times as texts for people."""

import time


def duration(seconds: float) -> str:
    """To the second: "12 s", "3 min 20 s", "2 h 05 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rough_duration(seconds: float) -> str:
    """Rounded, for estimates: "8 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def time_left(seconds: float | None) -> str:
    """ "about 3 min left"; empty where nothing is known."""
    return "" if seconds is None else f"about {rough_duration(seconds)} left"


def time_taken(seconds: float | None) -> str:
    """ "3.2 s", "3 min 20 s"; empty where nothing is known."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def clock(seconds: float) -> str:
    """ "0:45", "12:05", "1:02:03"."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def date_and_time(seconds: float) -> str:
    """Seconds since 1970 in local time: "28 Nov 2026, 18:49"; empty for 0."""
    return time.strftime("%d %b %Y, %H:%M", time.localtime(seconds)) if seconds else ""
