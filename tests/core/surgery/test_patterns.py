"""N:M patterns: masks by hand, and which layers they fit."""

import pytest
import torch
from torch import nn

from core.surgery.patterns import by_pattern, numbers_of, pattern_mask


def test_a_mask_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0, 5.0]])
    assert numbers_of("2:4") == (2, 4) and numbers_of("4:8") == (4, 8)
    assert pattern_mask(scores, "2:4").int().tolist() == [[0, 1, 1, 0, 1, 1, 0, 0]]
    assert pattern_mask(scores, "4:8").int().tolist() == [[0, 1, 0, 0, 1, 1, 1, 0]]


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_neighbours_are_inputs_at_one_place_of_the_kernel(pattern: str) -> None:
    scores = torch.rand(3, 16, 2, 3, generator=torch.Generator().manual_seed(1))
    mask = pattern_mask(scores, pattern)
    stay, of = numbers_of(pattern)
    for output in range(3):
        for row in range(2):
            for column in range(3):
                for start in range(0, 16, of):
                    group = scores[output, start : start + of, row, column].tolist()
                    kept = sorted(group)[of - stay :]
                    gone = mask[output, start : start + of, row, column].tolist()
                    assert [value not in kept for value in group] == gone


def test_layers_whose_inputs_do_not_divide_are_named() -> None:
    layers = {"a": nn.Linear(6, 2), "b": nn.Conv2d(8, 8, 3, groups=8), "c": nn.Conv2d(8, 4, 1)}
    fitting, skipped = by_pattern(layers, "2:4")
    assert list(fitting) == ["c"]
    assert skipped == [
        ("a", "6 inputs for an output, no multiple of 4"),
        ("b", "1 inputs for an output, no multiple of 4"),
    ]
