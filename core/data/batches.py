"""Batches of tensors, in an order and with augmentation that can be repeated from any step.

The order of an epoch follows from (seed, key, epoch), the augmentation of a batch from (seed,
key, epoch, step), where an image is cropped from (seed, key, epoch, its place in the epoch's order); nothing is drawn
from a running stream. `b` images in a batch, `s` pixels a side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.common.errors import EspalierError
from core.data.augment import augment
from core.data.balance import epoch_images, epoch_order
from core.data.encoded_images import EncodedImages
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.data.random_crop import crop_boxes, cropped, image_sizes
from core.data.randomness import derive_seed
from core.data.settings import Augmentation, Balance
from core.data.transfer import FETCHING, made_ahead, to_device

_AHEAD = 2  # batches that wait for a GPU


@dataclass(frozen=True, slots=True)
class BatchForm:
    """Size and device of the batches.

    Attributes:
        part: which of how many parts of each batch is given: the share of one of several processes.
    """

    size: int
    device: str | torch.device = "cpu"
    channels_last: bool = False
    part: tuple[int, int] = (0, 1)


@dataclass(frozen=True, slots=True)
class Draws:
    """What decides the order of images and their augmentation.

    Attributes:
        key: whose draws these are (a stage's key), so that stages differ.
        shuffle: whether this is training: another order each epoch, and an incomplete last
            batch dropped where there is a full one. None: where there is augmentation.
        balance: `DataSettings.balance`, for training; evaluation shows every image once.
    """

    seed: int
    key: str
    shuffle: bool | None = None
    balance: Balance = "none"


def bounds_of(images: int, part: tuple[int, int]) -> tuple[int, int]:
    """Where a part of so many images begins and ends; the parts differ by one image at the most."""
    index, count = part
    return images * index // count, images * (index + 1) // count


class Batches:
    """One split as batches on a device.

    Attributes:
        steps: batches in an epoch.
        images: images in an epoch, repeats included. classes: of the data set.
    """

    def __init__(
        self,
        data: ImageData,
        split: str,
        preprocess: Preprocess,
        form: BatchForm,
        draws: Draws,
        augmentation: Augmentation | None = None,
    ):
        """Args:
            augmentation: random changes for training; None for evaluation.

        Raises:
            EspalierError: the split is unknown or empty, or the batch size is below 1.
        """
        batch_size, balance = form.size, draws.balance
        self._indices = data.split(split)
        if batch_size < 1 or len(self._indices) == 0:
            raise EspalierError(
                f"Expected a batch size of at least 1 and images in the {split} split, "
                f"received {batch_size} and {len(self._indices)} images."
            )
        self._images = data.images
        self._labels = data.labels
        self.classes = len(data.classes)
        self._preprocess = preprocess
        self._augmentation = augmentation
        self._device = torch.device(form.device)
        crops = augmentation is not None and augmentation.random_crop
        self._crop = augmentation if crops else None
        # A GPU computes while the processor gathers; on the processor itself both would take the same cores.
        self._threads, self._ahead = 1, _AHEAD if self._device.type in FETCHING else 0
        # Batches are decoded side by side, as the workers of a loader do.
        if crops or isinstance(data.images, EncodedImages):
            self._threads = max(1, torch.get_num_threads())
            self._ahead = self._threads + _AHEAD
        self._seed = draws.seed
        self._key = draws.key
        self._format = torch.channels_last if form.channels_last else torch.contiguous_format
        self.batch_size, self._part = batch_size, form.part
        self.shuffle = augmentation is not None if draws.shuffle is None else draws.shuffle
        self._balance = balance
        shown = epoch_images(self._labels[self._indices], balance) if self.shuffle else len(self._indices)
        full, rest = divmod(shown, batch_size)
        drop = self.shuffle and full > 0
        self.steps = full if drop or rest == 0 else full + 1
        self.images = full * batch_size if drop else shown

    def __len__(self) -> int:
        return self.steps

    def size_of(self, step: int) -> int:
        """Images in the batch of a step, all parts together."""
        return min(self.batch_size, self.images - step * self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: the same as when running through from 0. A part that holds none is left out.

        Yields: images float32 [b, channels, s, s], normalised, and labels int64 [b], on the device.
        """
        order = self.order(number)

        def gathered(step: int) -> tuple[int, Tensor, Tensor]:
            places = np.arange(step * self.batch_size, min((step + 1) * self.batch_size, len(order)))
            # Sorted, so that the memory map is read forwards.
            places = places[np.argsort(order[places], kind="stable")]
            low, high = bounds_of(len(places), self._part)
            places = places[low:high]
            rows = order[places]
            return step, self._pinned(self._gather(rows, places, number)), self._pinned(self._labels[rows])

        steps = [step for step in range(start, self.steps) if self._holds(step)]
        for step, images, labels in made_ahead(gathered, steps, self._ahead, self._threads):
            yield self._prepared(images, number, step), to_device(labels, self._device)

    def _holds(self, step: int) -> bool:
        low, high = bounds_of(self.size_of(step), self._part)
        return high > low

    def order(self, number: int) -> np.ndarray:
        """The images of an epoch in turn, as indices into the data set's images: int64."""
        if not self.shuffle:
            return self._indices
        labels = self._labels[self._indices]
        return self._indices[epoch_order(labels, self._balance, self._seed, self._key, number)]

    @torch.no_grad()
    def _prepared(self, images: Tensor, epoch: int, step: int) -> Tensor:
        batch = self._preprocess.to_unit(images, self._device)
        if self._augmentation is not None:
            generator = torch.Generator().manual_seed(
                derive_seed(self._seed, self._key, "augment", epoch, step)
            )
            whole = self.size_of(step)
            batch = augment(batch, self._augmentation, generator, slice(*bounds_of(whole, self._part)), whole)
        return self._preprocess.normalise(batch).contiguous(memory_format=self._format)

    def _gather(self, rows: np.ndarray, places: np.ndarray, epoch: int) -> np.ndarray:
        """A copy of the rows, which are sorted and may repeat: uint8 [b, h, w, c]; runs on any thread.

        Args:
            places: int [b], where they stand in the epoch.
        """
        if self._crop is not None:
            seed = derive_seed(self._seed, self._key, "crop", epoch)
            boxes = crop_boxes(image_sizes(self._images, rows), places, seed, self._crop)
            return cropped(self._images, rows, boxes, self._preprocess.size)
        if isinstance(self._images, EncodedImages):
            return self._images.decoded(rows)
        if np.all(np.diff(rows) == 1):
            gathered: np.ndarray = self._images[rows[0] : rows[-1] + 1].copy()
            return gathered
        chosen: np.ndarray = self._images[rows]
        return chosen

    def _pinned(self, array: np.ndarray) -> Tensor:
        """As a tensor on the processor, in memory that a GPU can fetch it from by itself."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self._device.type in FETCHING else tensor
