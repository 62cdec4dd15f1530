"""Which values an activation takes: measured on training images, never on test images.

Ranges are collected with ONNX Runtime's calibrators, a few images at a time, so that percentile
and entropy do not keep every activation of every image in memory (ResNet-50 at 224 px: 120 MB an
image). They are plain data: by tensor, its lowest and its highest value.

Sources: MinMax and percentile as usual; entropy: Migacz 2017, "8-bit inference with TensorRT".
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.data.access import DataAccess
from core.data.preprocess import Preprocess
from core.data.randomness import derive_seed
from core.data.splits import limit
from core.deploy.onnx_export import metadata_of
from core.machine.jobs import ProgressCallback
from core.onnx_graph.class_names import class_names

if TYPE_CHECKING:
    import onnx

Ranges = dict[str, tuple[float, float]]
_PIXELS = 8 * 224 * 224  # in a block of images: about 1 GB of a ResNet-50's activations
_MOST = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """Images as a network takes them, a block at a time.

    Attributes:
        images: uint8 [n, h, w, c]. rows: int64 [k], those that count. labels: int64 [k], as the
            file orders its classes.
        batch: fixed number of images that the file takes at once, or None.
    """

    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    preprocess: Preprocess
    batch: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def spread(self, count: int, part: int = 0, parts: int = 1) -> "Sample":
        """At most `count` of the images, drawn evenly (rows lie class by class); of `parts` samples without an image in common the one `part`.

        Where a file takes a fixed number at once these are whole calls, some images again where there are too few for one.
        """
        every = np.linspace(0, len(self) - 1, min(len(self), count * parts)).round().astype(int)
        picked = every[part::parts] if len(every) >= parts else every
        if self.batch:
            picked = np.resize(picked, max(self.batch, len(picked) // self.batch * self.batch))
        return replace(self, rows=self.rows[picked], labels=self.labels[picked])

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [b, c, s, s], b at most 64 and fewer for large images."""
        size = self.batch or max(1, min(_MOST, _PIXELS // self.preprocess.size**2))
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            yield self.preprocess(np.asarray(self.images[rows])).numpy()


def draw(
    model: "onnx.ModelProto", arguments: Mapping[str, Any], split: str, count: int | None, seed: int
) -> Sample:
    """Images of a split, drawn evenly over the classes.

    Args:
        model: its metadata says how images are prepared.
        arguments: of a job: data, data_cache, base; or images, a .npy file of uint8 [n, h, w, c]
            that are taken as they are. preprocess, where the file does not say how.
        count: at most this many; None takes all.

    Raises:
        EspalierError: when the data cannot be opened, or nothing says how images are prepared.
    """
    preprocess = preprocess_of(model, arguments.get("preprocess"))
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or None
    if "images" in arguments:
        images = np.load(arguments["images"], mmap_mode="r", allow_pickle=False)
        rows, labels = np.arange(len(images)), np.zeros(len(images), np.int64)
    else:
        data = DataAccess.from_plain(arguments).open()
        images = data.images
        rows = limit(data.split(split), data.labels, count, derive_seed(seed, "calibration", split))
        labels = _in_file_order(model, data.classes)[data.labels[rows]]
    if fixed and len(rows):  # whole calls; some images again where there are too few for one
        whole = max(fixed, len(rows) // fixed * fixed)
        rows, labels = np.resize(rows, whole), np.resize(labels, whole)
    if not len(rows):
        raise EspalierError(
            f"Expected images in the {split} split for calibration, found too few.", "Use more images."
        )
    return Sample(images, rows, labels, preprocess, fixed)


def fewer_than_asked(sample: Sample, count: int) -> str:
    """A sentence where there were fewer images for calibration than were asked for; "" where there were enough."""
    if len(sample) >= count:
        return ""
    return f"Calibrated on {len(sample)} images; {count} were asked for."


def _in_file_order(model: "onnx.ModelProto", classes: tuple[str, ...]) -> np.ndarray:
    """For each class of the data set, its logit in the file: int64 [k].

    Raises:
        EspalierError: when the file and the data set have different classes.
    """
    file_classes = list(class_names(metadata_of(model)))
    if not file_classes:
        return np.arange(len(classes))
    if sorted(file_classes) != sorted(classes):
        strange = sorted(set(file_classes) ^ set(classes))
        raise EspalierError(
            f"The file and the data set have different classes, among them {', '.join(strange[:4])}.",
            "Choose the data set that the network was made for.",
        )
    return np.array([file_classes.index(name) for name in classes])


def preprocess_of(model: "onnx.ModelProto", fallback: Mapping[str, Any] | None = None) -> Preprocess:
    """How images are prepared for the file.

    Raises:
        EspalierError: when neither the file nor `fallback` says it.
    """
    stored = metadata_of(model).get("preprocess")
    if fallback is None and stored is None:
        raise EspalierError(
            "The file does not say how images have to be prepared for it: it was not made by Espalier.",
            "Give the image size, mean and standard deviation.",
        )
    return Preprocess.from_dict(dict(fallback)) if fallback is not None else Preprocess.from_json(str(stored))


def collect_ranges(
    model: "onnx.ModelProto",
    sample: Sample,
    op_types: Sequence[str],
    method: str,
    percentile: float,
    progress: ProgressCallback,
) -> Ranges:
    """Lowest and highest value of every float tensor that nodes of `op_types` read or give.

    Args:
        method: "minmax", "percentile" or "entropy".
        percentile: share of the values that stays inside the range, in percent.

    Raises:
        EspalierError: when an activation is not a finite number.
    """
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    options = {"symmetric": False} | ({"percentile": percentile} if method == "percentile" else {})
    entry = model.graph.input[0].name
    with temporary_folder() as folder, redirect_stdout(StringIO()):
        path = folder / "float.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(op_types),
            augmented_model_path=str(folder / "augmented.onnx"),
            calibrate_method=methods[method],
            extra_options=options,
        )
        done = 0
        for block in sample.blocks():
            calibrator.collect_data(_OneBlock(entry, block))
            done += len(block)
            progress(done / len(sample), f"Calibrating: {done} of {len(sample)} images")
        measured = calibrator.compute_data()
    ranges = {
        name: (float(np.min(data.range_value[0])), float(np.max(data.range_value[1])))
        for name, data in measured.items()
    }
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EspalierError(
                f"The activation {name} is not a finite number on the calibration images.",
                "The network gives no usable answers; look at its accuracy before quantizing it.",
            )
    return ranges


class _OneBlock:
    """One block of images as ONNX Runtime's calibrators read it."""

    def __init__(self, entry: str, block: np.ndarray):
        self._feeds = iter([{entry: block}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)
