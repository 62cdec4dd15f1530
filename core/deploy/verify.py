"""Predictions of a checkpoint or an ONNX file on a split of a data set; a job of the tool child.

`b` images in a batch, `n` in the split, `k` classes, `s` pixels a side. Images reach PyTorch and
ONNX Runtime through the same preprocessing, so that only the networks can differ.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.common.files import save_array
from core.data.access import DataAccess
from core.data.preprocess import Preprocess
from core.deploy.other_order import other_order
from core.machine.jobs import ProgressCallback
from core.onnx_graph.class_names import class_names
from core.onnx_graph.classifier import images_of
from core.onnx_graph.reading import read_onnx, unopened
from core.onnx_graph.wrong_files import unprepared

if TYPE_CHECKING:
    from core.data.image_data import ImageData

_log = logging.getLogger(__name__)

_Network = Callable[[np.ndarray], np.ndarray]  # uint8 [b, h, w, c] -> float32 [b, k]
BATCH = 128
_WHERE = "(in the window: Start, My ONNX model)"


@dataclass(frozen=True, slots=True)
class Predictor:
    """Something that answers, and what it says of itself.

    Attributes:
        classes: in the order of the logits; empty where the file does not say.
        facts: plain data about the file or the network.
    """

    network: _Network
    preprocess: Preprocess
    classes: tuple[str, ...]
    facts: dict[str, Any]


def predict(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: logits of a checkpoint, or of an ONNX file, on one split, written as .npy files.

    Args (as plain data):
        checkpoint: folder; or onnx: file.
        data, data_cache, base, threads: of `DataAccess.as_plain`.
        split: "test" unless given. batch: 128 unless given.
        device: of PyTorch, "cpu" unless given; ONNX Runtime computes on the CPU. double: PyTorch in float64.
        preprocess: overrides what the ONNX file's metadata says (`Preprocess.as_dict`).
        logits, labels: files to write: float32 [n, k] in the data set's order of classes, int64 [n].

    Returns: logits, labels (paths), images, classes, preprocess, facts; notes, sentences on the data set and on
        images that were left out; order, on an order of the classes that would explain the accuracy.

    Raises:
        EspalierError: when something cannot be read, or network and data set do not fit.
    """
    with _predictor(arguments) as predictor:
        return predict_with(predictor, arguments, progress)


def predict_with(
    predictor: Predictor, arguments: dict[str, Any], progress: ProgressCallback
) -> dict[str, Any]:
    """The same for something that is open already; arguments and result as of `predict`."""
    progress(0.0, "Opening the data")
    data = DataAccess.from_plain(arguments).open()
    indices = data.split(arguments.get("split", "test"))
    logits = _run(predictor, data, indices, arguments.get("batch", BATCH), progress)
    logits = _in_order(logits, predictor.classes, data.classes)
    save_array(Path(arguments["logits"]), logits)
    labels = np.asarray(data.labels[indices], dtype=np.int64)
    save_array(Path(arguments["labels"]), labels)
    return {
        "logits": str(arguments["logits"]),
        "labels": str(arguments["labels"]),
        "images": len(indices),
        "classes": list(data.classes),
        "preprocess": predictor.preprocess.as_dict(),
        "facts": predictor.facts,
        "notes": [*data.notes, *data.left_out()],
        "order": other_order(logits, labels, data.classes),
    }


@contextmanager
def _predictor(arguments: dict[str, Any]) -> Iterator[Predictor]:
    threads = int(arguments.get("threads", 0))
    if "onnx" in arguments:
        yield onnx_predictor(Path(arguments["onnx"]), threads, arguments.get("preprocess"))
        return
    checkpoint, device = Path(arguments["checkpoint"]), arguments.get("device", "cpu")
    with torch_predictor(checkpoint, device, threads, bool(arguments.get("double"))) as predictor:
        yield predictor


@contextmanager
def torch_predictor(checkpoint: Path, device: str, threads: int, double: bool = False) -> Iterator[Predictor]:
    """A checkpoint's network in PyTorch, in full float32, or float64: TensorFloat-32 would look like a wrong export."""
    import torch

    from core.models.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint, device)
    kind = torch.float64 if double else torch.float32
    model = loaded.model.to(kind)
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32

    def network(images: np.ndarray) -> np.ndarray:
        logits: np.ndarray = model(loaded.preprocess(images, device).to(kind)).float().cpu().numpy()
        return logits

    try:
        if threads > 0:
            torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield Predictor(network, loaded.preprocess, loaded.classes, loaded.facts)
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cuda.matmul.allow_tf32 = before[1]


def onnx_predictor(path: Path, threads: int, preprocess: dict[str, Any] | None = None) -> Predictor:
    """An ONNX file in ONNX Runtime on the CPU, at its default optimisation.

    Raises:
        EspalierError: when the file cannot be opened, takes no images, or does not say how they
            are to be prepared and `preprocess` is None.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(intact(path), options, providers=["CPUExecutionProvider"])
    except EspalierError:
        raise
    except Exception as error:
        raise unopened(path, error) from error
    metadata = session.get_modelmeta().custom_metadata_map
    prepare = preprocessing_of(path, session, metadata, preprocess)
    entry, output = session.get_inputs()[0], session.get_outputs()[0]
    answer = OnnxAnswer(session)

    def network(images: np.ndarray) -> np.ndarray:
        batch = prepare(images).numpy()
        parts = [batch] if answer.batch is None else padded(batch, answer.batch)
        return np.concatenate([answer(part) for part in parts])[: len(images)]

    facts = {key: text for key, text in metadata.items() if key not in ("classes", "preprocess")}
    facts.update(input=f"{entry.name} {entry.type} {entry.shape}", output=f"{output.name} {output.shape}")
    return Predictor(network, prepare, classes_of(metadata), facts)


class OnnxAnswer:
    """Logits, float32 [b, k], of an open ONNX classifier for a batch as it takes it.

    Attributes:
        kind: type of the numbers that it takes. batch: images in a call; None for any number.
    """

    def __init__(self, session: Any):
        entry, output = session.get_inputs()[0], session.get_outputs()[0]
        kinds = {"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
        self._session, self._input, self._outputs = session, entry.name, [output.name]
        self.kind = kinds.get(entry.type, np.float32)
        self.batch = entry.shape[0] if isinstance(entry.shape[0], int) else None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        feed = {self._input: np.ascontiguousarray(images, dtype=self.kind)}
        logits: np.ndarray = self._session.run(self._outputs, feed)[0]
        return logits.astype(np.float32, copy=False)


def preprocessing_of(
    path: Path, session: Any, metadata: dict[str, str], fallback: dict[str, Any] | None
) -> Preprocess:
    """How images are prepared for an opened file, checked against the input that it declares.

    Raises:
        EspalierError: when it takes no images, or neither it nor `fallback` says how.
    """
    entries = session.get_inputs()
    shape = list(entries[0].shape)
    if len(entries) != 1 or len(shape) != 4 or entries[0].type not in ("tensor(float)", "tensor(float16)"):
        received = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in entries)
        images_of(read_onnx(path, weights=False), path.name)  # says what it takes where that is no images
        raise EspalierError(
            f"{path.name} takes images in another form than files that Espalier makes: {received}.",
            f"Let a pipeline begin with it {_WHERE}; the files that are made from it have the usual form.",
        )
    if fallback is None and "preprocess" not in metadata:
        size = shape[2] if isinstance(shape[2], int) else None
        raise unprepared(path.name, size, f"; a pipeline that begins with it asks for them {_WHERE}")
    prepare = (
        Preprocess.from_dict(fallback)
        if fallback is not None
        else Preprocess.from_json(metadata["preprocess"])
    )
    for have, want in zip(shape[1:], (prepare.channels, prepare.size, prepare.size), strict=True):
        if isinstance(have, int) and have != want:
            raise EspalierError(
                f"The preprocessing gives images of {prepare.channels} × {prepare.size} × {prepare.size}, "
                f"{path.name} takes {shape[1:]}.",
                "Give the image size that the file was made for.",
            )
    return prepare


def classes_of(metadata: dict[str, str]) -> tuple[str, ...]:
    """The class names in a file's metadata, in the order of its logits; empty where it has none."""
    return class_names(metadata)


def padded(batch: np.ndarray, size: int) -> list[np.ndarray]:
    """[b, c, s, s] as pieces of exactly `size`, the last one filled up with zeros."""
    short = -len(batch) % size
    filled = np.concatenate([batch, np.zeros((short, *batch.shape[1:]), batch.dtype)])
    return np.split(filled, len(filled) // size)


def _run(
    predictor: Predictor, data: "ImageData", indices: np.ndarray, batch: int, progress: ProgressCallback
) -> np.ndarray:
    """Logits [n, k] of the images at `indices`."""
    if not len(indices):
        raise EspalierError("Expected images to compare on, the split is empty.", "Choose another data set.")
    parts = []
    for start in range(0, len(indices), batch):
        parts.append(predictor.network(np.asarray(data.images[indices[start : start + batch]])))
        done = min(start + batch, len(indices))
        progress(done / len(indices), f"Predicting: {done} of {len(indices)} images")
    return np.concatenate(parts).astype(np.float32)


def _in_order(logits: np.ndarray, classes: tuple[str, ...], data_classes: tuple[str, ...]) -> np.ndarray:
    """Logits [n, k] with their columns in the data set's order of classes.

    Raises:
        EspalierError: when network and data set have different classes.
    """
    if logits.ndim != 2 or logits.shape[1] != len(data_classes):
        raise EspalierError(
            f"Expected one logit for each of the data set's {len(data_classes)} classes, received outputs of shape "
            f"{list(logits.shape[1:])}.",
            "Choose the data set that the network was made for.",
        )
    if not classes or classes == data_classes:
        return logits
    if sorted(classes) != sorted(data_classes):
        strange = sorted(set(classes) ^ set(data_classes))
        raise EspalierError(
            f"The network and the data set have different classes, among them {', '.join(strange[:4])}.",
            "Choose the data set that the network was made for.",
        )
    return logits[:, [classes.index(name) for name in data_classes]]
