"""The pipeline that confirms a search's finalists: the file as it is, and a branch for what differs in each finalist.

What finalists and file have in common stands in it once. It is an ordinary pipeline, so it runs, is measured on the test
images, compared and exported as any other.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from core.common.keys import make_key
from core.document import dimensions
from core.document.model import Pipeline, SourceNode, StageNode, is_path
from core.search.records import TrialRecord

_LONGEST_ID = 50


def confirmation(pipeline: Pipeline, finalists: Sequence[TrialRecord]) -> Pipeline:
    """The pipeline; its final stage is that of the first finalist."""
    content = pipeline.as_dict()
    search = content.pop("search")
    seeds = search.get("seeds") or list(pipeline.axes.seed)
    content["axes"] = {"seed": seeds}
    written = dimensions.at(pipeline, {})
    nodes: tuple[SourceNode | StageNode, ...] = (*written.sources, *written.active)
    known = {_identity(written, node): node.id for node in nodes}
    for record in finalists:
        variant = dimensions.at(pipeline, record.values)
        content["final"] = _add(content, known, variant, record.number)
    content.setdefault("baseline", list(written.baselines))
    return Pipeline.parse(content)


def final_stages(pipeline: Pipeline, finalists: Sequence[TrialRecord]) -> dict[int, str]:
    """By trial, the stage of the confirmation that is its result."""
    return {
        record.number: confirmation(pipeline, finalists[: index + 1]).final_id
        for index, record in enumerate(finalists)
    }


def _add(content: dict[str, Any], known: dict[str, str], variant: Pipeline, number: int) -> str:
    """Add what a variant's final stage needs and is not there yet; the id that the final stage has there."""
    ids: dict[str, str] = {}
    for node in dimensions.needed(variant):
        root = variant.root(node)
        for one in (root, node):
            identity = _identity(variant, one)
            if identity not in known:
                known[identity] = _added(content, variant, one, ids, number)
            ids[one.id] = known[identity]
    return ids[variant.final_id]


def _added(
    content: dict[str, Any],
    variant: Pipeline,
    node: SourceNode | StageNode,
    ids: Mapping[str, str],
    number: int,
) -> str:
    id = f"{node.id[:_LONGEST_ID]}-t{number}"
    entry: dict[str, Any] = {"id": id, "kind": node.kind, "name": f"{node.title}, trial {number}"}
    settings = copy.deepcopy(dict(node.settings))
    if isinstance(node, StageNode):
        entry["from"] = ids[variant.parent(node)]
        for field, reference in node.stage.references(node.parameters).items():
            settings[field] = reference if is_path(reference) else ids[reference]
    if settings:
        entry["settings"] = settings
    content["stages" if isinstance(node, StageNode) else "sources"].append(entry)
    return id


def _identity(pipeline: Pipeline, node: SourceNode | StageNode) -> str:
    """The same for two nodes that give the same result."""
    parts: dict[str, Any] = {"kind": node.kind, "settings": node.parameters.model_dump(mode="json")}
    if isinstance(node, SourceNode):
        return make_key({**parts, "source": node.id})
    references = node.stage.references(node.parameters)
    for field, reference in references.items():
        if not is_path(reference):
            parts["settings"][field] = _identity(pipeline, pipeline.stage(reference))
    parent = pipeline.parent(node)
    before = pipeline.stage(parent) if parent in pipeline.stage_ids else pipeline.source(parent)
    return make_key({**parts, "after": _identity(pipeline, before)})
