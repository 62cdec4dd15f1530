"""Settings for single layers, as a sensitivity scan proposes them, written into a pipeline."""

from dataclasses import dataclass

from core.document import edits, stage_tree
from core.document.pipeline import Pipeline
from core.stages.catalogue import STAGES

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
        place = f" after '{pipeline.stage(after).title}'" if start >= 0 else " at the end"
        found.append(Target("", f"A new stage '{STAGES[kind].title}'{place}"))
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
        pipeline, id = stage_tree.add_stage(pipeline, _FRESH[field], after)
        if scope and field == PRUNE_FIELD:
            pipeline = edits.set_setting(pipeline, id, ("scope",), scope)
    return edits.set_setting(pipeline, id, (field,), text), id
