"""Somebody's ONNX classifier in the one form that everything else here works on: float32 [b, c, s, s] in, [b, k] out.

Nodes are put in front and behind, and what leads to other outputs is left out; the network itself stays as it is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.onnx_graph.classifier import FLAT, PIXELS, Answers, Images, count_of
from core.onnx_graph.float16 import name_nodes
from core.onnx_graph.reading import (
    FIRST_WITH_CONSTANTS,
    NEWEST_FORMAT,
    NEWEST_OPSET,
    OLDEST_OPSET,
    UPGRADED,
    graphs_of,
    opset_of,
    sort_nodes,
    without_constant_inputs,
)

if TYPE_CHECKING:
    import onnx

_NUMBERS = {"float32": 1, "float16": 10, "float64": 11, "uint8": 2}


def standard_form(
    model: "onnx.ModelProto", images: Images, answers: Answers
) -> "tuple[onnx.ModelProto, list[str]]":
    """The model in that form, and sentences on what was changed; without any it is the same model.

    Raises:
        EspalierError: when its operators have no form that runs here.
    """
    notes: list[str] = []
    _tidy(model)
    if sort_nodes(model):
        notes.append("Its operators were not in the order in which they run; they are sorted.")
    if without_constant_inputs(model):
        notes.append("Its weights were inputs too, as in files of before 2019; they are constants now.")
    model = _readable(model, notes)
    if _names_of_their_own(model):
        notes.append("Operators of it share a name; each has one of its own now.")
    if model.graph.sparse_initializer:
        _dense(model)
        notes.append("Weights of it are stored sparsely; they are written out.")
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
        notes.append("Its own functions were written out as operators.")
    unchanged = len(notes)
    _front(model, images, notes)
    _back(model, answers, notes)
    if images.batch and len(notes) > unchanged:
        with_batch(model, images.batch)
    return model, notes


def with_batch(model: "onnx.ModelProto", batch: int) -> None:
    """Declare how many images a call takes, in place."""
    for entry in (model.graph.input[0], model.graph.output[0]):
        first = entry.type.tensor_type.shape.dim[0]
        first.ClearField("dim_param")
        first.dim_value = batch
    del model.graph.value_info[:]


def with_any_batch(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """A copy that declares to take any number of images in a call; whether that is true has to be tried."""
    import onnx

    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    for entry in (opened.graph.input[0], opened.graph.output[0]):
        entry.type.tensor_type.shape.dim[0].dim_param = "batch"
    del opened.graph.value_info[:]
    return opened


def in_opset(model: "onnx.ModelProto", opset: int) -> "onnx.ModelProto":
    """The model in another operator set; its metadata stay.

    Raises:
        EspalierError: when an operator has no form there.
    """
    from onnx import helper, version_converter

    model.ir_version = max(model.ir_version, FIRST_WITH_CONSTANTS)  # else its constants have to be inputs
    try:
        converted = version_converter.convert_version(model, opset)
    except Exception as error:
        raise EspalierError(
            f"The file is written in operator set {opset_of(model)} of ONNX, and its operators have no form in {opset}: {reason_of(error)}.",
            f"Export it again with operator set {opset} (opset_version={opset}).",
            str(error),
        ) from error
    needed = helper.find_min_ir_version_for(converted.opset_import, ignore_unknown=True)
    converted.ir_version = max(min(model.ir_version, NEWEST_FORMAT), needed, FIRST_WITH_CONSTANTS)
    converted.metadata_props.extend(model.metadata_props[len(converted.metadata_props) :])
    return converted


def _tidy(model: "onnx.ModelProto") -> None:
    """Declare as open what stands as 0 or -1 for "any length", and every output once, in place."""
    graph = model.graph
    _replace(graph.output, {entry.name: entry for entry in graph.output}.values())
    for entry in (*graph.input, *graph.output, *graph.value_info):
        for number, dim in enumerate(entry.type.tensor_type.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.dim_param = "batch" if number == 0 else f"{entry.name}_{number}"


def _readable(model: "onnx.ModelProto", notes: list[str]) -> "onnx.ModelProto":
    """In an operator set and format that ONNX Runtime reads, where the file's are older or newer."""
    if opset_of(model) < OLDEST_OPSET:
        notes.append(
            f"Operator set {opset_of(model)} was brought up to {UPGRADED}; ONNX Runtime reads {OLDEST_OPSET} and newer."
        )
        model = _upgraded(model)
    if opset_of(model) > NEWEST_OPSET:
        notes.append(
            f"Operator set {opset_of(model)} was brought down to {NEWEST_OPSET}, the newest that ONNX Runtime reads."
        )
        model = in_opset(model, NEWEST_OPSET)
    if model.ir_version > NEWEST_FORMAT:
        notes.append(
            f"Version {model.ir_version} of the ONNX format was brought down to {NEWEST_FORMAT}, the newest that ONNX "
            "Runtime reads."
        )
        model.ir_version = NEWEST_FORMAT
    return model


def _names_of_their_own(model: "onnx.ModelProto") -> bool:
    """Give every operator a name of its own where two share one; whether any did."""
    names = [node.name for node in model.graph.node if node.name]
    if len(set(names)) == len(names):
        return False
    name_nodes(model)
    return True


def _dense(model: "onnx.ModelProto") -> None:
    """Write out sparse constants, in place."""
    import numpy as np
    from onnx import numpy_helper

    for sparse in model.graph.sparse_initializer:
        values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        whole = np.zeros(tuple(sparse.dims), values.dtype)
        if places.ndim == 1:
            whole.reshape(-1)[places] = values
        else:
            whole[tuple(places.T)] = values
        model.graph.initializer.append(numpy_helper.from_array(whole, sparse.values.name))
    del model.graph.sparse_initializer[:]


def _upgraded(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model in an operator set of today; the converter of old ones wants to know the number of images."""
    firsts = [
        entry.type.tensor_type.shape.dim[0]
        for entry in (*model.graph.input, *model.graph.output) if entry.type.tensor_type.shape.dim
    ]  # fmt: skip
    names = [first.dim_param for first in firsts]
    for first, name in zip(firsts, names, strict=True):
        if name:
            first.dim_value = 1
    model = in_opset(model, UPGRADED)
    entries = [
        entry for entry in (*model.graph.input, *model.graph.output) if entry.type.tensor_type.shape.dim
    ]
    for entry, name in zip(entries, names, strict=True):
        if name:
            entry.type.tensor_type.shape.dim[0].dim_param = name
    del model.graph.value_info[:]
    return model


def _front(model: "onnx.ModelProto", images: Images, notes: list[str]) -> None:
    """Nodes from float32 [b, c, s, s] to what the network takes, where that is another."""
    from onnx import helper

    shape = [images.batch or "batch", images.channels, images.size or "height", images.size or "width"]
    if images.usual and model.graph.input[0].type.tensor_type.HasField("shape"):
        return
    graph = model.graph
    name = images.name if images.usual else _unused(model, "images")
    if images.usual:
        notes.append("It declares no shape for its input; it is the one that its first convolution takes.")
    steps: list[Callable[[str, str], Any]] = []
    if images.kind == "uint8":
        steps.append(lambda a, b: helper.make_node("Round", [a], [b]))
        notes.append("It takes bytes: images are given to it as they are stored, 0…255, and not normalised.")
    if images.kind != "float32":
        steps.append(lambda a, b: helper.make_node("Cast", [a], [b], to=_NUMBERS[images.kind]))
    if images.kind in ("float16", "float64"):
        notes.append(f"Its input is {images.kind}; images are converted inside.")
    if images.layout == PIXELS:
        steps.append(lambda a, b: helper.make_node("Transpose", [a], [b], perm=[0, 2, 3, 1]))
        notes.append(
            "Its input is [batch, height, width, channels]; a transposition in front takes [batch, channels, height, "
            "width], as all files that are made from it do."
        )
    if images.layout == FLAT:
        graph.initializer.append(helper.make_tensor(_unused(model, "flat"), 7, [2], [0, -1]))
        constant = graph.initializer[-1].name
        steps.append(lambda a, b: helper.make_node("Reshape", [a, constant], [b]))
        notes.append(
            f"Its input is a row of {(images.size or 0) ** 2} grey pixels; images are laid out inside."
        )
    if not images.batched:
        steps.append(_squeeze(model, "Squeeze"))
        notes.append("It takes one image, without a batch.")
    nodes, value = [], name
    for number, step in enumerate(steps):
        target = images.name if number == len(steps) - 1 else _unused(model, f"{name}_{number}")
        nodes.append(step(value, target))
        value = target
    _replace(graph.node, [*_named(model, nodes), *graph.node])
    _replace(graph.input, [helper.make_tensor_value_info(name, _NUMBERS["float32"], shape)])


def _back(model: "onnx.ModelProto", answers: Answers, notes: list[str]) -> None:
    """Nodes from what the network gives to float32 [b, k], where that is another; the rest is left out."""
    from onnx import helper

    graph = model.graph
    rank = None if answers.dims is None else len(answers.dims)
    steps: list[Callable[[str, str], Any]] = []
    if rank == 1:
        steps.append(_squeeze(model, "Unsqueeze"))
        notes.append("Its answer is a row without a batch.")
    elif rank is not None and rank > 2:
        steps.append(lambda a, b: helper.make_node("Flatten", [a], [b], axis=1))
        notes.append("Its answers are a map of one pixel; they are given as a row.")
    if answers.kind != "float32":
        steps.append(lambda a, b: helper.make_node("Cast", [a], [b], to=_NUMBERS["float32"]))
        notes.append(f"Its answers are {answers.kind}; they are given as float32.")
    if answers.name != answers.output:
        notes.append(
            f"Its answers {answers.output} are a list of names and numbers; the numbers alone are taken."
        )
    if answers.others:
        others = ", ".join(answers.others)
        notes.append(f"Of its outputs, {answers.output} has the classes' numbers; {others} and what leads only there are left out.")  # fmt: skip
    if answers.dims is None:
        notes.append("It declares no shape for its output.")
    if not (steps or answers.others or answers.name != answers.output or answers.dims is None):
        return
    nodes: list[Any] = []
    value = answers.name
    for _ in steps:
        target = _unused(model, "logits" if not nodes else "logits_as_float")
        nodes.append(steps[len(nodes)](value, target))
        value = target
    graph.node.extend(_named(model, nodes))
    count = count_of(answers.dims)
    _replace(
        graph.output,
        [helper.make_tensor_value_info(value, _NUMBERS["float32"], ["batch", count or "classes"])],
    )
    _prune(model)


def without_declared_shapes(model: "onnx.ModelProto", classes: int) -> None:
    """Drop the shapes that a file declares inside, and write that of its answers anew: they are not always true."""
    from onnx import helper

    del model.graph.value_info[:]
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    batch = first.dim_value if first.dim_value > 0 else first.dim_param or None
    name = model.graph.output[0].name
    fresh = helper.make_tensor_value_info(name, _NUMBERS["float32"], [batch, classes])
    _replace(model.graph.output, [fresh])


def _squeeze(model: "onnx.ModelProto", kind: str) -> Callable[[str, str], Any]:
    """Take away or add an axis of one image in front; its position is an input since operator set 13."""
    from onnx import helper

    if opset_of(model) < 13:
        return lambda a, b: helper.make_node(kind, [a], [b], axes=[0])
    model.graph.initializer.append(helper.make_tensor(_unused(model, f"{kind.lower()}_axis"), 7, [1], [0]))
    axis = model.graph.initializer[-1].name
    return lambda a, b: helper.make_node(kind, [a, axis], [b])


def _prune(model: "onnx.ModelProto") -> None:
    """Leave out nodes and constants that no output needs."""
    graph = model.graph
    needed = {entry.name for entry in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(name for inner in _inside(node) for one in inner.node for name in one.input)
            needed.update(entry.name for inner in _inside(node) for entry in inner.output)
            needed.update(node.input)
    _replace(graph.node, kept[::-1])
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed])
    _replace(graph.sparse_initializer, [one for one in graph.sparse_initializer if one.values.name in needed])
    _replace(graph.value_info, [entry for entry in graph.value_info if entry.name in needed])
    used = {node.domain for each in graphs_of(graph) for node in each.node} | {""}
    _replace(
        model.opset_import, [entry for entry in model.opset_import if entry.domain in used | {"ai.onnx"}]
    )


def _inside(node: "onnx.NodeProto") -> "list[onnx.GraphProto]":
    return [
        each
        for entry in node.attribute
        for inner in (*([entry.g] if entry.HasField("g") else []), *entry.graphs)
        for each in graphs_of(inner)
    ]


def _unused(model: "onnx.ModelProto", name: str) -> str:
    """`name`, or one like it that nothing in the model has yet."""
    taken = {entry.name for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    taken.update(
        each
        for graph in graphs_of(model.graph)
        for node in graph.node
        for each in (*node.input, *node.output)
    )
    while name in taken:
        name += "_"
    return name


def _named(model: "onnx.ModelProto", nodes: "list[Any]") -> "list[Any]":
    taken = {node.name for node in model.graph.node}
    for node in nodes:
        node.name = f"standard/{node.op_type}"
        while node.name in taken:
            node.name += "_"
        taken.add(node.name)
    return nodes


def _replace(field: Any, content: Any) -> None:
    """Give a repeated field of a protobuf message other content."""
    content = list(content)
    del field[:]
    field.extend(content)
