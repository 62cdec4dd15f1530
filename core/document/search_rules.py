"""The rules of a search: what is free is there and can have its values, and every variant of the chain may run."""

import itertools
import math
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from core.common.errors import EspalierError, Problem
from core.common.validation_messages import in_words
from core.document import dimensions
from core.document.dimensions import Dimension
from core.document.model import Pipeline, settings_class
from core.document.search import MOST_POINTS, Search
from core.document.setting_values import with_value

_MOST_VARIANTS = 64
_ENDS = ("low", "high")

Check = Callable[[Pipeline], list[Problem]]


def check_search(pipeline: Pipeline, check: Check) -> Iterator[Problem]:
    """Every broken rule of the section `search`; `check` is that of a whole document."""
    search = pipeline.search
    if search is None:
        return
    found = list(_check_paths(pipeline, search))
    yield from found
    if found:
        return
    if pipeline.axes.grids:
        yield Problem(
            "A pipeline has a search or a grid, this one has both.",
            "Take the grid out; a search with the sampler 'grid' tries every combination, too.",
            ("axes", "grid"),
        )
    if pipeline.axes.backbone is not None:
        yield Problem(
            "A pipeline has a search or an axis over backbones, this one has both.",
            "Take the axis out; a search may have the backbone free: sources.ID.backbone with choices.",
            ("axes", "backbone"),
        )
    yield from _check_values(pipeline, search)
    every = dimensions.dimensions(pipeline)
    if search.sampler == "grid":
        yield from _check_grid(every)
    yield from _check_variants(pipeline, every, check)


def _check_paths(pipeline: Pipeline, search: Search) -> Iterator[Problem]:
    held: dict[str, str] = {}
    for name, ids in search.slots.items():
        place = ("search", "slots", name)
        try:
            dimensions.slot(pipeline, name, ids)
        except EspalierError as error:
            yield Problem(error.message, error.advice, place)
        for id in ids:
            if id in held:
                yield Problem(f"The stage {id!r} stands in two slots.", "Leave it in one.", place)
            held[id or ""] = name
        held.pop("", None)
    for path, free in search.free.items():
        try:
            found = dimensions.dimension(pipeline, path, free)
        except EspalierError as error:
            yield Problem(error.message, error.advice, ("search", "free", path))
            continue
        if not found.field and found.node in held:
            yield Problem(
                f"The slot {held[found.node]!r} switches the stage {found.node!r} already.",
                f"Take {path} out; a slot may hold nothing: add null to its stages.",
                ("search", "free", path),
            )


def _check_values(pipeline: Pipeline, search: Search) -> Iterator[Problem]:
    """Whether the settings take the ends of their ranges and all their choices."""
    for path, free in search.free.items():
        node, field = dimensions.find(pipeline, path)
        found = dimensions.dimension(pipeline, path, free)
        if field is None:
            if not all(isinstance(value, bool) for value in found.choices):
                yield Problem(
                    "Expected true and false as the choices of a switch.", "Leave it empty: {}.", ("search", "free", path)
                )  # fmt: skip
            continue
        values = (
            {f"choices.{index}": value for index, value in enumerate(found.choices)}
            if found.kind == "choice"
            else dict(zip(_ENDS, (found.low, found.high), strict=True))
        )
        for name, value in values.items():
            if found.kind == "int" and float(value or 0).is_integer():
                value = int(value or 0)
            kind = settings_class(node)
            try:
                kind.parse(with_value(node.settings, kind, found.field, value, False))
            except ValidationError as error:
                for problem in in_words(error):
                    yield Problem(problem.message, problem.advice, ("search", "free", path, *name.split(".")))


def _check_grid(every: list[Dimension]) -> Iterator[Problem]:
    points = 1
    for dimension in every:
        values = dimension.values()
        if values is None:
            yield Problem(
                "Expected a step or choices: a grid tries every value.", "Add a step, or choose another sampler.",
                ("search", "free", dimension.path),
            )  # fmt: skip
        points *= len(values or (None,))
    if points > MOST_POINTS:
        yield Problem(
            f"Expected a grid of at most {MOST_POINTS} points, received {points}.",
            "Choose wider steps, fewer settings or another sampler.",
            ("search", "free"),
        )


def _check_variants(pipeline: Pipeline, every: list[Dimension], check: Check) -> Iterator[Problem]:
    """Whether the stages may follow each other however switches and slots stand."""
    switching = [dimension for dimension in every if not dimension.field]
    if math.prod(len(dimension.choices) for dimension in switching) > _MOST_VARIANTS:
        return  # each candidate is checked before it is run
    for values in itertools.product(*(dimension.choices for dimension in switching)):
        point = {dimension.path: value for dimension, value in zip(switching, values, strict=True)}
        shown = ", ".join(
            f"{dimension.label} {dimensions.in_words(dimension, value)}"
            for dimension, value in zip(switching, values, strict=True)
        )
        try:
            variant = dimensions.at(pipeline, point)
        except ValidationError as error:
            problems = in_words(error)
        else:
            problems = check(variant)
        for problem in problems[:1]:
            before = f"With {shown}: " if shown else ""
            yield Problem(f"{before}{problem.message}", problem.advice, ("search",))
            return
