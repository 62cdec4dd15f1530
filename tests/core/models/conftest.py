"""Networks as training leaves them, and noise to ask them with."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def as_trained() -> Callable[[nn.Module], nn.Module]:
    """Gives a network statistics and scales away from their start, and puts it into evaluation mode."""

    def change(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(3)
        for module in network.modules():
            if isinstance(getattr(module, "running_mean", None), torch.Tensor):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
        for name, parameter in network.named_parameters():
            if name.endswith(("layer_scale", "gamma")):  # at 1e-6 a block computes next to nothing
                parameter.data.uniform_(0.5, 1.5, generator=generator)
        return network.eval()

    return change


@pytest.fixture(scope="session")
def noise() -> Callable[..., torch.Tensor]:
    """Two seeded images of a given side."""
    return lambda size: torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
