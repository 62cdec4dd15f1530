"""The global random generator: the same seed gives the same numbers, whatever other threads draw."""

import threading
from pathlib import Path

import torch

from core.machine.torch_rng import isolated_rng
from core.models.settings import BackboneSettings
from core.models.source import build_network


def test_the_stream_goes_on_as_if_nothing_was_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with isolated_rng(1):
        first = torch.rand(3)
        with isolated_rng(2):  # one thread may hold it again
            torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with isolated_rng(1):
        assert torch.equal(torch.rand(3), first)


def test_networks_that_are_built_side_by_side_have_the_weights_of_their_seeds() -> None:
    settings = BackboneSettings(backbone="resnet20")

    def weights(seed: int) -> torch.Tensor:
        return torch.cat([p.flatten() for p in build_network(settings, 10, Path(), seed)[0].parameters()])

    expected, going = weights(3), threading.Event()

    def disturb() -> None:
        while not going.is_set():
            weights(4)

    other = threading.Thread(target=disturb)
    other.start()
    try:
        assert all(torch.equal(weights(3), expected) for _ in range(25))
    finally:
        going.set()
        other.join()
