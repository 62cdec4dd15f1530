"""The part of preprocessing that is the same for every image: scale, resize, normalise.

`b` images of `h` × `w` pixels with `c` channels come in as bytes and leave as the float32
[b, channels, size, size] that a network sees. `Preprocess` is plain data, so that a checkpoint
and a child process can carry it.
"""

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from core.common.errors import EspalierError
from core.common.shown_text import shortened
from core.common.validation_messages import kind_of
from core.data.settings import DataSettings
from core.data.transfer import to_device

if TYPE_CHECKING:
    from torch import Tensor, device

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
LUMA = (0.2989, 0.587, 0.114)
"""How much red, green and blue make of brightness, as torchvision weighs them (ITU-R 601-2)."""
LARGEST_SIDE = 4096
"""Pixels that an image may have a side; a file that asks for more would take all memory."""
SMALLEST_STD = 1 / 255
"""Images that all look the same have no deviation; dividing by it must stay possible."""


class Measured(Protocol):
    """What is known of a data set's images: `core.data.store.ImageData` is one."""

    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...
    @property
    def size(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Preprocess:
    """From stored images to a network's input.

    Attributes:
        size: side of the square that the network sees, in pixels.
        channels: 3; or 1 for a network that takes grey images.
        mean: per channel, in 0…1; 0 and a deviation of 1 leave values in 0…1.
        std: likewise.
        resize: "crop" (centre square, shapes stay true) or "stretch", for images that are not square.
    """

    size: int
    channels: int = 3
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: str = "crop"

    def __post_init__(self) -> None:
        if (
            not 1 <= self.size <= LARGEST_SIDE
            or self.channels not in (1, 3)
            or self.resize not in ("crop", "stretch")
        ):
            raise EspalierError(
                f"Expected a size from 1 to {LARGEST_SIDE}, 1 or 3 channels and 'crop' or 'stretch', "
                f"received {self.size}, {self.channels} and '{self.resize[:40]}'."
            )
        if (
            not len(self.mean) == len(self.std) == self.channels
            or min(self.std) <= 0
            or not all(map(math.isfinite, (*self.mean, *self.std)))
        ):
            raise EspalierError(
                f"Expected a finite mean and a positive deviation for each of {self.channels} channels, "
                f"received {self.mean} and {self.std}."
            )

    def __call__(self, images: "np.ndarray | Tensor", device: "str | device" = "cpu") -> "Tensor":
        """uint8 [b, h, w, c] (NumPy or torch) to float32 [b, channels, size, size] on `device`."""
        return self.normalise(self.to_unit(images, device))

    def to_unit(self, images: "np.ndarray | Tensor", device: "str | device" = "cpu") -> "Tensor":
        """uint8 [b, h, w, c] to float32 [b, c, size, size] in 0…1 on `device`; c stays what it is."""
        import torch

        writable = images.flags.writeable if isinstance(images, np.ndarray) else True
        batch = to_device(torch.as_tensor(images if writable else np.array(images)), device)
        # [b, h, w, c] -> [b, c, h, w], while still bytes.
        batch = batch.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)
        return self._fit(batch)

    def normalise(self, batch: "Tensor") -> "Tensor":
        """float32 [b, 1 or 3, h, w] in 0…1 to [b, channels, h, w] around 0."""
        if self.channels == 1 and batch.shape[1] == 3:
            batch = luma(batch)
        mean, std = (_by_channel(values, batch) for values in (self.mean, self.std))
        if batch.shape[1] == 1 and len(set(self.mean)) == len(set(self.std)) == 1:
            one = (batch - mean[:, :1]).div_(std[:, :1])
            return one.expand(-1, self.channels, -1, -1).contiguous()
        # [b, 1, h, w] - [1, 3, 1, 1] makes three channels of a grey one.
        return (batch - mean).div_(std)

    def _fit(self, batch: "Tensor") -> "Tensor":
        """[b, c, h, w] to [b, c, size, size], antialiased bilinear."""
        from torch.nn.functional import interpolate

        height, width = batch.shape[2:]
        if self.resize == "crop" and height != width:
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            batch = batch[:, :, top : top + side, left : left + side]
        if tuple(batch.shape[2:]) == (self.size, self.size):
            return batch.contiguous()
        return interpolate(
            batch, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and YAML."""
        return {
            "size": self.size,
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "resize": self.resize,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Preprocess":
        """What `as_dict` gave.

        Raises:
            EspalierError: a value is missing, unknown or impossible.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(plain, dict):
            raise EspalierError(f"Expected the preprocessing as names and values, received {kind_of(plain)}.")
        if set(plain) != names:
            raise EspalierError(
                f"Expected the preprocessing values {', '.join(sorted(names))}, received {', '.join(sorted(plain))}."
            )
        try:
            mean, std = (tuple(float(value) for value in plain[name]) for name in ("mean", "std"))
            return cls(int(plain["size"]), int(plain["channels"]), mean, std, str(plain["resize"]))
        except (TypeError, ValueError, OverflowError) as error:
            raise EspalierError(
                f"Expected numbers for the preprocessing, received {shortened(plain)}."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> "Preprocess":
        """The same from the metadata of a file.

        Raises:
            EspalierError: as `from_dict`, or it is no JSON.
        """
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EspalierError(
                "Expected how images are prepared in the file's metadata, but what stands there is no JSON.",
                "Export the file again, or give the image size, mean and standard deviation.",
            ) from error
        return cls.from_dict(plain)


def _by_channel(values: tuple[float, ...], batch: "Tensor") -> "Tensor":
    """[1, c, 1, 1] where the batch is, made there: copying numbers to a GPU would wait for it."""
    import torch

    return torch.cat([batch.new_full((1, 1, 1, 1), value) for value in values], 1)


def luma(batch: "Tensor") -> "Tensor":
    """Brightness of colours, [b, 3, h, w] to [b, 1, h, w]."""
    red, green, blue = batch.unbind(1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def resolve_normalisation(
    choice: str, data: Measured, weights_use: Normalisation | None = None
) -> Normalisation:
    """Mean and deviation for three channels.

    Args:
        choice: `DataSettings.normalisation`.
        data: its statistics are used where the choice is "dataset"; grey ones are repeated.
        weights_use: what the network's weights were trained with, where that is known; "auto"
            takes it, and the data set's statistics otherwise.

    Raises:
        EspalierError: the choice is unknown.
    """
    if choice == "imagenet":
        return IMAGENET
    if choice == "half":
        return HALF
    if choice == "auto" and weights_use is not None:
        return weights_use
    if choice not in ("auto", "dataset"):
        raise EspalierError(
            f"Expected the normalisation auto, imagenet, dataset or half, received '{choice}'."
        )
    repeat = 3 // len(data.mean)
    return data.mean * repeat, tuple(max(value, SMALLEST_STD) for value in data.std) * repeat


def make_preprocess(
    settings: DataSettings, data: Measured, weights_use: Normalisation | None = None
) -> Preprocess:
    """The preprocessing that the settings ask for; without an image size, the images' shorter side."""
    mean, std = resolve_normalisation(settings.normalisation, data, weights_use)
    return Preprocess(settings.image_size or min(data.size), 3, mean, std, settings.resize)
