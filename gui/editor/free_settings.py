"""What is free of a source or stage, as its form shows it, and how a person changes that (no widgets)."""

from typing import Any

from pydantic import ValidationError

from core.document import dimensions, edits
from core.document.free_text import as_text, first_range, from_text
from core.document.pipeline import Pipeline, SourceNode, StageNode
from gui.base.translation import tr

SettingPath = tuple[str, ...]


def path_of(node: SourceNode | StageNode, where: SettingPath) -> str:
    """The path of a setting, as a search names it."""
    group = "stages" if isinstance(node, StageNode) else "sources"
    return ".".join((group, node.id, *where))


def free_of(pipeline: Pipeline, node: SourceNode | StageNode) -> dict[SettingPath, str]:
    """What is free of a source or stage, each with the text of its values."""
    free = pipeline.search.free if pipeline.search is not None else {}
    start = path_of(node, ("",))
    return {
        tuple(path.removeprefix(start).split(".")): as_text(one)
        for path, one in free.items()
        if path.startswith(start)
    }


def changed(
    pipeline: Pipeline, node: SourceNode | StageNode, where: SettingPath, text: str | None
) -> Pipeline:
    """The pipeline with a setting bound (None), set free with a first range, or with the values in `text`.

    Raises:
        ValueError: when the text says no values.
    """
    path = path_of(node, where)
    if text is None:
        return edits.set_free(pipeline, path, None)
    _, field = dimensions.find(pipeline, path)
    free = pipeline.search.free.get(path) if pipeline.search is not None else None
    if free is None and field is not None:
        return edits.set_free(pipeline, path, first_range(node, field, _beside(node, where)))
    return edits.set_free(pipeline, path, from_text(text, field, free.when if free is not None else ""))


def reason(error: ValueError) -> str:
    """What was wrong with a line of values, as a sentence."""
    words = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    words = words.removeprefix("Value error, ")
    return tr("{reason}.", reason=f"{words[:1].upper()}{words[1:]}")


def _beside(node: SourceNode | StageNode, where: SettingPath) -> dict[str, Any]:
    """The values in force of a setting's group."""
    values: dict[str, Any] = node.parameters.model_dump(mode="json")
    for name in where[:-1]:
        values = values[name]
    return values
