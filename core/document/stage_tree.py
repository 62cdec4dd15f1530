"""Changes of the order of the stages, as functions from a pipeline to the next.

Removing or moving a stage keeps the order of the other stages of its chain.
"""

from collections.abc import Mapping
from typing import Any

from core.common.declarations import declarations
from core.document.edits import blank_settings, put, titles, without_free
from core.document.pipeline import Pipeline
from core.sources.catalogue import SOURCE_KINDS
from core.stages.base import DeploymentStage
from core.stages.catalogue import STAGES


class RefusedEdit(ValueError):
    """An edit that would leave no pipeline; the text says why."""


def references(kind: str) -> tuple[str, ...]:
    """Names of the settings of a stage kind that name other stages (teachers), the optional ones last."""
    return (*needed_references(kind), *STAGES[kind].optional_references)


def needed_references(kind: str) -> tuple[str, ...]:
    """Those of `references` that have to name one."""
    blank: dict[str, Any] = {
        field.name: "" for field in declarations(STAGES[kind].Settings) if field.required
    }
    return tuple(STAGES[kind].references(STAGES[kind].Settings.model_construct(**blank)))


def add_stage(pipeline: Pipeline, kind: str, after: str = "", branch: bool = False) -> tuple[Pipeline, str]:
    """A new stage, and its id.

    Args:
        after: a source or stage that it continues; what continued that in the same chain then
            continues the new one. Empty: at the end.
        branch: start a second continuation instead, and leave the others as they are. So does
            a stage on the exported file where a stage on the network follows; and where nothing
            can follow `after`, the stage continues the one before it.
    """
    new: dict[str, Any] = {"id": kind, "kind": kind, "name": STAGES[kind].title}
    settings = {name: likely_teacher(pipeline) for name in needed_references(kind)}
    if settings:
        new["settings"] = settings
    return insert_stage(pipeline, new, after or pipeline.stages[-1].id, branch)


def insert_stage(
    pipeline: Pipeline, entry: Mapping[str, Any], after: str, branch: bool = False
) -> tuple[Pipeline, str]:
    """A stage as it stands in a file, with an id and a name that are free here; as `add_stage`."""
    content = pipeline.as_dict()
    new = {**entry, "id": _free_id(entry["id"], _ids(pipeline))}
    new["name"] = _free_name(pipeline, entry.get("name") or entry["id"])
    after = _fitting_parent(pipeline, new["kind"], after)
    parents = {**_parents(pipeline), new["id"]: after}
    if branch or _must_branch(pipeline, new["kind"], after):
        index = _index_after_descendants(pipeline, after)
    else:
        index = _index_behind(pipeline, after)
        child = _next_in_chain(pipeline, after)
        if child:
            parents[child] = new["id"]
    content["stages"].insert(index, new)
    return _with_parents(content, parents), new["id"]


def remove_stage(pipeline: Pipeline, id: str) -> Pipeline:
    """Without the stage; what continued it continues what it continued."""
    if len(pipeline.stages) == 1:
        raise RefusedEdit("A pipeline needs at least one stage.")
    content, index = pipeline.as_dict(), pipeline.stage_ids.index(id)
    parents = _parents(pipeline)
    new_parents = {
        child: parents[id] if parent == id else parent for child, parent in parents.items() if child != id
    }
    del content["stages"][index]
    if content.get("final") == id:
        del content["final"]
    put(content, "baseline", [one for one in pipeline.baseline if one != id] or None)
    without_free(content, id)
    return _with_parents(content, new_parents)


def duplicate_stage(pipeline: Pipeline, id: str) -> tuple[Pipeline, str]:
    """A copy right below that continues the same stage: a branch to vary; and its id."""
    content, index = pipeline.as_dict(), pipeline.stage_ids.index(id)
    parents = _parents(pipeline)
    copy = dict(content["stages"][index])
    copy["id"] = _free_id(id, _ids(pipeline))
    copy["name"] = _free_name(pipeline, pipeline.stages[index].title)
    content["stages"].insert(index + 1, copy)
    return _with_parents(content, {**parents, copy["id"]: parents[id]}), copy["id"]


def duplicate_source(pipeline: Pipeline, id: str) -> tuple[Pipeline, str]:
    """A copy of a source, which nothing continues yet; and its id."""
    content = pipeline.as_dict()
    index = [source.id for source in pipeline.sources].index(id)
    copy = dict(content["sources"][index])
    copy["id"] = _free_id(id, _ids(pipeline))
    copy["name"] = _free_name(pipeline, titles(pipeline)[id])
    content["sources"].insert(index + 1, copy)
    return _with_parents(content, _parents(pipeline)), copy["id"]


def add_source(pipeline: Pipeline, kind: str) -> tuple[Pipeline, str]:
    """A new source behind the others, and its id."""
    content = pipeline.as_dict()
    new: dict[str, Any] = {
        "id": _free_id(kind, _ids(pipeline)),
        "kind": kind,
        "name": _free_name(pipeline, SOURCE_KINDS[kind].title),
    }
    blank = blank_settings(SOURCE_KINDS[kind].Settings)
    if blank:
        new["settings"] = blank
    content["sources"].append(new)
    return _with_parents(content, _parents(pipeline)), new["id"]


def remove_source(pipeline: Pipeline, id: str) -> Pipeline:
    """Without the source; what continued it continues the first of the others."""
    others = [source.id for source in pipeline.sources if source.id != id]
    if not others:
        raise RefusedEdit("A pipeline needs at least one network to start from.")
    content = pipeline.as_dict()
    content["sources"] = [entry for entry in content["sources"] if entry["id"] != id]
    without_free(content, id)
    parents = {child: others[0] if parent == id else parent for child, parent in _parents(pipeline).items()}
    return _with_parents(content, parents)


def can_move(pipeline: Pipeline, id: str, by: int) -> bool:
    """Whether the stage can change places with its neighbour above (-1) or below (+1)."""
    return 0 <= pipeline.stage_ids.index(id) + by < len(pipeline.stages)


def move_stage(pipeline: Pipeline, id: str, by: int) -> Pipeline:
    """Change places with the neighbour; in a chain their order of work changes with it."""
    first = pipeline.stage_ids.index(id) + min(by, 0)
    content = pipeline.as_dict()
    stages = content["stages"]
    upper, lower = stages[first], stages[first + 1]
    parents = _parents(pipeline)
    stages[first], stages[first + 1] = lower, upper
    if parents[lower["id"]] != upper["id"]:
        return _with_parents(content, parents)
    parents[lower["id"]], parents[upper["id"]] = parents[upper["id"]], lower["id"]
    if first + 2 < len(stages) and parents[stages[first + 2]["id"]] == lower["id"]:
        parents[stages[first + 2]["id"]] = upper["id"]
    return _with_parents(content, parents)


def move_after(pipeline: Pipeline, id: str, after: str) -> Pipeline:
    """Take a stage out of its place and put it behind `after`, a source or another stage.

    What continued the stage goes on with what it continued; what continued `after` in the same
    chain then continues the stage.
    """
    parents = _parents(pipeline)
    if after == id or parents[id] == after:
        return pipeline
    content = pipeline.as_dict()
    entry = content["stages"].pop(pipeline.stage_ids.index(id))
    new_parents = {child: parents[id] if parent == id else parent for child, parent in parents.items()}
    without = _with_parents(
        {**content, "stages": content["stages"]}, {c: p for c, p in new_parents.items() if c != id}
    )
    child = _next_in_chain(without, after)
    content = without.as_dict()
    content["stages"].insert(_index_behind(without, after), entry)
    new_parents[id] = after
    if child:
        new_parents[child] = id
    return _sorted(content, new_parents)


def branch_from(pipeline: Pipeline, id: str, parent: str) -> Pipeline:
    """Let a stage, with all that continues it, be a continuation of `parent`, wherever that stands.

    Raises:
        RefusedEdit: when `parent` continues the stage itself.
    """
    if parent == id or parent in descendants(pipeline, id):
        raise RefusedEdit("A stage cannot continue what continues it.")
    return _sorted(pipeline.as_dict(), {**_parents(pipeline), id: parent})


def descendants(pipeline: Pipeline, id: str) -> tuple[str, ...]:
    """The stages that continue a source or stage, directly or not, in the order of the file."""
    parents, members = _parents(pipeline), {id}
    for child in pipeline.stage_ids:
        if parents[child] in members:
            members.add(child)
    return tuple(child for child in pipeline.stage_ids if child in members - {id})


def set_parent(pipeline: Pipeline, id: str, parent: str) -> Pipeline:
    """Let a stage continue `parent`."""
    return _with_parents(pipeline.as_dict(), {**_parents(pipeline), id: parent})


def possible_parents(pipeline: Pipeline, id: str) -> tuple[str, ...]:
    """Sources and stages further up."""
    before = pipeline.stage_ids[: pipeline.stage_ids.index(id)]
    return (*(source.id for source in pipeline.sources), *before)


def _parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: pipeline.written_parent(node) for node in pipeline.stages}


def _with_parents(content: dict[str, Any], parents: Mapping[str, str]) -> Pipeline:
    """The document with every `from` as `parents` says, written only where it is not the one before."""
    before = content["sources"][0]["id"]
    for entry in content["stages"]:
        parent = parents[entry["id"]]
        put(entry, "from", parent if parent != before else None)
        before = entry["id"]
    return Pipeline.parse(content)


def _fitting_parent(pipeline: Pipeline, kind: str, after: str) -> str:
    """`after`, or the last before it that a stage of this kind can follow."""
    parents = _parents(pipeline)
    while after in parents and not _follows(kind, pipeline.stage(after).kind):
        after = parents[after]
    return after


def _must_branch(pipeline: Pipeline, kind: str, after: str) -> bool:
    """Whether a stage of this kind cannot stand between `after` and what follows it."""
    child = _next_in_chain(pipeline, after)
    return bool(child) and not _follows(pipeline.stage(child).kind, kind)


def _follows(kind: str, before: str) -> bool:
    """Whether a network or file is left for a stage; the finer rules are `core.document.order_rules`."""
    if kind not in STAGES or before not in STAGES or STAGES[before].effect in ("file", "quantized"):
        return before not in STAGES or kind not in STAGES
    on_file = isinstance(STAGES[before], DeploymentStage)
    return not on_file or isinstance(STAGES[kind], DeploymentStage)


def _next_in_chain(pipeline: Pipeline, id: str) -> str:
    """The stage that follows in the same chain: the first that continues it, or ""."""
    return next((child for child, parent in _parents(pipeline).items() if parent == id), "")


def _index_behind(pipeline: Pipeline, id: str) -> int:
    """Index of a stage right behind a source or stage."""
    if id in pipeline.stage_ids:
        return pipeline.stage_ids.index(id) + 1
    child = _next_in_chain(pipeline, id)
    return pipeline.stage_ids.index(child) if child else len(pipeline.stages)


def _index_after_descendants(pipeline: Pipeline, id: str) -> int:
    """Index behind all that continues a source or stage."""
    last = ([id] if id in pipeline.stage_ids else []) + list(descendants(pipeline, id))
    return pipeline.stage_ids.index(last[-1]) + 1 if last else len(pipeline.stages)


def _sorted(content: dict[str, Any], parents: Mapping[str, str]) -> Pipeline:
    """The document with its stages in an order in which each comes after what it continues and refers to."""
    waiting = list(content["stages"])
    ids = {entry["id"] for entry in waiting}
    placed_ids = {entry["id"] for entry in content["sources"]}
    ordered: list[dict[str, Any]] = []
    while waiting:
        free = [entry for entry in waiting if parents[entry["id"]] in placed_ids]
        informed = [entry for entry in free if _referenced_ids(entry) & ids <= placed_ids]
        entry = (informed or free)[0]
        waiting.remove(entry)
        placed_ids.add(entry["id"])
        ordered.append(entry)
    return _with_parents({**content, "stages": ordered}, parents)


def _referenced_ids(entry: Mapping[str, Any]) -> set[str]:
    """Ids that a stage's settings name."""
    names = references(entry["kind"]) if entry["kind"] in STAGES else ()
    return {str(entry.get("settings", {}).get(name, "")) for name in names}


def first_of_each_source(pipeline: Pipeline) -> tuple[str, ...]:
    """The first stage that runs of every source, in the order of the file: each network's own baseline."""
    firsts: dict[str, str] = {}
    for node in pipeline.active:
        firsts.setdefault(pipeline.root(node).id, node.id)
    return tuple(firsts.values())


def likely_teacher(pipeline: Pipeline) -> str:
    """The baseline, or the first stage that runs."""
    ids: list[str] = [node.id for node in pipeline.active]
    return next((id for id in (*pipeline.baseline, *ids) if id in ids), "")


def _ids(pipeline: Pipeline) -> set[str]:
    return {node.id for node in (*pipeline.sources, *pipeline.stages)}


def _free_id(stem: str, taken: set[str]) -> str:
    stem = stem[:50]
    if stem not in taken:
        return stem
    return next(f"{stem}-{number}" for number in range(2, len(taken) + 3) if f"{stem}-{number}" not in taken)


def _free_name(pipeline: Pipeline, name: str) -> str:
    taken = {node.title for node in (*pipeline.sources, *pipeline.stages)} | set(titles(pipeline).values())
    if name not in taken:
        return name
    return next(f"{name} {number}" for number in range(2, len(taken) + 3) if f"{name} {number}" not in taken)
