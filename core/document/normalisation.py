"""What each network of a pipeline will normalise its images with."""

from dataclasses import asdict
from typing import Any

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.access import DataAccess
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.document.pipeline import Pipeline, SourceNode
from core.machine.child import Child
from core.machine.jobs import JobContext


def applied_to(pipeline: Pipeline, data: ImageData) -> list[Applied]:
    """One entry a network; checkpoints and ONNX files that say it themselves are left out.

    May import timm, where a backbone is timm's: not for the window's process.
    """
    applied = [_applied(node, pipeline, data) for node in pipeline.sources]
    return [one for one in applied if one is not None]


def applied_by(
    tool: Child, pipeline: Pipeline, access: DataAccess, control: RunControl | None = None
) -> list[Applied]:
    """What `applied_to` gives, found by a tool process."""
    arguments = {**access.as_plain(), "pipeline": pipeline.as_dict()}
    found = tool.call(normalisations, arguments, control)["applied"]
    return [
        Applied(one["network"], _pair(one["normalisation"]), _pair(one["trained_with"]) if one["trained_with"] else None)
        for one in found
    ]  # fmt: skip


def normalisations(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job of the tool child: `applied_to` as plain data."""
    data = DataAccess.from_plain(arguments).open(context.control, context)
    return {"applied": [asdict(one) for one in applied_to(Pipeline.parse(arguments["pipeline"]), data)]}


def _pair(plain: list[list[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = plain
    return tuple(mean), tuple(std)


def _applied(node: SourceNode, pipeline: Pipeline, data: ImageData) -> Applied | None:
    try:
        return node.source.applied(node.name, node.parameters, pipeline.data, data)
    except (EspalierError, KeyError, ValueError):
        return None  # the editor names what is wrong with the network
