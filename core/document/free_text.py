"""The values of a free setting as a line of text, as an editor shows them: "0.2 to 0.8 by 0.05", "l1, lamp, taylor"."""

import re
from typing import Any

from core.common.declarations import ParameterDeclaration, value_at
from core.document.model import SourceNode, StageNode
from core.document.search import Free

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"({_NUMBER})\s*(?:to|–|…|\.\.)\s*({_NUMBER})(?:\s*(?:by\s*({_NUMBER})|(log)))?", re.IGNORECASE
)
_WIDE = 4.0  # a first range reaches from the value over this to the value times this


def as_text(free: Free) -> str:
    """A range or choices as text; "" where every value is free."""
    if free.low is not None and free.high is not None:
        by = f" by {free.step:g}" if free.step is not None else " log" if free.log else ""
        return f"{free.low:g} to {free.high:g}{by}"
    return ", ".join(_spelled(choice) for choice in free.choices)


def from_text(text: str, field: ParameterDeclaration | None, when: str = "") -> Free:
    """The other way; `field` is None of the switch of a stage. The condition is kept.

    Raises:
        ValueError: when it can be read as neither; the text says what was expected.
    """
    text, condition = text.strip(), {"when": when} if when else {}
    if not text:
        return Free.model_validate(condition)
    match = _RANGE.fullmatch(text)
    numeric = field is not None and field.kind in ("int", "float")
    if match is not None and numeric:
        read = int if field is not None and field.kind == "int" else float
        try:
            plain: dict[str, Any] = {"low": read(match[1]), "high": read(match[2])}
            plain |= {"step": read(match[3])} if match[3] else {"log": True} if match[4] else {}
        except ValueError as error:
            raise ValueError("expected whole numbers") from error
        return Free.model_validate({**plain, **condition})
    choices = [_read(part.strip(), field) for part in text.split(",") if part.strip()]
    return Free.model_validate({"choices": choices, **condition})


def first_range(node: SourceNode | StageNode, field: ParameterDeclaration, settings: dict[str, Any]) -> Free:
    """What a setting gets when it is set free: all choices, the declared bounds, or a range around its value."""
    if field.kind not in ("int", "float"):
        return Free()
    value = value_at(settings, field)
    step = field.step if (field.step is not None and field.step < 1) or field.kind == "int" else None
    if field.is_share and field.low is not None and field.high is not None:
        low = field.low + (field.step or 0) * field.open_low
        high = field.high - (field.step or 0) * field.open_high
        return Free(low=round(low, 9), high=round(high, 9), step=field.step)
    around = float(value or field.low or 1)
    low, high = around / _WIDE, around * _WIDE
    if field.low is not None:
        low = max(low, field.low)
    if field.high is not None:
        high = min(high, field.high)
    if field.kind == "int":
        whole_low, whole_high = max(int(low), int(field.low or 0)), max(int(high), int(low) + 1)
        return Free(low=whole_low, high=whole_high, step=int(step) if step and step > 1 else None)
    return Free(low=float(f"{low:.3g}"), high=float(f"{high:.3g}"), log=low > 0)


def _read(part: str, field: ParameterDeclaration | None) -> Any:
    if field is None or field.kind == "bool":
        words = {"on": True, "true": True, "off": False, "false": False}
        if part.lower() not in words:
            raise ValueError("expected on and off")
        return words[part.lower()]
    if field.kind in ("int", "float"):
        try:
            return int(part) if field.kind == "int" else float(part)
        except ValueError as error:
            raise ValueError(
                "expected a range such as '0.2 to 0.8 by 0.1', or numbers with commas between"
            ) from error
    return part


def _spelled(choice: Any) -> str:
    if isinstance(choice, bool):
        return "on" if choice else "off"
    return f"{choice:g}" if isinstance(choice, float) else str(choice)
