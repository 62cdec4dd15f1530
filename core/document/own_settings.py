"""The rules of settings that hold for one value of an axis only: they lead to a setting, and fit it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from core.common.errors import EspalierError, Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words
from core.common.yaml import Place
from core.document import dimensions
from core.document.expansion import settings_for
from core.document.model import Node, Pipeline, StageNode, settings_class


def check_own(
    pipeline: Pipeline,
    values: Collection[str],
    own: Mapping[str, Mapping[str, Any]],
    of: str,
    place: Place,
    against: Callable[[Node, str], Problem | None] = lambda _node, _path: None,
) -> Iterator[Problem]:
    """The broken rules of the settings of all values of an axis.

    Args:
        values: of the axis. own: the settings of each, by their paths.
        of: what a value is, for the sentences: "backbone".
        place: of the axis in the file.
        against: what else speaks against a setting of a node at a path; its place is filled in.
    """
    for value, settings in own.items():
        inside = (*place, "set", value)
        if value not in values:
            yield Problem(
                f"Expected one of the {of}s of this axis, received {shortened(value)}.",
                f"Choose one of: {some_of(tuple(values))}.",
                inside,
            )
            continue
        for path, setting in settings.items():
            node = _node_of(pipeline, path)
            problem = node if isinstance(node, Problem) else against(node, path)
            if problem is not None:
                yield Problem(problem.message, problem.advice, (*inside, path))
            else:
                yield from _check_setting(pipeline, path, setting, of, (*inside, path))


def _node_of(pipeline: Pipeline, path: str) -> Node | Problem:
    """The source or stage that a path leads to, or the problem that it does not."""
    try:
        return dimensions.find(pipeline, path)[0]
    except EspalierError as error:
        return Problem(error.message, error.advice)


def _check_setting(pipeline: Pipeline, path: str, setting: Any, of: str, place: Place) -> Iterator[Problem]:
    """The broken rules of one setting, whose path leads somewhere.

    Args:
        of: what there is one baseline for each of, for the sentence: "backbone".
    """
    node, field = dimensions.find(pipeline, path)
    if field is not None:
        yield from _check_value(node, path, setting, place)
    elif not isinstance(setting, bool):
        yield Problem(
            f"Expected true or false, received {shortened(setting)}.", "A stage is on or off.", place
        )
    elif not setting and node.id in (*pipeline.baselines, pipeline.final_id):
        words = f"{node.title!r} is the baseline or the final stage, which every {of} has."
        yield Problem(words, "Leave it on.", place)


def _check_value(node: Any, path: str, setting: Any, place: Place) -> Iterator[Problem]:
    try:
        settings_class(node).parse(settings_for(node, {path: setting}))
    except ValidationError as error:
        group = "stages" if isinstance(node, StageNode) else "sources"
        for problem in in_words(error):
            inside = ".".join((group, node.id, *map(str, problem.place)))
            before = "" if inside == path else f"{inside}: "
            yield Problem(f"{before}{problem.message}", problem.advice, place)
