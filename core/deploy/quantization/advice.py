"""How many calibration images are enough, and which way to find ranges: tried on draws of images, judged on validation images.

A draw of so many images gives ranges, ranges give an INT8 network, and its logits on validation images are held against float's (signal to
noise, dB). Other draws give other ranges: their spread says what a single calibration may cost by bad luck. A number of images is *enough* from
where on the worst of its draws, and of all larger numbers', lies within `TOLERANCE` of the mean of the largest. A method is preferred to the fastest
(min-max) where it is better by more than that on average, and better for every draw of the largest number.

Source: none. A job of the tool child; test images are never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data.access import DataAccess
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.calibration import draw
from core.deploy.quantization.sessions import agreement, run, sqnr
from core.machine.jobs import ProgressCallback

TOLERANCE = 0.5  # dB: the noise has 12 % more power
FASTEST = "minmax"
METHODS = ("minmax", "percentile", "entropy")


@dataclass(frozen=True, slots=True)
class Question:
    """What is tried.

    Attributes:
        counts: numbers of calibration images. draws: of each number. judged: validation images.
    """

    methods: tuple[str, ...] = METHODS
    counts: tuple[int, ...] = (32, 128, 512)
    draws: int = 4
    judged: int = 256

    def arguments(self, access: DataAccess, source: Path) -> dict[str, Any]:
        """What `advise` is given for a float32 file and the data set that it is calibrated on."""
        return {
            **access.as_plain(), "source": str(source), "methods": list(self.methods), "counts": list(self.counts),
            "draws": self.draws, "judged": self.judged, "percentile": 99.99, "activations": "uint8",
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """Calibrations with so many images.

    Attributes:
        signals: dB of signal to noise of the logits, one for each draw. agreements: percent that keep float's class, likewise.
    """

    method: str
    images: int
    signals: tuple[float, ...]
    agreements: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.signals))

    @property
    def worst(self) -> float:
        return min(self.signals)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set.

    Attributes:
        images: enough for `method`; None where the largest number that was tried is not.
        judged: validation images that the trials were judged by.
    """

    method: str
    images: int | None
    trials: tuple[Trial, ...]
    judged: int = 0

    @property
    def largest(self) -> int:
        """The largest number of images that was tried."""
        return max(trial.images for trial in self.trials)

    @property
    def settings(self) -> dict[str, Any]:
        """What to set in a stage that calibrates."""
        return {"method": self.method, "images": self.images or self.largest}

    @property
    def sentence(self) -> str:
        """The advice for a person."""
        if self.images is None:
            return (
                f"By {self.method}, draws of {self.largest} images still differ from fewer by more than {TOLERANCE:g} dB: "
                f"take {self.largest} or more."
            )
        return (
            f"By {self.method}, {self.images} images are enough: no draw of as many or more lies {TOLERANCE:g} dB "
            f"below {self.largest} images."
        )


def advise(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: try calibrations of a float32 ONNX file.

    Args (as plain data): as for `calibrated`, but for images_count, method and seed; methods, counts, draws: what is tried;
        judged: validation images.

    Returns: `Advice` as plain data; judged, the number of validation images.

    Raises:
        EspalierError: when the file or the data does not fit.
    """
    methods, counts = arguments["methods"], sorted(arguments["counts"])
    total, done = len(methods) * len(counts) * arguments["draws"], 0
    reference: np.ndarray | None = None
    blocks: list[np.ndarray] = []
    trials = []
    for method in methods:
        for count in counts:
            signals, agreements = [], []
            for seed in range(arguments["draws"]):
                text = f"Calibrating by {method} on {count} images, draw {seed + 1} of {arguments['draws']}"
                progress(done / total, text)
                how = {**arguments, "method": method, "images_count": count, "seed": seed}
                graph = calibrated(how, lambda fraction, words: None)
                if reference is None:
                    sample = draw(graph.model, arguments, "validation", arguments["judged"], 0)
                    blocks = list(sample.blocks())
                    reference = run(graph.model, blocks, arguments.get("threads") or 0)
                model, _ = graph.quantized((), lambda fraction, words: None)
                logits = run(model, blocks, arguments.get("threads") or 0)
                signals.append(sqnr(reference, logits))
                agreements.append(agreement(reference, logits))
                done += 1
            trials.append(Trial(method, count, tuple(signals), tuple(agreements)))
    assert reference is not None
    return asdict(replace(advice_from(trials), judged=len(reference)))


def advice_from(trials: Sequence[Trial]) -> Advice:
    """The method and the number of images that the trials speak for."""
    by_method: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.images):
        by_method.setdefault(trial.method, []).append(trial)
    largest = {method: tried[-1] for method, tried in by_method.items()}
    method = FASTEST if FASTEST in largest else next(iter(largest))
    for other, trial in largest.items():
        leads = [ours - fastest for ours, fastest in zip(trial.signals, largest[method].signals, strict=True)]
        if trial.mean > largest[method].mean + TOLERANCE and min(leads) > 0:
            method = other
    return Advice(method, enough(by_method[method]), tuple(trials))


def enough(tried: Sequence[Trial]) -> int | None:
    """The smallest number of images from which on no draw falls short; None where only the largest does not.

    Args:
        tried: of one method, by number of images.
    """
    target, found = tried[-1].mean - TOLERANCE, None
    for trial in reversed(tried):
        if trial.worst < target:
            break
        found = trial.images
    return found if len(tried) == 1 or found != tried[-1].images else None


def read(told: Mapping[str, Any]) -> Advice:
    """What `advise` found, from plain data."""
    trials = tuple(
        Trial(entry["method"], entry["images"], tuple(entry["signals"]), tuple(entry["agreements"]))
        for entry in told["trials"]
    )
    return Advice(told["method"], told["images"], trials, told["judged"])


def as_text(told: Mapping[str, Any]) -> str:
    """The table of trials, the advice in a sentence, and the settings as in a pipeline file."""
    advice = read(told)
    lines = [f"{'method':<12}{'images':>8}{'signal':>10}{'worst draw':>12}{'same class':>12}"]
    for trial in advice.trials:
        kept = float(np.mean(trial.agreements))
        lines.append(
            f"{trial.method:<12}{trial.images:>8}{trial.mean:>7.2f} dB{trial.worst:>9.2f} dB{kept:>10.2f} %"
        )
    setting = f"settings: {{method: {advice.method}, images: {advice.settings['images']}}}"
    judged = f"Signal to noise of the logits on {advice.judged} validation images, INT8 against float."
    return "\n".join([*lines, "", judged, advice.sentence, "", setting])
