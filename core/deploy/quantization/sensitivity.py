"""How much of a network's answers each layer costs when it computes with integers.

*Alone*: only this layer is quantized. *Left out*: all layers but this one are. The answers on
validation images are compared with float's: signal to quantization noise of the logits (dB), mean
KL divergence (nats), or the share of images that keep their class (%).

The ranges are measured once; a variant is the same graph with other nodes quantized. On EfficientNet-Lite0
with ImageNet weights both ways put the same four layers first, in the same order.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.child_server import ProgressCallback
from core.deploy.quantization.calibration import Ranges
from core.deploy.quantization.graph import Layer
from core.deploy.quantization.qdq import Numbers, quantized
from core.deploy.quantization.sessions import agreement, divergence, run, sqnr

if TYPE_CHECKING:
    import onnx

MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "sqnr": sqnr,
    "divergence": divergence,
    "agreement": agreement,
}
UNITS = {"sqnr": "dB", "divergence": "nats", "agreement": "%"}


@dataclass(frozen=True, slots=True)
class Bench:
    """A prepared graph, its ranges, and the images and float answers that variants are held against.

    Attributes:
        blocks: float32 [b, c, s, s] each. reference: float's logits [n, k] on them.
    """

    prepared: "onnx.ModelProto"
    layers: list[Layer]
    ranges: Ranges
    numbers: Numbers
    blocks: list[np.ndarray]
    reference: np.ndarray
    threads: int = 0

    def alone(self, name: str) -> np.ndarray:
        """Logits [n, k] with one layer quantized."""
        return self._logits(only={name})

    def left_out(self, *names: str) -> np.ndarray:
        """Logits [n, k] with all layers quantized but these."""
        return self._logits(keep=names)

    def _logits(self, keep: Collection[str] = (), only: Collection[str] | None = None) -> np.ndarray:
        model = quantized(self.prepared, self.layers, self.ranges, self.numbers, keep, only)
        return run(model, self.blocks, self.threads)


def sensitivities(
    bench: Bench, way: str, measure: str, candidates: list[Layer], progress: ProgressCallback
) -> list[tuple[str, float]]:
    """The layers with the measure of each, the most sensitive first.

    Args:
        way: "alone" or "left-out". measure: a key of `MEASURES`.
    """
    found = []
    for index, layer in enumerate(candidates):
        progress(index / len(candidates), f"Sensitivity: {index} of {len(candidates)} layers")
        logits = bench.alone(layer.name) if way == "alone" else bench.left_out(layer.name)
        found.append((layer.name, MEASURES[measure](bench.reference, logits)))
    return ranked(found, way, measure)


def ranked(found: list[tuple[str, float]], way: str, measure: str) -> list[tuple[str, float]]:
    """The most sensitive first: alone it hurts most, left out it helps most."""
    high_is_good = measure != "divergence"
    return sorted(found, key=lambda entry: entry[1], reverse=high_is_good == (way == "left-out"))


def confirm(bench: Bench, names: list[str], measure: str = "sqnr") -> dict[str, float]:
    """Leave each of the named layers out of an all-INT8 network, one at a time.

    Returns: by layer, the measure's gain over the network with no layer left out (positive: the
        layer's quantization did cost something).
    """
    sign = -1.0 if measure == "divergence" else 1.0
    base = MEASURES[measure](bench.reference, bench.left_out())
    return {name: sign * (MEASURES[measure](bench.reference, bench.left_out(name)) - base) for name in names}
