"""Training passes through `torch.compile`: the network stays what it was, in class, names and result."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from rank_trial import network
from small_stages import SETTINGS
from torch import nn

from core.common.control import RunControl
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.training import compiled
from core.training.loop import TrainingContext, train
from core.training.settings import TrainingSettings


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """A compiler that runs graphs as they are; for every pass through one, whether it was a training pass."""
    made: list[bool] = []

    def backend(graph: Any, inputs: Any) -> Any:
        def run(*arguments: Any) -> Any:
            made.append(torch.is_grad_enabled())
            return graph.forward(*arguments)

        return run

    monkeypatch.setattr(compiled, "_BACKEND", backend)
    yield made
    torch._dynamo.reset()


class Network(nn.Module):
    """PyTorch compiles what people's classes compute, and not its own classes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = network(dropout=0.0)

    def forward(self, images: torch.Tensor) -> Any:
        return self.layers(images)


def trained(data: ImageData, compile: bool) -> nn.Module:
    model, preprocess = Network(), make_preprocess(SETTINGS, data)
    settings = TrainingSettings(epochs=1, batch_size=64, learning_rate=0.01)
    batches = Batches(data, "train", preprocess, BatchForm(64), Draws(1, "key", shuffle=True))
    validation = Batches(data, "validation", preprocess, BatchForm(100), Draws(1, "key"))
    context = TrainingContext("s", 1, "key", "cpu", RunControl(), lambda event: None, compiled=compile)
    train(model, batches, validation, settings, context)
    return model


def test_a_compiled_training_leaves_the_network_as_it_is(data: ImageData, passes: list[bool]) -> None:
    plain = trained(data, False)
    assert passes == []
    model = trained(data, True)
    assert passes.count(True) == 3 and passes.count(False) == 1  # steps, batches of validation
    assert type(model) is type(plain) and model._compiled_call_impl is None
    ours, theirs = model.state_dict(), plain.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    model(torch.zeros(2, 3, 16, 16))
    assert len(passes) == 4  # outside the training nothing is compiled


def test_what_cannot_be_compiled_runs_as_it_is(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(compiled, "_BACKEND", refuses)
    try:
        ours, theirs = trained(data, True).state_dict(), trained(data, False).state_dict()
    finally:
        torch._dynamo.reset()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
