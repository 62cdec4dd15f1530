"""A kind of source that tests add: what one file of `core/sources` holds."""

from core.common.params import Params, param
from core.models.settings import BackboneSettings
from core.sources.base import NetworkSource, OpenContext, OpenedNetwork


class ScaledSettings(Params):
    """A ResNet-20 whose classifier starts from weights of another scale."""

    scale: float = param(
        1.0, "Scale", "What the classifier's weights are multiplied by.", ge=0.1, le=10, step=0.1
    )


class ScaledSource(NetworkSource[ScaledSettings]):
    """Says how its network is opened, and nothing else."""

    id = "scaled"
    title = "Scaled network"
    help = "A ResNet-20 with a scaled classifier."
    Settings = ScaledSettings

    def open(self, settings: ScaledSettings, context: OpenContext) -> OpenedNetwork:
        import torch

        from core.models.source import build_network

        network, preprocess = BackboneSettings(backbone="resnet20"), self.prepare(settings, context)
        classes = len(context.data.classes)
        model, _ = build_network(network, classes, context.base, context.seed, preprocess.size)
        with torch.no_grad():
            model.head.weight.mul_(settings.scale)
        return OpenedNetwork(
            model, network, preprocess, [f"The classifier was scaled by {settings.scale:g}."]
        )
