"""What the Data place does on workers: opening, checking, augmenting (no Qt; what needs PyTorch is asked of a process)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.common.control import RunControl
from core.common.temporary import temporary_folder
from core.data.access import DataAccess
from core.data.guess_source import guess_source
from core.data.image_data import ImageData
from core.data.image_names import image_names
from core.data.inspection import Finding
from core.data.preview import augmented_samples
from core.data.settings import DataSettings
from core.data.source import Watch
from core.document.normalisation import applied_by
from core.document.pipeline import Pipeline
from core.machine.child import Child

Say = Callable[[Any], None]
Progress = tuple[float, str]


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


def guess_job(path: Path, control: RunControl, _say: Say) -> tuple[str, Path]:
    """The kind of data set at a path that a person picked, and the path to open it with."""
    return guess_source(path, Watch(control))


def open_job(settings: DataSettings, cache: Path, base: Path, control: RunControl, say: Say) -> ImageData:
    """Open the data set; progress is reported as (fraction, sentence)."""
    from core.data.store import open_data

    return open_data(settings, cache, base, control, lambda part, words: say((part, words)))


def check_job(
    pipeline: Pipeline, data: ImageData, access: DataAccess, tool: Child, control: RunControl, say: Say
) -> DataCheck:
    """Check the opened data set against what the pipeline will do with it."""
    from core.data.inspection import inspect_data
    from core.data.survey import file_listing, file_shapes

    assert access.base is not None
    watch = Watch(control, lambda part, words: say((part, words)))
    listing = file_listing(pipeline.data, access.base, watch)
    shapes = file_shapes(*listing, control) if listing else []
    findings = inspect_data(
        data,
        pipeline.data,
        applied_by(tool, pipeline, access, control),
        shapes,
        control,
        lambda part, words: say((part, words)),
    )
    return DataCheck(findings, image_names(data, pipeline.data, access.base, watch))


def augment_job(access: DataAccess, tool: Child, shift: int, roll: int, control: RunControl) -> Augmented:
    """Some training images, before and after augmentation, as a network would see them but for the normalisation.

    Args:
        shift: other values take other images.
        roll: other values draw other changes.
    """
    with temporary_folder() as folder:
        target = folder / "samples.npz"
        arguments = {**access.as_plain(), "shift": shift, "roll": roll, "target": str(target)}
        tool.call(augmented_samples, arguments, control)
        with np.load(target) as samples:
            rows, originals, variants = (samples[name] for name in ("rows", "originals", "variants"))
    return Augmented(tuple(int(row) for row in rows), list(originals), [list(column) for column in variants])
