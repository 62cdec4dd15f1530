"""Statistics of batch norms after surgery, against the means taken by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_stages import small_data, stage_context
from torch import Tensor, nn

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.image_data import ImageData
from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings
from core.stages.context import StageContext
from core.surgery.batch_norm import recalibrate
from core.surgery.samples import training_batches


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def context(data: ImageData, tmp_path: Path) -> StageContext:
    return stage_context(data, tmp_path)


def network() -> ImageClassifier:
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.9), nn.BatchNorm2d(4), nn.ReLU())
    body[2].running_mean.normal_()
    return ImageClassifier(body, 4, nn.Linear(4, 10), FemSettings()).train()


def seen(context: StageContext, batches: int) -> Iterator[Tensor]:
    return (images for images, _ in training_batches(context, "batch-norm", batches, 50))


def test_statistics_are_the_mean_over_the_batches(context):
    model = network()
    weights = {name: value.clone() for name, value in model.named_parameters()}
    assert recalibrate(model, context, 3, 50) == 1
    with torch.no_grad():
        maps = [model.body[0](images) for images in seen(context, 3)]
    norm = model.body[2]
    mean = sum(value.mean((0, 2, 3)) for value in maps) / 3
    variance = sum(value.transpose(0, 1).flatten(1).var(1) for value in maps) / 3
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-6)
    assert norm.momentum == 0.1 and not any(module.training for module in model.modules())
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_no_batches_and_no_norms_change_nothing(context):
    model = network()
    before = model.body[2].running_mean.clone()
    assert recalibrate(model, context, 0) == 0
    assert torch.equal(model.body[2].running_mean, before) and model.training
    plain = ImageClassifier(nn.Sequential(nn.Conv2d(3, 4, 3)), 4, nn.Linear(4, 10), FemSettings())
    assert recalibrate(plain, context, 2) == 0


def test_the_images_are_seeded_training_images_and_go_round(context, data):
    first, again = (torch.cat(list(seen(context, 5))) for _ in range(2))
    assert torch.equal(first, again) and len(first) == 250  # of 200
    rows = data.split("train")
    stored = context.preprocess(data.images[rows])
    assert torch.equal(
        first[:200].flatten(1).sum(1).sort().values, stored.contiguous().flatten(1).sum(1).sort().values
    )
    assert not torch.equal(first[:50], first[200:])


def test_a_person_can_stop_it(data, tmp_path):
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        recalibrate(network(), stage_context(data, tmp_path, control), 2)
