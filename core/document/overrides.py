"""Settings for single layers, as a sensitivity scan proposes them, written into a pipeline.

Which settings take what a scan suggests, the stages say (`Stage.overrides`).
"""

from dataclasses import dataclass

from core.document import edits, stage_tree
from core.document.pipeline import Pipeline
from core.stages.base import ScanKind
from core.stages.catalogue import STAGES

SCANS: tuple[ScanKind, ...] = ("prune", "quantize")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an override can go: a stage of the pipeline, or a new one.

    Attributes:
        id: of the stage; empty for a new one, of `kind`. field: the setting that takes it.
    """

    id: str
    title: str
    field: str
    kind: str = ""


def targets(pipeline: Pipeline, scan: ScanKind, after: str) -> list[Target]:
    """Stages that take per-layer overrides, those behind `after` first, and a new stage behind it."""
    ids = list(pipeline.stage_ids)
    start = ids.index(after) if after in ids else -1
    order = [*pipeline.stages[start + 1 :], *pipeline.stages[: start + 1]]
    stage_targets = [
        Target(node.id, node.title, node.stage.overrides[scan])
        for node in order
        if scan in node.stage.overrides
    ]
    stage_class = next((stage for stage in STAGES.values() if scan in stage.overrides), None)
    if stage_class is not None:
        place = f" after '{pipeline.stage(after).title}'" if start >= 0 else " at the end"
        title = f"A new stage '{stage_class.title}'{place}"
        stage_targets.append(Target("", title, stage_class.overrides[scan], stage_class.id))
    return stage_targets


def with_override(
    pipeline: Pipeline, target: Target, text: str, after: str, scope: str = ""
) -> tuple[Pipeline, str]:
    """The pipeline with the override in place, and the id of the stage that holds it.

    Args:
        after: the stage that a new stage continues. scope: of a pruning scan, for a new stage that has one.
    """
    id = target.id
    if not id:
        pipeline, id = stage_tree.add_stage(pipeline, target.kind, after)
        if scope and "scope" in STAGES[target.kind].Settings.model_fields:
            pipeline = edits.set_setting(pipeline, id, ("scope",), scope)
    return edits.set_setting(pipeline, id, (target.field,), text), id
