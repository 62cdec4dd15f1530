"""SmoothQuant: factors by hand, answers that stay, and what it gives back where a few channels are far larger."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantize_files import CLASSES, PREPROCESS, images, logits, quiet
from torch import nn

from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization import smooth
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.calibration import draw
from core.deploy.quantization.graph import array_of, layers_of, node_called, prepare
from core.deploy.quantization.sessions import probed, sqnr
from core.deploy.quantization.static import quantize


class Tokens(nn.Module):
    """Patches as tokens, a norm that two linear layers read, one that a linear layer and an addition read, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.norm, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.left, self.right = nn.Linear(16, 24), nn.Linear(16, 24)
        self.back, self.also, self.head = nn.Linear(24, 16), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        normed = self.norm(tokens)
        inner = nn.functional.gelu(self.left(normed)) * self.right(normed)
        tokens = self.norm2(tokens + self.back(inner))
        return self.head((tokens + self.also(tokens)).mean(1))


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("tokens")
    torch.manual_seed(2)
    model = Tokens().eval()
    with torch.no_grad():  # three channels are forty times as large, and their weights as much smaller
        model.norm.weight[:3].mul_(40)
        for layer in (model.left, model.right):
            layer.weight[:, :3].div_(40)
    export_module(model, PREPROCESS, folder / "float32.onnx", describe(CLASSES, PREPROCESS, "float32", {}))
    np.save(folder / "images.npy", images())
    return {
        "source": str(folder / "float32.onnx"), "images": str(folder / "images.npy"), "images_count": 40, "seed": 1,
        "method": "minmax", "percentile": 99.9, "activations": "uint8", "threads": 1,
    }  # fmt: skip


def test_only_norms_that_linear_layers_alone_read_are_smoothed(arguments: dict[str, Any]) -> None:
    model = prepare(Path(arguments["source"]))
    [norm] = smooth.norms_of(model, layers_of(model))
    assert len(norm.readers) == 2 and set(norm.readers.values()) == {0}


def test_factors_by_hand_and_answers_as_before(arguments: dict[str, Any]) -> None:
    model = prepare(Path(arguments["source"]))
    layers = layers_of(model)
    sample = draw(model, arguments, "train", 40, 1)
    [norm] = smooth.norms_of(model, layers)
    name = norm.node.output[0]
    tokens = np.concatenate([probed(model, [name])(block)[0] for block in sample.blocks()])
    made, sentence = smooth.smoothed(model, layers, sample, 0.4)
    old, new = ([array_of(graph, each) for each in norm.readers] for graph in (model, made))
    for channel in range(16):
        reads = max(float(np.abs(weight[channel]).max()) for weight in old)
        factor = float(np.abs(tokens[..., channel]).max()) ** 0.4 / reads**0.6
        for before, after in zip(old, new, strict=True):
            np.testing.assert_allclose(after[channel], before[channel] * factor, rtol=1e-5)
        for before, after in zip(
            norm.node.input[1:3], node_called(made, norm.node.name).input[1:3], strict=True
        ):
            assert array_of(made, after)[channel] == pytest.approx(
                array_of(model, before)[channel] / factor, rel=1e-5, abs=1e-9
            )
    np.testing.assert_allclose(logits(made), logits(model), atol=1e-5)
    assert sentence == "Smoothed: 1 layer norm, read by 2 layers (α = 0.4)."


class Maps(nn.Module):
    """As ConvNeXt's small networks: a norm over the channels of maps, which a 1×1 convolution reads; one that a grouped one reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.norm2 = nn.Conv2d(3, 8, 3), nn.LayerNorm(8), nn.LayerNorm(8)
        self.inner, self.grouped, self.head = (
            nn.Conv2d(8, 8, 1),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.Linear(8, 5),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.norm(self.stem(pixels).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        maps = self.norm2(self.inner(maps).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(self.grouped(maps).relu().mean((2, 3)))


def test_convolutions_behind_a_norm_over_channels_are_smoothed(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network, path = Maps().eval(), tmp_path / "maps.onnx"
    nn.init.uniform_(network.norm.weight, 0.1, 3)
    export_module(network, PREPROCESS, path, describe(CLASSES, PREPROCESS, "float32", {}))
    np.save(tmp_path / "images.npy", images())
    model = prepare(path)
    layers = layers_of(model)
    [norm] = smooth.norms_of(model, layers)
    [(weight, axis)] = norm.readers.items()
    assert axis == 1 and array_of(model, weight).shape == (8, 8, 1, 1)
    sample = draw(model, {"images": str(tmp_path / "images.npy")}, "train", 40, 1)
    made, sentence = smooth.smoothed(model, layers, sample, 0.5)
    assert not np.allclose(array_of(made, weight), array_of(model, weight))
    np.testing.assert_allclose(logits(made), logits(model), atol=1e-5)
    assert sentence == "Smoothed: 1 layer norm, read by 1 layer (α = 0.5)."


def test_dead_channels_keep_their_size() -> None:
    assert smooth.smoothing(np.array([0.0, 4.0]), np.array([1.0, 0.0]), 0.5).tolist() == [1.0, 1.0]
    assert smooth.smoothing(np.array([4.0]), np.array([0.25]), 0.5).tolist() == [4.0]


def test_int8_is_nearer_to_float(arguments: dict[str, Any], tmp_path: Path) -> None:
    reference = logits(Path(arguments["source"]))
    signal = {}
    for alpha in (0.0, 0.5):
        target = tmp_path / f"{alpha}.onnx"
        report = quantize({**arguments, "target": str(target), "smooth": alpha}, quiet)
        signal[alpha] = sqnr(reference - reference.mean(0), logits(target) - logits(target).mean(0))
        assert any(note.startswith("Smoothed: ") for note in report["notes"]) == bool(alpha)
    assert signal[0.5] > signal[0.0] + 3


def test_without_such_norms_it_says_so(tmp_path: Path) -> None:
    from quantize_files import write_small

    graph = calibrated({**write_small(tmp_path), "smooth": 0.5}, quiet)
    assert (
        "Smoothed: nothing, for no layer norm is read by linear layers or convolutions alone." in graph.notes
    )
