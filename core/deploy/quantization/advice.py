"""How many calibration images are enough, and which way to find ranges: tried on draws of images, judged on validation images.

A draw of so many images gives ranges, ranges give an INT8 network, and its logits on validation images are held against float's (signal to
noise, dB). Other draws give other ranges: their spread says what a single calibration may cost by bad luck. A number of images is *enough* from
where on the worst of its draws, and of all larger numbers', lies within `TOLERANCE` of the mean of the largest. A method is preferred to the fastest
(min-max) where it is better by more than that on average, and better for every draw of the largest number.

Source: none. A job of the tool child; test images are never seen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data.access import DataAccess
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.calibration import draw
from core.deploy.quantization.sessions import agreement, run, sqnr
from core.machine.answer_so_far import WHOLE, Extent
from core.machine.jobs import JobContext

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
        method: "" where the trials were stopped before one method had been tried with all numbers of images.
        images: enough for `method`; None where the largest number that was tried is not.
        judged: validation images that the trials were judged by.
        extent: draws that were tried, of those that were asked for.
        left: methods that were not tried to the end.
        available: training images that there are to calibrate on; 0 where that was not looked at.
    """

    method: str
    images: int | None
    trials: tuple[Trial, ...]
    judged: int = 0
    extent: Extent = WHOLE
    left: tuple[str, ...] = ()
    available: int = 0

    @property
    def largest(self) -> int:
        """The largest number of images that was tried."""
        return max(trial.images for trial in self.trials)

    @property
    def settings(self) -> dict[str, Any]:
        """What to set in a stage that calibrates; nothing where the trials do not say it."""
        if not self.method:
            return {}
        return {"method": self.method, "images": self.images or self.largest}

    @property
    def sentence(self) -> str:
        """The advice for a person, and how far the trials came."""
        if self.extent.whole:
            return self._finding
        stopped = f"Stopped after {self.extent.done} of {self.extent.planned} draws."
        if not self.method:
            return f"{stopped} No method was tried with every number of images, so nothing is advised."
        return f"{stopped} {self._finding} Not tried to the end: {', '.join(self.left)}."

    @property
    def _finding(self) -> str:
        if self.images is None and self.largest == self.available:
            return (
                f"By {self.method}, draws of fewer than all {self.available} training images still differ from all of them "
                f"by more than {TOLERANCE:g} dB: take all."
            )
        if self.images is None:
            return (
                f"By {self.method}, draws of {self.largest} images still differ from fewer by more than {TOLERANCE:g} dB: "
                f"take {self.largest} or more."
            )
        return (
            f"By {self.method}, {self.images} images are enough: no draw of as many or more lies {TOLERANCE:g} dB "
            f"below {self.largest} images."
        )


def advise(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: try calibrations of a float32 ONNX file; after each draw the advice so far is sent as a part.

    Of more images than there are, all are taken, once: another draw would be the same.

    Args (as plain data): as for `calibrated`, but for images_count, method and seed; methods, counts, draws: what is tried;
        judged: validation images.

    Returns: `Advice` as plain data.

    Raises:
        EspalierError: when the file or the data does not fit.
    """
    available = _available(arguments)
    draws = {
        min(count, available or count): 1 if available and count >= available else arguments["draws"]
        for count in sorted(arguments["counts"])
    }
    plan = [
        (method, count, seed)
        for method in arguments["methods"]
        for count in draws
        for seed in range(draws[count])
    ]
    reference: np.ndarray | None = None
    blocks: list[np.ndarray] = []
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    told: dict[str, Any] = {}
    for done, (method, count, seed) in enumerate(plan):
        context(
            done / len(plan), f"Calibrating by {method} on {count} images, draw {seed + 1} of {draws[count]}"
        )
        how = {**arguments, "method": method, "images_count": count, "seed": seed}
        graph = calibrated(how, lambda fraction, words: None)
        if reference is None:
            sample = draw(graph.model, arguments, "validation", arguments["judged"], 0)
            blocks = list(sample.blocks())
            reference = run(graph.model, blocks, arguments.get("threads") or 0)
        model, _ = graph.quantized((), lambda fraction, words: None)
        logits = run(model, blocks, arguments.get("threads") or 0)
        found.setdefault((method, count), []).append((sqnr(reference, logits), agreement(reference, logits)))
        told = _advice_so_far(
            found, Counter((method, count) for method, count, _ in plan), len(reference), available
        )
        context.send_part(told)
    return told


def _available(arguments: Mapping[str, Any]) -> int:
    """How many training images there are; 0 where images are given as they are."""
    if "images" in arguments:
        return 0
    return len(DataAccess.from_plain(arguments).open().split("train"))


def _advice_so_far(
    found: Mapping[tuple[str, int], Sequence[tuple[float, float]]],
    planned: Mapping[tuple[str, int], int],
    judged: int,
    available: int,
) -> dict[str, Any]:
    """`Advice` as plain data, from those methods that were tried with every number of images.

    Args:
        found: signal to noise and agreement of each draw, by method and number of images. planned: draws, likewise.
    """
    trials = tuple(Trial(method, count, *zip(*each, strict=True)) for (method, count), each in found.items())
    left = tuple(dict.fromkeys(key[0] for key, draws in planned.items() if len(found.get(key, ())) < draws))
    tried = [trial for trial in trials if trial.method not in left]
    advice = advice_from(tried) if tried else Advice("", None, ())
    extent = Extent(sum(map(len, found.values())), sum(planned.values()))
    return asdict(Advice(advice.method, advice.images, trials, judged, extent, left, available))


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
    extent, left = Extent(**told["extent"]), tuple(told["left"])
    return Advice(told["method"], told["images"], trials, told["judged"], extent, left, told["available"])


def as_text(told: Mapping[str, Any]) -> str:
    """The table of trials, the advice in a sentence, and the settings as in a pipeline file."""
    advice = read(told)
    lines = [f"{'method':<12}{'images':>8}{'signal':>10}{'worst draw':>12}{'same class':>12}"]
    for trial in advice.trials:
        kept = float(np.mean(trial.agreements))
        lines.append(
            f"{trial.method:<12}{trial.images:>8}{trial.mean:>7.2f} dB{trial.worst:>9.2f} dB{kept:>10.2f} %"
        )
    lines += ["", f"Signal to noise of the logits on {advice.judged} validation images, INT8 against float."]
    lines += [advice.sentence]
    if advice.method:
        lines += ["", f"settings: {{method: {advice.method}, images: {advice.settings['images']}}}"]
    return "\n".join(lines)
