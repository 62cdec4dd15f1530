"""Some training images, before and after augmentation, as a network would see them but for the normalisation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.access import DataAccess
from core.machine.jobs import JobContext

if TYPE_CHECKING:
    from torch import Tensor

SHOWN, VARIANTS = 6, 3
"""Images in the preview, and augmented ones for each."""


def augmented_samples(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: write the images to a file.

    Args (as plain data): those of `DataAccess.as_plain`; shift: other values take other images; roll: other
    values draw other changes; target: an .npz with `rows` [n], the originals' indices into the data set's
    images, `originals` uint8 [n, s, s, c] and `variants` uint8 [n, VARIANTS, s, s, c].
    """
    import torch

    from core.data.augment import augment
    from core.data.preprocess import make_preprocess
    from core.data.random_crop import crop_boxes, cropped, image_sizes
    from core.data.randomness import derive_seed, shuffled

    access = DataAccess.from_plain(arguments)
    data, shift, roll = access.open(context.control, context), arguments["shift"], arguments["roll"]
    train = data.split("train")
    order = shuffled(len(train), derive_seed("preview"))
    rows = train[order[np.arange(shift * SHOWN, (shift + 1) * SHOWN) % len(train)]]
    preprocess = make_preprocess(access.settings, data)
    batch = preprocess.to_unit(np.stack([np.asarray(data.images[row]) for row in rows]))
    originals = _pictures(batch)
    variants = []
    crop = access.settings.augmentation if access.settings.augmentation.random_crop else None
    for variant in range(VARIANTS):
        if crop is not None:
            seed = derive_seed("preview", "crop", roll, variant)
            boxes = crop_boxes(image_sizes(data.images, rows), np.arange(len(rows)), seed, crop)
            batch = preprocess.to_unit(cropped(data.images, rows, boxes, preprocess.size))
        generator = torch.Generator().manual_seed(derive_seed("preview", roll, variant))
        variants.append(_pictures(augment(batch, access.settings.augmentation, generator)))
    with Path(arguments["target"]).open("wb") as file:
        np.savez(file, rows=rows, originals=originals, variants=np.stack(variants, axis=1))
    return {}


def _pictures(batch: "Tensor") -> np.ndarray:
    """float [n, c, s, s] in 0…1 to uint8 [n, s, s, c]."""
    pictures: np.ndarray = (batch * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pictures
