"""How long each layer of a network takes on this machine at any number of channels.

A table is made from a few whole networks of the same build and other widths, whose layers were
timed where they stand (`core.profiling.widths`): fusions, layouts and caches are in the figures.
Between the measured widths a layer's time is interpolated as

    t = a + b·P(i)·P(o) + c·P(o) + d·P(i),   all coefficients ≥ 0,

with i and o its channels in and out, and P rounding up to what the kernels compute in: ONNX
Runtime's convolutions work on blocks of channels, and one channel into a block costs the whole
block. The block is the one of `BLOCKS` that explains the measured times best. Channel counts in that
are no multiple of 4 fall out of the blocked kernels; they have terms of their own.

How far off such a table is, is measured too: each network is left out once and predicted from the others.

Sources: latency tables per layer as in NetAdapt (Yang et al. 2018, arXiv 1804.03230); blocked
convolutions of ONNX Runtime (MLAS, NCHWc); non-negative least squares (Lawson and Hanson 1974, chapter 23).
NumPy only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Kind = Literal["conv", "depthwise", "linear"]

BLOCKS = (1, 4, 8, 16)  # channels that kernels compute together
ALIGNED = 4  # blocked convolutions take multiples of this in
_FEWEST = 4  # networks that a table is fitted to at least


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """One network whose layers were timed.

    Attributes:
        shapes: of the weights of its convolutions and linear layers, by path: [o, i, …]; of grouped
            layers the channels in of one group.
        layers: milliseconds of each layer with what was fused into it. rest: of everything else.
        milliseconds: of the whole network, without a profiler.
    """

    shapes: dict[str, Shape]
    layers: dict[str, float]
    rest: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Milliseconds, and by how much such a prediction is usually off, as a share."""

    milliseconds: float
    error: float


@dataclass(slots=True)
class LatencyTable:
    """Times of one build of network on one machine: batch 1, one thread, float32.

    Attributes:
        areas: positions of each layer's output map, by path. kinds: likewise.
        block: channels that the kernels compute together here.
        layers: coefficients of each layer's terms. rest: of what is no layer. whole: of the sum.
        baseline: milliseconds of the network at its full width.
        error: median share by which a network that was left out was missed; worst: the largest.
        networks: how many the table was fitted to.
    """

    areas: dict[str, int]
    kinds: dict[str, Kind]
    block: int
    layers: dict[str, tuple[float, ...]]
    rest: tuple[float, ...]
    whole: tuple[float, ...]
    baseline: float
    error: float = 0.0
    worst: float = 0.0
    networks: int = 0
    _seen: dict[tuple[str, Shape], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def knows(self, shapes: Shapes) -> bool:
        """Whether every layer of a network is in the table."""
        return shapes.keys() <= self.layers.keys()

    def layer(self, path: str, shape: Shape) -> float:
        """Milliseconds of one layer at some width."""
        milliseconds = self._seen.get((path, shape))
        if milliseconds is None:
            terms = _terms(self.kinds[path], shape, self.block)
            milliseconds = sum(a * b for a, b in zip(terms, self.layers[path], strict=True))
            self._seen[path, shape] = milliseconds
        return milliseconds

    def predict(self, shapes: Shapes) -> Prediction:
        """How long a network of these layers takes; `shapes` as in `MeasuredNetwork`.

        Raises:
            KeyError: when a layer is not in the table.
        """
        layers = sum(self.layer(path, shape) for path, shape in shapes.items())
        rest = _dot(_rest_terms(shapes, self.areas, self.kinds), self.rest)
        return Prediction(_dot((1.0, layers + rest), self.whole), self.error)

    def milliseconds(self, shapes: Shapes) -> float:
        """`predict` without its error."""
        return self.predict(shapes).milliseconds

    def as_plain(self) -> dict[str, Any]:
        """For a file."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "LatencyTable":
        """As `as_plain` gave it."""
        layers = {path: tuple(coefficients) for path, coefficients in plain["layers"].items()}
        tuples = {name: tuple(plain[name]) for name in ("rest", "whole")}
        return cls(**{**plain, "layers": layers, **tuples})


def fit(
    networks: Sequence[MeasuredNetwork], areas: Mapping[str, int], kinds: Mapping[str, Kind]
) -> LatencyTable:
    """The table that explains these networks best; the first of them is the one at full width.

    Args:
        areas, kinds: as in `LatencyTable`.

    Raises:
        ValueError: with fewer networks than a table rests on.
    """
    if len(networks) < _FEWEST:
        raise ValueError(f"a table rests on {_FEWEST} networks at least, there are {len(networks)}")
    paths = [path for path in kinds if all(path in each.layers for each in networks)]
    areas = {path: areas[path] for path in paths}
    kinds = {path: kinds[path] for path in paths}
    table = min(
        (_fitted(networks, areas, kinds, block) for block in BLOCKS), key=lambda t: _scatter(t, networks)
    )
    missed = []
    for index, left_out in enumerate(networks[1:], 1):
        others = [*networks[:index], *networks[index + 1 :]]
        guess = _fitted(others, areas, kinds, table.block).predict(_of(left_out, kinds)).milliseconds
        missed.append(abs(guess / left_out.milliseconds - 1))
    table.error, table.worst, table.networks = float(np.median(missed)), max(missed), len(networks)
    return table


def _fitted(
    networks: Sequence[MeasuredNetwork], areas: Mapping[str, int], kinds: Mapping[str, Kind], block: int
) -> LatencyTable:
    layers = {
        path: _shares(
            [_terms(kind, network.shapes[path], block) for network in networks],
            [network.layers[path] for network in networks],
        )
        for path, kind in kinds.items()
    }
    rest = _shares(
        [_rest_terms(_of(network, kinds), areas, kinds) for network in networks],
        [network.rest for network in networks],
    )
    table = LatencyTable(dict(areas), dict(kinds), block, layers, rest, (0.0, 1.0), networks[0].milliseconds)
    sums = [table.predict(_of(network, kinds)).milliseconds for network in networks]
    table.whole = _shares([(1.0, total) for total in sums], [network.milliseconds for network in networks])
    return table


def _of(network: MeasuredNetwork, kinds: Mapping[str, Kind]) -> dict[str, Shape]:
    return {path: network.shapes[path] for path in kinds}


def _scatter(table: LatencyTable, networks: Sequence[MeasuredNetwork]) -> float:
    """How badly the layers' times are explained: root mean square of relative errors, heavy layers first."""
    squares = total = 0.0
    for network in networks:
        for path, seconds in network.layers.items():
            if path in table.layers:
                off = table.layer(path, network.shapes[path]) / max(seconds, 1e-9) - 1
                squares, total = squares + seconds * off * off, total + seconds
    return float((squares / max(total, 1e-12)) ** 0.5)


def padded(channels: int, block: int) -> int:
    """Channels that kernels compute for so many: whole blocks."""
    return -(-channels // block) * block


def _terms(kind: Kind, shape: Shape, block: int) -> tuple[float, ...]:
    """What a layer's time is a weighted sum of."""
    inputs, outputs = shape[1], shape[0]
    wide, deep = padded(outputs, block), padded(inputs, block)
    if kind == "linear":
        return 1.0, float(outputs * inputs), float(outputs), float(inputs)
    if kind == "depthwise":
        odd = outputs % ALIGNED != 0
        return 1.0, float(0 if odd else wide), float(outputs if odd else 0)
    if inputs % ALIGNED and inputs > ALIGNED:
        return 1.0, 0.0, 0.0, 0.0, 1.0, float(outputs * inputs)
    return 1.0, float(wide * deep), float(wide), float(deep), 0.0, 0.0


def _rest_terms(shapes: Shapes, areas: Mapping[str, int], kinds: Mapping[str, Kind]) -> tuple[float, ...]:
    """What the time between the layers is a weighted sum of: values moved, and moved into another layout."""
    values = sum(shape[0] * areas[path] for path, shape in shapes.items())
    unaligned = sum(
        shape[1] * areas[path]
        for path, shape in shapes.items()
        if kinds[path] == "conv" and shape[1] % ALIGNED and shape[1] > ALIGNED
    )
    return 1.0, float(values), float(unaligned)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return float(sum(x * y for x, y in zip(a, b, strict=True)))


def _shares(rows: Iterable[Sequence[float]], times: Sequence[float]) -> tuple[float, ...]:
    """Non-negative coefficients with the smallest relative errors."""
    matrix, target = np.asarray(list(rows), float), np.maximum(np.asarray(times, float), 1e-9)
    scale = np.maximum(np.abs(matrix).max(0), 1e-12)
    scaled = non_negative(matrix / scale / target[:, None], np.ones(len(target)))
    return tuple(float(value) for value in scaled / scale)


def non_negative(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """x ≥ 0 [n] with the smallest |matrix · x − target|, for matrix [m, n] and target [m]."""
    n = matrix.shape[1]
    x, free = np.zeros(n), np.zeros(n, bool)
    for _ in range(6 * n):
        slope = matrix.T @ (target - matrix @ x)
        slope[free] = -np.inf
        best = int(np.argmax(slope))
        if free.all() or slope[best] <= 1e-10:
            break
        free[best] = True
        while True:
            trial = np.zeros(n)
            trial[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            below = free & (trial <= 0)
            if not below.any():
                x = trial
                break
            step = (x[below] / np.maximum(x[below] - trial[below], 1e-300)).min()
            x = x + step * (trial - x)
            free &= x > 1e-14
            x[~free] = 0.0
            if not free.any():
                break
    return x
