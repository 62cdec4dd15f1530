"""A small network trained on the stages' images."""

from pathlib import Path

import torch
from small_stages import SETTINGS
from torch import nn

from core.common.control import RunControl
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation
from core.training.loop import TrainingContext, TrainingResult, train
from core.training.settings import TrainingSettings


def network(norm: bool = True) -> nn.Module:
    """A small network with everything that has a state: batch statistics and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 3, "batch_size": 32, "learning_rate": 0.01} | changes)


def fit(
    model: nn.Module,
    data: ImageData,
    how: TrainingSettings,
    key: str = "key",
    state: Path | None = None,
    control: RunControl | None = None,
    seed: int = 1,
    emit=lambda event: None,
    **more: object,
) -> TrainingResult:
    preprocess = make_preprocess(SETTINGS, data)
    training = Batches(data, "train", preprocess, BatchForm(how.batch_size), Draws(seed, key), Augmentation())
    validation = Batches(data, "validation", preprocess, BatchForm(100), Draws(seed, key))
    context = TrainingContext("stage", seed, key, "cpu", control or RunControl(), emit, state)
    return train(model, training, validation, how, context, **more)
