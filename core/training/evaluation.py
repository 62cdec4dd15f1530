"""Loss and accuracy over a split, and numbers from a device without waiting for each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.control import RunControl
from core.data.batches import Batches
from core.training.precision import Precision, autocast
from core.training.ranks import Ranks


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Batches, precision: Precision, control: RunControl, ranks: Ranks | None = None
) -> tuple[float, float]:
    """Mean cross-entropy and top-1 in percent over one pass, in evaluation mode.

    The caller sets the mode.

    Args:
        ranks: processes of which each evaluates its part of the batches; they are not stopped meanwhile.
    """
    together = ranks is not None and ranks.count > 1
    figures: list[Tensor] = []
    count = 0
    for images, labels in batches.epoch(0):
        if not together:
            control.checkpoint()
        with autocast(precision, images.device.type):
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
        figures.append(torch.stack([loss, right_answers(logits, labels).sum().float()]))
        count += len(labels)
    sums = [sum(column) for column in zip(*fetched(figures), strict=True)] or [0.0, 0.0]
    loss, right, images = (ranks or Ranks()).summed([*sums, count])
    return loss / max(images, 1), 100.0 * right / max(images, 1)


def fetched(figures: Sequence[Tensor]) -> list[Any]:
    """Tensors of one shape as numbers; the one moment at which the processor waits for the device."""
    return torch.stack(list(figures)).tolist() if figures else []


def right_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images [b] are answered right; logits of which one is no finite number are no answer."""
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)
