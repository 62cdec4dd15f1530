"""A network as a graph: the operations of an ONNX file, what flows between them, and the blocks that they form.

What only stores numbers otherwise (casts, quantizing and back) is no node: it shows in the precision. Neither is what
computes with shapes or constants. Nodes carry the path of the module that they came from where the file says so,
else what their name or their weight's name tells; blocks are the beginnings that paths share.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError

if TYPE_CHECKING:
    import onnx

    from core.profiling.per_layer import LayerGraph

_log = logging.getLogger(__name__)

Change = Literal["same", "narrower", "wider", "precision", "gone", "new"]

_STORES = ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Dropout")
_SHAPES = ("Shape", "Size", "Constant", "ConstantOfShape", "Range")
_FIRST, _USUAL_SIZE = 4, 224  # sides of an image tensor; pixels where the file does not say
_HALF, _FOUR_BITS = 10, (21, 22)  # onnx.TensorProto.FLOAT16; UINT4 and INT4
_INTEGERS = ("Integer", "QLinear", "QGemm")
# What ONNX Runtime can compute in integers, whoever quantized the file; all else computes what was integers before in
# float. Which of these our own files ask for was chosen by measurement: `OP_TYPES` of `core.deploy.quantization.qdq`.
_IN_INTEGERS = frozenset(
    ("Add", "ArgMax", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Flatten", "Gather", "Gemm", "GlobalAveragePool",
     "LeakyRelu", "MatMul", "MaxPool", "Mul", "Pad", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split",
     "Squeeze", "Transpose", "Unsqueeze", "Where")
)  # fmt: skip
_PLAIN = ("Fused", "QLinear", "Q")  # before the name of an operation that runtimes write otherwise
_LAYERS = ("Conv", "Gemm", "MatMul", "ConvInteger", "MatMulInteger")  # which a stage may write as one another


@dataclass(frozen=True, slots=True)
class Unit:
    """One operation.

    Attributes:
        id: its name in the file, or one that is made where it has none.
        path: of the module that it came from ("layer1.0.conv1"), "" where nothing is known.
        kind: what it is, in words ("Conv 3×3"). shape: channels in and out, in words.
        precision: what it computes with, as far as the file tells.
    """

    id: str
    path: str
    op: str
    kind: str
    shape: str = ""
    output: tuple[int, ...] = ()
    params: int = 0
    macs: int = 0
    precision: str = "float32"


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """Operations in the order in which they run, and the pairs of which the second reads what the first gives."""

    units: tuple[Unit, ...]
    edges: tuple[tuple[str, str], ...]

    def as_plain(self) -> dict[str, Any]:
        return {"units": [asdict(unit) for unit in self.units], "edges": [list(edge) for edge in self.edges]}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "NetworkGraph":
        units = tuple(Unit(**{**unit, "output": tuple(unit["output"])}) for unit in plain["units"])
        return cls(units, tuple((first, second) for first, second in plain["edges"]))


def read(path: Path) -> "NetworkGraph":
    """The graph of an ONNX file.

    Raises:
        EspalierError: when the file cannot be read.
    """
    from core.profiling.per_layer import LayerGraph

    model = _model(path)
    try:
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}-{number}"
        return _Reader(model, LayerGraph(model, _counted(model), {})).graph()
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise EspalierError(
            f"The graph of {path.name} cannot be read.", "Open the file that it was made from.", str(error)
        ) from error


def _model(path: Path) -> "onnx.ModelProto":
    """The network in a file; to be looked at, also one that cannot be run here or whose weights are not there."""
    import onnx

    from core.onnx_graph.reading import read_onnx, without_constant_inputs
    from core.onnx_graph.shared_weights import expand

    try:
        model = read_onnx(path)
        without_constant_inputs(model)
        expand(model)
    except EspalierError:
        try:
            model = onnx.load(path, load_external_data=False)
        except Exception:
            model = onnx.ModelProto()
        if not model.graph.node:
            raise
    return model


def _counted(model: "onnx.ModelProto") -> list[dict[str, Any]]:
    """Parameters and MACs by node, as far as they can be counted."""
    from core.profiling.counting import count_graph

    try:
        counted: list[dict[str, Any]] = count_graph(model, _image_size(model))["nodes"]
    except Exception as error:
        _log.debug("A network's operations are shown without figures: %s", error)
        return []
    return counted


def _image_size(model: "onnx.ModelProto") -> int:
    sides = (
        [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] if model.graph.input else []
    )
    return (sides[-1] if len(sides) == _FIRST else 0) or _USUAL_SIZE


class _Reader:
    """Follows every value of a file to the operations that made it."""

    def __init__(self, model: "onnx.ModelProto", layers: "LayerGraph"):
        self.model, self.layers = model, layers
        self.constants = {tensor.name for tensor in model.graph.initializer}
        self.makers: dict[str, tuple[str, ...]] = {}  # of a value: units, through what only stores
        self.halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == _HALF}
        self.four_bits = {tensor.name for tensor in model.graph.initializer if tensor.data_type in _FOUR_BITS}
        self.units: list[Unit] = []
        self.edges: dict[tuple[str, str], None] = {}

    def graph(self) -> NetworkGraph:
        for value in self.model.graph.input:
            if value.name not in self.constants:
                self._add(Unit(value.name, "", "Input", "Input", precision=""), (), [value.name])
        for node in self.model.graph.node:
            sources = tuple(dict.fromkeys(unit for name in node.input for unit in self.makers.get(name, ())))
            if not sources or node.op_type in _SHAPES:
                continue
            if node.op_type in _STORES:
                self.makers.update(dict.fromkeys(node.output, sources))
            else:
                self._add(self._unit(node), sources, list(node.output))
        for value in self.model.graph.output:
            self._add(Unit(f"{value.name} (output)", "", "Output", "Output", precision=""),
                      self.makers.get(value.name, ()), [])  # fmt: skip
        return NetworkGraph(tuple(self.units), tuple(self.edges))

    def _add(self, unit: Unit, sources: Sequence[str], gives: Sequence[str]) -> None:
        self.units.append(unit)
        self.edges.update({(source, unit.id): None for source in sources})
        self.makers.update(dict.fromkeys(gives, (unit.id,)))

    def _unit(self, node: "onnx.NodeProto") -> Unit:
        counted = self.layers.counted.get(node.name)
        kind, shape = self.layers.kind(node) if counted is not None else (node.op_type, "")
        about = counted or {"params": 0, "macs": 0, "output": []}
        return Unit(
            node.name, self._path(node), node.op_type, kind, shape, tuple((about["output"] or [])[1:]),
            about["params"], about["macs"], self._precision(node),
        )  # fmt: skip

    def _path(self, node: "onnx.NodeProto") -> str:
        from core.onnx_graph.layer_names import module_of

        path = self.layers.counted.get(node.name, {}).get("layer", "") or module_of(node)
        if path or "/" not in node.name:
            return str(path)
        parts = [part for part in node.name.split("/")[:-1] if part]  # "/layer1/layer1.0/conv1/Conv"
        return ".".join(
            part for number, part in enumerate(parts)
            if number + 1 == len(parts) or not parts[number + 1].startswith(f"{part}.")
        )  # fmt: skip

    def _precision(self, node: "onnx.NodeProto") -> str:
        if any(node.op_type.startswith(word) or word in node.op_type for word in _INTEGERS):
            return "int8"
        makers = [self.layers.producers[name] for name in node.input if name in self.layers.producers]
        if node.op_type in _IN_INTEGERS and any(maker.op_type == "DequantizeLinear" for maker in makers):
            stored = {name for maker in makers for name in maker.input[:1]}
            return "int4" if stored & self.four_bits else "int8"
        return "float16" if any(name in self.halves for name in node.input) else "float32"


# what became of it


def keys(graph: NetworkGraph) -> dict[str, str]:
    """By id, a name by which an operation is found again in the file of another stage: path, operation, how manieth."""
    seen: Counter[str] = Counter()
    named = {}
    for unit in graph.units:
        stem = f"{unit.path}|{_plain(unit.op)}"
        seen[stem] += 1
        named[unit.id] = f"{stem}|{seen[stem]}"
    return named


def changes(before: NetworkGraph, after: NetworkGraph) -> tuple[dict[str, Change], dict[str, Change]]:
    """What became of every operation: by id in the first graph, and by id in the second."""
    first, second = keys(before), keys(after)
    units = {second[unit.id]: unit for unit in after.units}
    old: dict[str, Change] = {}
    new: dict[str, Change] = {unit.id: "new" for unit in after.units}
    for unit in before.units:
        other = units.get(first[unit.id])
        old[unit.id] = "gone" if other is None else _change(unit, other)
        if other is not None:
            new[other.id] = old[unit.id]
    return old, new


def _change(before: Unit, after: Unit) -> Change:
    shapes = (before.shape, after.shape) if before.shape else (before.params, after.params)
    if shapes[0] != shapes[1]:  # a layer of the same shape may have its bias in an operation of its own
        return "narrower" if after.params <= before.params else "wider"
    return "same" if after.precision == before.precision else "precision"


def _plain(op: str) -> str:
    for word in _PLAIN:
        if op.startswith(word) and op[len(word) :][:1].isupper() and op != "QuantizeLinear":
            op = op[len(word) :]
            break
    return "layer" if op in _LAYERS else op
