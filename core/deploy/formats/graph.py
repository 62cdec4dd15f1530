"""Changes to an ONNX graph on its way out: operator set, fixed batch, preprocessing inside. Jobs of the tool child.

`b` images in a batch, `h, w` pixels of an image as it is stored, `c` channels, `s` pixels a side of what
the network sees.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.data.preprocess import Preprocess
from core.deploy.onnx_export import add_metadata, metadata_of, save_checked
from core.machine.jobs import ProgressCallback

if TYPE_CHECKING:
    import onnx

PIXELS = "pixels"
"""The input of a file that prepares images itself."""
OLDEST, NEWEST = 13, 23  # operator sets; many operators have no form in those below 18
OPSET_OF_RESIZE = 18
"""The first operator set whose Resize smooths what it makes smaller, as the training's did."""


def convert(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a copy of an ONNX classifier, changed as asked.

    Args (as plain data):
        source, target: .onnx files.
        opset, batch: None leaves them. preprocessing: whether the copy prepares images itself; its
            metadata then says "prepares": "pixels".
        about: further texts for the metadata.

    Raises:
        EspalierError: when the graph cannot be changed like that.
    """
    import onnx

    model = onnx.load(arguments["source"])
    metadata = {**metadata_of(model), **arguments.get("about", {})}
    if arguments.get("opset"):
        model = with_opset(model, int(arguments["opset"]))
    if arguments.get("preprocessing"):
        if "preprocess" not in metadata:
            raise EspalierError(
                "The file does not say how images are prepared for it.", "Export it without preprocessing inside."
            )  # fmt: skip
        prepend_preprocessing(model, Preprocess.from_json(metadata["preprocess"]))
        metadata["prepares"] = PIXELS
    if arguments.get("batch"):
        fix_batch(model, int(arguments["batch"]))
    add_metadata(model, metadata)
    save_checked(model, Path(arguments["target"]))
    progress(1.0, "Converted")
    return {}


def with_opset(model: "onnx.ModelProto", opset: int) -> "onnx.ModelProto":
    """The model in another operator set of ONNX.

    Raises:
        EspalierError: when an operator has no form there.
    """
    from onnx import helper, version_converter

    try:
        converted = version_converter.convert_version(model, opset)
    except Exception as error:
        has = opset_of(model)
        raise EspalierError(
            f"The file's operators have no form in operator set {opset}; it is written in {has}. The converter says: {reason_of(error)}.",
            f"Choose {OPSET_OF_RESIZE} to {NEWEST}, or leave the operator set empty.",
            str(error),
        ) from error
    converted.ir_version = min(model.ir_version, helper.find_min_ir_version_for(converted.opset_import))
    return converted


def opset_of(model: "onnx.ModelProto") -> int:
    """The version of ONNX's own operators that the model is written in."""
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def fix_batch(model: "onnx.ModelProto", batch: int) -> None:
    """Write the number of images in a call into the graph, in place.

    Raises:
        EspalierError: when the graph has another fixed number already.
    """
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    if first.HasField("dim_value"):
        if first.dim_value == batch:
            return
        raise EspalierError(
            f"The file takes {first.dim_value} images in a call, and cannot be made to take {batch}.",
            "Leave the batch size empty.",
        )
    name = first.dim_param
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if name and dim.dim_param == name:
                dim.dim_value = batch
    first.dim_value = batch
    graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch


def prepend_preprocessing(model: "onnx.ModelProto", prepare: Preprocess) -> None:
    """Put crop, resize and normalisation in front of the network, in place.

    The input becomes `pixels`, uint8 [b, h, w, 3], images of any size; what reaches the network is
    what `Preprocess` makes of them.

    Raises:
        EspalierError: when the operator set is too old for it, or the network takes grey images.
    """
    from onnx import TensorProto, helper

    if opset_of(model) < OPSET_OF_RESIZE:
        raise EspalierError(
            f"Preprocessing inside needs operator set {OPSET_OF_RESIZE} or newer, the file has {opset_of(model)}.",
            "Choose another operator set, or export without preprocessing inside.",
        )
    if prepare.channels != 3:
        raise EspalierError(
            "Preprocessing inside takes colour images, and this network takes grey ones.",
            "Export it without preprocessing inside.",
        )
    entry = model.graph.input[0]
    batch, number_type = entry.type.tensor_type.shape.dim[0], entry.type.tensor_type.elem_type
    nodes, constants = _preparing(prepare, entry.name, number_type)
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [None, "height", "width", 3])
    pixels.type.tensor_type.shape.dim[0].CopyFrom(batch)
    del model.graph.input[0]
    model.graph.input.insert(0, pixels)
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.initializer.extend(constants)


def _preparing(
    prepare: Preprocess, target: str, kind: int
) -> "tuple[list[onnx.NodeProto], list[onnx.TensorProto]]":
    """The nodes from `pixels` to the network's input, and their constants."""
    from onnx import TensorProto, helper, numpy_helper

    def per_channel(values: tuple[float, ...]) -> np.ndarray:
        return np.asarray(values, np.float32)[:, None, None]  # [c, 1, 1]

    arrays = {
        "255": np.float32(255),
        "two": np.int64(2),
        "square": np.array([prepare.size, prepare.size], np.int64),
        "axes": np.array([2, 3], np.int64),
        "mean": per_channel(prepare.mean),
        "std": per_channel(prepare.std),
    }
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        names = [f"prepare/{name}" if name in arrays else name for name in inputs]
        nodes.append(helper.make_node(kind, names, [output], output, **attributes))
        return output

    value = add("Cast", [PIXELS], "prepare/float", to=TensorProto.FLOAT)
    value = add("Transpose", [value], "prepare/planes", perm=[0, 3, 1, 2])  # [b, h, w, c] -> [b, c, h, w]
    value = add("Div", [value, "255"], "prepare/unit")
    if prepare.resize == "crop":
        size = add("Shape", [value], "prepare/size", start=2, end=4)  # [h, w]
        side = add("ReduceMin", [size], "prepare/side", keepdims=1)  # [1]
        start = add("Div", [add("Sub", [size, side], "prepare/rest"), "two"], "prepare/start")
        end = add("Add", [start, side], "prepare/end")
        value = add("Slice", [value, start, end, "axes"], "prepare/cropped")
    # All four sizes: with `axes`, ONNX Runtime 1.31 permutes two of them as if they were four.
    rest = add("Shape", [value], "prepare/batch-and-channels", start=0, end=2)
    sizes = add("Concat", [rest, "square"], "prepare/sizes", axis=0)
    # Pixels beyond the edge have no weight, as in PyTorch; ONNX would repeat the edge.
    value = add(
        "Resize", [value, "", "", sizes], "prepare/resized",
        mode="linear", antialias=1, exclude_outside=1, coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    value = add("Sub", [value, "mean"], "prepare/centred")
    value = add("Div", [value, "std"], "prepare/normalised")
    add("Cast", [value], target, to=kind)
    used = {name for node in nodes for name in node.input}
    constants = [
        numpy_helper.from_array(np.asarray(array), f"prepare/{name}")
        for name, array in arrays.items()
        if f"prepare/{name}" in used
    ]
    return nodes, constants
