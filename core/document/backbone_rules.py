"""The rules of an axis over backbones: there is such a source, there are such backbones, and their own settings fit."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from core.common.errors import EspalierError, Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words, unknown
from core.common.yaml import Place
from core.document import dimensions
from core.document.expansion import settings_for, varying
from core.document.model import MOST_STAGES, BackboneAxis, Pipeline, StageNode, settings_class
from core.models.catalogue import BACKBONES, is_backbone
from core.sources.backbone import BackboneSource

_PLACE: Place = ("axes", "backbone")


def check_backbones(pipeline: Pipeline) -> Iterator[Problem]:
    """Every broken rule of `axes.backbone`, apart from those of the stages that come from it."""
    axis = pipeline.axes.backbone
    if axis is None:
        return
    sources = [source.id for source in pipeline.sources if source.kind == BackboneSource.id]
    if axis.source not in sources:
        advice = f"Choose one of: {some_of(sources)}." if sources else "Add a network to start from."
        message = f"Expected the id of a source with a backbone, received {shortened(axis.source)}."
        yield Problem(message, advice, (*_PLACE, "source"))
        return
    for index, value in enumerate(axis.values):
        if not is_backbone(value):
            yield unknown(value, "a backbone", BACKBONES, (*_PLACE, "values", index))
    own = varying(pipeline, axis.source)
    count = len(pipeline.stages) + (len(axis.values) - 1) * len(own)
    if count > MOST_STAGES:
        yield Problem(
            f"Expected at most {MOST_STAGES} stages over all backbones, received {count}.",
            "Name fewer backbones.",
            (*_PLACE, "values"),
        )
    for value, settings in axis.own.items():
        yield from _check_own(pipeline, axis, value, settings, own)


def _check_own(
    pipeline: Pipeline, axis: BackboneAxis, value: str, settings: dict[str, Any], own: set[str]
) -> Iterator[Problem]:
    """The settings of one backbone."""
    place = (*_PLACE, "set", value)
    if value not in axis.values:
        yield Problem(
            f"Expected one of the backbones of this axis, received {shortened(value)}.",
            f"Choose one of: {some_of(axis.values)}.",
            place,
        )
        return
    for path, setting in settings.items():
        try:
            node, field = dimensions.find(pipeline, path)
        except EspalierError as error:
            yield Problem(error.message, error.advice, (*place, path))
            continue
        if node.id not in own:
            yield Problem(
                f"{node.title!r} is the same for every backbone, so its settings are too.",
                f"Change it there; what comes from {axis.source!r} can differ.",
                (*place, path),
            )
        elif path == f"sources.{axis.source}.backbone":
            yield Problem("The axis says which backbone it is.", "Take this line out.", (*place, path))
        elif field is None:
            if not isinstance(setting, bool):
                words = f"Expected true or false, received {shortened(setting)}."
                yield Problem(words, "A stage is on or off.", (*place, path))
            elif not setting and node.id in (*pipeline.baselines, pipeline.final_id):
                words = f"{node.title!r} is the baseline or the final stage, which every backbone has."
                yield Problem(words, "Leave it on.", (*place, path))
        else:
            yield from _check_value(node, path, setting, (*place, path))


def _check_value(node: Any, path: str, setting: Any, place: Place) -> Iterator[Problem]:
    try:
        settings_class(node).parse(settings_for(node, {path: setting}))
    except ValidationError as error:
        group = "stages" if isinstance(node, StageNode) else "sources"
        for problem in in_words(error):
            inside = ".".join((group, node.id, *map(str, problem.place)))
            before = "" if inside == path else f"{inside}: "
            yield Problem(f"{before}{problem.message}", problem.advice, place)
