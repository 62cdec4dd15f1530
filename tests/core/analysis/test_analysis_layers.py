"""Layers from names and shapes, and what became of them; histograms over common bins."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.analysis.histograms import histograms, weights_of_checkpoint
from core.analysis.layers import compare, count, difference, layers_of, read_layers
from core.common.errors import EspalierError

BEFORE = {
    "body.conv1.weight": (16, 3, 3, 3),
    "body.bn1.weight": (16,),
    "body.bn1.running_mean": (16,),
    "body.2.conv.weight": (32, 16, 3, 3),
    "body.2.conv.bias": (32,),
    "body.2.dw.weight": (32, 1, 5, 5),
    "body.10.a.weight": (8, 32, 1, 1),
    "body.10.b.weight": (32, 8, 1, 1),
    "head.weight": (10, 32),
    "head.bias": (10,),
}


def test_layers_have_types_shapes_and_parameters() -> None:
    conv1, conv, dw, _a, _b, head = layers_of(BEFORE)
    assert (conv1.path, conv1.type, conv1.shape, conv1.params) == ("body.conv1", "Conv 3×3", "3 → 16", 432)
    assert (conv.type, conv.shape, conv.params) == ("Conv 3×3", "16 → 32", 4640)
    assert (dw.type, dw.shape, dw.params) == ("Depthwise conv 5×5", "32 → 32", 800)
    assert (head.type, head.shape, head.params) == ("Linear", "32 → 10", 330)
    assert count(BEFORE) == 432 + 16 + 4640 + 800 + 256 + 256 + 330  # no running statistics


def test_what_became_of_every_layer() -> None:
    after = {
        "body.conv1.weight": (16, 3, 3, 3),
        "body.2.conv.0.weight": (6, 16, 3, 3),
        "body.2.conv.1.weight": (32, 6, 1, 1),
        "body.2.dw.weight": (24, 1, 5, 5),
        "head.weight": (10, 24),
        "head.bias": (10,),
        "extra.weight": (4, 4),
    }
    changes = {change.path: change for change in compare(layers_of(BEFORE), layers_of(after))}
    kinds = {path: change.kind for path, change in changes.items()}
    assert kinds == {
        "body.conv1": "same", "body.2.conv": "factorised", "body.2.dw": "narrower", "body.10": "dropped",
        "head": "narrower", "extra": "added",
    }  # fmt: skip
    assert changes["body.2.conv"].after == "16 → 6 (3×3),  6 → 32 (1×1)"
    assert (changes["body.2.conv"].params_before, changes["body.2.conv"].params_after) == (4640, 864 + 192)
    block = changes["body.10"]
    assert (block.type, block.before, block.params_before) == ("Block of 2 layers", "32 → 32", 512)
    assert (changes["head"].before, changes["head"].after) == ("32 → 10", "24 → 10")


def test_checkpoints_are_read_in_natural_order_and_zeros_are_counted(tmp_path: Path) -> None:
    dense = {name: np.ones(shape, np.float32) for name, shape in BEFORE.items()}
    sparse = {name: array.copy() for name, array in dense.items()}
    sparse["head.weight"][:, :16] = 0
    for name, tensors in (("dense", dense), ("sparse", sparse)):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "weights.safetensors")
    paths = [layer.path for layer in read_layers(tmp_path / "dense")]
    assert paths == ["body.2.conv", "body.2.dw", "body.10.a", "body.10.b", "body.conv1", "head"]
    found = difference(tmp_path / "dense", tmp_path / "sparse")
    assert [change.path for change in found.changes if change.kind == "changed"] == ["head"]
    assert found.changes[-1].zeros == pytest.approx(160 / 330)
    assert found.sentence == "100.0 % of the parameters are left. Layers: 5 as it was, 1 changed."
    assert weights_of_checkpoint(tmp_path / "sparse", "head").shape == (10, 32)
    with pytest.raises(EspalierError, match="There is no layer 'tail'"):
        weights_of_checkpoint(tmp_path / "sparse", "tail")
    with pytest.raises(EspalierError, match="cannot be read"):
        read_layers(tmp_path / "none")


def test_histograms_share_their_bins() -> None:
    first, second = histograms([np.array([0.0, 0.0, 1.0, 2.0]), np.array([4.0, 4.0])], bins=4)
    assert (first.low, first.high, second.low, second.high) == (0.0, 4.0, 0.0, 4.0)
    assert first.counts == [2, 1, 1, 0] and second.counts == [0, 0, 0, 2]
    assert (first.zeros, first.mean, first.distinct, second.deviation) == (0.5, 0.75, 3, 0.0)
    assert first.sentence == "4 values, mean 0.75, deviation 0.829, 0 to 2, 50.0 % zeros, 3 different values"
    constant = histograms([np.full(3, 7.0)])[0]
    assert constant.low < 7 < constant.high and sum(constant.counts) == 3
