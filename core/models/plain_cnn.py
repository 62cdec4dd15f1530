"""Musa et al.'s two plain networks: convolutions, pooling and dense layers, no shortcuts.

Source: Musa et al. 2025, a survey of lossless hybrid compression, gives a large plain CNN with
52 768 432 parameters (the teacher) and a tiny one with 126 569 (the student), but neither their
layers nor their input size. These stacks are ours, of the usual form: 3×3 convolutions with
batch norm and ReLU, widths that grow from stage to stage, 2×2 max pooling between stages, global
average pooling, dense layers. They are made for 224 px; thanks to the global pooling the number
of parameters is the same for every image size from 32 px on:

    outputs           1            2            3        the paper
    large    52 769 057   52 770 082   52 771 107       52 768 432
    tiny        126 561      126 594      126 627          126 569
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings

_LARGE = ((32,), (64,), (128,), (256,) * 2, (512,) * 4, (1024,) * 5)
_TINY = ((16,), (24,), (48,), (64,), (128,))


def plain_cnn_large(settings: BackboneSettings, classes: int, image_size: int) -> ImageClassifier:
    """Fourteen convolutions in six stages up to 1024 channels, dense layers 1024 → 1024 → classes."""
    return ImageClassifier(_body(_LARGE), 1024, _dense([1024, 1024, classes]), settings.fem)


def plain_cnn_tiny(settings: BackboneSettings, classes: int, image_size: int) -> ImageClassifier:
    """Five convolutions up to 128 channels, dense layers 128 → 64 → 32 → classes."""
    return ImageClassifier(_body(_TINY), 128, _dense([128, 64, 32, classes]), settings.fem)


def _body(stages: Sequence[Sequence[int]]) -> nn.Sequential:
    """[b, 3, s, s] → [b, c, s/k, s/k], k = 2 to the number of stages less one."""
    body, inputs = nn.Sequential(), 3
    for index, widths in enumerate(stages, start=1):
        if index > 1:
            body.add_module(f"pool{index - 1}", nn.MaxPool2d(2))
        stage = nn.Sequential()
        for number, outputs in enumerate(widths, start=1):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            stage.add_module(f"conv{number}", convolution)
            stage.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
            stage.add_module(f"relu{number}", nn.ReLU())
            inputs = outputs
        body.add_module(f"stage{index}", stage)
    return body


def _dense(widths: Sequence[int]) -> nn.Sequential:
    """linear → ReLU for every width but the last, which is a bare linear layer."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        layers[f"dense{number}"] = nn.Linear(inputs, outputs)
        layers[f"relu{number}"] = nn.ReLU()
    layers.popitem()
    return nn.Sequential(layers)
