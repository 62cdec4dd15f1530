"""The document's content: a forest of stages over a data set, and what it is repeated and searched over.

Every stage has an id and a `from`: the stage before it unless said otherwise, or a source. Sources are the roots: a
backbone with head, FEM and weights, or a checkpoint. Immutable: every change makes a new document.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, FieldSerializationInfo, field_serializer, field_validator

from core.common.params import Params
from core.data.settings import DataSettings
from core.document.paper import PaperTable
from core.document.search import Search
from core.sources.base import Source
from core.sources.catalogue import SOURCE_KINDS
from core.stages.base import Stage
from core.stages.catalogue import STAGES

FORMAT = 1
MOST_STAGES, _MOST_VALUES = 1000, 1000
LONGEST_DATA_NAME = 40  # characters
_ID = r"^[a-z0-9][a-z0-9-]*$"


class Node(Params):
    """What sources and stages share: id, kind, settings as they stand in the file."""

    id: str = Field(pattern=_ID, max_length=60)
    kind: str
    name: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name that people see."""
        return self.name or self.id

    @property
    def parameters(self) -> Params:
        """The settings as their declared, checked type."""
        raise NotImplementedError


class SourceNode(Node):
    """A root of the forest."""

    kind: str = "backbone"

    @property
    def source(self) -> Source[Any]:
        """What its kind can do."""
        return SOURCE_KINDS[self.kind]

    @property
    def parameters(self) -> Params:
        """The settings as their declared, checked type."""
        return self.source.Settings.parse(self.settings)


class StageNode(Node):
    """A stage; `from_` is written `from` in the file and empty means the one before."""

    from_: str = Field("", alias="from")
    enabled: bool = True

    @property
    def stage(self) -> Stage:
        """The technique."""
        return STAGES[self.kind]

    @property
    def parameters(self) -> Params:
        """The settings as their declared, checked type."""
        return self.stage.Settings.parse(self.settings)


class Grid(Params):
    """One stage tried with every combination of some settings, judged on validation images.

    `settings` maps one or two names of the stage's settings to the values to try.
    """

    stage: str
    settings: dict[str, tuple[float | int | str | bool, ...]] = Field(min_length=1, max_length=2)
    images: int = Field(2000, ge=1)

    @field_validator("settings")
    @classmethod
    def _filled(cls, settings: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        if any(not values for values in settings.values()):
            raise ValueError("a setting of the grid has no values")
        if math.prod(len(values) for values in settings.values()) > _MOST_VALUES:
            raise ValueError(f"expected a grid of at most {_MOST_VALUES} points, received more")
        return settings


class BackboneAxis(Params):
    """A source's tree repeated for several backbones (`core.document.expansion`).

    Attributes:
        own: settings that hold for one of them only, by their paths as in a search: `stages.pruned.ratio`; `set` in the file.
    """

    source: str
    values: tuple[str, ...] = Field(min_length=1, max_length=_MOST_VALUES)
    own: dict[str, dict[str, Any]] = Field(default_factory=dict, alias="set")

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) != len(values):
            raise ValueError("the same backbone stands here twice")
        return values


class DataAxis(Params):
    """Several data sets; the pipeline runs on each by itself (`core.document.data_axis`).

    Attributes:
        values: what differs from the data section, by the name that people call the data set by.
        own: settings that hold for one of them only, by their paths as in a search: `stages.pruned.ratio`; `set` in the file.
    """

    values: dict[str, dict[str, Any]] = Field(min_length=1, max_length=_MOST_VALUES)
    own: dict[str, dict[str, Any]] = Field(default_factory=dict, alias="set")

    @field_validator("values")
    @classmethod
    def _named(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if any(
            not name.strip() or not name.isprintable() or len(name) > LONGEST_DATA_NAME for name in values
        ):
            raise ValueError(f"the name of a data set has 1 to {LONGEST_DATA_NAME} characters on one line")
        return values


class Axes(Params):
    """What a pipeline is repeated over; runs share the stages that they have in common."""

    seed: tuple[int, ...] = Field((42,), min_length=1, max_length=_MOST_VALUES)
    grids: tuple[Grid, ...] = Field(default=(), alias="grid", max_length=_MOST_VALUES)
    backbone: BackboneAxis | None = None
    data: DataAxis | None = None

    @field_serializer("grids")
    def _as_in_the_file(self, grids: tuple[Grid, ...], info: FieldSerializationInfo) -> Any:
        plain = [grid.model_dump(mode="json", exclude_unset=bool(info.exclude_unset)) for grid in grids]
        return plain if len(plain) > 1 else plain[0] if plain else None

    @field_validator("seed")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("the same seed stands here twice")
        if any(not 0 <= seed < 2**31 for seed in seeds):
            raise ValueError("a seed is a whole number from 0 to 2147483647")
        return seeds


class Pipeline(Params):
    """The whole document. Immutable: every change makes a new one."""

    espalier: Literal[1] = 1
    name: str = Field(min_length=1, max_length=120)
    about: str = ""
    data: DataSettings = DataSettings()
    sources: tuple[SourceNode, ...] = Field(min_length=1, max_length=MOST_STAGES)
    stages: tuple[StageNode, ...] = Field(min_length=1, max_length=MOST_STAGES)
    baseline: tuple[str, ...] = ()
    final: str = ""
    axes: Axes = Field(default_factory=lambda: Axes(seed=(42,)))
    search: Search | None = None
    paper: tuple[PaperTable, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: Any) -> Self:
        """The document in plain data, in which one baseline and one grid may stand without a list."""
        if not isinstance(content, dict):
            return super().parse(content)
        content = dict(content)
        if isinstance(content.get("baseline"), str):
            content["baseline"] = [content["baseline"]] if content["baseline"] else []
        axes = content.get("axes")
        if isinstance(axes, dict) and "grid" in axes:
            content["axes"] = {**axes, "grid": _listed(axes["grid"])}
        return super().parse(content)

    @field_serializer("baseline")
    def _as_in_the_file(self, baselines: tuple[str, ...]) -> str | list[str]:
        return list(baselines) if len(baselines) > 1 else "".join(baselines)

    def stage(self, id: str) -> StageNode:
        """The stage with this id; KeyError when there is none."""
        return _by_id(self.stages, id)

    def source(self, id: str) -> SourceNode:
        """The source with this id; KeyError when there is none."""
        return _by_id(self.sources, id)

    @property
    def stage_ids(self) -> tuple[str, ...]:
        return tuple(node.id for node in self.stages)

    @property
    def active(self) -> tuple[StageNode, ...]:
        """The stages that run, in the order of the file."""
        return tuple(node for node in self.stages if node.enabled)

    def written_parent(self, node: StageNode) -> str:
        """Id of the stage or source that `node` continues as the file says, a disabled stage included."""
        return node.from_ or self._written_parents()[node.id]

    def parent(self, node: StageNode) -> str:
        """Id of the stage or source that `node` continues; disabled stages are passed through."""
        chain, source = self._upwards(node)
        return chain[-1].id if chain else source

    def chain(self, node: StageNode) -> list[StageNode]:
        """The active stages before `node`, from its source on."""
        return self._upwards(node)[0]

    def root(self, node: StageNode) -> SourceNode:
        """The source at the bottom of the chain of `node`."""
        return self.source(self._upwards(node)[1])

    def _written_parents(self) -> dict[str, str]:
        parents, before = {}, self.sources[0].id
        for node in self.stages:
            parents[node.id] = node.from_ or before
            before = node.id
        return parents

    def _upwards(self, node: StageNode) -> tuple[list[StageNode], str]:
        """The active stages before `node`, from the top on, and the id of the source above them."""
        stages, parents = {one.id: one for one in self.stages}, self._written_parents()
        chain, id = [], node.from_ or parents[node.id]
        while id in stages:
            if stages[id].enabled:
                chain.append(stages[id])
            id = parents[id]
        return chain[::-1], id

    @property
    def baselines(self) -> tuple[str, ...]:
        """The stages that others are compared with: as given, or the first."""
        return self.baseline or (self.active[0].id,)

    def baseline_of(self, id: str) -> str:
        """The stage that `id` is compared with: the last baseline on the way to it, itself included.

        Where none is on its way: the first with the same source, else that of what it learns from, else the first.
        """
        baselines = self.baselines
        if len(baselines) == 1:
            return baselines[0]
        node = self.stage(id)
        way = [node.id, *(before.id for before in reversed(self.chain(node)))]
        root = self.root(node).id
        found = [one for one in way if one in baselines]
        found += [one for one in baselines if self.root(self.stage(one)).id == root]
        if not found:
            found = [self.baseline_of(teacher) for one in way for teacher in self._teachers(one)]
        return (found or baselines)[0]

    def _teachers(self, id: str) -> list[str]:
        node = self.stage(id)
        references = node.stage.references(node.parameters).values()
        return [reference for reference in references if reference in self.stage_ids]

    def baseline_of_each(self) -> dict[str, str]:
        """`baseline_of` every active stage."""
        return {node.id: self.baseline_of(node.id) for node in self.active}

    @property
    def final_id(self) -> str:
        """The stage whose model is the result: as given, or the last."""
        return self.final or self.active[-1].id

    def as_dict(self) -> dict[str, Any]:
        """Plain data as in the file: only what was set."""
        content = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {"espalier": FORMAT, **content}

    def resolved(self) -> "Pipeline":
        """The same document with every setting written out, as a run folder keeps it."""
        content = self.model_dump(mode="json", by_alias=True)
        for group, nodes in (("sources", self.sources), ("stages", self.stages)):
            for entry, node in zip(content[group], nodes, strict=True):
                entry["settings"] = node.parameters.model_dump(mode="json")
        if self.search is None:
            del content["search"]
        for name in ("backbone", "data"):
            if content["axes"][name] is None:
                del content["axes"][name]
        return Pipeline.parse(content)

    def with_settings(self, id: str, settings: Mapping[str, Any]) -> "Pipeline":
        """The document with other settings of the source or stage `id`."""

        def changed(node: Any) -> Any:
            return node.model_copy(update={"settings": dict(settings)}) if node.id == id else node

        return self.model_copy(update={
            "sources": tuple(changed(node) for node in self.sources),
            "stages": tuple(changed(node) for node in self.stages),
        })  # fmt: skip


_N = TypeVar("_N", bound=Node)


def _listed(grids: Any) -> Any:
    return [] if grids is None else [grids] if isinstance(grids, dict) else grids


def _by_id(nodes: tuple[_N, ...], id: str) -> _N:
    for node in nodes:
        if node.id == id:
            return node
    raise KeyError(id)


def is_path(reference: str) -> bool:
    """Whether a reference names a checkpoint folder and not a stage."""
    return "/" in reference or "\\" in reference


def settings_class(node: SourceNode | StageNode) -> type[Params]:
    """The declaration that belongs to a node's kind."""
    return node.source.Settings if isinstance(node, SourceNode) else node.stage.Settings
