"""Declaring parameters once: the form, the file's validation and the documentation read this.

Every parameter model is frozen and refuses unknown keys. A field is declared with `param`,
which carries label, help, unit, bounds and step; a choice carries one sentence per value.
"""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    """Base of every parameter model: immutable, no unknown keys, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(cls, content: Any) -> Self:
        """The parameters in plain data, strictly: text is no number, a number no switch.

        Raises:
            pydantic.ValidationError: with every field that does not fit.
        """
        return cls.model_validate_json(json.dumps(_completed(cls, content)), strict=True)


def _completed(model: type[BaseModel], content: Any) -> Any:
    """Groups that are given in part keep what the model's own default for the group sets.

    Without it, `training: {epochs: 2}` would lose a stage's own default weight decay.
    """
    if not isinstance(content, dict):
        return content
    completed = dict(content)
    for name, field in model.model_fields.items():
        default, given = field.default, completed.get(name)
        if isinstance(default, Params) and isinstance(given, dict):
            merged = {**default.model_dump(mode="json", exclude_unset=True), **given}
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
        bounds: pydantic's `ge`, `gt`, `le`, `lt`, `min_length`, …: the only place of a bound.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced}
    if step is not None:
        extra["step"] = step
    if choices is not None:
        extra["choices"] = choices
    if path:
        extra["path"] = path
    return Field(default, title=label, description=help, json_schema_extra=extra, **bounds)
