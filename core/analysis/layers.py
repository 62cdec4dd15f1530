"""A network's layers from its checkpoint, and the differences between two checkpoints.

Reads the weights' names and shapes alone (and, where zeros are asked for, the weights): no torch, no network is
built. Layers are modules with a weight of at least two dimensions; norms and other vectors count with the
parameters, but are no rows: their width follows the layer before.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.models.checkpoint_files import WEIGHTS

Shape = tuple[int, ...]
Kind = Literal["same", "narrower", "wider", "changed", "factorised", "dropped", "added"]

WORDS: dict[Kind, str] = {
    "same": "As it was",
    "narrower": "Narrower",
    "wider": "Wider",
    "changed": "Changed",
    "factorised": "Factorised",
    "dropped": "Dropped",
    "added": "Added",
}
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        params: of its weight and bias. nonzero: those that are not zero; None where they were not counted.
        groups: of a convolution, as far as the shapes tell: 1, or as many as channels (depthwise).
    """

    path: str
    weight: Shape
    params: int
    nonzero: int | None = None

    @property
    def groups(self) -> int:
        return self.weight[0] if len(self.weight) == 4 and self.weight[1] == 1 and self.weight[0] > 1 else 1

    @property
    def type(self) -> str:
        """ "Conv 3×3", "Depthwise conv 3×3", "Linear"."""
        if len(self.weight) == 4:
            word = "Depthwise conv" if self.groups > 1 else "Conv"
            return f"{word} {self.weight[2]}×{self.weight[3]}"
        return "Linear" if len(self.weight) == 2 else "Weights " + "×".join(map(str, self.weight))

    @property
    def inputs(self) -> int:
        return self.weight[1] * self.groups

    @property
    def outputs(self) -> int:
        return self.weight[0]

    @property
    def shape(self) -> str:
        """ "64 → 128": channels in and out."""
        return f"{self.inputs} → {self.outputs}"


@dataclass(frozen=True, slots=True)
class Change:
    """One layer (or a dropped block) before and after.

    Attributes:
        before, after: in words; "" where there is none.
        zeros: share of the weights that are zero now and were not before, 0…1.
    """

    path: str
    kind: Kind
    type: str
    before: str
    after: str
    params_before: int
    params_after: int
    zeros: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Two architectures side by side; parameters of everything, norms included."""

    changes: list[Change]
    params_before: int
    params_after: int

    @property
    def sentence(self) -> str:
        """How many layers were changed in which way."""
        counts: dict[Kind, int] = {}
        for change in self.changes:
            counts[change.kind] = counts.get(change.kind, 0) + 1
        parts = [f"{counts[kind]} {WORDS[kind].lower()}" for kind in WORDS if counts.get(kind)]
        left = 100.0 * self.params_after / self.params_before if self.params_before else 100.0
        return f"{left:.1f} % of the parameters are left. Layers: {', '.join(parts) or 'none'}."


def read_shapes(checkpoint: Path) -> dict[str, Shape]:
    """By name, the shape of every parameter and buffer, in the order of the layers' names.

    Raises:
        EspalierError: when there are no weights that can be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(intact(checkpoint / WEIGHTS), framework="np") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise EspalierError(
            f"The weights in {checkpoint} cannot be read.", "Run the stage again.", str(error)
        ) from error
    return dict(sorted(shapes.items(), key=lambda entry: _natural(entry[0])))


def read_layers(checkpoint: Path, zeros: bool = False) -> list[Layer]:
    """The layers of a checkpoint; `zeros` counts the weights that are not zero.

    Raises:
        EspalierError: when there are no weights that can be read.
    """
    shapes = read_shapes(checkpoint)
    nonzero = _nonzero(checkpoint, shapes) if zeros else {}
    return layers_of(shapes, nonzero)


def layers_of(shapes: Mapping[str, Shape], nonzero: Mapping[str, int] | None = None) -> list[Layer]:
    """The layers among named shapes."""
    layers = []
    for name, shape in shapes.items():
        if len(shape) < 2 or not name.endswith("weight"):
            continue
        path = name.removesuffix(".weight")
        bias = shapes.get(f"{path}.bias", ())
        params = math.prod(shape) + (math.prod(bias) if bias else 0)
        nonzero_weights = nonzero.get(name) if nonzero else None
        layers.append(
            Layer(
                path,
                shape,
                params,
                None if nonzero_weights is None else nonzero_weights + params - math.prod(shape),
            )
        )
    return layers


def difference(before: Path, after: Path) -> Difference:
    """How the architecture of one checkpoint became that of another.

    Raises:
        EspalierError: when one of them cannot be read.
    """
    old, new = read_layers(before, zeros=True), read_layers(after, zeros=True)
    return Difference(compare(old, new), count(read_shapes(before)), count(read_shapes(after)))


def count(shapes: Mapping[str, Shape]) -> int:
    """Parameters among named shapes: all but the running statistics of norms."""
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(buffers))


def compare(old: list[Layer], new: list[Layer]) -> list[Change]:
    """Layer by layer in the order of before; added layers follow at the end."""
    new_by_path = {layer.path: layer for layer in new}
    used: set[str] = set()
    changes: list[Change] = []
    dropped: dict[str, list[Layer]] = {}
    for layer in old:
        successor = new_by_path.get(layer.path)
        factors = [factor for factor in new if factor.path.startswith(f"{layer.path}.")]
        if successor is not None:
            used.add(layer.path)
            changes.append(_changed(layer, successor))
        elif factors:
            used.update(factor.path for factor in factors)
            changes.append(_factorised(layer, factors))
        else:
            block = _vanished(layer.path, new_by_path)
            if block not in dropped:
                dropped[block] = []
                changes.append(Change(block, "dropped", "", "", "", 0, 0))
            dropped[block].append(layer)
    changes = [
        _dropped(change, dropped[change.path]) if change.path in dropped else change for change in changes
    ]
    return changes + [
        Change(layer.path, "added", layer.type, "", layer.shape, 0, layer.params)
        for layer in new
        if layer.path not in used
    ]


def _changed(old: Layer, new: Layer) -> Change:
    zeros = 0.0
    if old.nonzero is not None and new.nonzero is not None and new.params:
        zeros = max(0.0, (1 - new.nonzero / new.params) - (1 - old.nonzero / old.params))
    kind: Kind = "same"
    if old.weight != new.weight:
        ins, outs = new.inputs - old.inputs, new.outputs - old.outputs
        same_kernel = old.weight[2:] == new.weight[2:] and len(old.weight) == len(new.weight)
        kind = (
            "changed"
            if not same_kernel or ins * outs < 0
            else "narrower"
            if ins + outs < 0
            else "wider"
            if ins + outs > 0
            else "changed"
        )
    elif zeros > 0.0005:
        kind = "changed"
    words = new.type if new.type == old.type else f"{old.type} → {new.type}"
    return Change(old.path, kind, words, old.shape, new.shape, old.params, new.params, zeros)


def _factorised(old: Layer, factors: list[Layer]) -> Change:
    parts = [
        f"{factor.shape} ({factor.type.removeprefix('Conv ').removeprefix('Depthwise conv ')})"
        if len(factor.weight) == 4
        else factor.shape
        for factor in factors
    ]
    params = sum(factor.params for factor in factors)
    return Change(old.path, "factorised", old.type, old.shape, ",  ".join(parts), old.params, params)


def _vanished(path: str, new_by_path: Mapping[str, Layer]) -> str:
    """The largest block around `path` without a remaining layer."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        block = ".".join(parts[:end])
        if not any(name == block or name.startswith(f"{block}.") for name in new_by_path):
            return block
    return path


def _dropped(change: Change, layers: list[Layer]) -> Change:
    params = sum(layer.params for layer in layers)
    if len(layers) == 1 and layers[0].path == change.path:
        return Change(change.path, "dropped", layers[0].type, layers[0].shape, "", params, 0)
    first, last = layers[0], layers[-1]
    shape = f"{first.inputs} → {last.outputs}"
    return Change(change.path, "dropped", f"Block of {len(layers)} layers", shape, "", params, 0)


def _nonzero(checkpoint: Path, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Weights that are not zero, by the names of the layers' weights."""
    import numpy as np
    from safetensors import safe_open

    with safe_open(intact(checkpoint / WEIGHTS), framework="np") as file:
        return {
            name: int(np.count_nonzero(file.get_tensor(name)))
            for name, shape in shapes.items()
            if len(shape) >= 2
        }


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts "body.2" before "body.10"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _DIGITS.split(name)]
