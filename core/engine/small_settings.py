"""A stage's settings with as little work as it allows: for a rehearsal, and for networks whose steps are only timed."""

from typing import Any

from core.common.declarations import ParameterDeclaration, declarations
from core.common.params import Params

_CAPS = {"epochs": 1, "batches": 1, "images": 64}  # by unit: no setting of a stage asks for more
_STEPS = 2  # prunings of an iterative stage


def capped(model: type[Params], settings: dict[str, Any], batch: int | None = None) -> dict[str, Any]:
    """Settings with every number of epochs, batches and images as low as its cap.

    Args:
        batch: images at once, at most; None leaves the stages' own.
    """
    changed = dict(settings)
    for field in declarations(model):
        value = changed.get(field.name)
        if field.group is not None and isinstance(value, dict):
            changed[field.name] = capped(field.group, value, batch)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            changed[field.name] = _cap(field, value, batch)
    return changed


def _cap(field: ParameterDeclaration, value: float, batch: int | None) -> float:
    if field.name == "batch_size":
        return value if batch is None else min(value, batch)
    cap = _STEPS if field.name == "steps" else _CAPS.get(field.unit)
    if cap is None or value <= cap:
        return value
    return max(cap, 0 if field.low is None or field.open_low else field.low)
