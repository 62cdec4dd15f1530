"""Settings for single layers, as a sensitivity scan proposes them, and for calibration, as trials do, written into a pipeline.

Which settings take what a scan suggests, the stages say (`Stage.overrides`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.document import edits, stage_tree
from core.document.pipeline import Pipeline, StageNode
from core.stages.base import ScanKind
from core.stages.catalogue import STAGES

SCANS: tuple[ScanKind, ...] = ("prune", "quantize", "calibrate")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an override can go: a stage of the pipeline, or a new one.

    Attributes:
        id: of the stage; empty for a new one, of `kind`. field: the setting that takes it.
        warning: why its network is another than the scanned one; empty where it continues that.
    """

    id: str
    title: str
    field: str
    kind: str = ""
    warning: str = ""


def targets(pipeline: Pipeline, scan: ScanKind, after: str) -> list[Target]:
    """Stages that take per-layer overrides: the one that would work on the scanned network next, a new one, others.

    Args:
        after: the stage whose network was scanned.
    """
    takers = [node for node in pipeline.stages if scan in node.stage.overrides]
    known = after in pipeline.stage_ids
    chains = {node.id: [one.id for one in pipeline.chain(node)] for node in takers}
    behind = [node for node in takers if after in chains[node.id]]
    behind.sort(key=lambda node: len(chains[node.id]) - chains[node.id].index(after))
    found = [_target(node, scan, _between(pipeline, chains[node.id], after, scan)) for node in behind]
    stage_class = next((stage for stage in STAGES.values() if scan in stage.overrides), None)
    if stage_class is not None:
        place = _place_of_new(pipeline, stage_class.id, after) if known else "at the end"
        title = f"A new stage '{stage_class.title}' {place}"
        found.append(Target("", title, stage_class.overrides[scan], stage_class.id))
    for node in takers:
        if node not in behind:
            found.append(_target(node, scan, _elsewhere(pipeline, node, after) if known else ""))
    return found


def _target(node: StageNode, scan: ScanKind, warning: str) -> Target:
    return Target(node.id, node.title, node.stage.overrides[scan], warning=warning)


def _place_of_new(pipeline: Pipeline, kind: str, after: str) -> str:
    """Where a new stage goes: right after the scanned one, or before it where nothing can follow that."""
    added, id = stage_tree.add_stage(pipeline, kind, after)
    parent = added.written_parent(added.stage(id))
    next_one = next((node.title for node in added.stages if added.written_parent(node) == id), "")
    if parent != after and next_one:
        return f"before '{next_one}'"
    return f"after '{edits.titles(pipeline)[parent]}'"


def _between(pipeline: Pipeline, chain: list[str], after: str, scan: ScanKind) -> str:
    """What changes the network between the scanned stage and the one that takes the override."""
    others = [id for id in chain[chain.index(after) + 1 :] if scan in pipeline.stage(id).stage.overrides]
    return (
        f"'{pipeline.stage(others[0]).title}' stands between: it changes the network that was scanned."
        if others
        else ""
    )


def _elsewhere(pipeline: Pipeline, node: StageNode, after: str) -> str:
    """Why a stage that does not continue the scanned one works on another network."""
    if node.id == after:
        return (
            f"'{node.title}' made the network that was scanned: it works on the one before, whose layers may matter "
            "otherwise."
        )
    return f"'{node.title}' does not continue '{pipeline.stage(after).title}', whose network was scanned."


def with_override(
    pipeline: Pipeline, target: Target, text: str, after: str, scope: str = ""
) -> tuple[Pipeline, str]:
    """The pipeline with the override in place, and the id of the stage that holds it.

    Args:
        after: the stage that a new stage continues. scope: of a pruning scan, for a new stage that has one.
    """
    settings = {target.field: text}
    if target.kind and scope and "scope" in STAGES[target.kind].Settings.model_fields:
        settings = {"scope": scope, **settings}
    return with_settings(pipeline, target, settings, after)


def with_settings(
    pipeline: Pipeline, target: Target, settings: Mapping[str, Any], after: str
) -> tuple[Pipeline, str]:
    """The pipeline with settings of the target, and the id of the stage that holds them; arguments as above."""
    id = target.id
    if not id:
        pipeline, id = stage_tree.add_stage(pipeline, target.kind, after)
    for name, value in settings.items():
        pipeline = edits.set_setting(pipeline, id, (name,), value)
    return pipeline, id
