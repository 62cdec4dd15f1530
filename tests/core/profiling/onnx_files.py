"""Small ONNX files for the tests of profiling, made without PyTorch."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes, weights: dict[str, np.ndarray], size: int, outputs: int, batch: str | int = "batch"):
    """A graph from `images` [batch, 3, size, size] to `logits` [batch, outputs]."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, size, size])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, outputs])],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        ir_version=10,
        opset_imports=[helper.make_opsetid("", 20)],
    )


def classifier(width: int = 16, size: int = 16, batch: str | int = "batch", repeats: int = 1):
    """A strided convolution, `repeats` padded 3×3 ones, and a linear layer; each with a bias."""
    rng = np.random.default_rng(0)
    weights = {
        "stem.weight": rng.standard_normal((width, 3, 3, 3)).astype(np.float32),
        "stem.bias": np.ones(width, np.float32),
        "head.weight": rng.standard_normal((5, width)).astype(np.float32),
        "head.bias": np.zeros(5, np.float32),
        "shape": np.array([0, -1], np.int64),
    }
    node = helper.make_node
    pads = [1, 1, 1, 1]
    nodes = [
        node("Conv", ["images", "stem.weight", "stem.bias"], ["f0"], "stem", pads=pads, strides=[2, 2]),
        node("Relu", ["f0"], ["r0"], "relu"),
    ]
    for index in range(1, repeats + 1):
        weights[f"block{index}.weight"] = rng.standard_normal((width, width, 3, 3)).astype(np.float32) * 0.1
        name = f"block{index}"
        nodes.append(node("Conv", [f"r{index - 1}", f"{name}.weight"], [f"r{index}"], name, pads=pads))
    nodes += [
        node("GlobalAveragePool", [f"r{repeats}"], ["pooled"], "pool"),
        node("Reshape", ["pooled", "shape"], ["flat"], "flatten"),
        node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], "head", transB=1),
    ]
    return model(nodes, weights, size, 5, batch)


def write(target: Path, **arguments) -> Path:
    """`classifier` as a checked file."""
    made = classifier(**arguments)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, target)
    return target
