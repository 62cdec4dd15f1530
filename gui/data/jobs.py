"""What the Data place does on workers: opening, checking, augmenting (no Qt, no torch until called)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.common.control import RunControl
from core.data.image_data import ImageData
from core.data.inspection import Finding
from core.data.settings import DataSettings
from core.document.pipeline import Pipeline

Say = Callable[[Any], None]
Progress = tuple[float, str]

SHOWN, VARIANTS = 6, 3
"""Images in the augmentation preview, and augmented ones below each."""


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the check of a data set gives.

    Attributes:
        names: the file of every image; empty where that is not known.
    """

    findings: list[Finding]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """Originals and what training makes of them, as uint8 [s, s, c] pictures.

    Attributes:
        rows: the originals' indices into the data set's images.
        variants: for every original some augmented ones.
    """

    rows: tuple[int, ...]
    originals: list[np.ndarray]
    variants: list[list[np.ndarray]]


def open_job(settings: DataSettings, cache: Path, base: Path, control: RunControl, say: Say) -> ImageData:
    """Open the data set; progress is reported as (fraction, sentence)."""
    from core.data.store import open_data

    return open_data(settings, cache, base, control, lambda part, words: say((part, words)))


def check_job(pipeline: Pipeline, data: ImageData, base: Path, control: RunControl, say: Say) -> DataCheck:
    """Check the opened data set against what the pipeline will do with it."""
    from core.data.inspection import inspect_data
    from core.data.survey import file_listing, file_names, file_shapes
    from gui.data.applied import applied_to

    listing = file_listing(pipeline.data, base)
    shapes = file_shapes(*listing, control) if listing else []
    findings = inspect_data(
        data,
        pipeline.data,
        applied_to(pipeline, data),
        shapes,
        control,
        lambda part, words: say((part, words)),
    )
    return DataCheck(findings, file_names(data, listing[1]) if listing else ())


def augment_job(data: ImageData, settings: DataSettings, shift: int, roll: int) -> Augmented:
    """Some training images, before and after augmentation, as a network would see them but for the normalisation.

    Args:
        shift: other values take other images.
        roll: other values draw other changes.
    """
    import torch

    from core.data.augment import augment
    from core.data.preprocess import make_preprocess
    from core.data.randomness import derive_seed, shuffled

    train = data.split("train")
    order = shuffled(len(train), derive_seed("preview"))
    chosen = train[order[np.arange(shift * SHOWN, (shift + 1) * SHOWN) % len(train)]]
    batch = make_preprocess(settings, data).to_unit(
        np.stack([np.asarray(data.images[row]) for row in chosen])
    )
    augmented = []
    for variant in range(VARIANTS):
        generator = torch.Generator().manual_seed(derive_seed("preview", roll, variant))
        augmented.append(_pictures(augment(batch, settings.augmentation, generator)))
    return Augmented(
        tuple(int(row) for row in chosen),
        _pictures(batch),
        [list(column) for column in zip(*augmented, strict=True)],
    )


def _pictures(batch: Any) -> list[np.ndarray]:
    """float [b, c, s, s] in 0…1 to uint8 [s, s, c] each."""
    return list((batch * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())
