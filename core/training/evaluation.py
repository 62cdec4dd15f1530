"""Loss and accuracy over a split, and numbers from a device without waiting for each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.control import RunControl
from core.data.batches import Batches
from core.training.precision import Precision, autocast


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Batches, precision: Precision, control: RunControl
) -> tuple[float, float]:
    """Mean cross-entropy and top-1 in percent over one pass, in evaluation mode.

    The caller sets the mode.
    """
    figures: list[Tensor] = []
    count = 0
    for images, labels in batches.epoch(0):
        control.checkpoint()
        with autocast(precision, images.device.type):
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
        figures.append(torch.stack([loss, right_answers(logits, labels).sum().float()]))
        count += len(labels)
    sums = [sum(column) for column in zip(*fetched(figures), strict=True)] or [0.0, 0.0]
    return sums[0] / max(count, 1), 100.0 * sums[1] / max(count, 1)


def fetched(figures: Sequence[Tensor]) -> list[Any]:
    """Tensors of one shape as numbers; the one moment at which the processor waits for the device."""
    return torch.stack(list(figures)).tolist() if figures else []


def right_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images [b] are answered right; logits of which one is no finite number are no answer."""
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)
