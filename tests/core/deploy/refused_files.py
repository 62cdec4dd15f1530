"""More ONNX files that are no classifiers, or not as they should be, with what is said of each."""

import numpy as np
import onnx
from colour_files import SIDE, behind, colours, in_front, value
from onnx import TensorProto, helper, numpy_helper


def sorted_values() -> onnx.ModelProto:
    """The three largest logits, largest first, and their classes."""
    model = colours()
    model.graph.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "three"))
    outputs = [value("largest", ["n", 3]), value("which", ["n", 3], TensorProto.INT64)]
    return behind(
        model, outputs, helper.make_node("TopK", ["logits", "three"], ["largest", "which"], name="top")
    )


def batch_norm_that_trains() -> onnx.ModelProto:
    model = colours()
    for name, content in (("scale", 1), ("shift", 0), ("mean", 0), ("variance", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.full(3, content, np.float32), name))
    norm = helper.make_node(
        "BatchNormalization", ["input", "scale", "shift", "mean", "variance"], ["x", "m", "v"], name="norm", training_mode=1
    )  # fmt: skip
    return in_front(model, value("input", ["n", 3, SIDE, SIDE]), norm)


def dropout_that_trains_inside() -> onnx.ModelProto:
    """ONNX Runtime leaves it out when it optimises the graph, and runs it otherwise."""
    model = colours()
    for name, content in (("half", np.float32(0.5)), ("trains", np.array(True))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), name))
    entry = value("input", ["n", 3, SIDE, SIDE])
    return in_front(
        model, entry, helper.make_node("Dropout", ["input", "half", "trains"], ["x"], name="drop")
    )


def unknown_operator() -> onnx.ModelProto:
    return behind(
        colours(), [value("out", ["n", 3])], helper.make_node("NoSuch", ["logits"], ["out"], name="no")
    )


def no_operator_set() -> onnx.ModelProto:
    model = colours()
    del model.opset_import[:]
    return model


MORE_REFUSED = {
    sorted_values: r"no output with a number for each class; it gives largest \(float \[n, 3\]\), which",
    batch_norm_that_trains: r"exported in training mode: BatchNormalization norm draw.*model\.eval",
    dropout_that_trains_inside: r"exported in training mode: Dropout drop draw",
    unknown_operator: r"uses operators that ONNX does not have: NoSuch",
    no_operator_set: r"does not say which operator set",
}
