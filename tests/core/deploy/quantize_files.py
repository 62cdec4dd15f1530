"""A small network with everything that quantization treats differently, exported once, and its images."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from core.data.preprocess import Preprocess
from core.deploy.onnx_export import describe, export_module

PREPROCESS = Preprocess(12, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
CLASSES = ("bee", "fly", "gnat", "moth", "wasp")


class Small(nn.Module):
    """Convolutions with ReLU, a depthwise one with wide channels, a residual addition, ReLU6, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.mix = nn.Conv2d(16, 16, 1)
        self.clipped = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.narrow = nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 5)
        self.relu, self.relu6 = nn.ReLU(), nn.ReLU6()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.relu(self.norm(self.stem(images)))
        added = stem + self.mix(self.relu(self.depthwise(stem)))
        return self.head(self.narrow(self.relu6(self.clipped(added))).mean((2, 3)))


def small(seed: int = 4) -> Small:
    """Weights whose channels differ by a factor of 300: rounding them per tensor would ruin them."""
    torch.manual_seed(seed)
    model = Small()
    with torch.no_grad():
        for _ in range(5):
            model(torch.randn(16, 3, 12, 12))
        model.depthwise.weight.mul_(torch.logspace(-1.5, 1, 16)[:, None, None, None])
        model.depthwise.bias.uniform_(-0.5, 0.5)
        model.mix.weight.div_(torch.logspace(-1.5, 1, 16)[None, :, None, None])
    return model.eval()


def images(count: int = 40) -> np.ndarray:
    """uint8 [n, 12, 12, 3]: brightness and noise."""
    random = np.random.default_rng(2)
    base = np.linspace(20, 200, count)[:, None, None, None]
    return (base + random.integers(0, 55, (count, 12, 12, 3))).astype(np.uint8)


def write_small(folder: Path) -> dict[str, Any]:
    """The file and its images, as arguments of the jobs."""
    path = folder / "float32.onnx"
    export_module(small(), PREPROCESS, path, describe(CLASSES, PREPROCESS, "float32", {"run": "r1"}))
    np.save(folder / "images.npy", images())
    return {
        "source": str(path), "images": str(folder / "images.npy"), "images_count": 40, "seed": 1,
        "method": "minmax", "percentile": 99.9, "activations": "uint8", "threads": 1,
    }  # fmt: skip


def logits(model: Path | onnx.ModelProto, optimise: bool = True) -> np.ndarray:
    """Answers of a file or graph on `images()`, in a session as anybody would open it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": PREPROCESS(images()).numpy()})[0]


def quiet(fraction: float, text: str) -> None:
    pass
