"""What each network of a pipeline will normalise its images with (no widgets)."""

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.document.pipeline import Pipeline, SourceNode


def applied_to(pipeline: Pipeline, data: ImageData) -> list[Applied]:
    """One entry a network; checkpoints and ONNX files that say it themselves are left out.

    May import timm, where a backbone is timm's: not for the window's thread.
    """
    applied = [_applied(node, pipeline, data) for node in pipeline.sources]
    return [one for one in applied if one is not None]


def _applied(node: SourceNode, pipeline: Pipeline, data: ImageData) -> Applied | None:
    try:
        return node.source.applied(node.name, node.parameters, pipeline.data, data)
    except (EspalierError, KeyError, ValueError):
        return None  # the editor names what is wrong with the network
