"""Which images were answered right, as a short text."""

import base64

import numpy as np
from numpy.typing import NDArray


def packed(right: NDArray[np.bool_]) -> str:
    """One bit an image, behind their number."""
    return f"{len(right)}:" + base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(text: str) -> NDArray[np.bool_]:
    """As `packed` took it."""
    count, _, bits = text.partition(":")
    bytes_ = np.frombuffer(base64.b64decode(bits), np.uint8)
    return np.unpackbits(bytes_, count=int(count)).astype(bool)
