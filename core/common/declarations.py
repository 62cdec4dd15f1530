"""What a form needs to know of a parameter, read from its declaration (no Qt).

`core.common.params.param` is the only place where labels, help, units, bounds and choices are written.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.common.params import Params, When, choices_of, one_of, when_of

_SLIDABLE = 0.01  # steps smaller than this are too many for a slider

Kind = Literal["bool", "int", "float", "text", "choice", "group"]
_Catalogues = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class ParameterDeclaration:
    """One parameter.

    Attributes:
        optional: None is a value ("not set").
        low, high: the bounds, None where there is none; `open_low`, `open_high`: not included.
        choices: value → sentence, of a `choice`.
        group: the nested declaration, of a `group`.
        path: what a person picks ("file", "folder", "file:Filter (*.x)"), else empty.
        added: it came later; at its default nothing is to be said of it.
        when: of another field, while which this one matters; None: always.
    """

    name: str
    kind: Kind
    label: str
    help: str
    default: Any
    required: bool
    optional: bool
    unit: str
    step: float | None
    low: float | None
    high: float | None
    open_low: bool
    open_high: bool
    choices: tuple[tuple[str, str], ...]
    group: type[Params] | None
    path: str
    advanced: bool
    added: bool
    when: When | None

    @property
    def is_share(self) -> bool:
        """A real number within a short range, in steps that a slider can give."""
        short = self.low is not None and self.high is not None and self.high - self.low <= 1
        return self.kind == "float" and short and (self.step or 0) >= _SLIDABLE and not self.optional

    def group_defaults(self) -> dict[str, Any]:
        """What this group's default sets differently from its own declaration, as plain data."""
        if self.group is None or not isinstance(self.default, BaseModel):
            return {}
        defaults = self.default.model_dump(mode="json")
        plain = {field.name: plain_value(field.default) for field in declarations(self.group)}
        return {name: value for name, value in defaults.items() if plain.get(name) != value}

    @property
    def empty_means(self) -> str:
        """What an optional value's absence means, in the declaration's own words."""
        _, found, words = self.help.partition("empty ")
        return words.rstrip(".") if found else ""


def declarations(model: type[Params]) -> tuple[ParameterDeclaration, ...]:
    """All parameters of a declaration, in its order."""
    catalogues = {
        name: tuple(choices_of(info).items()) for name, info in model.model_fields.items() if one_of(info)
    }
    return _declarations(model, tuple(catalogues.items()))


@lru_cache(maxsize=64)
def _declarations(model: type[Params], catalogues: _Catalogues) -> tuple[ParameterDeclaration, ...]:
    """`catalogues`: what the fields of a `OneOf` may be now; another content is another declaration."""
    return tuple(_read(name, info) for name, info in model.model_fields.items())


def plain_value(value: Any) -> Any:
    """A default as it would stand in the file."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def value_at(settings: Mapping[str, Any], field: ParameterDeclaration) -> Any:
    """The value in force: as set, or the default."""
    return settings.get(field.name, plain_value(field.default))


def _read(name: str, info: FieldInfo) -> ParameterDeclaration:
    annotation, optional = _without_none(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds = _bounds(info)
    kind: Kind = "choice" if one_of(info) else _kind(annotation)
    choices = choices_of(info)
    return ParameterDeclaration(
        name=name, kind=kind, label=info.title or name.replace("_", " "), help=info.description or "",
        default=None if info.default is PydanticUndefined else info.default, required=info.is_required(),
        optional=optional, unit=str(extra.get("unit", "")), step=_number(extra.get("step")),
        low=bounds.get("ge", bounds.get("gt")), high=bounds.get("le", bounds.get("lt")),
        open_low="gt" in bounds, open_high="lt" in bounds, choices=tuple(choices.items()),
        group=annotation if kind == "group" else None, path=str(extra.get("path", "")),
        advanced=bool(extra.get("advanced", False)), added=bool(extra.get("added", False)), when=when_of(str(extra.get("when", ""))),
    )  # fmt: skip


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
    return annotation, False


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        return "choice"
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return "group"
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    if annotation not in kinds:
        raise TypeError(f"a form knows no widget for {annotation!r}")
    return kinds[annotation]


def _bounds(info: FieldInfo) -> dict[str, float]:
    bounds = {}
    for item in info.metadata:
        for key in ("ge", "gt", "le", "lt"):
            value = getattr(item, key, None)
            if value is not None:
                bounds[key] = value
    return bounds


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
