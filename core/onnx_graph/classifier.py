"""What an ONNX file takes and gives, as an image classifier: its images, and one number for each class.

Read from the graph alone; nothing runs. `b` images, `c` channels, `h, w` pixels, `k` classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.common.errors import EspalierError
from core.onnx_graph.wrong_files import no_classifier

if TYPE_CHECKING:
    import onnx

PLANES, PIXELS, FLAT = "planes", "pixels", "flat"
"""How images lie in the input: [b, c, h, w], [b, h, w, c] or, grey ones, [b, h × w]."""
KINDS = {1: "float32", 10: "float16", 11: "float64", 2: "uint8"}
"""Numbers that images and answers may consist of, by ONNX's number of the type."""
_CHANNELS = (1, 3)
_Dims = list[int | None]
# Operations that leave every value where it is, or only move it: what a first convolution is looked for behind.
_BEFORE_CONVOLUTION = {"Cast", "Sub", "Div", "Mul", "Add", "Identity", "Clip", "Pad", "BatchNormalization", "Transpose"}  # fmt: skip
_STORES = {"Cast", "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
_KEEP_ORDER = {"Softmax", "LogSoftmax", "Sigmoid"}  # the largest stays the largest


@dataclass(frozen=True, slots=True)
class Images:
    """The input.

    Attributes:
        kind: a value of `KINDS`. layout: PLANES, PIXELS or FLAT.
        batched: whether it has an axis for the images of a call.
        size: pixels a side; None for any. batch: images in a call; None for any number.
    """

    name: str
    kind: str
    layout: str
    batched: bool
    channels: int
    size: int | None
    batch: int | None

    @property
    def usual(self) -> bool:
        """Whether it is float32 [b, c, h, w]."""
        return self.kind == "float32" and self.layout == PLANES and self.batched


@dataclass(frozen=True, slots=True)
class Answers:
    """The output that has a number for each class.

    Attributes:
        name: the tensor; where the graph's own output is made from it (ZipMap) not an output itself.
        output: the graph's own output. dims: its shape, with None for unknown lengths; None where that is unknown.
        others: the graph's other outputs.
        classes: names that the graph itself gives its classes, in order; often none.
    """

    name: str
    output: str
    kind: str
    dims: tuple[int | None, ...] | None
    others: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def inputs_of(model: "onnx.ModelProto") -> "list[onnx.ValueInfoProto]":
    """What has to be given in every call: constants may stand among the inputs too, in files of before 2019."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [entry for entry in model.graph.input if entry.name not in constants]


def images_of(model: "onnx.ModelProto", file: str) -> Images:
    """The input for images.

    Args:
        file: what to call the model in messages.

    Raises:
        EspalierError: when it takes anything else, in a sentence that says what.
    """
    inputs = inputs_of(model)
    if len(inputs) != 1:
        shown = ", ".join(_described(entry) for entry in inputs[:4]) or "none"
        raise no_classifier(
            f"{file} takes {len(inputs)} inputs ({shown}) and not one, for a batch of images",
            "Export the network with its images as the only input.",
        )
    entry = inputs[0]
    kind = KINDS.get(entry.type.tensor_type.elem_type) if entry.type.HasField("tensor_type") else None
    dims = _dims(entry)
    if kind is None:
        raise no_classifier(
            f"the input of {file} is {_described(entry)}; images can be given as float32, float16, float64 or uint8",
            "Export the network with such an input.",
        )
    found = _first_convolution(model, entry.name)
    images = _read_dims(entry.name, kind, dims, found)
    if images is None:
        raise no_classifier(
            f"the input of {file} is {_described(entry)}, which is no batch of square images, grey or coloured "
            "([batch, channels, height, width] or [batch, height, width, channels])",
            "Only classifiers of square images with 1 or 3 channels can be worked on.",
        )
    return images


def answers_of(model: "onnx.ModelProto", file: str, classes: int | None = None, output: str = "") -> Answers:
    """The output with one number for each class.

    Args:
        classes: how many there are; None where that is not known yet.
        output: the one that a person chose; empty finds it.

    Raises:
        EspalierError: when there is none, or it is not clear which it is.
    """
    outputs = list({entry.name: entry for entry in model.graph.output}.values())
    every = [_answers(model, entry) for entry in outputs]
    shown = ", ".join(_described(entry) for entry in outputs)
    names = [entry.name for entry in outputs]
    usable = [one for one in every if one is not None]
    if output:
        chosen = [one for one in usable if output in (one.output, one.name)]
        if not chosen:
            raise EspalierError(
                f"The output {output!r} of {file} is no tensor of floating-point numbers with one for each class, or "
                f"there is none of that name; it gives {shown}.",
                "Choose another output.",
            )
    else:
        usable = _shared_shape(model, usable)
        chosen = [one for one in usable if _fits(one.dims, classes)] if classes else usable
        chosen = chosen if len(chosen) == 1 else _without_softmax_of(model, chosen)
    if len(chosen) > 1:
        raise EspalierError(
            f"{file} has several outputs that can be the classes' numbers: {shown}.",
            f"Say which one it is (Output, --output): {', '.join(one.output for one in chosen)}.",
        )
    if not chosen:
        raise _no_answers(file, shown, usable, classes)
    return replace(chosen[0], others=tuple(name for name in names if name != chosen[0].output))


def count_of(dims: Sequence[int | None] | None) -> int | None:
    """How many numbers an answer has for one image; None where the shape does not tell."""
    if dims is None:
        return None
    rest = list(dims[1:] if len(dims) > 1 else dims)
    return None if None in rest else math.prod(side or 0 for side in rest)


def _fits(dims: tuple[int | None, ...] | None, classes: int | None) -> bool:
    count = count_of(dims)
    return count is None or classes is None or count == classes


def _shared_shape(model: "onnx.ModelProto", candidates: list[Answers]) -> list[Answers]:
    """The candidates with inferred shapes where the file declares none."""
    if all(count_of(one.dims) is not None for one in candidates):
        return candidates
    inferred = _inferred(model)
    return [
        one if count_of(one.dims) is not None else replace(one, dims=inferred.get(one.name, one.dims))
        for one in candidates
    ]


def _inferred(model: "onnx.ModelProto") -> dict[str, tuple[int | None, ...]]:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for entry in copy.graph.output:
        entry.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    except Exception:  # operators without a rule: the shape stays unknown
        return {}
    shapes = {}
    for entry in (*graph.value_info, *graph.output):
        dims = _dims(entry)
        if dims is not None:
            shapes[entry.name] = tuple(dims)
    return shapes


def _answers(model: "onnx.ModelProto", entry: "onnx.ValueInfoProto") -> Answers | None:
    """An output as answers, where it can be such."""
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers.get(entry.name)
    if (
        node is not None and node.op_type == "ZipMap"
    ):  # numbers under the classes' names, as scikit-learn's files give
        names: tuple[str, ...] = ()
        for attribute in node.attribute:
            names = (
                tuple(text.decode() for text in attribute.strings) or tuple(map(str, attribute.ints)) or names
            )
        return Answers(node.input[0], entry.name, "float32", (None, len(names) or None), classes=names)
    if not entry.type.HasField("tensor_type") or _is_sorted(entry.name, producers):
        return None
    kind = KINDS.get(entry.type.tensor_type.elem_type)
    if kind is None or kind == "uint8":
        return None
    dims = _dims(entry)
    return Answers(entry.name, entry.name, kind, None if dims is None else tuple(dims))


def _is_sorted(name: str, producers: "Mapping[str, onnx.NodeProto]") -> bool:
    """Whether values stand in the order of their size and no longer in that of the classes."""
    while (node := producers.get(name)) is not None and node.op_type in _STORES | _KEEP_ORDER:
        name = node.input[0]
    return node is not None and node.op_type == "TopK"


def _without_softmax_of(model: "onnx.ModelProto", candidates: list[Answers]) -> list[Answers]:
    """Without those that only turn another candidate into probabilities: both order the classes alike."""
    producers = {name: node for node in model.graph.node for name in node.output}
    names = {one.name for one in candidates}

    def follows(name: str) -> bool:
        ordered = False
        while (node := producers.get(name)) is not None and node.op_type in _STORES | _KEEP_ORDER:
            ordered = ordered or node.op_type in _KEEP_ORDER
            name = node.input[0]
            if name in names:
                return True
        return False

    return [one for one in candidates if not follows(one.name)]


def _no_answers(file: str, shown: str, usable: Sequence[Answers], classes: int | None) -> EspalierError:
    if classes is None or not usable:
        return EspalierError(
            f"{file} has no output with a number for each class; it gives {shown}.",
            "Export the network with its logits or probabilities as the output: a class's number alone, or a list, is "
            "not enough.",
        )
    counts = sorted({count for one in usable if (count := count_of(one.dims)) is not None})
    advice = "Choose the data set that the network was made for."
    if 1 in counts and classes == 2:
        advice = "One number is a yes or no: export the network with a number for each of the two classes."
    elif classes + 1 in counts:
        advice = "It has one more, such as a class for the background: export the network without it."
    return EspalierError(
        f"{file} gives {_numbers(counts)} for an image ({shown}), and the data set has {classes} classes.",
        advice,
    )


def _numbers(counts: Sequence[int]) -> str:
    shown = " or ".join(str(count) for count in counts) or "another number of values"
    return f"{shown} numbers" if counts != [1] else "1 number"


def _read_dims(name: str, kind: str, dims: _Dims | None, found: tuple[int, bool] | None) -> Images | None:
    """The input from its shape; `found` is what the first convolution tells (`_first_convolution`)."""
    if dims is None:
        return (
            Images(name, kind, PIXELS if found[1] else PLANES, True, found[0], None, None) if found else None
        )
    if len(dims) == 2:
        side = math.isqrt(dims[1] or 0)
        whole = side > 1 and side * side == dims[1]
        return Images(name, kind, FLAT, True, 1, side, dims[0] or None) if whole else None
    if len(dims) not in (3, 4):
        return None
    batched = len(dims) == 4
    batch, inner = (dims[0] or None, dims[1:]) if batched else (1, dims)
    last = _channels_last(inner, kind, found)
    channels, sides = (inner[2], inner[:2]) if last else (inner[0], inner[1:])
    channels = channels or (found[0] if found else 3)
    known = {side for side in sides if side}
    if channels not in _CHANNELS or len(known) > 1:
        return None
    return Images(name, kind, PIXELS if last else PLANES, batched, channels, next(iter(known), None), batch)


def _channels_last(inner: _Dims, kind: str, found: tuple[int, bool] | None) -> bool:
    first, last = inner[0] in _CHANNELS, inner[2] in _CHANNELS
    if first != last:
        return last
    if found is not None:
        return found[1]
    return kind == "uint8" and last


def _first_convolution(model: "onnx.ModelProto", name: str) -> tuple[int, bool] | None:
    """Channels that the first convolution takes, and whether the input has them last; None where it is not found."""
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                shapes[node.output[0]] = list(attribute.t.dims)
    last = False
    for _ in range(len(model.graph.node)):
        readers = [node for node in model.graph.node if name in node.input and node.op_type != "Shape"]
        if len(readers) != 1:
            return None
        node = readers[0]
        settings = {entry.name: entry for entry in node.attribute}
        if node.op_type == "Conv":
            weight = shapes.get(node.input[1])
            group = settings["group"].i if "group" in settings else 1
            return (weight[1] * group, last) if weight and node.input[0] == name else None
        if node.op_type not in _BEFORE_CONVOLUTION:
            return None
        if node.op_type == "Transpose":
            if list(settings["perm"].ints if "perm" in settings else ()) != [0, 3, 1, 2]:
                return None
            last = True
        name = node.output[0]
    return None


def _dims(entry: "onnx.ValueInfoProto") -> _Dims | None:
    """The declared lengths, None for open ones; None where no shape is declared."""
    tensor = entry.type.tensor_type
    if not entry.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]


def _described(entry: "onnx.ValueInfoProto") -> str:
    """Name, type and shape in words."""
    import onnx

    if not entry.type.HasField("tensor_type"):
        return f"{entry.name} ({(entry.type.WhichOneof('value') or 'unknown').removesuffix('_type')})"
    tensor = entry.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type else "unknown"
    if not tensor.HasField("shape"):
        return f"{entry.name} ({kind} of unknown shape)"
    dims = ", ".join(
        str(dim.dim_value) if dim.dim_value > 0 else dim.dim_param or "?" for dim in tensor.shape.dim
    )
    return f"{entry.name} ({kind} [{dims}])"
