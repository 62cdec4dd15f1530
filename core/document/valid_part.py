"""What of a document has no problems: so that one broken stage leaves the figures of the others standing."""

from collections.abc import Sequence

from core.common.errors import Problem
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.pipeline import Pipeline


def valid_part(pipeline: Pipeline, problems: Sequence[Problem]) -> Pipeline | None:
    """The document without the stages that have problems and all that follows them; None where nothing is left.

    A problem that is not a stage's (of the data, a source, the document) leaves nothing.
    """
    for _ in range(len(pipeline.stages)):
        if not problems:
            return pipeline
        broken = {_stage(pipeline, problem) for problem in problems}
        if "" in broken:
            return None
        gone = {child for id in broken for child in (id, *stage_tree.descendants(pipeline, id))}
        if len(gone) == len(pipeline.stages):
            return None
        for number in reversed([n for n, grid in enumerate(pipeline.axes.grids) if grid.stage in gone]):
            pipeline = edits.set_grid(pipeline, number, None)
        for id in reversed([id for id in pipeline.stage_ids if id in gone]):  # what follows goes first
            pipeline = stage_tree.remove_stage(pipeline, id)
        problems = documents.check(pipeline)
    return None if problems else pipeline


def _stage(pipeline: Pipeline, problem: Problem) -> str:
    """Id of the stage that a problem is of, "" for any other."""
    place = problem.place
    if len(place) > 1 and place[0] == "stages" and isinstance(place[1], int):
        return pipeline.stages[place[1]].id
    return ""
