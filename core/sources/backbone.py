"""A network made from a backbone of the catalogue, with random, ImageNet or a person's weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.common.declarations import declarations, value_at
from core.common.errors import Problem
from core.common.keys import make_key
from core.common.validation_messages import unknown
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.data.preprocess import Normalisation, make_preprocess, resolve_normalisation
from core.data.settings import DataSettings
from core.models.catalogue import BACKBONES, backbone, is_backbone
from core.models.forecast import Network, StageForecast, TimedNetwork
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.sources.base import ForecastContext, NetworkSource, Offer, Offers, OpenContext, OpenedNetwork

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier

_FEW_IMAGES = 20_000  # on fewer images a large network from random weights learns almost nothing


class BackboneSource(NetworkSource[BackboneSettings]):
    """See the module's documentation."""

    id = "backbone"
    title = "Network"
    help = "The backbone, its classifier, the Feature Enhancement Module and what training starts from."
    Settings = BackboneSettings

    def check(self, settings: Mapping[str, Any]) -> list[Problem]:
        name = settings.get("backbone", BackboneSettings().backbone)
        return [] if is_backbone(str(name)) else [unknown(name, "a backbone", BACKBONES, ("backbone",))]

    def facts(self, settings: BackboneSettings, image_size: int | None) -> NetworkFacts:
        return NetworkFacts(settings, image_size=image_size)

    def facts_when_built(self, settings: BackboneSettings, image_size: int) -> NetworkFacts | None:
        """Of timm's networks, on which the catalogue has no facts."""
        if settings.backbone in BACKBONES:
            return None
        from core.models.source import blocks_of

        title = backbone(settings.backbone).title
        return NetworkFacts(settings, None, image_size, title, blocks_of(settings, image_size))

    def warnings(self, settings: BackboneSettings, images: int) -> list[str]:
        chosen = backbone(settings.backbone)
        if settings.weights != "random" or not chosen.imagenet or images >= _FEW_IMAGES:
            return []
        return [
            f"{chosen.title} started from random weights and saw only {images} training images: its accuracy says "
            "nothing about the method. Parameters, MACs, sizes and times do not depend on the weights."
        ]

    def normalisation(self, settings: BackboneSettings) -> Normalisation | None:
        """What published weights were trained with; weights from a file are taken to be such."""
        return backbone(settings.backbone).normalisation if settings.weights != "random" else None

    def open(self, settings: BackboneSettings, context: OpenContext) -> OpenedNetwork:
        from core.models.source import build_network

        preprocess = self.prepare(settings, context)
        backbone(settings.backbone).check_size(preprocess.size)
        names = context.data.classes
        model, notes = build_network(settings, len(names), context.base, context.seed, preprocess.size, names)
        return OpenedNetwork(model, shape_of(settings), preprocess, notes)

    def forecast(self, settings: BackboneSettings, context: ForecastContext) -> StageForecast:
        weights_known = settings.weights != "random" or len(context.seeds) == 1
        return forecast_of(settings, context, weights_known)

    def applied(
        self, name: str, settings: BackboneSettings, data_settings: DataSettings, data: ImageData
    ) -> Applied | None:
        published = self.normalisation(settings)
        normalisation = resolve_normalisation(data_settings.normalisation, data, published)
        trained_with = published if settings.weights == "imagenet" else None
        return Applied(name or backbone(settings.backbone).title, normalisation, trained_with)

    def summary(self, settings: Mapping[str, Any]) -> list[str]:
        """Backbone, feature enhancement, weights."""
        parts = []
        for field in declarations(self.Settings):
            value = value_at(settings, field)
            if field.name == "backbone":
                parts.append(BACKBONES[value].title if value in BACKBONES else str(value))
            elif field.group is not None:
                first = declarations(field.group)[0]
                inner = value_at(value or {}, first)
                if inner != "none":
                    parts.append(f"{field.label} {inner}")
                elif field.name in settings:  # whoever wrote that there is none wants to read it
                    parts.append(f"no {field.label}")
            elif field.name == "weights":
                parts.append(f"{value} weights" if value != "file" else "weights from a file")
        return parts

    def licence(self, settings: BackboneSettings) -> str:
        if settings.weights == "random":
            return "Weights: trained here from random values; no licence but that of the data bears on them."
        if settings.weights == "imagenet":
            return (
                "Weights: trained on from ImageNet weights of torchvision or timm. Their code is under BSD 3-Clause and "
                "Apache 2.0; ImageNet's own terms allow non-commercial research. Check them before you sell the model."
            )
        return super().licence(settings)

    def offers(self) -> dict[str, Offers]:
        backbones = tuple(Offer(entry.id, entry.title, entry.help) for entry in BACKBONES.values())
        return {
            "backbone": Offers(backbones, "Choose a backbone, or type timm:NAME for any classifier of timm")
        }


def shape_of(settings: BackboneSettings) -> BackboneSettings:
    """The architecture's part of the settings: what the factory needs, not where weights came from."""
    return settings.model_copy(
        update={"weights": "random", "weights_file": "", "fresh_head": False, "averaged": False}
    )


def forecast_of(settings: BackboneSettings, context: ForecastContext, weights_known: bool) -> StageForecast:
    """Of a network that its backbone's factory makes.

    Args:
        weights_known: the weights that `settings` name are those that the run starts from.

    Raises:
        EspalierError: when it cannot be made.
    """
    from core.models.source import build_network

    data = context.data
    if isinstance(data, str):
        return context.unknown(data)
    chosen, size = backbone(settings.backbone), context.data_settings.image_size or min(data.size)
    chosen.check_size(size)
    classes, base, seed, shape = len(data.classes), context.base, context.seeds[0], shape_of(settings)
    network_key = make_key({"shape": shape.model_dump(mode="json"), "classes": classes, "size": size})
    source_key = make_key({
        "network": network_key, "from": settings.model_dump(mode="json"), "seed": seed, "base": str(base),
    })  # fmt: skip

    def weights() -> "ImageClassifier":
        return build_network(settings, classes, base, seed, size)[0]

    def make() -> Network:
        model, _ = build_network(shape, classes, base, seed, size)
        return Network(model.to("meta"), size, chosen.blocks, weights if weights_known else None)

    def timed() -> TimedNetwork:
        model, _ = build_network(shape, classes, base, seed, size)
        prepare = make_preprocess(context.data_settings, data, None)
        return TimedNetwork(model.eval(), shape, prepare, data.classes, chosen.blocks)

    return context.counted(source_key, lambda: context.recent.get(f"network {source_key}", make), timed)
