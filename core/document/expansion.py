"""A pipeline with an axis over backbones, written out: each backbone has a tree of stages of its own.

What does not come from the axis's source, and learns from nothing that does, stands there once. The first backbone keeps
the ids of the file; in those of the others the backbone's name stands behind.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.common.errors import Problem
from core.document import dimensions
from core.document.model import BackboneAxis, Node, Pipeline, StageNode, is_path, settings_class
from core.document.setting_values import with_value
from core.models.catalogue import BACKBONES

_LONGEST_ID, _LONGEST_NAME = 60, 30


@dataclass(frozen=True, slots=True)
class Origin:
    """What a source or stage of the pipeline written out is in the file.

    Attributes:
        index: its place among the sources or stages of the file.
        title: its name in the file.
        backbone: the label of the backbone that it is of; "" for what all have in common.
        first: whether that is the first backbone, or none.
    """

    index: int
    title: str
    backbone: str = ""
    first: bool = True


@dataclass(frozen=True, slots=True)
class Expansion:
    """A pipeline written out, and where its sources and stages come from, by their ids; empty without an axis."""

    pipeline: Pipeline
    origins: Mapping[str, Origin]

    def in_the_file(self, problem: Problem) -> Problem:
        """A problem of the pipeline written out at its place in the file; of a further backbone it says which."""
        place = problem.place
        if not self.origins or len(place) < 2 or place[0] not in ("sources", "stages"):
            return problem
        nodes: Sequence[Node] = self.pipeline.sources if place[0] == "sources" else self.pipeline.stages
        if not isinstance(place[1], int):
            return problem
        origin = self.origins[nodes[place[1]].id]
        message = problem.message if origin.first else f"With {origin.backbone}: {problem.message}"
        return Problem(
            message, problem.advice, (place[0], origin.index, *place[2:]), problem.line, problem.command
        )


def expanded(pipeline: Pipeline) -> Pipeline:
    """The pipeline written out; itself where it has no axis over backbones."""
    return expand(pipeline).pipeline


def expand(pipeline: Pipeline) -> Expansion:
    """The pipeline written out, with what each part of it is in the file. Its rules hold already.

    It has one data set: of an axis over them each is written out by itself (`core.document.data_axis`).
    """
    assert pipeline.axes.data is None
    axis = pipeline.axes.backbone
    if axis is None:
        return Expansion(pipeline, {})
    return _Writer(pipeline, axis).write()


def varying(pipeline: Pipeline, source: str) -> set[str]:
    """Ids of a source and of every stage that comes from it or learns from one that does."""
    found = {source}
    for node in pipeline.stages:
        needs = {pipeline.written_parent(node), *node.stage.references(node.parameters).values()}
        if needs & found:
            found.add(node.id)
    return found


def labels(values: Sequence[str]) -> tuple[str, ...]:
    """What people call these backbones, no longer than it takes to tell them apart."""
    titles = [
        BACKBONES[value].title if value in BACKBONES else value.removeprefix("timm:") for value in values
    ]
    short = [title.partition(" (")[0] for title in titles]
    return tuple(short if len(set(short)) == len(short) else titles)


def settings_for(node: Node, own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a source or stage with those that hold for one backbone only, by their paths."""
    settings = copy.deepcopy(dict(node.settings))
    group = "stages" if isinstance(node, StageNode) else "sources"
    for path, value in own.items():
        of, id, *way = path.split(".")
        if (of, id) == (group, node.id) and way != [dimensions.ENABLED]:
            settings = with_value(settings, settings_class(node), tuple(way), value, False)  # type: ignore[arg-type]
    return settings


class _Writer:
    """Writes one pipeline out."""

    def __init__(self, pipeline: Pipeline, axis: BackboneAxis):
        self.pipeline, self.axis = pipeline, axis
        self.varying = varying(pipeline, axis.source)
        self.labels = labels(axis.values)
        self.taken = {node.id for node in (*pipeline.sources, *pipeline.stages)}
        self.ids = [self._ids(number) for number in range(len(axis.values))]
        self.origins: dict[str, Origin] = {}

    def write(self) -> Expansion:
        pipeline = self.pipeline
        sources: list[dict[str, Any]] = []
        for index, source in enumerate(pipeline.sources):
            for number in self._numbers(source.id):
                sources.append(self._entry(source, index, number))
        stages = [self._stage(node, index, 0) for index, node in enumerate(pipeline.stages)]
        for number in range(1, len(self.axis.values)):
            for index, node in enumerate(pipeline.stages):
                if node.id in self.varying:
                    stages.append(self._stage(node, index, number))
        content = {**pipeline.as_dict(), "sources": sources, "stages": stages, "final": pipeline.final_id}
        content["baseline"] = self._of_each(pipeline.baselines)
        content["axes"] = {"seed": list(pipeline.axes.seed), "grid": self._grids()}
        return Expansion(Pipeline.parse(content), self.origins)

    def _ids(self, number: int) -> dict[str, str]:
        """The ids that the tree of one backbone has, by those of the file."""
        if number == 0:
            return {id: id for id in self.varying}
        name = re.sub(r"[^a-z0-9]+", "-", self.axis.values[number].lower()).strip("-")[:_LONGEST_NAME]
        ids = {}
        for id in sorted(self.varying):
            wanted = f"{id[: _LONGEST_ID - len(name) - 5]}-{name}"
            ids[id], again = wanted, 2
            while ids[id] in self.taken:
                ids[id], again = f"{wanted}-{again}", again + 1
            self.taken.add(ids[id])
        return ids

    def _numbers(self, id: str) -> range:
        return range(len(self.axis.values) if id in self.varying else 1)

    def _entry(self, node: Node, index: int, number: int) -> dict[str, Any]:
        """A source or stage as one backbone has it."""
        if node.id not in self.varying:
            self.origins[node.id] = Origin(index, node.title)
            return node.model_dump(mode="json", by_alias=True, exclude_unset=True)
        value, label = self.axis.values[number], self.labels[number]
        entry = node.model_dump(mode="json", by_alias=True, exclude_unset=True)
        id = self.ids[number][node.id]
        self.origins[id] = Origin(index, node.title, label, number == 0)
        own = self.axis.own.get(value, {})
        settings = settings_for(node, own)
        if node.id == self.axis.source:
            settings["backbone"] = value
        entry |= {"id": id, "settings": settings}
        if len(self.axis.values) > 1:
            named = node.name or (node.id if isinstance(node, StageNode) else "")
            entry["name"] = f"{named} · {label}" if named else label
        return entry

    def _stage(self, node: StageNode, index: int, number: int) -> dict[str, Any]:
        entry = self._entry(node, index, number)
        ids = self.ids[number] if node.id in self.varying else {}
        parent = self.pipeline.written_parent(node)
        entry["from"] = ids.get(parent, parent)
        if node.id in self.varying:
            switch = f"stages.{node.id}.{dimensions.ENABLED}"
            entry["enabled"] = bool(self.axis.own.get(self.axis.values[number], {}).get(switch, node.enabled))
            parameters = node.stage.Settings.parse(entry["settings"])
            for field, reference in node.stage.references(parameters).items():
                if not is_path(reference) and reference in ids:
                    entry["settings"][field] = ids[reference]
        return entry

    def _of_each(self, written: Sequence[str]) -> list[str]:
        """The stages of the file, in the tree of every backbone; those of the first come first."""
        every = [ids.get(id, id) for ids in self.ids for id in written]
        return list(dict.fromkeys(every))

    def _grids(self) -> list[dict[str, Any]]:
        return [
            {**grid.model_dump(mode="json", exclude_unset=True), "stage": self.ids[number].get(grid.stage, grid.stage)}
            for number in range(len(self.axis.values))
            for grid in self.pipeline.axes.grids
            if number == 0 or grid.stage in self.varying
        ]  # fmt: skip
