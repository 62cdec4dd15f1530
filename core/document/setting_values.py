"""Setting one value in plain settings, through nested groups."""

from collections.abc import Mapping
from typing import Any

from core.common.declarations import declarations
from core.common.params import Params


def with_value(
    settings: Mapping[str, Any], kind: type[Params], path: tuple[str, ...], value: Any, unset: bool
) -> dict[str, Any]:
    """Plain settings with one value set or unset; a group that was not written yet keeps its own defaults."""
    name, rest = path[0], path[1:]
    result = dict(settings)
    field = next(field for field in declarations(kind) if field.name == name)
    if rest:
        assert field.group is not None
        inner = result.get(name)
        if inner is None:
            inner = field.group_defaults()
        defaults = field.group_defaults()
        if unset and len(rest) == 1 and rest[0] in defaults:
            value, unset = defaults[rest[0]], False
        inner = with_value(inner, field.group, rest, value, unset)
        result[name] = inner
        if inner == field.group_defaults():
            del result[name]
    elif unset:
        result.pop(name, None)
    else:
        result[name] = value
    return result
