"""ONNX files in the forms in which people bring them, and how a test receives one."""

from pathlib import Path
from typing import Any

import colour_files
import numpy as np
import onnx
import pytest
from colour_files import CLASSES, MEAN, SIDE, STD, behind, colours, in_front, node, value
from onnx import TensorProto, helper, numpy_helper

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.deploy.received_onnx import Reading, receive
from core.deploy.verify import onnx_predictor

PREPARE = Preprocess(SIDE, 3, MEAN, STD)
make = helper.make_node


def quiet(fraction: float, text: str) -> None:
    pass


def received(path: Path, classes: tuple[str, ...] = CLASSES, **how: Any) -> tuple[Path, list[str]]:
    reading = Reading(path.name, **({"preprocess": PREPARE} | how))
    target = path.with_name("received.onnx")
    arguments = {**reading.as_plain(), "source": str(path), "target": str(target), "classes": list(classes)}
    reply = receive(arguments, quiet)
    return Path(reply["path"]), reply["notes"]


def answers(path: Path) -> list[str]:
    """The class that a received file gives each of the images."""
    predictor = onnx_predictor(path, 1)
    return [predictor.classes[index] for index in predictor.network(colour_files.images()).argmax(1)]


def refused(path: Path, match: str, **how: Any) -> None:
    with pytest.raises(EspalierError, match=match):
        received(path, **how)


def nhwc() -> onnx.ModelProto:
    entry = value("input", ["n", SIDE, SIDE, 3])
    return in_front(colours(), entry, make("Transpose", ["input"], ["x"], name="t", perm=[0, 3, 1, 2]))


def open_nhwc() -> onnx.ModelProto:
    entry = value("input", ["n", "h", "w", "c"])
    return in_front(colours(), entry, make("Transpose", ["input"], ["x"], name="t", perm=[0, 3, 1, 2]))


def pixels() -> onnx.ModelProto:
    """uint8 [n, h, w, 3], normalised inside."""
    model = in_front(
        colours(), value("input", ["n", "h", "w", 3], TensorProto.UINT8),
        make("Cast", ["input"], ["as_float"], name="cast", to=TensorProto.FLOAT),
        make("Transpose", ["as_float"], ["planes"], name="t", perm=[0, 3, 1, 2]),
        make("Sub", ["planes", "middle"], ["centred"], name="sub"), make("Div", ["centred", "middle"], ["x"], name="div"),
    )  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.float32(127.5), "middle"))
    return model


def halves() -> onnx.ModelProto:
    model = in_front(
        colours(), value("input", ["n", 3, SIDE, SIDE], TensorProto.FLOAT16),
        make("Cast", ["input"], ["x"], name="cast", to=TensorProto.FLOAT),
    )  # fmt: skip
    half = value("half", ["n", 3], TensorProto.FLOAT16)
    return behind(model, [half], make("Cast", ["logits"], ["half"], name="back", to=TensorProto.FLOAT16))


def doubles() -> onnx.ModelProto:
    model = in_front(
        colours(), value("input", ["n", 3, SIDE, SIDE], TensorProto.DOUBLE),
        make("Cast", ["input"], ["x"], name="cast", to=TensorProto.FLOAT),
    )  # fmt: skip
    double = value("double", ["n", 3], TensorProto.DOUBLE)
    return behind(model, [double], make("Cast", ["logits"], ["double"], name="back", to=TensorProto.DOUBLE))


def constants_among_inputs() -> onnx.ModelProto:
    model = colours(opset=8, ir=3)
    model.graph.input.extend(value(one.name, list(one.dims)) for one in model.graph.initializer)
    return model


def fixed_reshape() -> onnx.ModelProto:
    model = colours()
    node(model, "flat").CopyFrom(make("Reshape", ["p", "row"], ["f"], name="flat"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3], np.int64), "row"))
    return model


def over_the_batch() -> onnx.ModelProto:
    """Subtracts the mean over all images of a call, which is 0 for one image after a multiplication by 0.5."""
    model = colours()
    node(model, "fc").input[0] = "shifted"
    model.graph.node.insert(5, make("ReduceMean", ["f"], ["over"], name="over", axes=[0], keepdims=1))
    model.graph.node.insert(6, make("Sub", ["f", "over"], ["apart"], name="apart"))
    model.graph.node.insert(7, make("Add", ["f", "apart"], ["shifted"], name="shifted"))
    return model


def map_of_one_pixel() -> onnx.ModelProto:
    """The classifier is a convolution, as in SqueezeNet: logits [n, 3, 1, 1]."""
    model = colours()
    [weight] = [one for one in model.graph.initializer if one.name == "fc.weight"]
    weight.dims.extend([1, 1])
    del model.graph.node[-2:]
    last = make("Conv", ["p", "fc.weight", "fc.bias"], ["logits"], name="fc")
    return behind(model, [value("logits", ["n", 3, 1, 1])], last)


def probabilities_too() -> onnx.ModelProto:
    outputs = [value("probabilities", ["n", 3]), value("logits", ["n", 3])]
    return behind(colours(), outputs, make("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1))


def label_and_list() -> onnx.ModelProto:
    """As skl2onnx writes a classifier: the class's name, and a list of mappings from names to numbers."""
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    model = behind(
        colours(order=(2, 0, 1)),
        [value("label", ["n"], TensorProto.INT64), helper.make_value_info("probabilities", kind)],
        make("ArgMax", ["logits"], ["label"], name="label", axis=1, keepdims=0),
        make("ZipMap", ["logits"], ["probabilities"], name="zip", domain="ai.onnx.ml", classlabels_strings=["red", "blue", "green"]),
    )  # fmt: skip
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return model


def features_too() -> onnx.ModelProto:
    return behind(colours(), [value("c2", ["n", 3, SIDE, SIDE]), value("logits", ["n", 3])])


def one_image() -> onnx.ModelProto:
    """[3, h, w] to [3], without an axis for images."""
    model = in_front(
        colours(opset=11),
        value("input", [3, SIDE, SIDE]),
        make("Unsqueeze", ["input"], ["x"], name="u", axes=[0]),
    )
    return behind(model, [value("row", [3])], make("Squeeze", ["logits"], ["row"], name="s", axes=[0]))


def functions() -> onnx.ModelProto:
    """ReLU as a function of the model's own."""
    model = colours()
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("own", "Positive", ["a"], ["b"], [make("Relu", ["a"], ["b"])], opsets)
    )
    node(model, "relu1").CopyFrom(make("Positive", ["c1"], ["r1"], name="relu1", domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def newer() -> onnx.ModelProto:
    return colours(opset=28, ir=14)


def untrue_shapes() -> onnx.ModelProto:
    """Declares one image where any number goes, and another size inside."""
    model = behind(colours(), [value("logits", [1, 3])])
    model.graph.value_info.append(value("c1", ["n", 6, 99, 99]))
    return model


def untrue_types() -> onnx.ModelProto:
    model = colours()
    model.graph.value_info.append(value("c1", ["n", 6, SIDE, SIDE], TensorProto.DOUBLE))
    return model


def any_length_as_a_number() -> onnx.ModelProto:
    """-1 and 0 for any number of images, as some exporters write it; and an output twice."""
    model = colours(batch=-1)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 0
    model.graph.output.append(model.graph.output[0])
    return model


def shapeless() -> onnx.ModelProto:
    model = colours()
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.ClearField("shape")
    return model


def same_names() -> onnx.ModelProto:
    model = colours()
    for each in model.graph.node:
        each.name = "n"
    return model


def sparse() -> onnx.ModelProto:
    """The weights of the second convolution are stored as values and places."""
    model = colours()
    [weight] = [one for one in model.graph.initializer if one.name == "conv2.weight"]
    array = numpy_helper.to_array(weight)
    places = np.flatnonzero(array).astype(np.int64)
    values = numpy_helper.from_array(array.reshape(-1)[places], weight.name)
    indices = numpy_helper.from_array(places, "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, list(array.shape)))
    model.graph.initializer.remove(weight)
    return model


def unsorted() -> onnx.ModelProto:
    model = colours()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def ancient() -> onnx.ModelProto:
    model = colours(opset=6, ir=3)
    model.graph.input.extend(value(one.name, list(one.dims)) for one in model.graph.initializer)
    return model


def other_names() -> onnx.ModelProto:
    model = colours()
    helper.set_model_props(model, {"labels": "seven, words, that, mean, something, quite, different"})
    return model


FORMS = {
    unsorted: "not in the order in which they run",
    ancient: "Operator set 6 was brought up to 13",
    other_names: "names 7 classes (seven, words, that, …) and gives 3 numbers",
    same_names: "share a name",
    sparse: "stored sparsely",
    nhwc: "height, width, channels",
    open_nhwc: "height, width, channels",
    pixels: "takes bytes",
    halves: "float16",
    doubles: "float64",
    constants_among_inputs: "inputs too",
    fixed_reshape: "one image at a time only",
    over_the_batch: "depends on which others",
    map_of_one_pixel: "map of one pixel",
    probabilities_too: "logits has the classes' numbers; probabilities",
    label_and_list: "list of names and numbers",
    features_too: "logits has the classes' numbers; c2",
    one_image: "one image, without a batch",
    functions: "own functions",
    newer: "newest that ONNX Runtime reads",
    shapeless: "no shape",
}


def unnamed() -> onnx.ModelProto:
    model = colours()
    for each in model.graph.node:
        each.ClearField("name")
    return model


def small_weights(kind: int) -> onnx.ModelProto:
    """Weights that are stored in fewer bits and widened when the file is opened."""
    model = colours()
    [weight] = [one for one in model.graph.initializer if one.name == "conv1.weight"]
    array = numpy_helper.to_array(weight)
    weight.CopyFrom(helper.make_tensor("small", kind, array.shape, array.flatten().tolist()))
    model.graph.node.insert(0, make("Cast", ["small"], ["conv1.weight"], name="widen", to=TensorProto.FLOAT))
    return model


def branches() -> onnx.ModelProto:
    model = colours()
    graphs = {
        name: helper.make_graph([make(op, ["logits"], [name])], name, [], [value(name, None)])
        for name, op in (("yes", "Identity"), ("no", "Neg"))
    }
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    node_ = make("If", ["always"], ["out"], name="if", then_branch=graphs["yes"], else_branch=graphs["no"])
    return behind(model, [value("out", ["n", 3])], node_)


def loop() -> onnx.ModelProto:
    """Adds a constant of the outer graph three times."""
    model = colours()
    body = helper.make_graph(
        [make("Identity", ["go_in"], ["go_out"]), make("Add", ["sum_in", "nothing"], ["sum_out"])], "body",
        [value("turn", [], TensorProto.INT64), value("go_in", [], TensorProto.BOOL), value("sum_in", None)],
        [value("go_out", [], TensorProto.BOOL), value("sum_out", None)],
    )  # fmt: skip
    for name, content in (("nothing", np.float32(0)), ("turns", np.int64(3)), ("go", np.array(True))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    return behind(
        model,
        [value("out", ["n", 3])],
        make("Loop", ["turns", "go", "logits"], ["out"], name="loop", body=body),
    )


def doubled_size() -> onnx.ModelProto:
    """Sizes computed in float32, as PyTorch's exporter writes interpolate()."""
    model = colours()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "two"))
    nodes = [
        make("Shape", ["input"], ["sizes"], name="shape"),
        make("Cast", ["sizes"], ["as_float"], name="cast", to=TensorProto.FLOAT),
        make("Mul", ["as_float", "two"], ["doubled"], name="mul"),
        make("Cast", ["doubled"], ["whole"], name="back", to=TensorProto.INT64),
        make("Resize", ["input", "", "", "whole"], ["x"], name="resize", mode="nearest"),
    ]
    entry = value("input", ["n", 3, SIDE, SIDE])
    return in_front(model, entry, *nodes)


def one_weight_four_times() -> onnx.ModelProto:
    model = colours()
    model.graph.initializer.append(
        numpy_helper.from_array(np.eye(3, dtype=np.float32)[..., None, None], "same")
    )
    nodes = [
        make("Conv", ["input" if index == 0 else f"y{index - 1}", "same"], ["x" if index == 3 else f"y{index}"], name=f"same{index}")
        for index in range(4)
    ]  # fmt: skip
    return in_front(model, value("input", ["n", 3, SIDE, SIDE]), *nodes)


def unused_nan() -> onnx.ModelProto:
    model = colours()
    model.graph.initializer.append(numpy_helper.from_array(np.full(9, np.nan, np.float32), "unused"))
    return model


def infinite_bound() -> onnx.ModelProto:
    model = colours()
    model.graph.initializer.append(numpy_helper.from_array(np.float32(-np.inf), "low"))
    return behind(model, [value("out", ["n", 3])], make("Clip", ["logits", "low"], ["out"], name="clip"))


def old_operators() -> onnx.ModelProto:
    return colours(opset=11, ir=6)


ODD = {
    **{form.__name__: form for form in (
        unnamed, branches, loop, doubled_size, one_weight_four_times, unused_nan, infinite_bound, old_operators,
        constants_among_inputs, label_and_list, any_length_as_a_number, unsorted, ancient, pixels, fixed_reshape, sparse, same_names, functions,
    )},
    "bfloat16 weights": lambda: small_weights(TensorProto.BFLOAT16),
    "float16 weights": lambda: small_weights(TensorProto.FLOAT16),
}  # fmt: skip


def nan_weights() -> onnx.ModelProto:
    model = colours()
    [weight] = [one for one in model.graph.initializer if one.name == "conv2.weight"]
    array = numpy_helper.to_array(weight).copy()
    array[0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    return model


def two_inputs() -> onnx.ModelProto:
    model = colours()
    model.graph.input.append(value("mask", ["n", 3]))
    return model


def not_square() -> onnx.ModelProto:
    model = colours()
    model.graph.input[0].CopyFrom(value("input", ["n", 3, 16, 8]))
    return model


def four_channels() -> onnx.ModelProto:
    model = colours()
    model.graph.input[0].CopyFrom(value("input", ["n", 4, 8, 8]))
    return model


def label_only() -> onnx.ModelProto:
    last = make("ArgMax", ["logits"], ["label"], name="label", axis=1, keepdims=0)
    return behind(colours(), [value("label", ["n"], TensorProto.INT64)], last)


def random_numbers() -> onnx.ModelProto:
    model = colours()
    node(model, "fc").output[0] = "still"
    model.graph.node.append(make("RandomNormalLike", ["still"], ["noise"], name="noise"))
    model.graph.node.append(make("Add", ["still", "noise"], ["logits"], name="moved"))
    return model


def dropout_that_trains() -> onnx.ModelProto:
    model = colours()
    for name, content in (("half", np.float32(0.5)), ("trains", np.array(True))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    return behind(
        model, [value("out", ["n", 3])], make("Dropout", ["logits", "half", "trains"], ["out"], name="drop")
    )


def strange_operators() -> onnx.ModelProto:
    model = colours()
    node(model, "relu1").domain = "mmdeploy"
    model.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    return model


def double_weights() -> onnx.ModelProto:
    model = colours()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)
        )
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.elem_type = TensorProto.DOUBLE
    return model


def unknown_format() -> onnx.ModelProto:
    return colours(ir=20)


def unknown_operator_set() -> onnx.ModelProto:
    return colours(opset=40)


REFUSED = {
    nan_weights: r"not a number \(NaN\): conv2\.weight \(3 of 18\)|conv2\.weight \(1 of 18\)",
    two_inputs: r"takes 2 inputs.*mask",
    not_square: r"no batch of square images",
    four_channels: r"float \[n, 4, 8, 8\].*no batch",
    label_only: r"no output with a number for each class; it gives label \(int64 \[n\]\)",
    random_numbers: r"draws random numbers",
    dropout_that_trains: r"exported in training mode: Dropout drop.*model\.eval",
    strange_operators: r"not ONNX's own: mmdeploy\.Relu",
    double_weights: r"has not on a processor: Conv|float32",
    unknown_format: r"version 20 of the ONNX format",
    unknown_operator_set: r"operator set 40 of ONNX, a newer version",
}


def endless() -> onnx.ModelProto:
    """The classifier behind a loop of 2^62 rounds."""
    kinds = (("on", TensorProto.BOOL, []), ("x", TensorProto.FLOAT, None))
    body = helper.make_graph(
        [make("Identity", ["on"], ["on_again"]), make("Add", ["x", "x"], ["y"])], "body",
        [helper.make_tensor_value_info("round", TensorProto.INT64, []), *(helper.make_tensor_value_info(*kind) for kind in kinds)],
        [helper.make_tensor_value_info("on_again", TensorProto.BOOL, []), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    loop = make("Loop", ["rounds", "go", "input"], ["x"], name="loop", body=body)
    model = in_front(colours(), value("input", ["n", 3, SIDE, SIDE]), loop)
    constants = {"rounds": np.array(2**62, np.int64), "go": np.array(True)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model
