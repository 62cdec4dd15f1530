"""Calibration images as ONNX Runtime's quantizer and its kin read them."""

import numpy as np
from job import Job


class Reader:
    """One batch after the other; a range of them where it is asked for, so that not all activations lie in memory."""

    def __init__(self, job: Job, images: np.ndarray) -> None:
        self._feeds = list(job.feeds(images))
        self.set_range(0, len(self._feeds))

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)
