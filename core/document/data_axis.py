"""A pipeline over several data sets: a pipeline for each, which runs by itself.

Networks, test images and timings of one data set have nothing in common with those of another: not the classes, not the answers
that intervals are paired over, not the baseline. So nothing is shared, and each run is one like any other, on one data set.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from core.common.errors import Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words, unknown
from core.common.yaml import Place
from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.document import dimensions
from core.document.expansion import settings_for
from core.document.model import Pipeline
from core.document.own_settings import check_own

DATA_AXIS: Place = ("axes", "data")
"""Its place in the file."""

_LONGEST_NAME = 120


def data_sets(pipeline: Pipeline) -> tuple[str, ...]:
    """The names of the data sets of its axis, in order; none without one."""
    return tuple(pipeline.axes.data.values) if pipeline.axes.data is not None else ()


def per_data_set(pipeline: Pipeline) -> tuple[Pipeline, ...]:
    """A pipeline for every data set; the pipeline alone where it has no axis over them. Its rules hold already."""
    names = data_sets(pipeline)
    return tuple(of_data_set(pipeline, name) for name in names) or (pipeline,)


def of_data_set(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline on one data set of its axis, called by both names, with the papers about it."""
    axis = pipeline.axes.data
    assert axis is not None
    content, own = pipeline.as_dict(), axis.own.get(name, {})
    short = pipeline.name[: _LONGEST_NAME - len(name) - len(" · ")]
    content["name"] = f"{short} · {name}"
    content["data"] = merged(content.get("data", {}), axis.values[name])
    del content["axes"]["data"]
    if not content["axes"]:
        del content["axes"]
    for group, nodes in (("sources", pipeline.sources), ("stages", pipeline.stages)):
        for entry, node in zip(content[group], nodes, strict=True):
            if settings := settings_for(node, own):
                entry["settings"] = settings
            switch = f"{group}.{node.id}.{dimensions.ENABLED}"
            if switch in own:
                entry["enabled"] = own[switch]
    if "paper" in content:
        about = [each for each in content["paper"] if each.get("data", "") in ("", name)]
        content["paper"] = [{key: value for key, value in each.items() if key != "data"} for each in about]
    return Pipeline.parse(content)


def merged(data: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The data section with what differs; of its groups only what they name."""
    result = dict(data)
    for key, value in other.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def check_data_axis(pipeline: Pipeline) -> Iterator[Problem]:
    """Every broken rule of `axes.data`, apart from those of the pipelines that it makes."""
    axis = pipeline.axes.data
    for number, paper in enumerate(pipeline.paper):
        if paper.data and paper.data not in data_sets(pipeline):
            yield Problem(
                f"Expected the name of a data set of axes.data, received {shortened(paper.data)}.",
                f"Choose one of: {some_of(data_sets(pipeline))}." if axis else "Take this line out.",
                ("paper", number, "data"),
            )
    if axis is None:
        return
    if pipeline.search is not None:
        yield Problem(
            "A pipeline has a search or an axis over data sets, this one has both.",
            "Take the axis out, and search on one data set after the other.",
            DATA_AXIS,
        )
    for name, data in axis.values.items():
        yield from _check_data(pipeline, name, data)
    yield from check_own(pipeline, axis.values, axis.own, "data set", DATA_AXIS)


def _check_data(pipeline: Pipeline, name: str, data: Mapping[str, Any]) -> Iterator[Problem]:
    place = (*DATA_AXIS, "values", name)
    try:
        settings = DataSettings.parse(merged(pipeline.as_dict().get("data", {}), data))
    except ValidationError as error:
        yield from in_words(error, place)
        return
    if settings.source not in SOURCES:
        yield unknown(settings.source, "a data set", SOURCES, (*place, "source"))


def in_the_file(pipeline: Pipeline, name: str, problem: Problem) -> Problem:
    """A problem of the pipeline on one data set at its place in the file; of a further data set it says which."""
    axis = pipeline.axes.data
    assert axis is not None
    place, data = problem.place, axis.values[name]
    if place[:1] == ("data",) and len(place) > 1 and place[1] in data:
        place = (*DATA_AXIS, "values", name, *place[1:])
    first = name == next(iter(axis.values))
    message = problem.message if first else f"With {name}: {problem.message}"
    return Problem(message, problem.advice, place, problem.line, problem.command)
