"""Scales and zero points of integers in an ONNX file, one for every number that they belong to."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def spread(node: "onnx.NodeProto", values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A DequantizeLinear's scale or zero point, for every one of the stored numbers of `shape`.

    One for all of them, one for each position along an axis, or one for each block of positions along it.
    """
    settings = {entry.name: entry.i for entry in node.attribute}
    axis = settings.get("axis", 1) % max(len(shape), 1)
    if settings.get("block_size") and values.ndim == len(shape):
        repeated = np.repeat(values, settings["block_size"], axis)
        return np.take(repeated, range(shape[axis]), axis)
    if values.size > 1:
        values = values.reshape([-1 if index == axis else 1 for index in range(len(shape))])
    else:
        values = values.reshape(())
    return np.broadcast_to(values, shape)


def limits(array: np.ndarray) -> tuple[int, int] | None:
    """The smallest and the largest number that the array's integers can be; None of other kinds."""
    import ml_dtypes

    if array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        info = ml_dtypes.iinfo(array.dtype)
        return int(info.min), int(info.max)
    if array.dtype.kind not in "iu":
        return None
    return int(np.iinfo(array.dtype).min), int(np.iinfo(array.dtype).max)
