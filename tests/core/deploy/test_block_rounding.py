"""Residual blocks learned as wholes: which blocks there are, what they compute against ONNX Runtime, and what learning them saves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quantize_files import CLASSES, PREPROCESS, logits, quiet, write_small
from torch import nn

from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization import block_rounding, reconstruct
from core.deploy.quantization.block_rounding import residual_blocks
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.graph import layers_of, node_called, prepare
from core.deploy.quantization.sessions import probed, sqnr

LEARN = {"learn_images": 40, "steps": 80, "drop": 0.5, "learn_ranges": True}


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("float")) | {"scales": "tensor"}


class Blocks(nn.Module):
    """A block with a projection, one whose shortcut is slices and zeros, and one with squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.a1, self.a2, self.project = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 6, 1), nn.Conv2d(4, 6, 1, 2)
        self.b1 = nn.Conv2d(6, 8, 3, 2, 1)
        self.c1, self.gate, self.head = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images).relu()
        x = (self.a2(self.a1(x).clamp(0, 6)) + self.project(x)).relu()
        x = self.b1(x) + nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        y = self.c1(x)
        return self.head((x + y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()).mean((2, 3)))


def test_the_blocks_of_a_graph(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path = tmp_path / "blocks.onnx"
    export_module(Blocks().eval(), PREPROCESS, path, describe(CLASSES, PREPROCESS, "float32", {}))
    model = prepare(path)
    layers = layers_of(model)
    projected, padded = residual_blocks(model, layers)  # not that with a gate
    assert set(projected.layers) == {"a1", "a2", "project"} and padded.layers == ("b1",)
    stem = next(layer for layer in layers if layer.name == "stem")
    assert projected.given == (stem.output,)
    assert len(padded.given) == 2 and projected.answer in padded.given  # the shortcut is taken as given
    assert [node.op_type for node in projected.nodes].count("Relu") == 1 and projected.nodes[
        -1
    ].op_type == "Relu"


def test_a_block_computes_what_the_graphs_compute(job_arguments) -> None:
    graph = replace(calibrated({**job_arguments, "correct_bias": "on"}, quiet), corrects=False)
    [block] = residual_blocks(graph.model, graph.layers)
    assert block.layers == ("depthwise", "mix")
    rounded, _ = graph.quantized((), quiet)
    form = reconstruct._block_form(graph, graph, rounded, block, {"learn_ranges": False})
    with reconstruct.Networks.on(graph.sample) as networks:
        sample = reconstruct._block_sample(graph.model, rounded, block, networks)
    assert form is not None and sample is not None and sample.wanted.shape == (40, 16, 12, 12)
    weights = {
        layer.node: torch.from_numpy(reconstruct._weights(graph.model, layer)[0])
        for layer in graph.layers if layer.name in block.layers
    }  # fmt: skip
    with torch.no_grad():
        exact = form.answers(weights, sample.exact, rounds=False)
    torch.testing.assert_close(exact, sample.wanted, rtol=1e-4, atol=1e-4)
    [reader] = [layer for layer in graph.layers if layer.name == "clipped"]
    ask = probed(rounded, [node_called(rounded, reader.node).input[0]])
    theirs = np.concatenate([ask(images)[0] for images in graph.sample.blocks()])
    with torch.no_grad():
        ours = form.answers(
            {name: each.nearest() for name, each in form.layers.items()}, sample.rounded
        ).numpy()
    low, high = graph.ranges[block.answer]
    step = (max(high, 0) - min(low, 0)) / 255
    assert (
        np.abs(ours - theirs).max() < 2.5 * step
    )  # a rounding that falls the other way moves a value by one level
    assert np.square(ours - theirs).mean() < 0.02 * np.square(theirs - sample.wanted.numpy()).mean()
    expected = float((torch.from_numpy(ours) - sample.wanted).square().mean())
    nearest = {name: each.nearest() for name, each in form.layers.items()}
    assert block_rounding.error(form, nearest, sample) == pytest.approx(expected, rel=1e-4)
    learned = block_rounding.learn_block(form, sample, 80, 0.5, 3)
    assert block_rounding.error(form, learned, sample) < 0.7 * expected
    for name, each in form.layers.items():
        assert (
            (learned[name] / each.scale - each.steps).abs() < 1 + 1e-3
        ).all()  # up or down, and no further


def test_blocks_stand_in_the_file_and_no_block_gets_worse(job_arguments, tmp_path: Path) -> None:
    made = {}
    for objective in ("layer", "block"):
        target = tmp_path / f"{objective}.onnx"
        arguments = {**job_arguments, **LEARN, "objective": objective, "target": str(target)}
        made[objective] = reconstruct.quantize(arguments, quiet), logits(target)
    source = logits(Path(job_arguments["source"]))
    rows = {
        name: [row for row in report["reconstructed"] if "block" in row] for name, (report, _) in made.items()
    }
    assert rows["layer"] == [] and len(rows["block"]) == 1
    [row] = rows["block"]
    assert row["name"] == "block of depthwise, mix" and row["after"] <= row["before"]
    assert any("residual block" in note for note in made["block"][0]["notes"])
    assert sqnr(source, made["block"][1]) > sqnr(source, made["layer"][1]) - 0.5
