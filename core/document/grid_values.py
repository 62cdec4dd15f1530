"""Values that a grid begins with: some on either side of the present one."""

from typing import Any

from core.common.declarations import ParameterDeclaration

_STEPS = 2  # of a setting's own steps, from one value to the next


def values_around(field: ParameterDeclaration, present: Any) -> list[Any]:
    """A few values of a setting, the present one in the middle where its bounds leave room; all of a choice."""
    if field.kind == "choice":
        return [value for value, _help in field.choices]
    if field.kind == "bool":
        return [False, True]
    whole = field.kind == "int"
    middle = present if isinstance(present, int | float) else field.low or 1
    distance = _STEPS * (field.step or 1)
    for bound in (field.low, field.high):
        if bound is not None and abs(middle - bound) > 0:
            distance = min(distance, abs(middle - bound) / 2)
    distance = max(1, int(distance)) if whole else distance
    around = [middle - distance, middle, middle + distance]
    if not _inside(field, around[0]):
        around = [middle, middle + distance, middle + 2 * distance]
    elif not _inside(field, around[2]):
        around = [middle - 2 * distance, middle - distance, middle]
    inside = [value for value in around if _inside(field, value)]
    return [int(value) for value in inside] if whole else [float(f"{value:.6g}") for value in inside]


def _inside(field: ParameterDeclaration, value: float) -> bool:
    above = field.low is None or value > field.low or (value == field.low and not field.open_low)
    below = field.high is None or value < field.high or (value == field.high and not field.open_high)
    return above and below
