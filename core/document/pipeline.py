"""The document: a forest of stages over one data set. What the editor edits and the engine runs.

A pipeline file is YAML, versioned by its first key. Every stage has an id and a `from`: the
stage before it unless said otherwise, or a source. Sources are the roots: a backbone with head,
FEM and weights, or a checkpoint. Loading finds every problem, with line, expectation and what
was received; loading, saving and loading again gives the same document.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator

from core.common import yaml
from core.common.errors import EspalierError, Problem
from core.common.params import Params
from core.common.regular_files import in_words as in_words_of
from core.common.regular_files import read_text
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words, kind_of, unknown
from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.document.order_rules import ChainLink, order_problems
from core.document.paper import PaperTable, check_claims
from core.models.network_facts import NetworkFacts
from core.sources.base import FileSource, Source
from core.sources.catalogue import SOURCE_KINDS
from core.stages.base import ModelStage, Stage
from core.stages.catalogue import STAGES

FORMAT = 1
_LARGEST_FILE = 32_000_000  # bytes
_PROBLEMS_SHOWN, _MOST_PROBLEMS = 30, 500
_MOST_STAGES, _MOST_VALUES = 1000, 1000
_ID = r"^[a-z0-9][a-z0-9-]*$"


class PipelineError(EspalierError):
    """A document that cannot be used; `problems` are all that was found, in the file's order."""

    def __init__(self, problems: list[Problem], name: str = "The pipeline"):
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        lines = [f"  {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
        if len(problems) > _PROBLEMS_SHOWN:
            lines.append(f"  and {len(problems) - _PROBLEMS_SHOWN} more.")
        super().__init__(f"{name} has {count}:\n" + "\n".join(lines))
        self.problems = problems


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


class Axes(Params):
    """What a pipeline is repeated over; runs share the stages that they have in common."""

    seed: tuple[int, ...] = Field((42,), min_length=1, max_length=_MOST_VALUES)
    grid: Grid | None = None

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
    sources: tuple[SourceNode, ...] = Field(min_length=1, max_length=_MOST_STAGES)
    stages: tuple[StageNode, ...] = Field(min_length=1, max_length=_MOST_STAGES)
    baseline: str = ""
    final: str = ""
    axes: Axes = Field(default_factory=lambda: Axes(seed=(42,)))
    paper: tuple[PaperTable, ...] = ()
    notes: tuple[str, ...] = ()

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
    def baseline_id(self) -> str:
        """The stage that all others are compared with: as given, or the first."""
        return self.baseline or self.active[0].id

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


def _by_id(nodes: tuple[_N, ...], id: str) -> _N:
    for node in nodes:
        if node.id == id:
            return node
    raise KeyError(id)


def load(path: Path) -> Pipeline:
    """The pipeline in a file.

    Raises:
        PipelineError: with every problem and its line.
        EspalierError: when the file cannot be read.
    """
    try:
        text = read_text(path, _LARGEST_FILE)
    except UnicodeDecodeError as error:
        raise EspalierError(
            f"Expected text in UTF-8 in the pipeline file {path}, received byte {error.object[error.start]:#04x} "
            f"at place {error.start}.",
            "Save it in UTF-8.",
        ) from error
    except OSError as error:
        raise EspalierError(
            f"The pipeline file {path} cannot be read: {in_words_of(error)}.",
            "Check the path and pick a .yaml file.",
        ) from error
    return loads(text, path.name)


def loads(text: str, name: str = "The pipeline") -> Pipeline:
    """The pipeline in a YAML text; raises `PipelineError`."""
    parsed = yaml.parse(text)
    problems = list(parsed.problems)
    pipeline = None
    if not problems:
        problems, pipeline = validate(parsed.content)
    if problems or pipeline is None:
        problems = [Problem(p.message, p.advice, p.place, p.line or parsed.line(p.place)) for p in problems]
        raise PipelineError(sorted(problems, key=lambda p: p.line), name)
    return pipeline


def dumps(pipeline: Pipeline) -> str:
    """The pipeline as YAML text."""
    return yaml.dump(pipeline.as_dict())


def validate(content: Any) -> tuple[list[Problem], Pipeline | None]:
    """Check plain data against the declarations and the rules between stages."""
    if not isinstance(content, dict):
        return [
            Problem(
                f"Expected a mapping with keys such as 'espalier', 'name', 'stages'; received {kind_of(content)}."
            )
        ], None
    version = content.get("espalier")
    if version != FORMAT or isinstance(version, bool):
        return [Problem(
            f"Expected 'espalier: {FORMAT}' (the format's version), received {shortened(version)}.",
            "A newer version of Espalier may have written this file." if isinstance(version, int) else "Add the line at the top.",
            ("espalier",) if "espalier" in content else (),
        )], None  # fmt: skip
    try:
        pipeline = Pipeline.parse(content)
    except ValidationError as error:
        return in_words(error), None
    problems = check(pipeline)
    return problems, None if problems else pipeline


def check(pipeline: Pipeline) -> list[Problem]:
    """Every broken rule of a document: settings, references and order; nothing is run."""
    problems = list(_check_settings(pipeline))
    if not problems:
        problems += _check_references(pipeline)
    if not problems:
        problems += [*_check_grid(pipeline), *islice(_check_stages(pipeline), _MOST_PROBLEMS)]
        problems += check_claims(pipeline.paper)
    return problems


def _check_settings(pipeline: Pipeline) -> Iterator[Problem]:
    if pipeline.data.source not in SOURCES:
        yield unknown(pipeline.data.source, "a data set", SOURCES, ("data", "source"))
    for group, nodes, kinds in (
        ("sources", pipeline.sources, {k: s.Settings for k, s in SOURCE_KINDS.items()}),
        ("stages", pipeline.stages, {k: s.Settings for k, s in STAGES.items()}),
    ):
        for index, node in enumerate(nodes):
            place = (group, index)
            if node.kind not in kinds:
                yield unknown(
                    node.kind,
                    "a kind of source" if group == "sources" else "a stage",
                    kinds,
                    (*place, "kind"),
                )
                continue
            try:
                kinds[node.kind].parse(node.settings)
            except ValidationError as error:
                yield from in_words(error, (*place, "settings"))
    for index, source in enumerate(pipeline.sources):
        if source.kind in SOURCE_KINDS:
            for problem in source.source.check(source.settings):
                inside = ("sources", index, "settings", *problem.place)
                yield Problem(problem.message, problem.advice, inside)


def _check_references(pipeline: Pipeline) -> Iterator[Problem]:
    earlier_ids: set[str] = set()
    for group, nodes in (("sources", pipeline.sources), ("stages", pipeline.stages)):
        for index, node in enumerate(nodes):
            if node.id in earlier_ids:
                yield Problem(
                    f"The id {shortened(node.id)} is used twice.",
                    "Give every source and stage its own id.",
                    (group, index, "id"),
                )
            if isinstance(node, StageNode) and node.from_ and node.from_ not in earlier_ids:
                yield Problem(
                    f"Expected the id of a source or of a stage further up, received {shortened(node.from_)}.",
                    f"Choose one of: {some_of(sorted(earlier_ids))}.", (group, index, "from"),
                )  # fmt: skip
            earlier_ids.add(node.id)
    if not pipeline.active:
        yield Problem("Every stage is switched off.", "Switch at least one on.", ("stages",))
    ids = {node.id for node in pipeline.active}
    for key, value in (("baseline", pipeline.baseline), ("final", pipeline.final)):
        if value and value not in ids:
            yield Problem(
                f"Expected the id of an active stage, received {shortened(value)}.",
                f"Choose one of: {some_of(sorted(ids))}.",
                (key,),
            )


def _check_grid(pipeline: Pipeline) -> Iterator[Problem]:
    grid, place = pipeline.axes.grid, ("axes", "grid")
    if grid is None:
        return
    stages = {node.id: node for node in pipeline.active if isinstance(node.stage, ModelStage)}
    if grid.stage not in stages:
        yield Problem(
            f"Expected the id of an active stage that works on the network, received {shortened(grid.stage)}.",
            f"Choose one of: {some_of(stages) or 'none yet'}.",
            (*place, "stage"),
        )
        return
    node = stages[grid.stage]
    for name, values in grid.settings.items():
        if name not in node.stage.Settings.model_fields:
            yield unknown(
                name, "a setting of the stage", node.stage.Settings.model_fields, (*place, "settings", name)
            )
            continue
        for index, value in enumerate(values):
            try:
                node.stage.Settings.parse({**node.settings, name: value})
            except ValidationError as error:
                for problem in in_words(error):
                    yield Problem(problem.message, problem.advice, (*place, "settings", name, index))


def _check_stages(pipeline: Pipeline) -> Iterator[Problem]:
    facts: dict[str, NetworkFacts] = {}
    links: dict[str, ChainLink] = {}
    for index, node in enumerate(pipeline.stages):
        place: yaml.Place = ("stages", index, "settings")
        if not node.enabled:
            continue
        parameters = node.parameters
        for field_name, reference in node.stage.references(parameters).items():
            if not is_path(reference) and reference not in links:
                choices = (
                    f"Choose one of: {some_of(links)}; or give a checkpoint folder."
                    if links
                    else "Put a training stage before it."
                )
                yield Problem(
                    f"Expected the id of an active stage further up, received {shortened(reference)}.",
                    choices,
                    (*place, field_name),
                )
        links[node.id] = ChainLink(node.id, node.title, node.stage)
        chain = [links[earlier.id] for earlier in pipeline.chain(node)]
        root = pipeline.root(node)
        for problem in order_problems(links[node.id], chain, isinstance(root.source, FileSource)):
            yield Problem(
                problem.message, problem.advice, ("stages", index, "from" if node.from_ else "kind")
            )
        if root.id not in facts:
            facts[root.id] = root.source.facts(root.parameters, pipeline.data.image_size)
        for problem in node.stage.check(parameters, facts[root.id]):
            yield Problem(problem.message, problem.advice, (*place, *problem.place))


def is_path(reference: str) -> bool:
    """Whether a reference names a checkpoint folder and not a stage."""
    return "/" in reference or "\\" in reference


def settings_class(node: SourceNode | StageNode) -> type[Params]:
    """The declaration that belongs to a node's kind."""
    return node.source.Settings if isinstance(node, SourceNode) else node.stage.Settings
