"""A GPU never waits for the processor within a step: every transfer that would make it wait is counted, on the meta device.

What waits on a GPU: a copy from memory that is not pinned, and reading a number back. PyTorch's dispatcher sees both;
reading back from the meta device raises by itself.
"""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from small_stages import SETTINGS
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.common.control import RunControl
from core.data import transfer
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation
from core.data.transfer import made_ahead
from core.training import evaluation, loop
from core.training.hooks import Hooks
from core.training.loop import TrainingContext
from core.training.losses import cross_entropy
from core.training.precision import resolve_precision
from core.training.settings import TrainingSettings

EVERYTHING = Augmentation(
    flip=True,
    vertical_flip=True,
    rotation=10,
    shift=2,
    scale=0.1,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
)


class Waits(TorchDispatchMode):
    """Counts what would make a GPU wait, by the operator's name."""

    def __init__(self, pinned: list[Tensor]):
        super().__init__()
        self.found: list[str] = []
        self._pinned = pinned

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = result.device.type if isinstance(result, Tensor) else ""
        sources = [argument for argument in args if isinstance(argument, Tensor)]
        from_cpu = [source for source in sources if source.device.type == "cpu" and source.dim()]
        if made == "meta" and any(all(source is not one for one in self._pinned) for source in from_cpu):
            self.found.append(str(func))
        return result


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The meta device plays a GPU; the tensors that are pinned for it."""
    pinned: list[Tensor] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(transfer, "FETCHING", {"meta"})
    monkeypatch.setattr("core.data.batches.FETCHING", {"meta"})
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    for module in (loop, evaluation):
        monkeypatch.setattr(module, "autocast", lambda precision, device: nullcontext())
    return pinned


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def batches(data: ImageData, split: str, device: str, augmentation: Augmentation | None = None) -> Batches:
    return Batches(
        data, split, make_preprocess(SETTINGS, data), BatchForm(32, device), Draws(1, "key"), augmentation
    )


@pytest.mark.parametrize("optimiser", ["adamax", "adam", "adamw", "sgd", "lamb"])
def test_no_step_waits(data, gpu, optimiser):
    how = TrainingSettings(epochs=1, batch_size=32, optimiser=optimiser, scale_penalty=1e-4)
    training = batches(data, "train", "meta", EVERYTHING)
    context = TrainingContext("stage", 1, "key", "meta", RunControl(), lambda event: None)
    made = loop._Loop(
        network().to("meta"), training, batches(data, "validation", "meta"), how, context,
        cross_entropy(0.1), Hooks(),
    )  # fmt: skip
    made.precision = resolve_precision("float32", "cpu")
    steps = 0
    with Waits(gpu) as waits:
        for images, labels in training.epoch(1):
            made._run_step(images, labels)
            steps += 1
    assert steps == training.steps > 1 and waits.found == []


def test_a_validation_waits_once(data, gpu, monkeypatch):
    asked: list[int] = []

    def fetched(figures: Any) -> list[Any]:
        asked.append(len(figures))
        return [[1.0, 2.0] for _ in figures]

    monkeypatch.setattr(evaluation, "fetched", fetched)
    shown, model = batches(data, "validation", "meta"), network().to("meta").eval()
    with Waits(gpu) as waits:
        evaluation.evaluate(model, shown, resolve_precision("float32", "cpu"), RunControl())
    assert waits.found == [] and asked == [shown.steps]


def test_the_count_sees_what_waits(gpu):
    with Waits(gpu) as waits:
        torch.ones(3).to("meta")
        transfer.to_device(torch.ones(3), "meta")
        torch.full((3,), 2.0, device="meta")
    assert len(waits.found) == 1
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.ones((), device="meta").item()


def test_batches_made_ahead_are_the_same(data, monkeypatch):
    shown = batches(data, "train", "cpu", EVERYTHING)
    before = list(shown.epoch(2, start=1))
    monkeypatch.setattr(shown, "_ahead", 2)
    after = list(shown.epoch(2, start=1))
    assert len(after) == len(before) == shown.steps - 1
    for (images, labels), (others, those) in zip(before, after, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, those)


def test_what_is_made_ahead_keeps_its_order_and_ends_with_its_reader():
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        if number == 5:
            raise ValueError("the sixth")
        return number * 10

    assert list(made_ahead(make, range(3), 2)) == [0, 10, 20] == list(made_ahead(make, range(3), 0))
    made.clear()
    reader = made_ahead(make, range(100), 2)
    assert next(reader) == 0
    reader.close()
    assert len(made) <= 4
    with pytest.raises(ValueError, match="the sixth"):
        list(made_ahead(make, range(10), 2))
