"""Models on a person's own images: what they answer, how sure they are and how long they take.

`classify` is a job of the measuring child, which keeps its sessions open from image to image;
`Tryout` calls it. NumPy, Pillow and ONNX Runtime only. Each model is timed alone, one after the
other, on one thread; a session holds no threads of its own that could disturb the other's time.
`s` pixels a side, `c` channels, `k` classes.
"""

import io
import os
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np

from core.analysis.accuracy import wilson
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import write_atomically
from core.common.regular_files import in_words, open_regular
from core.common.shown_text import SafeCsv
from core.data.decode import Misfit, Undecodable, decode, open_image, read_shape
from core.data.layout import IMAGE_ENDINGS, is_litter
from core.data.preprocess import LUMA, Preprocess
from core.data.source import Plan
from core.deploy.verify import OnnxAnswer, classes_of, preprocessing_of
from core.machine.child import Child
from core.machine.jobs import ProgressCallback, quick
from core.profiling.session import open_session, warm_up

BEST = 5
MOST_IMAGES = 5000
"""Of a folder; more would be a test set, which `espalier run` measures."""
_SHEET = ("answer", "verdict", "probability", "milliseconds")
_RUNS, _ENOUGH_SECONDS = 3, 0.1  # timed runs of an image, fewer where they take longer than this


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of an image.

    Attributes:
        best: the likeliest classes with their probability (softmax) in 0…1, the likeliest first.
        seconds: of the model alone, the median of up to three runs.
    """

    best: tuple[tuple[str, float], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One image and every model's answer, in the order of the models.

    Attributes:
        notes: what was odd about the image, in sentences.
        problem: why it could not be read; then there are no answers.
        truth: the class that it shows, where that is known.
    """

    answers: tuple[Answer, ...] = ()
    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    problem: str = ""
    truth: str = ""

    @property
    def agree(self) -> bool | None:
        """Whether all name the same class first; None where there is nothing to compare."""
        firsts = {answer.best[0][0] for answer in self.answers}
        return len(firsts) == 1 if len(self.answers) > 1 else None

    @property
    def agree_wrongly(self) -> bool:
        """Whether all name the same class first, and the image is known to show another."""
        return bool(self.agree) and self.right(0) is False

    def right(self, model: int) -> bool | None:
        """Whether a model names the class that the image shows; None where that is not known."""
        return self.answers[model].best[0][0] == self.truth if self.truth and self.answers else None


@dataclass(slots=True)
class Tally:
    """Counts and times over many trials.

    Attributes:
        labelled: images whose class is known. right: for every model, how many of them it names right.
    """

    tried: int = 0
    agreeing: int = 0
    unreadable: int = 0
    labelled: int = 0
    right: list[int] = field(default_factory=list)
    seconds: list[deque[float]] = field(default_factory=list)
    """Of every model, of each image; of a camera, of the last `MOST_IMAGES`."""

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "Tally":
        """The tally of all of them."""
        tally = cls()
        for trial in trials:
            tally.add(trial)
        return tally

    def add(self, trial: Trial) -> None:
        """Count one more."""
        if trial.problem:
            self.unreadable += 1
            return
        self.tried += 1
        self.agreeing += bool(trial.agree)
        self.seconds = self.seconds or [deque(maxlen=MOST_IMAGES) for _ in trial.answers]
        for times, answer in zip(self.seconds, trial.answers, strict=True):
            times.append(answer.seconds)
        if trial.truth:
            self.labelled += 1
            self.right = self.right or [0] * len(trial.answers)
            self.right = [count + bool(trial.right(model)) for model, count in enumerate(self.right)]

    def accuracy(self, model: int) -> tuple[float, float, float] | None:
        """Percent of the images with a known class that a model names right, with its 95 % interval (Wilson)."""
        if not self.labelled:
            return None
        return (100 * self.right[model] / self.labelled, *wilson(self.right[model], self.labelled))

    def median_seconds(self, model: int) -> float | None:
        """The median of a model's times so far, which a slow first image hardly moves; None before its first image."""
        return median(self.seconds[model]) if self.tried else None


class Tryout:
    """Models that stay open in a process of their own from one image to the next.

    Attributes:
        classes: of the first model that was asked last, in its order.
    """

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self._child = Child("measure", threads=1)

    def __enter__(self) -> "Tryout":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def classify(self, models: Sequence[Path], image: Path, control: RunControl | None = None) -> Trial:
        """Every model's answer to an image file.

        Raises:
            EspalierError: when a model cannot be opened or used; not for an unreadable image.
            Stopped: a person asked to stop.
        """
        arguments = {"models": [str(model) for model in models], "image": str(image)}
        reply = self._child.call(classify, arguments, control)
        answers = tuple(
            Answer(
                tuple((str(name), float(share)) for name, share in answer["best"]), float(answer["seconds"])
            )
            for answer in reply["answers"]
        )
        self.classes = tuple(reply["classes"]) or self.classes
        truth = class_of_folder(image, self.classes)
        return Trial(answers, reply["width"], reply["height"], tuple(reply["notes"]), reply["problem"], truth)

    def close(self) -> None:
        """End the process; an image under way is given up."""
        self._child.close()


def class_of_folder(image: Path, classes: Sequence[str]) -> str:
    """The class that the folder of an image is called by; "" where it is called otherwise."""
    name = _spelling(image.parent.name)
    return next((each for each in classes if _spelling(each) == name), "")


def _spelling(name: str) -> str:
    """Names that differ in upper case, or in how their accents are stored, are one."""
    return unicodedata.normalize("NFC", name).casefold()


def write_sheet(path: Path, models: Sequence[str], names: Sequence[str], trials: Sequence[Trial]) -> None:
    """A CSV file with a row an image: its true class, and of every model the answer, whether it is right, probability and ms.

    Raises:
        EspalierError: when it cannot be written.
    """
    text = io.StringIO()
    sheet = SafeCsv(text)
    sheet.writerow(
        ["image", "true class", *(f"{model}: {what}" for model in models for what in _SHEET), "remark"]
    )
    for name, trial in zip(names, trials, strict=True):
        cells: list[object] = [name, trial.truth]
        for number, answer in enumerate(trial.answers):
            right = trial.right(number)
            verdict = "" if right is None else "right" if right else "wrong"
            cells += [answer.best[0][0], verdict, f"{answer.best[0][1]:.4f}", f"{1e3 * answer.seconds:.3f}"]
        cells += [""] * (2 + len(_SHEET) * len(models) - len(cells))
        sheet.writerow([*cells, trial.problem])
    write_atomically(path, text.getvalue())


def images_below(place: Path) -> list[Path]:
    """All image files below a folder, by name, at most `MOST_IMAGES`; a file is its own list.

    Raises:
        EspalierError: when it is not there or holds no image.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise EspalierError(f"{place} is not there any more.", "Choose another image or folder.")
    image_files: list[Path] = []
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        images = (name for name in sorted(files) if Path(name).suffix.casefold() in IMAGE_ENDINGS)
        image_files += [Path(folder, name) for name in images if not is_litter(name)]
        if len(image_files) >= MOST_IMAGES:
            return image_files[:MOST_IMAGES]
    if not image_files:
        raise EspalierError(
            f"The folder {place.name} holds no images.",
            f"Choose one with {', '.join(sorted(IMAGE_ENDINGS)[:6])} or other image files.",
        )
    return image_files


def preview(image: Path, side: int) -> np.ndarray:
    """The whole image upright, at most `side` pixels wide and high, as uint8 [h, w, 3].

    Raises:
        EspalierError: when it cannot be read.
    """
    try:
        with open_regular(image) as file:
            shape = read_shape(file)
            scale = min(1.0, side / max(shape.width, shape.height))
            width, height = (max(1, round(scale * each)) for each in (shape.width, shape.height))
            file.seek(0)
            return decode(file, Plan(height, width, 3, keep_size=False, resize="stretch")).pixels
    except (OSError, Undecodable) as error:
        raise EspalierError(
            f"{image.name} cannot be read: {in_words(error)}.", "Choose another image."
        ) from error


# what follows runs in the child


@dataclass(frozen=True, slots=True)
class _Model:
    run: Callable[[np.ndarray], np.ndarray]  # float32 [1, c, s, s] -> [1, k]
    prepare: Preprocess
    classes: tuple[str, ...]


_open: dict[tuple[str, int, int], _Model] = {}
"""The child's sessions by path, size and time of change."""


@quick
def classify(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: the answers of some models to one image; their sessions stay open.

    Args (as plain data): models: .onnx files made by Espalier. image: a file.

    Returns: answers (best: name and probability; seconds), width, height, notes, problem, classes of the first model.

    Raises:
        EspalierError: when a model cannot be opened or used.
    """
    models = _opened([Path(model) for model in arguments["models"]])
    image = Path(arguments["image"])
    nothing: dict[str, Any] = {
        "answers": [],
        "width": 0,
        "height": 0,
        "notes": [],
        "problem": "",
        "classes": models[0].classes,
    }
    try:
        about = _about(image, max(model.prepare.size for model in models))
        inputs = _inputs(image, [model.prepare for model in models])
    except (OSError, Undecodable) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {**nothing, "problem": f"Cannot be read: {reason}."}
    answers = [_answer(model, batch) for model, batch in zip(models, inputs, strict=True)]
    return {**nothing, **about, "answers": answers}


def _opened(files: list[Path]) -> list[_Model]:
    """Open what is not open yet, and close the others."""
    keys = []
    for file in files:
        try:
            about = file.stat()
        except OSError as error:
            raise EspalierError(
                f"The model {file.name} is gone: {file}.", "Choose another model, or run its pipeline again."
            ) from error
        keys.append((str(file), about.st_size, about.st_mtime_ns))
    for key in set(_open) - set(keys):
        del _open[key]
    for file, key in zip(files, keys, strict=True):
        if key not in _open:
            _open[key] = _load(file)
    return [_open[key] for key in keys]


def _load(file: Path) -> _Model:
    session = open_session(file, threads=1)
    metadata = session.get_modelmeta().custom_metadata_map
    prepare = preprocessing_of(file, session, metadata, None)
    answer = OnnxAnswer(session)
    if answer.batch not in (None, 1):
        raise EspalierError(
            f"{file.name} takes {answer.batch} images at a time; single images cannot be tried on it.",
            "Choose a file with an open batch size, as Espalier exports it.",
        )
    empty = np.zeros((1, prepare.channels, prepare.size, prepare.size), np.float32)
    warm_up(lambda: answer(empty))
    return _Model(answer, prepare, classes_of(metadata))


def _answer(model: _Model, batch: np.ndarray) -> dict[str, Any]:
    seconds: list[float] = []
    while len(seconds) < _RUNS and sum(seconds) < _ENOUGH_SECONDS:
        before = time.perf_counter()
        logits = model.run(batch)
        seconds.append(time.perf_counter() - before)
    shares = softmax(logits[0])
    top = np.argsort(-shares, kind="stable")[:BEST]
    names = model.classes or tuple(f"class {number}" for number in range(len(shares)))
    return {"best": [[names[label], float(shares[label])] for label in top], "seconds": median(seconds)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of one image's logits [k], in float64."""
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares: np.ndarray = powers / powers.sum()
    return shares


def network_input(pixels: np.ndarray, prepare: Preprocess) -> np.ndarray:
    """uint8 [s, s, c] to float32 [1, channels, s, s]: what `Preprocess` does, without PyTorch."""
    unit = pixels.astype(np.float32) / np.float32(255)
    if prepare.channels == 1 and unit.shape[2] == 3:
        unit = (unit * np.array(LUMA, np.float32)).sum(2, keepdims=True)
    mean, std = (np.array(values, np.float32) for values in (prepare.mean, prepare.std))
    return np.ascontiguousarray(((unit - mean) / std).transpose(2, 0, 1)[None])


def _inputs(image: Path, prepares: Sequence[Preprocess]) -> list[np.ndarray]:
    """The image as each network takes it; decoded once for networks that take it alike."""
    inputs: dict[Preprocess, np.ndarray] = {}
    for prepare in prepares:
        if prepare not in inputs:
            inputs[prepare] = network_input(_pixels(image, prepare), prepare)
    return [inputs[prepare] for prepare in prepares]


def _pixels(image: Path, prepare: Preprocess) -> np.ndarray:
    """uint8 [s, s, c]; a network for grey images gets colour ones in three channels."""
    with open_regular(image) as file:
        try:
            return _decoded(file, prepare, prepare.channels)
        except Misfit:
            file.seek(0)
            return _decoded(file, prepare, 3)


def _decoded(file: Any, prepare: Preprocess, channels: int) -> np.ndarray:
    plan = Plan(prepare.size, prepare.size, channels, keep_size=False, resize=prepare.resize)
    return decode(file, plan).pixels


def _about(image: Path, side: int) -> dict[str, Any]:
    """Width, height and what is odd, from the file's beginning alone."""
    try:
        with open_regular(image) as file, open_image(file) as picture:
            width, height, kind = picture.width, picture.height, picture.mode
            stored = " ".join(str(part) for tile in picture.tile for part in tile[3:])
            frames = int(getattr(picture, "n_frames", 1)) if picture.format != "MPO" else 1
            transparent = picture.has_transparency_data
    except Exception:
        return {}  # decoding reports the reason
    notes = []
    if min(width, height) < side:
        notes.append(f"It has only {width} × {height} pixels and is enlarged to {side} × {side}.")
    if kind == "CMYK":
        notes.append("Its CMYK colours are converted to RGB.")
    if kind.startswith("I") or "16" in stored:
        notes.append("Its 16-bit values are scaled to 8 bits.")
    if transparent:
        notes.append("Its transparent parts are shown over white.")
    if frames > 1:
        notes.append(f"It has {frames} frames or pages; the first one is used.")
    return {"width": width, "height": height, "notes": notes}
