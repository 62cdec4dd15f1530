"""MACs and parameters of the exported graph against timm's published figures and torch-pruning's count.

timm's figures come from fvcore, which adds 2 for every value that a batch norm gives and 5 for every one of a layer norm.
The exporter folds batch norms away, and ours are convolutions and products with weights alone; so the norms are
counted here beside them. The published figures have two decimals, whose rounding is allowed for.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from core.data.preprocess import Preprocess
from core.deploy.onnx_export import export_module
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.profiling.counting import count, count_parameters

# timm 1.0, results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv (github.com/huggingface/pytorch-image-models):
# backbone here, its name there, image size, param_count in millions, infer_gmacs
PUBLISHED = (
    ("resnet18", "resnet18", 224, 11.69, 1.82),
    ("resnet34", "resnet34", 224, 21.80, 3.67),
    ("resnet50", "resnet50", 224, 25.56, 4.11),
    ("mobilenet-v2", "mobilenetv2_100", 224, 3.50, 0.31),
    ("mobilenet-v3-large", "mobilenetv3_large_100", 224, 5.48, 0.23),
    ("efficientnet-lite0", "tf_efficientnet_lite0", 224, 4.65, 0.40),
    ("efficientnet-lite2", "tf_efficientnet_lite2", 260, 6.09, 0.89),
    ("efficientnet-lite4", "tf_efficientnet_lite4", 380, 13.01, 4.04),
    ("convnext-tiny", "convnext_tiny", 224, 28.59, 4.47),
    ("timm-convnext-atto", "convnext_atto", 224, 3.70, 0.55),
)
VIT_TINY = ("vit-tiny", "vit_tiny_patch16_224", 224, 5.72, 1.26)
HALF_A_DIGIT = 0.005


def built(name: str, size: int) -> nn.Module:
    head = {"head": "original"} if name.startswith("mobilenet-v3") else {}
    return BACKBONES[name].build(BackboneSettings(backbone=name, **head), 1000, size).eval()


def norms(model: nn.Module, size: int) -> int:
    """What fvcore adds for norms, on one image."""
    total = 0

    def seen(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * (2 if isinstance(module, nn.BatchNorm2d) else 5)

    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    hooks = [each.register_forward_hook(seen) for each in model.modules() if isinstance(each, kinds)]
    with torch.inference_mode():
        model(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


def counted(model: nn.Module, size: int, folder: Path) -> dict:
    export_module(model, Preprocess(size), folder / "network.onnx", {})
    return count({"model": str(folder / "network.onnx"), "input_size": size}, lambda part, text: None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "there", "size", "millions", "gmacs"), PUBLISHED)
def test_against_timm_and_torch_pruning(name, there, size, millions, gmacs, tmp_path):
    counter = pytest.importorskip("torch_pruning").utils.count_ops_and_params
    model = built(name, size)
    counts = counted(model, size, tmp_path)
    assert abs(count_parameters(model)["params"] / 1e6 - millions) <= HALF_A_DIGIT + 1e-9
    assert counts["uncounted"] == []
    ours = (counts["macs"] + norms(model, size)) / 1e9
    assert abs(ours - gmacs) <= 0.01 * gmacs + HALF_A_DIGIT, ours
    # torch-pruning adds biases, and knows the plain classes alone (not timm's padded convolution)
    _, params, per_layer, _ = counter(model, torch.zeros(1, 3, size, size), layer_wise=True)
    assert params == count_parameters(model)["params"]
    theirs = sum(per_layer[module] for module in model.modules() if type(module) in (nn.Conv2d, nn.Linear))
    padded = {path for path, module in model.named_modules() if type(module).__name__ == "Conv2dSame"}
    same = sum(node["macs"] for node in counts["nodes"] if node["layer"] not in padded)
    assert same == pytest.approx(theirs, rel=0.01)


@pytest.mark.slow
def test_a_transformer_is_published_with_its_attention(tmp_path):
    name, _, size, millions, gmacs = VIT_TINY
    model = built(name, size)
    counts = counted(model, size, tmp_path)
    assert abs(count_parameters(model)["params"] / 1e6 - millions) <= HALF_A_DIGIT + 1e-9
    blocks, tokens, width = 12, 14 * 14 + 1, 192
    assert len(counts["uncounted"]) == 2 * blocks  # scores, and their product with the values
    attention = blocks * 2 * tokens * tokens * width
    ours = (counts["macs"] + attention + norms(model, size)) / 1e9
    assert math.isclose(ours, gmacs, rel_tol=0.01, abs_tol=HALF_A_DIGIT)
