"""Every change that the editor can make, as functions from a pipeline to the next (no Qt).

A chain stays what it looks like: removing or moving a stage keeps what the others continue.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.data.settings import DataSettings
from core.params import Params
from core.pipeline import Pipeline, SourceNode, StageNode, is_path
from core.stages.catalogue import STAGES
from gui.widgets.declared import declared, settings_class


class RefusedEdit(ValueError):
    """An edit that would leave no pipeline; the text says why."""


def find_node(pipeline: Pipeline, id: str) -> SourceNode | StageNode:
    """The source or stage with this id; KeyError when there is none."""
    return pipeline.stage(id) if id in pipeline.stage_ids else pipeline.source(id)


def titles(pipeline: Pipeline) -> dict[str, str]:
    """What people call every source and stage, by id."""
    found = {node.id: node.title for node in pipeline.stages}
    for source in pipeline.sources:
        word = "Network" if source.kind == "backbone" else "Checkpoint"
        found[source.id] = source.name or (word if len(pipeline.sources) == 1 else f"{word} {source.id}")
    return found


def parent_of(pipeline: Pipeline, index: int) -> str:
    """What the stage at `index` continues, switched-off stages counted."""
    node = pipeline.stages[index]
    return node.from_ or (pipeline.stages[index - 1].id if index else pipeline.sources[0].id)


def references(kind: str) -> tuple[str, ...]:
    """Names of the settings of a stage kind that name other stages (a teacher)."""
    blank: dict[str, Any] = {field.name: "" for field in declared(STAGES[kind].Settings) if field.required}
    return tuple(STAGES[kind].references(STAGES[kind].Settings.model_construct(**blank)))


def add_stage(pipeline: Pipeline, kind: str, after: str = "") -> tuple[Pipeline, str]:
    """A new stage behind `after` (at the end if empty), and its id."""
    content = pipeline.as_dict()
    ids = _ids(pipeline)
    new: dict[str, Any] = {
        "id": _free(kind, ids),
        "kind": kind,
        "name": _free_name(pipeline, STAGES[kind].title),
    }
    settings = {name: _likely_teacher(pipeline) for name in references(kind)}
    if settings:
        new["settings"] = settings
    index = pipeline.stage_ids.index(after) + 1 if after in pipeline.stage_ids else len(pipeline.stages)
    content["stages"].insert(index, new)
    return Pipeline.parse(content), new["id"]


def remove_stage(pipeline: Pipeline, id: str) -> Pipeline:
    """Without the stage; what continued it continues what it continued."""
    if len(pipeline.stages) == 1:
        raise RefusedEdit("A pipeline needs at least one stage.")
    content, index = pipeline.as_dict(), pipeline.stage_ids.index(id)
    parents = _parents(pipeline)
    wanted = {
        child: parents[id] if parent == id else parent for child, parent in parents.items() if child != id
    }
    del content["stages"][index]
    for key in ("baseline", "final"):
        if content.get(key) == id:
            del content[key]
    return _linked(content, wanted)


def duplicate_stage(pipeline: Pipeline, id: str) -> tuple[Pipeline, str]:
    """A copy right below that continues the same stage: a branch to vary; and its id."""
    content, index = pipeline.as_dict(), pipeline.stage_ids.index(id)
    parents = _parents(pipeline)
    copy = dict(content["stages"][index])
    copy["id"] = _free(id, _ids(pipeline))
    copy["name"] = _free_name(pipeline, pipeline.stages[index].title)
    content["stages"].insert(index + 1, copy)
    return _linked(content, {**parents, copy["id"]: parents[id]}), copy["id"]


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
        return _linked(content, parents)
    parents[lower["id"]], parents[upper["id"]] = parents[upper["id"]], lower["id"]
    if first + 2 < len(stages) and parents[stages[first + 2]["id"]] == lower["id"]:
        parents[stages[first + 2]["id"]] = upper["id"]
    return _linked(content, parents)


def set_enabled(pipeline: Pipeline, id: str, enabled: bool) -> Pipeline:
    """Switch a stage on or off."""
    return _with_stage(pipeline, id, "enabled", False if not enabled else None)


def set_parent(pipeline: Pipeline, id: str, parent: str) -> Pipeline:
    """Let a stage continue `parent`."""
    return _linked(pipeline.as_dict(), {**_parents(pipeline), id: parent})


def possible_parents(pipeline: Pipeline, id: str) -> tuple[str, ...]:
    """Sources and stages further up."""
    before = pipeline.stage_ids[: pipeline.stage_ids.index(id)]
    return (*(source.id for source in pipeline.sources), *before)


def rename(pipeline: Pipeline, id: str, name: str) -> Pipeline:
    """Another name for people; the id stays."""
    content = pipeline.as_dict()
    for node in (*content["sources"], *content["stages"]):
        if node["id"] == id:
            _put(node, "name", name)
    return Pipeline.parse(content)


def set_setting(
    pipeline: Pipeline, id: str, path: tuple[str, ...], value: Any, unset: bool = False
) -> Pipeline:
    """Set (or unset) one setting of a source or stage; `path` leads through nested groups."""
    node = find_node(pipeline, id)
    kind = settings_class(node)
    return pipeline.with_settings(id, changed(node.settings, kind, path, value, unset))


def set_data(pipeline: Pipeline, path: tuple[str, ...], value: Any, unset: bool = False) -> Pipeline:
    """Set (or unset) one setting of the data section."""
    content = pipeline.as_dict()
    now = changed(content.get("data", {}), DataSettings, path, value, unset)
    _put(content, "data", now or None)
    return Pipeline.parse(content)


def set_key(pipeline: Pipeline, key: str, value: Any) -> Pipeline:
    """Set one key of the document itself; None takes it out."""
    content = pipeline.as_dict()
    _put(content, key, value)
    return Pipeline.parse(content)


def with_absolute_paths(pipeline: Pipeline, base: Path) -> Pipeline:
    """For a file in another folder: paths relative to `base` become absolute."""
    content = pipeline.as_dict()
    places: list[tuple[dict[str, Any], type[Params]]] = [(content.get("data", {}), DataSettings)]
    for entry in (*content["sources"], *content["stages"]):
        places.append((entry.get("settings", {}), settings_class(find_node(pipeline, entry["id"]))))
    for settings, kind in places:
        for field in declared(kind):
            value = settings.get(field.name)
            if isinstance(value, str) and value and (field.path or is_path(value)):
                settings[field.name] = str((base / Path(value).expanduser()).resolve())
    return Pipeline.parse(content)


def changed(
    settings: Mapping[str, Any], kind: type[Params], path: tuple[str, ...], value: Any, unset: bool
) -> dict[str, Any]:
    """Plain settings with one value set or unset; a group that was not written yet keeps its own defaults."""
    name, rest = path[0], path[1:]
    result = dict(settings)
    field = next(field for field in declared(kind) if field.name == name)
    if rest:
        assert field.group is not None
        inner = result.get(name)
        if inner is None:
            inner = field.group_defaults()
        own = field.group_defaults()
        if unset and len(rest) == 1 and rest[0] in own:
            value, unset = own[rest[0]], False
        inner = changed(inner, field.group, rest, value, unset)
        result[name] = inner
        if inner == field.group_defaults():
            del result[name]
    elif unset:
        result.pop(name, None)
    else:
        result[name] = value
    return result


def _with_stage(pipeline: Pipeline, id: str, key: str, value: Any) -> Pipeline:
    content = pipeline.as_dict()
    _put(content["stages"][pipeline.stage_ids.index(id)], key, value)
    return Pipeline.parse(content)


def _put(mapping: dict[str, Any], key: str, value: Any) -> None:
    if value is None or value == "":
        mapping.pop(key, None)
    else:
        mapping[key] = value


def _parents(pipeline: Pipeline) -> dict[str, str]:
    return {node.id: parent_of(pipeline, index) for index, node in enumerate(pipeline.stages)}


def _linked(content: dict[str, Any], parents: Mapping[str, str]) -> Pipeline:
    """The document with every `from` as `parents` says, written only where it is not the one before."""
    before = content["sources"][0]["id"]
    for entry in content["stages"]:
        wanted = parents[entry["id"]]
        _put(entry, "from", wanted if wanted != before else None)
        before = entry["id"]
    return Pipeline.parse(content)


def _likely_teacher(pipeline: Pipeline) -> str:
    ids: list[str] = [node.id for node in pipeline.active]
    return pipeline.baseline if pipeline.baseline in ids else (ids[0] if ids else "")


def _ids(pipeline: Pipeline) -> set[str]:
    return {node.id for node in (*pipeline.sources, *pipeline.stages)}


def _free(stem: str, taken: set[str]) -> str:
    stem = stem[:50]
    if stem not in taken:
        return stem
    return next(f"{stem}-{number}" for number in range(2, len(taken) + 3) if f"{stem}-{number}" not in taken)


def _free_name(pipeline: Pipeline, name: str) -> str:
    taken = {node.title for node in (*pipeline.sources, *pipeline.stages)}
    if name not in taken:
        return name
    return next(f"{name} {number}" for number in range(2, len(taken) + 3) if f"{name} {number}" not in taken)


def stage_place(pipeline: Pipeline, node: StageNode) -> tuple[str, int]:
    """Where a stage stands in the document, as problems name it."""
    return ("stages", pipeline.stages.index(node))
