"""Batch norm statistics, estimated again after a network has changed.

A network whose channels, layers or weights went still holds the means and variances of the old
one. They are computed anew before any fine-tuning; without fine-tuning it decides whether the
accuracy means anything.

Source: Li et al. 2020 (EagleEye), arXiv 2007.02491, "adaptive batch normalization". They keep the
running average; we take the plain mean over the batches, which forgets the old network completely.
"""

import torch
from torch import nn

from core.models.memory_format import to_channels_last
from core.surgery.samples import Context, training_batches


@torch.no_grad()
def recalibrate(model: nn.Module, context: Context, batches: int, batch_size: int = 128) -> int:
    """Replace the running means and variances of all batch norms by those of training images.

    The images come in a seeded order, without augmentation; weights stay as they are. The
    network is left on the stage's device, in evaluation mode.

    Args:
        batches: how many to average over; 0 changes nothing.
        batch_size: at least 2.

    Returns: the number of batch norms that were estimated again.

    Raises:
        Stopped: when a person asked to stop; the network is then of no use.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms or not batches:
        return 0
    to_channels_last(model, context.device).eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative average
        norm.train()
    try:
        for images, _ in training_batches(context, "batch-norm", batches, batch_size):
            model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
    return len(norms)
