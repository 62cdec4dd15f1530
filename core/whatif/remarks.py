"""Sentences about what a stage would leave."""

from typing import TYPE_CHECKING

from core.stages.factorise import FactoriseParams
from core.stages.prune_channels import PruneChannelsParams
from core.stages.prune_weights import PruneWeightsParams
from core.stages.share_weights import ShareWeightsParams

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier


def why_about(settings: PruneChannelsParams) -> str:
    if settings.target == "latency":
        return (
            "Widths that the table of layer times predicts; the run measures and corrects them, within 5 %."
        )
    if settings.target in ("macs", "parameters", "size"):
        return (
            "The budget is met within about 1 %; which layers give how much depends on the trained weights."
        )
    return (
        f"With the ranking '{settings.ranking}', which layers lose how much depends on the trained weights."
    )


def rank_words(settings: FactoriseParams) -> str:
    if settings.choose == "budget":
        share = f"{settings.budget:.0%}"
        return f"About {share} of the parameters of the layers in question stay; their ranks follow from the trained weights."
    return "The ranks follow from the trained weights: known after the run."


def zero_words(model: "ImageClassifier", settings: PruneWeightsParams) -> str:
    """How many weights become zero, as the run counts them."""
    from core.surgery.layers import weight_layers
    from core.surgery.shapes import zeros_of

    layers, _ = weight_layers(model, settings.protected, settings.first_layer)
    together = settings.ranking == "global"
    zeros = zeros_of(layers.values(), settings.convolution_amount, settings.linear_amount, together)
    return f"{zeros:,} weights become zero. They are stored and computed like any other number."


def shared_words(model: "ImageClassifier", settings: ShareWeightsParams) -> tuple[int, str]:
    """Bytes of the file with indices in place of weights, and how many weights share values."""
    from core.surgery.layers import weight_layers
    from core.surgery.shapes import float32_bytes, shared_bytes

    layers, _ = weight_layers(model, settings.protected, settings.first_layer)
    saved, sharing = shared_bytes(layers.values(), settings.convolution_bits, settings.linear_bits)
    remark = f"{sharing:,} weights are stored as small indices; parameters and MACs stay as they are."
    return float32_bytes(model) - saved, remark
