"""What a report shows of single images and classes: those that the result answers otherwise than its baseline."""

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.analysis.confusion import class_figures
from core.analysis.flips import AnswerPair
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.data.image_data import ImageData
from core.data.image_names import image_names
from core.data.source import Watch
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile, final, find, subjects_of

_log = logging.getLogger(__name__)

_SHOWN, _SIDE, _MOST_CLASSES = 12, 96, 40


@dataclass(frozen=True, slots=True)
class Flip:
    """An image that one model answers right and the other wrong.

    Attributes:
        picture: a PNG as a data address; empty where the images are gone.
        name: of its file, or its number.
    """

    picture: str
    name: str
    true: str
    before: str
    after: str
    lost: bool


@dataclass(frozen=True, slots=True)
class ClassChange:
    """One class: its images, and in percent how many of them each model answers right."""

    name: str
    images: int
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Evidence:
    """Attributes:
    sentence: how many images turned. flips: some of them. classes: the biggest losers first.
    missing: why there are no pictures; empty where there are.
    """

    sentence: str
    flips: tuple[Flip, ...]
    classes: tuple[ClassChange, ...]
    missing: str = ""


def evidence_of(folder: Path, home: Home, control: RunControl) -> Evidence | None:
    """The evidence of a run's result against its baseline; None where the answers are not there. Opens the data set.

    Raises:
        Stopped: a person asked to stop.
    """
    try:
        subjects = subjects_of(RunFolder.open(folder))
        result = final(subjects)
        before = find(subjects, _baseline_key(result, subjects)) if result is not None else None
        if result is None or before is None or before == result:
            return None
        pair = AnswerPair(result.answers(home), before.answers(home))
    except (EspalierError, OSError, ValueError) as error:
        _log.debug("The report shows no single images: %s", in_a_line(error))
        return None
    data, names, missing = _images(result, home, control)
    return Evidence(pair.sentence, tuple(_flips(pair, data, names)), tuple(_classes(pair)), missing)


def _baseline_key(result: StageFile, subjects: Sequence[StageFile]) -> str:
    baseline = result.pipeline.baseline_of(result.report.id)
    same_seed = (file for file in subjects if file.report.seed == result.report.seed)
    return next((file.key for file in same_seed if file.report.id == baseline), "")


def _images(
    subject: StageFile, home: Home, control: RunControl
) -> tuple[ImageData | None, tuple[str, ...], str]:
    try:
        data = subject.access(home).open(control)
    except EspalierError as error:
        return None, (), f"The images themselves are not shown: {error.message}"
    return data, image_names(data, subject.pipeline.data, subject.run.base, Watch(control)), ""


def _flips(pair: AnswerPair, data: ImageData | None, names: Sequence[str]) -> list[Flip]:
    """As many of each kind as there are, the most confident answers first."""
    after, before = pair.after, pair.before
    assert before is not None
    lost, won = pair.images("lost"), pair.images("won")
    half = _SHOWN // 2
    count = min(len(lost), max(half, _SHOWN - len(won)))
    chosen = [(int(image), True) for image in lost[:count]]
    chosen += [(int(image), False) for image in won[: _SHOWN - count]]
    rows = data.split("test") if data is not None else None
    shown = []
    for image, is_lost in chosen:
        row = int(rows[image]) if rows is not None and image < len(rows) else None
        name = Path(names[row]).name if row is not None and names else f"image {image}"
        picture = _picture(data.images[row]) if data is not None and row is not None else ""
        shown.append(Flip(
            picture, name, after.classes[int(after.labels[image])], after.classes[int(before.guesses[image])],
            after.classes[int(after.guesses[image])], is_lost,
        ))  # fmt: skip
    return shown


def _classes(pair: AnswerPair) -> list[ClassChange]:
    assert pair.before is not None
    pairs = zip(class_figures(pair.before), class_figures(pair.after), strict=True)
    changes = [
        ClassChange(after.name, after.images, before.recall, after.recall)
        for before, after in pairs
        if before.recall is not None and after.recall is not None
    ]
    return sorted(changes, key=lambda one: one.change)[:_MOST_CLASSES]


def _picture(pixels: np.ndarray) -> str:
    """A small PNG: what is small is enlarged without smoothing, so that it can be made out on paper."""
    image = Image.fromarray(np.asarray(pixels).squeeze())
    longer = max(image.size)
    smooth = Image.Resampling.NEAREST if longer < _SIDE else Image.Resampling.LANCZOS
    size = tuple(max(1, round(side * _SIDE / longer)) for side in image.size)
    buffer = io.BytesIO()
    image.resize(size, smooth).save(buffer, "PNG")  # type: ignore[arg-type]
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
