"""Edits that solve a problem, offered for one click.

Nothing here repeats a rule: candidates are tried on the document, and one is offered only when the
checker then finds this problem no more and no other in its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.common.declarations import ParameterDeclaration, declarations
from core.common.errors import Problem
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.pipeline import Pipeline, StageNode, settings_class
from core.records.reports import Cause
from core.stages.base import DeploymentStage
from core.stages.train import Train


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that solves a problem.

    Attributes:
        words: for the button, as an order: "Move 'Pruned' before 'INT8'".
    """

    words: str
    pipeline: Pipeline


def fix_for(pipeline: Pipeline, problem: Problem) -> Fix | None:
    """The change that solves the problem and leaves the fewest others; None where a person has to decide.

    Of changes that are equally good the first is taken.
    """
    best, fewest = None, len(documents.check(pipeline))
    for words, changed in _candidates(pipeline, problem):
        remaining = documents.check(changed)
        if len(remaining) < fewest and problem.message not in {other.message for other in remaining}:
            best, fewest = Fix(words, changed), len(remaining)
        if best is not None and fewest == 0:
            break
    return best


def fix_for_cause(pipeline: Pipeline, cause: Cause) -> Fix | None:
    """The change that removes a cause of a stage's figures; None where this document has no such stage.

    A stage whose settings are so already needs no change.
    """
    fix = cause.fix
    if fix is None or fix.stage not in pipeline.stage_ids:
        return None
    if fix.kind:
        changed = edits.set_kind(pipeline, fix.stage, fix.kind, fix.settings)
    else:
        node, changed = pipeline.stage(fix.stage), pipeline
        for name, value in fix.settings.items():
            if name not in node.stage.Settings.model_fields:
                return None
            changed = edits.set_setting(changed, node.id, (name,), value)
    words = f"{fix.words} in '{pipeline.stage(fix.stage).title}'"
    return Fix(words, changed) if changed != pipeline else None


def _candidates(pipeline: Pipeline, problem: Problem) -> Iterator[tuple[str, Pipeline]]:
    place = problem.place
    if place[:1] == ("baseline",):
        ids = {node.id for node in pipeline.active}
        sound = [one for one in dict.fromkeys(pipeline.baseline) if one in ids]
        words = "Take the others" if sound else "Take the first stage"
        yield words, edits.set_baselines(pipeline, sound)
    elif place == ("final",):
        yield "Take the last stage", edits.set_key(pipeline, "final", None)
    elif place == ("stages",):
        for node in pipeline.stages[:1]:
            yield f"Switch '{node.title}' on", edits.set_enabled(pipeline, node.id, True)
    elif place[:2] == ("axes", "grid"):
        number = place[2] if len(place) > 2 and isinstance(place[2], int) else 0
        yield "Remove the grid", edits.set_grid(pipeline, number, None)
    elif place[:2] == ("axes", "backbone"):
        yield from _axis_candidates(pipeline, place[2:])
    elif place[:2] == ("axes", "data"):
        yield from _data_axis_candidates(pipeline, place[2:])
    elif place[:1] == ("data",) and len(place) > 1:
        path = tuple(str(part) for part in place[1:])
        yield (
            f"Reset {path[-1].replace('_', ' ')}",
            edits.set_data(pipeline, path, None, unset=True),
        )
    elif len(place) > 2 and place[0] in ("sources", "stages") and isinstance(place[1], int):
        yield from _node_candidates(pipeline, str(place[0]), place[1], place[2:])


def _axis_candidates(pipeline: Pipeline, inside: tuple[str | int, ...]) -> Iterator[tuple[str, Pipeline]]:
    """Take out what does not fit of the axis over backbones, or all of it."""
    axis = edits.plain_backbones(pipeline)
    if axis is None:
        return
    if inside[:1] == ("set",) and len(inside) > 1:
        own = {value: dict(paths) for value, paths in axis["set"].items()}
        if len(inside) > 2:
            own[str(inside[1])].pop(str(inside[2]), None)
        else:
            own.pop(str(inside[1]), None)
        yield "Remove this setting", edits.set_backbones(pipeline, {**axis, "set": own})
    elif inside[:1] == ("values",) and len(inside) > 1 and len(axis["values"]) > 1:
        values = [value for number, value in enumerate(axis["values"]) if number != inside[1]]
        yield "Remove this backbone", edits.set_backbones(pipeline, {**axis, "values": values})
    yield "Remove the axis over backbones", edits.set_backbones(pipeline, None)


def _data_axis_candidates(
    pipeline: Pipeline, inside: tuple[str | int, ...]
) -> Iterator[tuple[str, Pipeline]]:
    """The same for the axis over data sets."""
    axis = edits.plain_data_axis(pipeline)
    if axis is None:
        return
    kind, *rest = (*map(str, inside), "")
    if kind == "set" and len(rest) > 1:
        own = {name: dict(paths) for name, paths in axis["set"].items()}
        own[rest[0]] = {path: one for path, one in own[rest[0]].items() if len(rest) > 2 and path != rest[1]}
        yield "Remove this setting", edits.set_data_axis(pipeline, {**axis, "set": own})
    elif kind == "values" and len(rest) > 1 and len(axis["values"]) > 1:
        values = {name: data for name, data in axis["values"].items() if name != rest[0]}
        yield "Remove this data set", edits.set_data_axis(pipeline, {**axis, "values": values})
    yield "Remove the axis over data sets", edits.set_data_axis(pipeline, None)


def _node_candidates(
    pipeline: Pipeline, group: str, index: int, inside: tuple[str | int, ...]
) -> Iterator[tuple[str, Pipeline]]:
    if group == "stages" and inside[0] in ("kind", "from"):
        yield from _order_changes(pipeline, pipeline.stages[index])
    if inside[0] != "settings" or len(inside) < 2:
        return
    node = (pipeline.sources if group == "sources" else pipeline.stages)[index]
    path = tuple(str(part) for part in inside[1:])
    if isinstance(node, StageNode) and path[0] in stage_tree.references(node.kind):
        yield from _teacher_choices(pipeline, node, path)
        if path[0] not in stage_tree.needed_references(node.kind):
            yield "Choose none", edits.set_setting(pipeline, node.id, path, None, unset=True)
        return
    field = _declaration(settings_class(node), path)
    if field is None:
        return
    if field.kind == "choice":
        for value, _help in field.choices:
            yield (
                f"Set {field.label} to '{value}'",
                edits.set_setting(pipeline, node.id, path, value),
            )
    if not field.required:
        yield (
            f"Reset {field.label}",
            edits.set_setting(pipeline, node.id, path, None, unset=True),
        )


def _order_changes(pipeline: Pipeline, node: StageNode) -> Iterator[tuple[str, Pipeline]]:
    """Move the stage before one that it cannot follow, branch off before that, or insert a training that exports."""
    chain = pipeline.chain(node)
    for before in reversed(chain):
        yield (
            f"Move '{node.title}' before '{before.title}'",
            stage_tree.move_after(pipeline, node.id, pipeline.parent(before)),
        )
    titles = edits.titles(pipeline)
    for before in reversed(chain):
        parent = pipeline.parent(before)
        yield (
            f"Continue '{titles[parent]}' instead",
            stage_tree.branch_from(pipeline, node.id, parent),
        )
    if not chain and isinstance(node.stage, DeploymentStage):
        yield "Put a 'Train' stage with 0 epochs before it", _with_training(pipeline, node)
    for source in pipeline.sources:
        yield (
            f"Start from '{titles[source.id]}'",
            stage_tree.branch_from(pipeline, node.id, source.id),
        )
    index = pipeline.stage_ids.index(node.id)
    for neighbour in pipeline.stages[index - 1 : index]:
        yield f"Continue '{neighbour.title}'", stage_tree.set_parent(pipeline, node.id, neighbour.id)


def _with_training(pipeline: Pipeline, node: StageNode) -> Pipeline:
    source = pipeline.root(node).id
    edited, id = stage_tree.add_stage(pipeline, Train.id, source, branch=True)
    edited = edits.set_setting(edited, id, ("training", "epochs"), 0)
    edited = edits.rename(edited, id, "Exported as it is")
    return stage_tree.branch_from(edited, node.id, id)


def _teacher_choices(
    pipeline: Pipeline, node: StageNode, path: tuple[str, ...]
) -> Iterator[tuple[str, Pipeline]]:
    earlier = pipeline.stages[: pipeline.stage_ids.index(node.id)]
    for candidate in earlier:
        if candidate.enabled and not isinstance(candidate.stage, DeploymentStage):
            yield (
                f"Choose '{candidate.title}'",
                edits.set_setting(pipeline, node.id, path, candidate.id),
            )


def _declaration(model: type, path: tuple[str, ...]) -> ParameterDeclaration | None:
    declaration = next((field for field in declarations(model) if field.name == path[0]), None)
    if declaration is None or len(path) == 1:
        return declaration
    return _declaration(declaration.group, path[1:]) if declaration.group is not None else None
