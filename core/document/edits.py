"""Changes of settings and names, as functions from a pipeline to the next."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.common.declarations import declarations, plain_value, value_at
from core.common.params import Params
from core.common.paths import resolved
from core.data.settings import DataSettings
from core.document.data_axis import merged
from core.document.pipeline import Pipeline, SourceNode, StageNode, is_path, settings_class
from core.document.search import Free
from core.document.setting_values import with_value
from core.sources.catalogue import SOURCE_KINDS

_DESCRIPTION = ("about", "notes", "paper")


def find_node(pipeline: Pipeline, id: str) -> SourceNode | StageNode:
    """The source or stage with this id; KeyError when there is none."""
    return pipeline.stage(id) if id in pipeline.stage_ids else pipeline.source(id)


def titles(pipeline: Pipeline) -> dict[str, str]:
    """What people call every source and stage, by id."""
    names = {node.id: node.title for node in pipeline.stages}
    for source in pipeline.sources:
        word = source.source.title
        names[source.id] = source.name or (word if len(pipeline.sources) == 1 else f"{word} {source.id}")
    return names


def set_source_kind(pipeline: Pipeline, id: str, kind: str) -> Pipeline:
    """Another kind of source in its place; its settings start afresh."""
    content = pipeline.as_dict()
    for entry in content["sources"]:
        if entry["id"] == id:
            entry["kind"] = kind
            put(entry, "settings", blank_settings(SOURCE_KINDS[kind].Settings) or None)
    return Pipeline.parse(content)


def blank_settings(kind: type[Params]) -> dict[str, Any]:
    """Empty values of what a person has to give."""
    return {field.name: "" for field in declarations(kind) if field.required}


def set_enabled(pipeline: Pipeline, id: str, enabled: bool) -> Pipeline:
    """Switch a stage on or off."""
    return _with_stage(pipeline, id, "enabled", False if not enabled else None)


def rename(pipeline: Pipeline, id: str, name: str) -> Pipeline:
    """Another name for people; the id stays."""
    content = pipeline.as_dict()
    for node in (*content["sources"], *content["stages"]):
        if node["id"] == id:
            put(node, "name", name)
    return Pipeline.parse(content)


def set_setting(
    pipeline: Pipeline, id: str, path: tuple[str, ...], value: Any, unset: bool = False
) -> Pipeline:
    """Set (or unset) one setting of a source or stage; `path` leads through nested groups.

    The backbone of a source that has an axis is the first of the axis.
    """
    node = find_node(pipeline, id)
    kind = settings_class(node)
    changed = pipeline.with_settings(id, with_value(node.settings, kind, path, value, unset))
    axis = pipeline.axes.backbone
    if axis is None or (axis.source, ("backbone",)) != (id, path):
        return changed
    first = str(
        value_at(changed.source(id).settings, next(f for f in declarations(kind) if f.name == "backbone"))
    )
    return _with_backbones(changed, [first, *(value for value in axis.values[1:] if value != first)])


def fill_settings(pipeline: Pipeline, id: str, path: tuple[str, ...], values: Mapping[str, Any]) -> Pipeline:
    """Set several settings of the group at `path`; the others stay, and nothing is written for what is the default."""
    node = find_node(pipeline, id)
    kind, settings = settings_class(node), dict(node.settings)
    group = next(field for field in declarations(kind) if field.name == path[0])
    assert group.group is not None
    defaults = {field.name: plain_value(field.default) for field in declarations(group.group)}
    defaults |= group.group_defaults()
    for name, value in values.items():
        settings = with_value(settings, kind, (*path, name), value, value == defaults[name])
    return pipeline.with_settings(id, settings)


def set_kind(pipeline: Pipeline, id: str, kind: str, settings: Mapping[str, Any]) -> Pipeline:
    """The same place in the tree for a stage of another kind, with these settings."""
    content = pipeline.as_dict()
    content["stages"][pipeline.stage_ids.index(id)] |= {"kind": kind, "settings": dict(settings)}
    return Pipeline.parse(content)


def set_data(pipeline: Pipeline, path: tuple[str, ...], value: Any, unset: bool = False) -> Pipeline:
    """Set (or unset) one setting of the data section."""
    content = pipeline.as_dict()
    data = with_value(content.get("data", {}), DataSettings, path, value, unset)
    put(content, "data", data or None)
    return Pipeline.parse(content)


def plain_data(pipeline: Pipeline, name: str = "") -> dict[str, Any]:
    """The data section as it stands in the file, with what differs for one data set of the axis."""
    data, axis = pipeline.as_dict().get("data", {}), plain_data_axis(pipeline)
    return merged(data, axis["values"][name]) if axis is not None and name else data


def set_data_of(
    pipeline: Pipeline, name: str, path: tuple[str, ...], value: Any, unset: bool = False
) -> Pipeline:
    """Set one setting for one data set of the axis alone; unset, or as the data section has it, nothing is written."""
    axis = plain_data_axis(pipeline)
    assert axis is not None
    common: Any = pipeline.data.model_dump(mode="json")
    for key in path:
        common = common[key]
    changed = _with_own(axis["values"][name], path, value, unset or value == common)
    return set_data_axis(pipeline, {**axis, "values": {**axis["values"], name: changed}})


def _with_own(data: Mapping[str, Any], path: tuple[str, ...], value: Any, unset: bool) -> dict[str, Any]:
    """What differs, with one setting more or less; a group without any is not written."""
    name, *rest = path
    inner = _with_own(data.get(name, {}), tuple(rest), value, unset) if rest else value
    others = {key: one for key, one in data.items() if key != name}
    return others if inner == {} or (unset and not rest) else {**others, name: inner}


def set_baselines(pipeline: Pipeline, ids: Sequence[str]) -> Pipeline:
    """Other stages to compare with; none: the first stage."""
    return set_key(pipeline, "baseline", list(ids) or None)


def set_seeds(pipeline: Pipeline, seeds: Sequence[int]) -> Pipeline:
    """Other seeds; nothing is written for the default."""
    return _with_axis(pipeline, "seed", list(seeds) if list(seeds) != [42] else None)


def set_grid(pipeline: Pipeline, number: int, grid: Mapping[str, Any] | None) -> Pipeline:
    """Another grid in the place of one, or behind the last; None takes it out."""
    grids: list[Any] = plain_grids(pipeline)
    grids[number : number + 1] = [dict(grid)] if grid is not None else []
    return _with_axis(pipeline, "grid", grids or None)


def set_backbones(pipeline: Pipeline, axis: Mapping[str, Any] | None) -> Pipeline:
    """Another axis over backbones; None takes it out.

    Settings of backbones that are not in it any more go with them; the source itself shows the first.
    """
    changed = _with_axis(pipeline, "backbone", axis)
    if axis is None:
        return changed
    if axis["source"] in [source.id for source in pipeline.sources]:
        return set_setting(changed, axis["source"], ("backbone",), axis["values"][0])
    return _with_backbones(changed, axis["values"])


def _with_backbones(pipeline: Pipeline, values: Sequence[str]) -> Pipeline:
    """The axis over these backbones, with what is set for them."""
    axis = plain_backbones(pipeline) or {}
    own = {value: one for value, one in axis.pop("set", {}).items() if one and value in values}
    return _with_axis(pipeline, "backbone", {**axis, "values": list(values), **({"set": own} if own else {})})


def plain_backbones(pipeline: Pipeline) -> dict[str, Any] | None:
    """The axis over backbones as it stands in the file."""
    axis = pipeline.axes.backbone
    return None if axis is None else axis.model_dump(mode="json", by_alias=True, exclude_unset=True)


def set_data_axis(pipeline: Pipeline, axis: Mapping[str, Any] | None) -> Pipeline:
    """Another axis over data sets; None takes it out. Settings of data sets that are not in it any more go with them."""
    if axis is None:
        return _with_axis(pipeline, "data", None)
    own = {name: one for name, one in axis.get("set", {}).items() if one and name in axis["values"]}
    return _with_axis(pipeline, "data", {"values": dict(axis["values"]), **({"set": own} if own else {})})


def plain_data_axis(pipeline: Pipeline) -> dict[str, Any] | None:
    """The axis over data sets as it stands in the file."""
    axis = pipeline.axes.data
    return None if axis is None else axis.model_dump(mode="json", by_alias=True, exclude_unset=True)


def plain_grids(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The grids as they stand in the file."""
    return [grid.model_dump(mode="json", exclude_unset=True) for grid in pipeline.axes.grids]


def _with_axis(pipeline: Pipeline, name: str, value: Any) -> Pipeline:
    axes = {key: one for key, one in pipeline.as_dict().get("axes", {}).items() if one is not None}
    put(axes, name, value)
    return set_key(pipeline, "axes", axes or None)


def set_free(pipeline: Pipeline, path: str, free: Free | None) -> Pipeline:
    """Set a setting free, or bind it again (None); the search begins with the first and goes with the last."""
    search: dict[str, Any] = dict(pipeline.as_dict().get("search", {}))
    freed = dict(search.get("free", {}))
    freed.pop(path, None) if free is None else freed.update(
        {path: free.model_dump(mode="json", exclude_defaults=True)}
    )
    return set_search(pipeline, {**search, "free": freed})


def set_search(pipeline: Pipeline, search: Mapping[str, Any] | None) -> Pipeline:
    """Another search; without anything free there is none."""
    content = {name: value for name, value in (search or {}).items() if value not in ({}, [], None, ())}
    wanted = content if content.get("free") or content.get("slots") else None
    return set_key(pipeline, "search", wanted)


def without_free(content: dict[str, Any], *ids: str) -> None:
    """Take out of plain content what is free, or set for a backbone or data set, of sources and stages that are gone."""
    gone = tuple(f"{group}.{id}." for group in ("stages", "sources") for id in ids)
    axes = dict(content.get("axes", {}))
    for name in ("backbone", "data"):
        if axis := axes.get(name):
            own = {
                value: kept for value, paths in axis.get("set", {}).items()
                if (kept := {path: one for path, one in paths.items() if not path.startswith(gone)})
            }  # fmt: skip
            axes[name] = {key: one for key, one in axis.items() if key != "set"} | (
                {"set": own} if own else {}
            )
    if axes.get("backbone") and axes["backbone"]["source"] in ids:
        del axes["backbone"]
    put(content, "axes", axes or None)
    search = content.get("search")
    if not search:
        return
    search = {
        **search,
        "free": {path: free for path, free in search.get("free", {}).items() if not path.startswith(gone)},
    }
    slots = {
        name: [one for one in members if one not in ids] for name, members in search.get("slots", {}).items()
    }
    search["slots"] = {name: members for name, members in slots.items() if len(members) > 1}
    search = {name: value for name, value in search.items() if value != {}}
    put(content, "search", search if search.get("free") or search.get("slots") else None)


def set_key(pipeline: Pipeline, key: str, value: Any) -> Pipeline:
    """Set one key of the document itself; None takes it out."""
    content = pipeline.as_dict()
    put(content, key, value)
    return Pipeline.parse(content)


def as_own(pipeline: Pipeline, name: str) -> Pipeline:
    """Under another name, without what described the pipeline that it was made from: text, notes, paper and claims."""
    content = {key: value for key, value in pipeline.as_dict().items() if key not in _DESCRIPTION}
    return Pipeline.parse({**content, "name": name})


def new_pipeline(data: DataSettings) -> Pipeline:
    """One network that is trained on this data set, to begin with."""
    plain = data.model_dump(mode="json", exclude_unset=True)
    return Pipeline.parse({
        "espalier": 1,
        "name": "New pipeline",
        **({"data": plain} if plain else {}),
        "sources": [{"id": "network", "settings": {"backbone": "resnet20"}}],
        "stages": [{"id": "trained", "kind": "train", "name": "Trained", "settings": {"training": {"learning_rate": 0.005}}}],
    })  # fmt: skip


def with_absolute_paths(pipeline: Pipeline, base: Path) -> Pipeline:
    """For a file in another folder: paths relative to `base` become absolute."""
    content = pipeline.as_dict()
    others = (content.get("axes", {}).get("data") or {}).get("values", {}).values()
    places: list[tuple[dict[str, Any], type[Params]]] = [
        (data, DataSettings) for data in (content.get("data", {}), *others)
    ]
    for entry in (*content["sources"], *content["stages"]):
        places.append((entry.get("settings", {}), settings_class(find_node(pipeline, entry["id"]))))
    for settings, kind in places:
        for field in declarations(kind):
            value = settings.get(field.name)
            if isinstance(value, str) and value and (field.path or is_path(value)):
                settings[field.name] = str(resolved(value, base).resolve())
    return Pipeline.parse(content)


def _with_stage(pipeline: Pipeline, id: str, key: str, value: Any) -> Pipeline:
    content = pipeline.as_dict()
    put(content["stages"][pipeline.stage_ids.index(id)], key, value)
    return Pipeline.parse(content)


def put(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Set a key of plain content; what is empty is not written."""
    if value is None or value == "":
        mapping.pop(key, None)
    else:
        mapping[key] = value
