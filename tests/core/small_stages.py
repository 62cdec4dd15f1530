"""What the tests of single stages share: a small network, small data, a stage's context."""

from pathlib import Path

import torch
from torch import nn

from core.control import RunControl
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.models.catalogue import BACKBONES
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.stages.base import StageContext

SETTINGS = DataSettings(image_size=16, train_images=200, validation_images=100, test_images=100)
NETWORK = BackboneSettings(backbone="resnet20")


def small_data(folder: Path) -> ImageData:
    """200 images of the sample data set for training, 16 px a side."""
    return open_data(SETTINGS, folder)


def small_network(seed: int = 4) -> ImageClassifier:
    """A ResNet-20 whose batch norms are not at their start."""
    torch.manual_seed(seed)
    model = BACKBONES[NETWORK.backbone].build(NETWORK, 10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def stage_context(data: ImageData, scratch: Path, control: RunControl | None = None) -> StageContext:
    """A context with the seed 1 and the key "k" on the CPU."""
    return StageContext(
        stage="s", seed=1, key="k", device="cpu", network=NETWORK, data=data,
        preprocess=make_preprocess(SETTINGS, data), augmentation=Augmentation(), scratch=scratch,
        control=control or RunControl(), emit=lambda event: None, reference=lambda name: small_network(9),
    )  # fmt: skip
