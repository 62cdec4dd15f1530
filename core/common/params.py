"""Declaring parameters once: the form, the file's validation and the documentation read this.

Every parameter model is frozen and refuses unknown keys. A field is declared with `param`,
which carries label, help, unit, bounds and step; a choice carries one sentence per value. A field
that only matters while another one has a certain value says so with `when`; forms hide it otherwise.
A choice whose values are the ids of a catalogue is `Annotated[str, OneOf(...)]` instead of a `Literal`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

_WHEN = re.compile(r"([a-z_0-9]+)(?:(!=|=|>)(.+))?")


@dataclass(frozen=True, slots=True)
class Preset:
    """Values of a declaration that belong together.

    Attributes:
        help: one sentence: what for. values: by the setting's name, as plain data.
    """

    id: str
    title: str
    help: str
    values: Mapping[str, Any]


class Params(BaseModel):
    """Base of every parameter model: immutable, no unknown keys, finite numbers, defaults validated.

    Attributes:
        presets: values that a form offers to fill in at once.
    """

    presets: ClassVar[tuple[Preset, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, content: Any) -> Self:
        """The parameters in plain data, strictly: text is no number, a number no switch.

        Raises:
            pydantic.ValidationError: with every field that does not fit.
        """
        return cls.model_validate_json(json.dumps(_completed(cls, content)), strict=True)

    def for_key(self) -> dict[str, Any]:
        """The values as plain data for a cache key: all but those `added` later that stand at their default."""
        content = {}
        for name, field in type(self).model_fields.items():
            value, extra = getattr(self, name), field.json_schema_extra
            if isinstance(extra, dict) and extra.get("added") and value == field.default:
                continue
            content[name] = value.for_key() if isinstance(value, Params) else None
        dumped = self.model_dump(mode="json")
        return {name: dumped[name] if value is None else value for name, value in content.items()}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check every `when` against the declaration that it stands in."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            condition = when_of(str(extra.get("when", ""))) if isinstance(extra, dict) else None
            if condition is None:
                continue
            if condition.name not in cls.model_fields or condition.name == name:
                raise TypeError(
                    f"{cls.__name__}.{name}: 'when' names {condition.name!r}, which is no other field"
                )
            choices = tuple(choices_of(cls.model_fields[condition.name]))
            if choices and not set(condition.values) <= set(choices):
                raise TypeError(
                    f"{cls.__name__}.{name}: 'when' expects one of {choices}, not {condition.values}"
                )


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a text as one of the ids of a catalogue: `Annotated[str, OneOf(lambda: {"onnx": "A file."})]`.

    The ids are asked for when a value is checked and when a form is made, so that what is registered
    later counts. A wrong value gives the same error as a `Literal` of these ids.

    Attributes:
        choices: gives id → sentence, in the order of the form.
    """

    choices: Callable[[], Mapping[str, str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices())}

    def _checked(self, value: Any) -> str:
        ids = list(self.choices())
        if isinstance(value, str) and value in ids:
            return value
        raise PydanticKnownError("literal_error", {"expected": _either(ids)})


def _either(ids: Sequence[str]) -> str:
    """As pydantic lists the values of a `Literal`: "'a', 'b' or 'c'"."""
    quoted = [repr(id) for id in ids]
    return " or ".join(part for part in (", ".join(quoted[:-1]), *quoted[-1:]) if part)


def one_of(info: FieldInfo) -> OneOf | None:
    """The catalogue that a field's values come from; None for other fields."""
    return next((item for item in info.metadata if isinstance(item, OneOf)), None)


def choices_of(info: FieldInfo) -> dict[str, str]:
    """The values that a field may have, each with its sentence; empty where it is no choice."""
    catalogue = one_of(info)
    if catalogue is not None:
        return dict(catalogue.choices())
    if get_origin(info.annotation) is not Literal:
        return {}
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    descriptions: Any = extra.get("choices") or {}
    return {str(value): str(descriptions.get(str(value), "")) for value in get_args(info.annotation)}


@dataclass(frozen=True, slots=True)
class When:
    """A condition on another field of the same declaration.

    Attributes:
        sign: "=" any of `values`, "!=" none of them, ">" more than the number, "" set and not zero.
    """

    name: str
    sign: str
    values: tuple[str, ...]

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is so for these values in force, by name."""
        value = settings.get(self.name)
        if self.sign == "":
            return bool(value)
        if self.sign == ">":
            return value is not None and float(value) > float(self.values[0])
        return (str(value) in self.values) == (self.sign == "=")


def when_of(text: str) -> When | None:
    """The condition that a `when` spells; None for an empty text.

    "target=macs|parameters": the field `target` has one of these values. "steps>1": more than.
    "weights!=random": another value. "image_size": it is set and not zero.

    Raises:
        ValueError: when the text is not of this form.
    """
    if not text:
        return None
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a condition such as 'target=ratio', received {text!r}")
    name, sign, values = match[1], match[2] or "", tuple((match[3] or "").split("|"))
    if sign == ">":
        float(values[0])
    return When(name, sign, values if sign else ())


def _completed(model: type[BaseModel], content: Any) -> Any:
    """Groups that are given in part keep what the model's own default for the group sets.

    Without it, `training: {epochs: 2}` would lose a stage's own default weight decay.
    """
    if not isinstance(content, dict):
        return content
    completed = dict(content)
    for name, field in model.model_fields.items():
        default, value = field.default, completed.get(name)
        if isinstance(default, Params) and isinstance(value, dict):
            merged = {**default.model_dump(mode="json", exclude_unset=True), **value}
            completed[name] = _completed(type(default), merged)
    return completed


def param(
    default: Any,
    label: str,
    help: str,
    *,
    unit: str = "",
    step: float | None = None,
    choices: dict[str, str] | None = None,
    path: str = "",
    advanced: bool = False,
    when: str = "",
    added: bool = False,
    **bounds: Any,
) -> Any:
    """Declare one parameter of a `Params` model.

    Args:
        default: the default value, or `...` where a person has to give one.
        label: two or three words for the form.
        help: one or two sentences: what it does, and when to change it.
        unit: shown behind the value ("px", "epochs", "%").
        step: what one click on the form's arrow changes.
        choices: for a `Literal` field, one sentence per value.
        path: "file" or "folder" where the value is a path that a person picks; a file filter
            may follow a colon, as in "file:Weights (*.pth *.safetensors)".
        advanced: hidden in the form until "More" is opened.
        when: the field only matters while this holds of another field: "target=macs|parameters",
            "steps>1", "weights!=random", "image_size" (see `when_of`).
        added: it came after results had been kept, and its default is what was done before: at its
            default it enters no cache key.
        bounds: pydantic's `ge`, `gt`, `le`, `lt`, `min_length`, …: the only place of a bound.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced}
    if step is not None:
        extra["step"] = step
    if choices is not None:
        extra["choices"] = choices
    if path:
        extra["path"] = path
    if when:
        extra["when"] = when
    if added:
        extra["added"] = True
    return Field(default, title=label, description=help, json_schema_extra=extra, **bounds)
