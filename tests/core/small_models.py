"""Tiny ONNX classifiers that colours can be told by, for tests that need files but no training."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.data.preprocess import Preprocess

CLASSES = ("red", "green", "blue")
HALVES = Preprocess(8, 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def write_model(
    path: Path, weights: np.ndarray, prepare: Preprocess | None = HALVES, batch: int | str = "batch"
) -> Path:
    """A network whose logits are weights [c, k] times the mean of every channel."""
    side, channels = (prepare.size, prepare.channels) if prepare is not None else (8, 3)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, channels, side, side])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, weights.shape[1]])
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ]
    held = numpy_helper.from_array(weights.astype(np.float32), "weights")
    graph = helper.make_graph(nodes, "means", [images], [logits], [held])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if prepare is not None:
        model.metadata_props.add(key="preprocess", value=json.dumps(prepare.as_dict()))
        model.metadata_props.add(key="classes", value=json.dumps(CLASSES))
    onnx.save(model, path)
    return path
