"""What the Try-out place does on workers: finding images, opening them, classifying them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtGui import QImage

from core.analysis.tryout import Trial, Tryout, images_below, preview
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.runs.stage_files import StageFile

Say = Callable[[Any], None]
PREVIEW = 640
"""Pixels at most on a side of what is shown of an image."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file to try: a stage's of a run, or one from anywhere."""

    title: str
    file: Path
    subject: StageFile | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, subject: StageFile) -> "ModelFile":
        """A stage's file."""
        return cls(subject.short, subject.file, subject)


@dataclass(frozen=True, slots=True, eq=False)
class TryoutImage:
    """An image to try: a file, or pixels from the clipboard."""

    name: str
    source: Path | QImage


def trained_among(models: Sequence[ModelFile | None], images: Sequence[TryoutImage]) -> bool:
    """Whether an image lies in the folder whose images the run of one of the models worked with."""
    folders = [
        model.subject.data_folder for model in models if model is not None and model.subject is not None
    ]
    known = [folder for folder in folders if folder is not None]
    return any(
        isinstance(image.source, Path) and image.source.is_relative_to(folder)
        for folder in known
        for image in images
    )


@dataclass(frozen=True, slots=True)
class TriedImage:
    """What came of an image.

    Attributes:
        round: the number of the list's round; answers of an older one are out of date.
        row: the image's place in the list.
    """

    round: int
    row: int
    trial: Trial


@dataclass(frozen=True, slots=True, eq=False)
class TriedFrame:
    """What came of a camera's picture, in the round as for `TriedImage`."""

    round: int
    frame: QImage
    trial: Trial


class LatestFrame:
    """Passes on the newest of many pictures: older ones that were not taken are dropped."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: QImage | None = None

    def put(self, frame: QImage) -> None:
        """Offer a picture."""
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def take(self, control: RunControl) -> QImage:
        """Wait for the next picture.

        Raises:
            Stopped: a person asked to stop.
        """
        forget = control.on_stop(self._wake)
        try:
            with self._changed:
                while self._frame is None:
                    control.checkpoint()
                    self._changed.wait(0.5)
                frame, self._frame = self._frame, None
        finally:
            forget()
        control.checkpoint()
        return frame

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()


def find_images(places: Sequence[Path], _control: RunControl, _say: Say) -> list[TryoutImage]:
    """Every image file at or below some places.

    Raises:
        EspalierError: when a place is gone or a folder holds none.
    """
    items = []
    for place in places:
        for image in images_below(place):
            name = image.relative_to(place).as_posix() if image != place else image.name
            items.append(TryoutImage(name, image))
    return items


def open_picture(item: TryoutImage, _control: RunControl, _say: Say) -> np.ndarray | QImage:
    """An image for the screen."""
    return item.source if isinstance(item.source, QImage) else preview(item.source, PREVIEW)


def try_items(
    tryout: Tryout,
    models: Sequence[Path],
    items: Sequence[tuple[int, TryoutImage]],
    round: int,
    control: RunControl,
    say: Say,
) -> None:
    """Try images one after the other; each is reported as `TriedImage` when it is done."""
    with temporary_folder() as scratch:
        for row, item in items:
            control.checkpoint()
            image = item.source
            if isinstance(image, QImage):
                image = _written(image, scratch)
            say(TriedImage(round, row, tryout.classify(models, image, control)))


def try_frames(
    tryout: Tryout, models: Sequence[Path], frames: LatestFrame, round: int, control: RunControl, say: Say
) -> None:
    """Try a camera's pictures until a person stops; each is reported as `TriedFrame`."""
    with temporary_folder() as scratch:
        while True:
            frame = frames.take(control)
            say(TriedFrame(round, frame, tryout.classify(models, _written(frame, scratch), control)))


def _written(image: QImage, folder: Path) -> Path:
    """Pixels as a file, so that they take the same way as every image; hardly compressed, which is fast."""
    path = folder / "picture.png"
    if not image.save(str(path), None, 100):
        raise EspalierError(
            "The picture could not be handed to the models.", "Save it as a file and try that."
        )
    return path
