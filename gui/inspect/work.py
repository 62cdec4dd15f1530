"""What the Inspector does on workers: reading, measuring, scanning (no widgets, no torch in this process)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.analysis import similarity as similarities
from core.analysis.flips import AnswerPair
from core.analysis.histograms import Histogram, histograms, of_files, weights_of_checkpoint
from core.analysis.layers import Difference, difference, read_layers
from core.analysis.sensitivity import (
    LayerSensitivity,
    Spread,
    prune_scan,
    quantize_scan,
    read_scan,
)
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.image_names import image_names
from core.data.settings import settings_path
from core.data.source import Watch
from core.deploy.quantization.advice import Advice, Question, advise
from core.deploy.quantization.advice import read as read_advice
from core.machine.answer_so_far import WHOLE, Extent, answer_so_far
from core.machine.child import Child, Kind
from core.machine.jobs import Job
from core.profiling.per_layer import profile
from core.runs.home import Home
from core.runs.stage_files import StageFile, check_files
from gui.base.translation import tr

Say = Callable[[Any], None]
ValueKind = Literal["weights", "activations"]
ACTIVATION_IMAGES = 32
MOST_IMAGES = 10_000  # of a scan


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a person wants scanned.

    Attributes:
        kind: "prune" or "quantize". scope: of the channels; "" for quantization.
        within: half the interval of each figure that is enough, in points of accuracy or dB.
    """

    kind: Literal["prune", "quantize"]
    scope: str
    within: float


@dataclass(frozen=True, slots=True)
class PruneScan:
    """Validation accuracy in percent of the whole network and without parts of each layer.

    Attributes:
        extent: layers that were scanned, of all.
    """

    request: ScanRequest
    layers: list[LayerSensitivity]
    top1: float
    images: int
    skipped: int
    extent: Extent = WHOLE


@dataclass(frozen=True, slots=True)
class QuantizeScan:
    """Layers with what integers cost each of them, the most sensitive first.

    Attributes:
        extent: layers that were scanned, of all.
    """

    request: ScanRequest
    ranking: list[tuple[str, float]]
    spreads: dict[str, Spread]
    measure: str
    unit: str
    images: int
    extent: Extent = WHOLE


Scan = PruneScan | QuantizeScan


@dataclass(frozen=True, slots=True)
class Distribution:
    """Histograms of one layer, the first subject's first.

    Attributes:
        source: where the values come from, in words.
    """

    histograms: list[Histogram]
    source: str


def _in_child(
    kind: Kind, job: Job, arguments: Mapping[str, Any], control: RunControl, say: Say
) -> dict[str, Any]:
    """Have a child process of its own do a job, and hand on how far it is."""
    with Child(kind) as child:
        return child.call(job, arguments, control, lambda part, words: say((part, words)))


def _in_child_so_far(job: Job, arguments: Mapping[str, Any], control: RunControl, say: Say) -> dict[str, Any]:
    """As `_in_child`, in a tool child; when it is stopped, what was finished is the answer."""
    with Child("tool") as child:
        return answer_so_far(child, job, arguments, control, lambda part, words: say((part, words)))


def read_pair(model: StageFile, reference: StageFile | None, home: Home) -> AnswerPair:
    """The answers of one or two models on the same test images."""
    pair = AnswerPair(model.answers(home), reference.answers(home) if reference is not None else None)
    for answers in (pair.after, pair.before):
        if answers is not None:  # computed here, not when the window asks for them
            _ = answers.counts, answers.confidence, answers.right
    return pair


def read_difference(model: StageFile, reference: StageFile) -> Difference:
    """How the architecture of `reference` became that of `model`.

    Raises:
        EspalierError: when one of them has no network.
    """
    before, after = reference.network, model.network
    if before is None or after is None:
        named = reference if before is None else model
        raise EspalierError(
            f"'{named.short}' has no network whose architecture could be read: it was made from a file.",
            "Choose a stage that has a network.",
        )
    return difference(before, after)


def layer_names(model: StageFile, reference: StageFile | None) -> list[str]:
    """Layers with weights that both have; of what has no network, all that the other has."""
    networks = [
        subject.network
        for subject in (model, reference)
        if subject is not None and subject.network is not None
    ]
    names_by_network = [[layer.path for layer in read_layers(network)] for network in networks]
    if not names_by_network:
        return []
    return [path for path in names_by_network[0] if all(path in names for names in names_by_network)]


def measure_layers(subject: StageFile, measure: bool, control: RunControl, say: Say) -> dict[str, Any]:
    """Count and, where asked, time the layers of a file in the measuring child."""
    check_files([subject])
    arguments = {"model": str(subject.file), "input_size": subject.input_size, "measure": measure}
    return _in_child("measure", profile, arguments, control, say)


def distribution(
    what: ValueKind, layer: str, subjects: tuple[StageFile, ...], home: Home, control: RunControl, say: Say
) -> Distribution:
    """Histograms of a layer's weights or activations over common bins."""
    checkpoints = [subject.checkpoint for subject in subjects]
    floats = all(subject.artefact.precision == "float32" for subject in subjects)
    if what == "weights" and floats and all(checkpoints):
        arrays = [
            weights_of_checkpoint(checkpoint, layer) for checkpoint in checkpoints if checkpoint is not None
        ]
        return Distribution(
            histograms(arrays), tr("Weights of the network, before batch norms are folded in")
        )
    check_files(subjects)
    arguments = {
        "what": what,
        "files": [str(subject.file) for subject in subjects],
        "layer": layer,
        "count": ACTIVATION_IMAGES,
        **subjects[0].access(home).as_plain(),
    }
    result = _in_child("tool", of_files, arguments, control, say)
    words = (
        tr("Weights of the exported files as they compute, batch norms folded in")
        if what == "weights"
        else tr(
            "What the layer gives on {told} validation images, before its activation function",
            told=result["images"],
        )
    )
    return Distribution([Histogram(**histogram) for histogram in result["histograms"]], words)


def similarity(
    model: StageFile, reference: StageFile, home: Home, control: RunControl, say: Say
) -> dict[str, Any]:
    """How alike two files represent the same validation images, by layer (`core.analysis.similarity.of_files`)."""
    check_files([model, reference])
    arguments = {
        "files": [str(model.file), str(reference.file)], "count": similarities.IMAGES, **model.access(home).as_plain()
    }  # fmt: skip
    return _in_child("tool", similarities.of_files, arguments, control, say)


def scan(subject: StageFile, request: ScanRequest, home: Home, control: RunControl, say: Say) -> Scan:
    """Measure the sensitivity of every layer in the tool child; when it is stopped, of those that were finished."""
    place: Path | None = subject.network if request.kind == "prune" else subject.float_file
    if place is None:
        raise EspalierError(
            f"'{subject.short}' has no float32 network that could be scanned.",
            "Choose a stage that has one.",
        )
    arguments = {**subject.access(home).as_plain(), "count": MOST_IMAGES, "within": request.within}
    if request.kind == "prune":
        arguments |= {"checkpoint": str(place), "scope": request.scope}
        result = _in_child_so_far(prune_scan, arguments, control, say)
        return PruneScan(
            request,
            read_scan(result),
            float(result["top1"]),
            int(result["images"]),
            len(result["skipped"]),
            Extent(**result["extent"]),
        )
    result = _in_child_so_far(quantize_scan, {**arguments, "file": str(place)}, control, say)
    ranking = [(str(name), float(value)) for name, value, *_ in result["ranking"]]
    spreads = {str(name): Spread(low, high, int(images)) for name, _, low, high, images in result["ranking"]}
    return QuantizeScan(
        request,
        ranking,
        spreads,
        result["measure"],
        result["unit"],
        int(result["images"]),
        Extent(**result["extent"]),
    )


def advice(subject: StageFile, question: Question, home: Home, control: RunControl, say: Say) -> Advice:
    """Try calibrations of the float file that a model's network was exported to, in the tool child.

    When it is stopped, the advice is from the draws that were finished.
    """
    if subject.float_file is None:
        raise EspalierError(
            f"'{subject.short}' has no float32 file that could be calibrated.", "Choose a stage that has one."
        )
    arguments = question.arguments(subject.access(home), subject.float_file)
    return read_advice(_in_child_so_far(advise, arguments, control, say))


@dataclass(frozen=True, slots=True, eq=False)
class OpenedImages:
    """The data set that a run was tested on.

    Attributes:
        names: the file of every image; empty where they are no files of their own, or are not known.
        place: where the data set lies; None where it is nowhere.
    """

    data: ImageData
    names: tuple[str, ...]
    place: Path | None

    def pixels_of_file(self, name: str) -> np.ndarray | None:
        """The pixels of the image in a file; None where it is not among the images."""
        return np.asarray(self.data.images[self.names.index(name)]) if name in self.names else None


def open_images(subject: StageFile, home: Home, control: RunControl, say: Say) -> OpenedImages:
    """Open the data set that a run was tested on."""
    data = subject.access(home).open(control, lambda part, words: say((part, words)))
    settings, base = subject.pipeline.data, subject.run.base
    place = settings_path(settings.path, base) if settings.path.strip() else None
    watch = Watch(control, lambda part, words: say((part, words)))
    return OpenedImages(data, image_names(data, settings, base, watch), place)
