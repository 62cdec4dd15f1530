"""Training images for surgery that looks at data: importances, statistics of batch norms."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from core.common.control import RunControl
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess


class Context(Protocol):
    """What a running stage knows that matters here; `core.stages.base.StageContext` is one."""

    @property
    def data(self) -> ImageData: ...
    @property
    def preprocess(self) -> Preprocess: ...
    @property
    def device(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def control(self) -> RunControl: ...


def training_batches(
    context: Context, purpose: str, batches: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches from the training split in random order, without augmentation, on the stage's device.

    The order follows from the seed, the stage's key and `purpose`. After the last image it begins
    again in another order.

    Yields: images [b, channels, s, s] and labels [b]; `batches` times.

    Raises:
        Stopped: when a person asked to stop.
    """
    key = f"{context.key}/{purpose}"
    source = Batches(
        context.data, "train", context.preprocess, BatchForm(batch_size, context.device, channels_last=True),
        Draws(context.seed, key, shuffle=True),
    )  # fmt: skip
    for number in range(batches):
        context.control.checkpoint()
        epoch, step = divmod(number, source.steps)
        yield next(source.epoch(epoch + 1, step))
