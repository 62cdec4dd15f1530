"""Stages as a piece of a pipeline file, to be copied within a pipeline and from one to another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.common import yaml
from core.common.errors import EspalierError
from core.common.validation_messages import in_words
from core.document import edits, stage_tree
from core.document.pipeline import FORMAT, Pipeline, is_path
from core.stages.catalogue import STAGES

_LARGEST = 1_000_000  # characters: a clipboard may hold anything


def copied(pipeline: Pipeline, ids: Sequence[str], base: Path) -> str:
    """These stages as YAML text; paths relative to `base` are written in full."""
    whole = edits.with_absolute_paths(pipeline, base)
    entries = []
    for node, entry in zip(whole.stages, whole.as_dict()["stages"], strict=True):
        if node.id in ids:
            entries.append({**entry, "from": whole.written_parent(node)})
    return yaml.dump({"espalier": FORMAT, "stages": entries})


def holds_stages(text: str) -> bool:
    """Whether a text looks like a piece of a pipeline file; cheap, for enabling an action."""
    return len(text) <= _LARGEST and "\nstages:" in f"\n{text}" and "espalier:" in text


def pasted(pipeline: Pipeline, text: str, after: str) -> tuple[Pipeline, tuple[str, ...]]:
    """The stages of a text behind a source or stage, and their new ids.

    The first continues `after`, and what continued that goes on behind the last of its chain; others that
    continued something outside the text become branches of `after`. Teachers among them stay
    their teachers; one that this pipeline does not have becomes its baseline.

    Raises:
        EspalierError: when the text holds no stages that can be used.
    """
    entries = _entries(text)
    names: dict[str, str] = {}  # of the text, to the new ids
    before = ""
    for entry in entries:
        parent = names.get(entry.pop("from", "") or before, after)
        branch = parent in [pipeline.written_parent(pipeline.stage(id)) for id in names.values()]
        old, settings = entry["id"], dict(entry.get("settings", {}))
        for name in stage_tree.references(entry["kind"]):
            if not settings.get(name) and name not in stage_tree.needed_references(entry["kind"]):
                continue
            settings[name] = _reference(pipeline, names, str(settings.get(name, "")))
        if settings:
            entry["settings"] = settings
        pipeline, names[old] = stage_tree.insert_stage(pipeline, entry, parent, branch)
        before = old
    return pipeline, tuple(names.values())


def _reference(pipeline: Pipeline, names: dict[str, str], value: str) -> str:
    if value in names or is_path(value):
        return names.get(value, value)
    return value if value in pipeline.stage_ids else stage_tree.likely_teacher(pipeline)


def _entries(text: str) -> list[dict[str, Any]]:
    """The stages of a text, each with a kind that there is and settings that it can have."""
    advice = "Copy stages in the editor, or the 'stages' of a pipeline file."
    if not holds_stages(text):
        raise EspalierError("Expected stages in the clipboard, received something else.", advice)
    parsed = yaml.parse(text)
    if parsed.problems:
        raise EspalierError(f"The stages in the clipboard have a problem: {parsed.problems[0]}", advice)
    content = parsed.content
    if not isinstance(content, dict):
        raise EspalierError("Expected stages in the clipboard, received something else.", advice)
    if content.get("espalier") != FORMAT:
        raise EspalierError(
            f"Expected stages in format {FORMAT}, received {content.get('espalier')!r}.",
            "A newer version of Espalier may have copied them.",
        )
    try:
        piece = Pipeline.parse(
            {"name": "Stages", "sources": [{"id": "source"}], "stages": content.get("stages")}
        )
        for node in piece.stages:
            if node.kind not in STAGES:
                raise EspalierError(f"There is no stage of the kind {node.kind!r} in the clipboard.", advice)
            STAGES[node.kind].Settings.parse(node.settings)
    except ValidationError as error:
        raise EspalierError(
            f"The stages in the clipboard have a problem: {in_words(error)[0]}", advice
        ) from error
    entries: list[dict[str, Any]] = piece.as_dict()["stages"]
    return entries
