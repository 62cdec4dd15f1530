"""What the tests of single stages share: a small network, small data, a stage's context."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.common.control import RunControl
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.models.catalogue import BACKBONES
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.stages.context import StageContext
from core.stages.result import StageResult

SETTINGS = DataSettings(image_size=16, train_images=200, validation_images=100, test_images=100)
NETWORK = BackboneSettings(backbone="resnet20")
_HEAD = """
espalier: 1
name: Small
data: {source: fashion-mnist-sample, image_size: 16, train_images: 200, validation_images: 100, test_images: 100}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
"""


def small_data(folder: Path) -> ImageData:
    """200 images of the sample data set for training, 16 px a side."""
    return open_data(SETTINGS, folder)


def document(*stages: str) -> Pipeline:
    """A pipeline on the same data and network, of stages as in a file: "id: fp32, kind: train"."""
    return documents.loads(_HEAD + "".join(f"  - {{{stage}}}\n" for stage in stages))


def small_network(
    seed: int = 4, network: BackboneSettings = NETWORK, size: int | None = None
) -> ImageClassifier:
    """A network, a ResNet-20 unless given, whose batch norms are not at their start."""
    torch.manual_seed(seed)
    model = BACKBONES[network.backbone].build(network, 10, size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def stage_context(
    data: ImageData, scratch: Path, control: RunControl | None = None, **more: Any
) -> StageContext:
    """A context with the seed 1 and the key "k" on the CPU, unless `more` says otherwise."""
    plain = StageContext(
        stage="s", seed=1, key="k", device="cpu", network=NETWORK, data=data,
        preprocess=make_preprocess(SETTINGS, data), augmentation=Augmentation(), scratch=scratch,
        control=control or RunControl(), emit=lambda event: None, reference=lambda name: small_network(9),
    )  # fmt: skip
    return replace(plain, **more)


def reloads(result: StageResult, data: ImageData, folder: Path, network: BackboneSettings = NETWORK) -> bool:
    """Whether a stage's network, saved and loaded again, gives the same logits to the last bit."""
    made = result.model.eval().to(memory_format=torch.contiguous_format)  # as it is loaded
    checkpoint = Checkpoint(made, network, make_preprocess(SETTINGS, data), data.classes, result.facts)
    save_checkpoint(folder / "reloaded", checkpoint)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.equal(load_checkpoint(folder / "reloaded").model(images), made(images))
