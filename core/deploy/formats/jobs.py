"""Jobs on exported files: in a fresh process open one again, let it answer the test images, time it.

`b` images in a batch, `c` channels, `s` pixels a side.
"""

from pathlib import Path
from typing import Any

import numpy as np

from core.deploy.formats.base import OpenedModel
from core.deploy.formats.catalogue import format_called
from core.machine.jobs import ProgressCallback, quick
from core.profiling.session import timed


def predict(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: an exported file's logits on one split.

    Args (as plain data): format: id. path: the file. threads: 0 leaves it to the library. sample: .npy
        to write, the first image as the file takes it. The others, and what is returned, as for
        `core.deploy.verify.predict`; also `file_classes`, in the order of the file's own logits.

    Raises:
        EspalierError: when the file cannot be opened, or does not fit the data set.
    """
    from core.common.files import save_array
    from core.deploy.verify import Predictor, padded, predict_with

    opened = format_called(arguments["format"]).open(Path(arguments["path"]), int(arguments["threads"]))
    sample: list[np.ndarray] = []

    def network(images: np.ndarray) -> np.ndarray:
        batch = prepared(opened, images)
        if not sample:
            sample.append(batch[:1].copy())
        parts = [batch] if opened.batch is None else padded(batch, opened.batch)
        return np.concatenate([opened.answer(part) for part in parts])[: len(images)]

    predictor = Predictor(network, opened.preprocess, opened.classes, {})
    result = predict_with(predictor, arguments, progress)
    save_array(Path(arguments["sample"]), sample[0])
    return {**result, "file_classes": list(opened.classes)}


def prepared(opened: OpenedModel, images: np.ndarray) -> np.ndarray:
    """uint8 [b, h, w, 1 or 3] as the file takes it: [b, c, s, s], or bytes with three channels."""
    if not opened.prepares:
        return opened.preprocess(images).numpy()
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images


@quick
def time_block(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: one block of timed runs, by the protocol of `core.profiling.session.time_block`.

    Args (as plain data): format, path, threads. sample: .npy of `predict`, repeated to the file's
        batch. runs, seconds, limit as there.

    Returns: as `core.profiling.session.timed`; batch, images in each run.

    Raises:
        EspalierError: when the file cannot be opened.
    """
    opened = format_called(arguments["format"]).open(Path(arguments["path"]), int(arguments["threads"]))
    batch = opened.batch or 1
    images = np.repeat(np.load(arguments["sample"]), batch, axis=0)

    def run() -> None:
        opened.answer(images)

    return {**timed(run, arguments, alone=int(arguments["threads"]) == 1), "batch": batch}
