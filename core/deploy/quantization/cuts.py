"""Cuts of a graph: tensors that every way from its images to its answers goes through, and the part of it behind one.

What a layer behind a cut reads can be computed from the cut alone. Cuts here are tensors that a layer or several nodes read, so that
what ONNX Runtime fuses (a convolution, its Relu and the rounding of its answers) stays together: a part computes what the whole graph does.
In a quantized graph a cut is the tensor of integers.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.deploy.quantization.graph import LAYER_TYPES
from core.onnx_graph.reading import read_inside

if TYPE_CHECKING:
    import onnx

_ROOT = ""  # what all inputs of a graph come from


class Cuts:
    """The cuts of a graph whose nodes stand in order.

    Each tensor that depends on the images has a *gate*: the last tensor that all ways to it go through (its immediate dominator).
    """

    def __init__(self, model: "onnx.ModelProto") -> None:
        self.model = model
        self.inputs = {value.name for value in model.graph.input}
        self.inputs -= {tensor.name for tensor in model.graph.initializer}
        self._gates = dict.fromkeys(self.inputs, _ROOT)
        self._depths = {_ROOT: 0} | dict.fromkeys(self.inputs, 1)
        self._givers: dict[str, int] = {}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        self._reads: list[list[str]] = []
        for place, node in enumerate(model.graph.node):
            reads = [name for name in (*node.input, *sorted(read_inside(node))) if name]
            self._reads.append(reads)
            for name in dict.fromkeys(reads):
                self._readers.setdefault(name, []).append(node)
            on_images = [name for name in reads if name in self._gates]
            gate = self._common(on_images)
            for name in node.output:
                self._givers[name] = place
                if on_images:
                    self._gates[name], self._depths[name] = gate, self._depths[gate] + 1
        outputs = [value.name for value in model.graph.output if value.name in self._gates]
        self._on_every_way = [name for name in self._through(outputs) if self._is_whole(name)]

    def before(self, names: Sequence[str]) -> list[str]:
        """The cuts from which all of `names` can be computed, the last one first."""
        if any(name not in self._gates for name in names):
            return []
        through = set(self._through(names))
        return [name for name in self._on_every_way if name in through]

    def fingerprint(self, name: str) -> bytes:
        """Stands for all that a tensor is computed from, weights included: equal where it takes equal values."""
        found, constants = self._needed([name], "")
        digest = hashlib.blake2b(name.encode())
        for place in found:
            digest.update(self.model.graph.node[place].SerializeToString(deterministic=True))
        for tensor in self.model.graph.initializer:
            if tensor.name in constants:
                digest.update(tensor.SerializeToString(deterministic=True))
        return digest.digest()

    def part(self, cut: str, like: np.ndarray, fixed: bool, names: Iterable[str]) -> "onnx.ModelProto":
        """The graph that gives tensors behind a cut from it.

        Args:
            like: a block of the cut's values. fixed: whether every block is as long as this one.
        """
        import onnx

        graph = self.model.graph
        found, constants = self._needed(names, cut)
        nodes = [graph.node[place] for place in found]
        given = {name for node in nodes for name in node.output}
        shape = [*(like.shape[:1] if fixed else ["images"]), *like.shape[1:]]
        kind = onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
        made = onnx.helper.make_model(
            onnx.helper.make_graph(
                nodes, "part", [onnx.helper.make_tensor_value_info(cut, kind, shape)],
                [onnx.helper.make_empty_tensor_value_info(name) for name in names],
                [tensor for tensor in graph.initializer if tensor.name in constants],
                value_info=[value for value in graph.value_info if value.name in given],
            ),
            opset_imports=self.model.opset_import, ir_version=self.model.ir_version, functions=self.model.functions,
        )  # fmt: skip
        return made

    def _common(self, names: Iterable[str]) -> str:
        """The last tensor that all ways to all of these go through; one of them may be it."""
        found: str | None = None
        for name in names:
            if found is None:
                found = name
                continue
            while name != found:
                if self._depths[name] < self._depths[found]:
                    found, name = name, found
                name = self._gates[name]
        return _ROOT if found is None else found

    def _through(self, names: Iterable[str]) -> list[str]:
        """The tensors that all ways to all of these go through, the last one first, without inputs."""
        found, name = [], self._common(names)
        while name != _ROOT and name not in self.inputs:
            found.append(name)
            name = self._gates[name]
        return found

    def _is_whole(self, name: str) -> bool:
        """Whether a layer or several nodes read it, as integers where it is rounded."""
        if self.model.graph.node[self._givers[name]].op_type == "DequantizeLinear":
            return False
        readers: list[onnx.NodeProto] = []
        for node in self._readers.get(name, []):
            as_float = node.op_type == "DequantizeLinear"
            readers += self._readers.get(node.output[0], []) if as_float else [node]
        return len(readers) > 1 or any(node.op_type in LAYER_TYPES for node in readers)

    def _needed(self, names: Iterable[str], cut: str) -> tuple[list[int], Collection[str]]:
        """Places of the nodes that tensors need beside a cut, in order, and the names of what no node gives."""
        places, constants = set[int](), set[str]()
        left = [name for name in names if name != cut]
        while left:
            name = left.pop()
            place = self._givers.get(name)
            if place is None:
                constants.add(name)
            elif place not in places:
                places.add(place)
                left += [read for read in self._reads[place] if read != cut]
        return sorted(places), constants
