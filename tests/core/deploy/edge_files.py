"""A tiny classifier as an ONNX file, a data set for it, and both packed as an archive for a device."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from core.common.files import sha256_of
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.deploy.bundle import BundleFacts, pack

CLASSES = ("bee", "fly", "wasp/hornet")
PREPROCESS = Preprocess(12, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
TEST = 60


def write_model(path: Path, opset: int = 20) -> None:
    """Mean of each of 2 × 2 corners and channels, then a matrix: 12 numbers to 3 logits."""
    random = np.random.default_rng(3)
    weights = {
        "w": random.standard_normal((12, 3)).astype(np.float32),
        "b": random.standard_normal(3).astype(np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[6, 6], strides=[6, 6]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 12, 12])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    told = {"preprocess": json.dumps(PREPROCESS.as_dict()), "classes": json.dumps(CLASSES)}
    for name, text in told.items():
        model.metadata_props.add(key=name, value=text)
    onnx.save(model, path)


def make_data(size: tuple[int, int] = (20, 16), channels: int = 3) -> ImageData:
    """90 images of noise around a brightness; the last 60 are the test split."""
    random = np.random.default_rng(5)
    base = random.integers(0, 200, (90, 1, 1, channels))
    images = (base + random.integers(0, 55, (90, *size, channels))).astype(np.uint8)
    splits = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 90)}
    return ImageData(
        title="Insects", source="folder", classes=CLASSES, images=images, labels=random.integers(0, 3, 90),
        splits=splits, mean=(0.5,) * channels, std=(0.2,) * channels, channels=channels, size=size,
        problems=(), notes=(), fingerprint="0",
    )  # fmt: skip


def answers(model: Path, images: np.ndarray) -> np.ndarray:
    """Logits [n, 3] of ONNX Runtime for images that PyTorch prepared."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": PREPROCESS(images).numpy()})[0]


def unpacked(folder: Path, count: int = 12) -> tuple[Path, ImageData]:
    """An archive of the model, unpacked in `folder`/device."""
    model, archive = folder / "tiny.onnx", folder / "tiny.zip"
    write_model(model)
    data = make_data()
    facts = BundleFacts(
        name="Insects", run="run-1", stage="int8@7", stage_name="Static INT8", file="ONNX INT8", precision="int8",
        sha256=sha256_of(model), pipeline="c" * 64, classes=CLASSES, preprocess=PREPROCESS.as_dict(), prepares=False,
    )  # fmt: skip
    pack(archive, model, "# Card\n", facts, data, answers(model, data.images[data.split("test")]), count)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "device")
    return folder / "device", data
