"""The rules that a whole document keeps: settings, references, order of the stages, search; nothing is run."""

from collections.abc import Iterator
from itertools import islice

from pydantic import ValidationError

from core.common import yaml
from core.common.errors import Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words, unknown
from core.data.catalogue import SOURCES
from core.document.backbone_rules import check_backbones
from core.document.data_axis import check_data_axis, data_sets, in_the_file, of_data_set
from core.document.expansion import expand
from core.document.model import Grid, Pipeline, StageNode, is_path
from core.document.order_rules import ChainLink, order_problems
from core.document.paper import check_claims
from core.document.search_rules import check_search
from core.models.network_facts import NetworkFacts
from core.sources.base import FileSource
from core.sources.catalogue import SOURCE_KINDS
from core.stages.base import ModelStage
from core.stages.catalogue import STAGES

_MOST_PROBLEMS = 500


def check(pipeline: Pipeline) -> list[Problem]:
    """Every broken rule of a document: settings, references and order; nothing is run."""
    problems = list(_check_settings(pipeline))
    if not problems:
        problems += _check_references(pipeline)
    if not problems:
        problems += check_data_axis(pipeline)
    if problems or pipeline.axes.data is None:
        return problems or _check_one(pipeline)
    told = set[tuple[str, yaml.Place]]()
    for name in data_sets(pipeline):
        for problem in check(of_data_set(pipeline, name)):
            if (problem.message, problem.place) not in told:
                told.add((problem.message, problem.place))
                problems.append(in_the_file(pipeline, name, problem))
    return problems


def _check_one(pipeline: Pipeline) -> list[Problem]:
    """Of a document on one data set, whose settings and references hold."""
    problems = list(check_backbones(pipeline))
    if not problems:
        problems += [*_check_grids(pipeline), *islice(_check_branches(pipeline), _MOST_PROBLEMS)]
        problems += check_claims(pipeline.paper)
    if not problems:
        problems += check_search(pipeline, check)
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
    several = len(pipeline.baseline) > 1
    given: list[tuple[yaml.Place, str]] = [(("final",), pipeline.final)] if pipeline.final else []
    given += [
        (("baseline", index) if several else ("baseline",), id) for index, id in enumerate(pipeline.baseline)
    ]
    for place, value in given:
        if value not in ids:
            yield Problem(
                f"Expected the id of an active stage, received {shortened(value)}.",
                f"Choose one of: {some_of(sorted(ids))}.",
                place,
            )
    if len(set(pipeline.baseline)) < len(pipeline.baseline):
        yield Problem("The same baseline stands here twice.", "Leave one of them.", ("baseline",))


def _check_grids(pipeline: Pipeline) -> Iterator[Problem]:
    grids = pipeline.axes.grids
    for number, grid in enumerate(grids):
        yield from _check_grid(
            pipeline, grid, ("axes", "grid", number) if len(grids) > 1 else ("axes", "grid")
        )


def _check_grid(pipeline: Pipeline, grid: Grid, place: yaml.Place) -> Iterator[Problem]:
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


def _check_branches(pipeline: Pipeline) -> Iterator[Problem]:
    """The stages of every backbone; what is wrong with several is said of the first."""
    expansion, told = expand(pipeline), set[tuple[str, yaml.Place]]()
    for problem in _check_stages(expansion.pipeline):
        found = expansion.in_the_file(problem)
        if (problem.message, found.place) not in told:
            told.add((problem.message, found.place))
            yield found


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
        known = facts[root.id]
        for problem in (*node.stage.check(parameters, known), *node.stage.check_training(parameters, known)):
            yield Problem(problem.message, problem.advice, (*place, *problem.place))
