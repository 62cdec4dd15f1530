"""Files of other widths: the right shapes, and they run."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from core.common.errors import EspalierError
from core.profiling.widths import resized, time_widths


class Net(nn.Module):
    """A convolution, a depthwise one, a product over positions, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.mix = nn.Linear(8, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.deep(torch.relu(self.norm(self.a(images))))
        found = self.mix(found.permute(0, 2, 3, 1))
        return self.head(torch.relu(found).mean((1, 2)))


NARROW = {
    "a.weight": (5, 3, 3, 3), "a.bias": (5,), "norm.weight": (5,), "norm.bias": (5,), "deep.weight": (5, 1, 3, 3),
    "deep.bias": (5,), "mix.weight": (7, 5), "mix.bias": (7,), "head.weight": (5, 7),
}  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "net.onnx"
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about torch
        torch.onnx.export(
            Net().eval(), (torch.zeros(1, 3, 8, 8),), path, dynamo=True, input_names=["images"],
            output_names=["logits"], external_data=False, verbose=False,
        )  # fmt: skip
    return path


def test_parameters_get_their_shapes_and_the_file_runs(file: Path, tmp_path: Path) -> None:
    narrowed = resized(onnx.load(file), NARROW)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in narrowed.graph.initializer}
    assert shapes["a.weight"] == (5, 3, 3, 3) and shapes["deep.weight"] == (5, 1, 3, 3)
    assert (5, 7) in shapes.values() and 12 not in {side for shape in shapes.values() for side in shape}
    groups = [entry.i for node in narrowed.graph.node for entry in node.attribute if entry.name == "group"]
    assert groups == [1, 5]
    onnx.save(narrowed, tmp_path / "narrow.onnx")
    session = ort.InferenceSession(tmp_path / "narrow.onnx", providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"images": np.ones((1, 3, 8, 8), np.float32)})
    assert logits.shape == (1, 5) and np.isfinite(logits).all()


def test_parameters_that_keep_their_shape_keep_their_values(file: Path) -> None:
    before, after = onnx.load(file), resized(onnx.load(file), {"head.weight": (5, 12)})
    old, new = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in (before, after))
    assert all(np.array_equal(old[name], new[name]) for name in old)


def test_a_parameter_that_is_not_in_the_file_is_refused(file: Path) -> None:
    with pytest.raises(EspalierError, match=r"Expected the file to hold other\.weight"):
        resized(onnx.load(file), {"other.weight": (4, 4)})


@pytest.mark.slow
def test_layers_are_timed_at_every_width(file: Path) -> None:
    report = time_widths(
        {"model": str(file), "input_size": 8, "widths": [{}, NARROW]}, lambda done, text: None
    )
    assert len(report["networks"]) == 2
    for network in report["networks"]:
        assert {"a", "deep", "mix", "head"} <= set(network["layers"])
        assert all(ms >= 0 for ms in network["layers"].values()) and network["milliseconds"] > 0
    assert report["values"] == {"a": 512, "deep": 512, "mix": 768, "head": 5}
