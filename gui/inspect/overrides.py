"""Sends what a scan found into the open pipeline: one edit that can be undone (no widgets)."""

from dataclasses import dataclass

from core.document.pipeline import Pipeline
from core.stages.catalogue import STAGES
from gui.base.translation import tr
from gui.editor import edits, forest

PRUNE_FIELD, KEEP_FIELD = "own_ratios", "keep"
_FRESH = {PRUNE_FIELD: "prune-channels", KEEP_FIELD: "quantize-static"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an override can go: a stage of the pipeline, or a new one (`id` empty)."""

    id: str
    title: str


def targets(pipeline: Pipeline, field: str, after: str) -> list[Target]:
    """Stages that take per-layer overrides, those behind `after` first, and a new stage behind it."""
    ids = list(pipeline.stage_ids)
    start = ids.index(after) if after in ids else -1
    order = [*pipeline.stages[start + 1 :], *pipeline.stages[: start + 1]]
    found = [Target(node.id, node.title) for node in order if field in node.stage.Settings.model_fields]
    kind = _FRESH[field]
    if kind in STAGES:
        place = tr(" after '{title}'", title=pipeline.stage(after).title) if start >= 0 else tr(" at the end")
        found.append(Target("", tr("A new stage '{title}'{place}", title=STAGES[kind].title, place=place)))
    return found


def with_override(
    pipeline: Pipeline, target: Target, field: str, text: str, after: str, scope: str = ""
) -> tuple[Pipeline, str]:
    """The pipeline with the override in place, and the id of the stage that holds it.

    Args:
        after: the stage that a new stage continues. scope: of a pruning scan, for a new stage.
    """
    id = target.id
    if not id:
        pipeline, id = forest.add_stage(pipeline, _FRESH[field], after)
        if scope and field == PRUNE_FIELD:
            pipeline = edits.set_setting(pipeline, id, ("scope",), scope)
    return edits.set_setting(pipeline, id, (field,), text), id
