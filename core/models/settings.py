"""The declarations of a network: backbone, head, FEM and where its weights come from (no torch)."""

from typing import Any, Literal

from core.common.params import Params, param


class FemSettings(Params):
    """The Feature Enhancement Module's place and widths (Hamza et al., doi 10.3390/bdcc10050131).

    The paper publishes no widths; these fractions of the feature's channels give 32.3 M
    parameters for ResNet-50 with 200 classes, where the paper reports 32.53 M.
    """

    place: Literal["none", "pooled", "map"] = param(
        "none",
        "Feature enhancement",
        "Where the Feature Enhancement Module sits.",
        choices={
            "none": "The plain backbone.",
            "pooled": "Between the pooled features and the classifier, as in the paper.",
            "map": "On the last feature map, at every position, before pooling. Slower.",
        },
    )
    shallow: float = param(
        0.25,
        "Shallow width",
        "Hidden width of the shallow branch, as a fraction of the channels.",
        gt=0,
        le=4,
        step=0.05,
        when="place!=none",
    )
    deep: float = param(
        0.5,
        "Deep width",
        "Hidden width of the deep branch, as a fraction of the channels.",
        gt=0,
        le=4,
        step=0.05,
        when="place!=none",
    )
    deep_layers: int = param(
        2,
        "Deep layers",
        "Number of hidden layers in the deep branch; the shallow one has one.",
        unit="layers",
        ge=2,
        le=8,
        when="place!=none",
    )
    attention: float = param(
        0.125,
        "Attention width",
        "Bottleneck of the channel attention, as a fraction of the channels.",
        gt=0,
        le=4,
        step=0.025,
        when="place!=none",
    )
    dropout: float = param(
        0.1,
        "FEM dropout",
        "Dropout inside both branches. The paper gives no value.",
        ge=0,
        lt=1,
        step=0.05,
        when="place!=none",
    )


class BackboneSettings(Params):
    """A network made from a backbone: the root of a pipeline."""

    backbone: str = param(
        "resnet20", "Backbone", "The network's architecture; timm:NAME is any classifier of the timm library."
    )
    fem: FemSettings = param(FemSettings(), "FEM", "The Feature Enhancement Module of Hamza et al.")
    head: Literal["linear", "original", "wide"] = param(
        "linear",
        "Classifier",
        "What stands behind the features.",
        choices={
            "linear": "One linear layer.",
            "original": "The backbone's own classifier (MobileNetV3: 960→1280→classes).",
            "wide": "One hidden layer, so wide that it has the parameters of a FEM of these widths: the control that tells what the FEM does from what parameters do.",
        },
    )
    weights: Literal["random", "imagenet", "file"] = param(
        "random",
        "Weights",
        "What training starts from.",
        choices={
            "random": "Freshly initialised.",
            "imagenet": "torchvision's or timm's ImageNet weights, from this machine's store of downloads.",
            "file": "A weights file that you pick (.pth, .th, .pt, .ckpt, .safetensors).",
        },
    )
    weights_file: str = param(
        "",
        "Weights file",
        "State dict with the backbone's names. Relative paths start at the pipeline's file.",
        path="file:Weights (*.pth *.pt *.th *.bin *.ckpt *.safetensors *.index.json)",
        when="weights=file",
    )
    fresh_head: bool = param(
        False,
        "Fresh classifier",
        "Leave the file's classifier out and start with a new one, for another set of classes.",
        when="weights=file",
    )
    averaged: bool = param(
        False,
        "Averaged weights",
        "Take the averaged (EMA) weights of a training checkpoint that holds them beside the plain ones.",
        when="weights=file",
        advanced=True,
    )
    norm_momentum: float | None = param(
        None,
        "Batch norm momentum",
        "Share of each batch in the running statistics of batch norm; empty keeps the network's own. MobileNet's "
        "0.01 needs thousands of steps: on few images validation stays at chance until 0.1 is set.",
        gt=0,
        le=1,
        step=0.01,
        advanced=True,
    )

    def described(self) -> dict[str, Any]:
        """As a checkpoint describes its network: plain data, without settings that only say how weights were read."""
        return self.model_dump(mode="json", exclude={"averaged"})
