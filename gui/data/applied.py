"""What each network of a pipeline will normalise its images with (no widgets)."""

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.data.preprocess import resolve_normalisation
from core.document.pipeline import Pipeline, SourceNode
from core.models.catalogue import backbone
from core.models.onnx_source import OnnxSettings
from core.models.settings import BackboneSettings
from gui.base.translation import tr


def applied_to(pipeline: Pipeline, data: ImageData) -> list[Applied]:
    """One entry a network; checkpoints and ONNX files that say it themselves are left out.

    May import timm, where a backbone is timm's: not for the window's thread.
    """
    found = [_applied(node, pipeline, data) for node in pipeline.sources]
    return [one for one in found if one is not None]


def _applied(node: SourceNode, pipeline: Pipeline, data: ImageData) -> Applied | None:
    try:
        settings = node.parameters
        if isinstance(settings, OnnxSettings):
            plain = settings.preprocess()
            return Applied(node.name or tr("ONNX file"), (plain["mean"], plain["std"])) if plain else None
        if not isinstance(settings, BackboneSettings):
            return None
        chosen = backbone(settings.backbone)
        wanted = chosen.normalisation if settings.weights != "random" else None
        used = resolve_normalisation(pipeline.data.normalisation, data, wanted)
        known = wanted if settings.weights == "imagenet" else None
        return Applied(node.name or chosen.title, used, known)
    except (EspalierError, KeyError, ValueError):
        return None  # the editor names what is wrong with the network
