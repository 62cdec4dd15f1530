"""The exponential moving average that smooths curves (no Qt)."""

import numpy as np

_BLOCK = 64


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The moving average of `values`; 0 leaves them as they are, towards 1 is smoother.

    y[t] = weight · y[t−1] + (1 − weight) · x[t], divided by 1 − weight^(t+1), so that the first
    points are not drawn towards zero. NaN separates stages: behind each the average starts anew.
    """
    if weight <= 0 or not len(values):
        return values
    result = np.array(values, dtype=float)
    gaps = np.flatnonzero(np.isnan(result))
    for begin, end in zip(np.append(0, gaps + 1), np.append(gaps, len(result)), strict=True):
        if end > begin:
            result[begin:end] = _average(result[begin:end], min(weight, 0.9999))
    return result


def _average(x: np.ndarray, weight: float) -> np.ndarray:
    """One piece, block by block: inside a block a matrix, between blocks what is carried over."""
    n = len(x)
    blocks = -(-n // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[:n] = x
    row, column = np.indices((_BLOCK, _BLOCK))
    inside = np.where(column >= row, (1 - weight) * weight ** np.maximum(column - row, 0), 0.0)
    y = padded.reshape(blocks, _BLOCK) @ inside  # (blocks, block)
    decay, carried = weight**_BLOCK, 0.0
    before = np.empty(blocks)
    for index, last in enumerate(y[:, -1]):
        before[index] = carried
        carried = decay * carried + last
    y += before[:, None] * weight ** np.arange(1, _BLOCK + 1)
    flat: np.ndarray = y.ravel()[:n]
    few = min(n, int(-40 / np.log(weight)) + 1)  # behind them the divisor is 1
    flat[:few] /= 1 - weight ** np.arange(1.0, few + 1)
    return flat
