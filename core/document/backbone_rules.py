"""The rules of an axis over backbones: there is such a source, there are such backbones, and their own settings fit."""

from collections.abc import Iterator
from typing import Any

from core.common.errors import Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import unknown
from core.common.yaml import Place
from core.document.expansion import varying
from core.document.model import MOST_STAGES, BackboneAxis, Pipeline
from core.document.own_settings import check_setting, node_of
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
        inside = (*place, path)
        node = node_of(pipeline, path)
        if isinstance(node, Problem):
            yield Problem(node.message, node.advice, inside)
        elif node.id not in own:
            yield Problem(
                f"{node.title!r} is the same for every backbone, so its settings are too.",
                f"Change it there; what comes from {axis.source!r} can differ.",
                inside,
            )
        elif path == f"sources.{axis.source}.backbone":
            yield Problem("The axis says which backbone it is.", "Take this line out.", inside)
        else:
            yield from check_setting(pipeline, path, setting, "backbone", inside)
