"""Numbers as texts for people."""

import math


def percent(part: float, decimals: int = 0) -> str:
    """ "74 %" of a part of one, "73.8 %" with one decimal."""
    return f"{100 * part:.{decimals}f} %"


def signed_percent(part: float, decimals: int = 0) -> str:
    """ "+74 %", "−7.4 %"; "±0 %" of what rounds to nothing."""
    amount = percent(abs(part), decimals)
    sign = "±" if amount == percent(0, decimals) else "+" if part > 0 else "−"
    return sign + amount


def grouped(value: float, form: str = "") -> str:
    """A number with narrow spaces between its thousands (ISO 80000-1, 7.3.2); `form` is the rest of the format: ".1f"."""
    return f"{value:,{form}}".replace(",", "\u202f")


def significant(value: float, digits: int) -> str:
    """So many significant digits, and never an exponent: in two, 0.663 is "0.66" and 1234 is "1 200"."""
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = digits - 1 - math.floor(math.log10(abs(rounded))) if rounded else 0
    return grouped(rounded, f".{max(decimals, 0)}f")
