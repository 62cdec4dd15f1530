"""The rules of an axis over backbones: there is such a source, there are such backbones, and their own settings fit."""

from collections.abc import Iterator
from functools import partial

from core.common.errors import Problem
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import unknown
from core.common.yaml import Place
from core.document.expansion import varying
from core.document.model import MOST_STAGES, BackboneAxis, Node, Pipeline
from core.document.own_settings import check_own
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
    yield from check_own(pipeline, axis.values, axis.own, "backbone", _PLACE, partial(_against, axis, own))


def _against(axis: BackboneAxis, own: set[str], node: Node, path: str) -> Problem | None:
    """Why a setting cannot differ from backbone to backbone; None where it can."""
    if node.id not in own:
        return Problem(
            f"{node.title!r} is the same for every backbone, so its settings are too.",
            f"Change it there; what comes from {axis.source!r} can differ.",
        )
    if path == f"sources.{axis.source}.backbone":
        return Problem("The axis says which backbone it is.", "Take this line out.")
    return None
