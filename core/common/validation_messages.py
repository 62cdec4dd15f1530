"""Findings about a document in this application's words: what was expected, what was received."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from core.common.errors import Problem
from core.common.shown_text import shortened
from core.common.yaml import Place

_MANY = 12  # of more choices than this only the nearest are named


def unknown(received: Any, what: str, choices: Iterable[str], place: Place) -> Problem:
    """A name that is none of the choices; of many choices the nearest are named."""
    names = list(choices)
    near = difflib.get_close_matches(str(received), names, n=3, cutoff=0.5) if len(names) > _MANY else []
    advice = f"The nearest are: {', '.join(near)}." if near else f"Choose one of: {', '.join(names)}."
    return Problem(f"Expected {what}, received {shortened(received)}.", advice, place)


def kind_of(value: Any) -> str:
    """What a value is called in a YAML file."""
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        type(None): "nothing",
    }
    return names.get(type(value), type(value).__name__)


def in_words(error: ValidationError, prefix: Place = ()) -> list[Problem]:
    """pydantic's findings in the words of this application."""
    problems = []
    for item in error.errors():
        place = (*prefix, *item["loc"])
        problems.append(_problem(item["type"], item.get("ctx", {}), item["input"], item["msg"], place))
    return problems


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_TYPES = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "dict": "a mapping",
    "tuple": "a list", "list": "a list", "model": "a mapping",
}  # fmt: skip


def _problem(kind: str, context: dict[str, Any], received: Any, message: str, place: Place) -> Problem:
    shown = shortened(received) if isinstance(received, str | int | float | bool) else kind_of(received)
    if kind == "extra_forbidden":
        return Problem(
            f"Expected only known keys, received {shortened(place[-1])}.",
            "Check its spelling, or remove it.",
            place,
        )
    if kind == "missing":
        return Problem(f"Expected the key {place[-1]!r}, received none.", "Add it.", place)
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return Problem(f"Expected {words} {context[key]}, received {shown}.", "", place)
    if kind == "finite_number":
        return Problem(f"Expected a finite number, received {shown}.", "", place)
    if kind == "literal_error":
        return Problem(f"Expected {context['expected']}, received {shown}.", "", place)
    stem = kind.split("_")[0]
    if kind.endswith(("_type", "_parsing", "from_float")) and stem in _TYPES:
        return Problem(f"Expected {_TYPES[stem]}, received {shown}.", "", place)
    if kind == "string_pattern_mismatch":
        return Problem(f"Expected small letters, digits and hyphens, received {shown}.", "", place)
    if kind == "string_too_short" and received == "":
        return Problem("Nothing is given here yet.", "Pick it, or type it.", place)
    if kind in ("too_short", "string_too_short"):
        return Problem(f"Expected at least {context['min_length']} here, received {shown}.", "", place)
    if kind in ("too_long", "string_too_long"):
        most, actual = context["max_length"], context.get("actual_length")
        received = f"{actual}" if actual is not None else shown
        return Problem(f"Expected at most {most} here, received {received}.", "", place)
    message = message.removeprefix("Value error, ")
    return Problem(f"{message[:1].upper()}{message[1:]} (received {shown}).", "", place)
