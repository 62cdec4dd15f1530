"""Preparing a decoded image as a deployed program does: NumPy and Pillow, no PyTorch.

The same arithmetic as `core.data.preprocess`, of which it is within the rounding of Pillow's resized bytes.
`h` × `w` pixels, `c` channels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

_LUMA = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R 601-2, as in `core.data.preprocess`


def preparer(preprocess: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """From uint8 [h, w, 3] to float32 [c, size, size].

    Args:
        preprocess: `core.data.preprocess.Preprocess.as_dict`.
    """
    from PIL import Image

    size, channels = int(preprocess["size"]), int(preprocess["channels"])
    mean, std = (np.asarray(preprocess[name], np.float32) for name in ("mean", "std"))
    scale = (1 / (255 * std))[:, None, None]  # (x / 255 - mean) / std = x * scale + shift
    shift = (-mean / std)[:, None, None]

    def prepare(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if preprocess["resize"] == "crop" and height != width:
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            image = image[top : top + side, left : left + side]
        if image.shape[:2] != (size, size):
            resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
            image = np.asarray(resized)
        if channels == 1:
            image = (image.astype(np.float32) @ _LUMA)[..., None]
        # [h, w, c] -> [c, h, w]
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
        planes *= scale
        planes += shift
        return planes

    return prepare
