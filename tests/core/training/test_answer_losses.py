"""Losses on a teacher's answers, against their papers' sums written out."""

import math

import numpy as np
import pytest
import torch

from core.training.answer_losses import correlation_loss, decoupled_loss, mean_answers, standardised
from core.training.distillation import distillation_loss

STUDENT = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.1, 0.2, 0.3, 3.0]])
TEACHER = torch.tensor([[3.0, 1.5, -2.0, 0.5], [1.0, -1.0, 0.0, 2.0]])
LABELS = torch.tensor([0, 3])


def chances(logits: torch.Tensor, temperature: float) -> np.ndarray:
    powers = np.exp(logits.double().numpy() / temperature)
    return powers / powers.sum(1, keepdims=True)


def test_decoupled_by_hand():
    ours, theirs = chances(STUDENT, 2.0), chances(TEACHER, 2.0)
    target = others = 0.0
    for row, label in enumerate(LABELS.tolist()):
        p, q = theirs[row, label], ours[row, label]
        target += p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        rest = [k for k in range(4) if k != label]
        p_rest, q_rest = theirs[row, rest] / (1 - p), ours[row, rest] / (1 - q)
        others += float((p_rest * np.log(p_rest / q_rest)).sum())
    expected = 4 * (target + 8 * others) / 2
    assert float(decoupled_loss(STUDENT, TEACHER, LABELS, 2.0, 8.0)) == pytest.approx(expected, rel=1e-5)
    shares = torch.nn.functional.one_hot(LABELS, 4) * 0.7 + 0.075
    assert float(decoupled_loss(STUDENT, TEACHER, shares, 2.0, 8.0)) == pytest.approx(expected, rel=1e-5)


def test_decoupled_is_hintons_when_the_others_weigh_what_the_teacher_leaves_them():
    """KL = target part + (1 − p) times the part among the others (equation 5), for one image."""
    p = chances(TEACHER, 4.0)[0, 0]
    one = decoupled_loss(STUDENT[:1], TEACHER[:1], LABELS[:1], 4.0, float(1 - p))
    assert float(one) == pytest.approx(
        float(distillation_loss(STUDENT[:1], TEACHER[:1], 4.0, "teacher-student")), rel=1e-4
    )


def test_correlation_by_hand():
    ours, theirs = chances(STUDENT, 4.0), chances(TEACHER, 4.0)
    rows = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs, strict=True)])
    columns = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours.T, theirs.T, strict=True)])
    assert float(correlation_loss(STUDENT, TEACHER, 4.0)) == pytest.approx(
        16 * (2 - rows - columns), rel=1e-3
    )
    assert float(correlation_loss(TEACHER, TEACHER, 4.0)) == pytest.approx(0, abs=1e-4)


def test_standardised_logits_forget_size_and_place():
    made = standardised(STUDENT)
    assert made.mean(1).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert made.pow(2).mean(1).tolist() == pytest.approx([1, 1], rel=1e-5)
    assert torch.allclose(standardised(5 * STUDENT - 3), made, atol=1e-5)


def test_several_teachers_are_the_mean_of_what_each_answers_softened():
    generator = torch.Generator().manual_seed(4)
    answers = [3 * torch.randn(5, 4, generator=generator) for _ in range(3)]
    weights, temperature = [1.0, 0.5, 2.5], 3.0
    logits = mean_answers(answers, weights, temperature)
    softened = torch.zeros(5, 4)
    for teacher, weight in zip(answers, weights, strict=True):
        for image in range(5):
            powers = [math.exp(float(teacher[image, k]) / temperature) for k in range(4)]
            softened[image] += weight / 4.0 * torch.tensor([power / sum(powers) for power in powers])
    torch.testing.assert_close((logits / temperature).softmax(1), softened, atol=1e-6, rtol=1e-5)
    assert mean_answers(answers[:1], [7.0], temperature) is answers[0]
    same = mean_answers([answers[0], answers[0]], [1.0, 3.0], temperature)
    torch.testing.assert_close(same.softmax(1), answers[0].softmax(1))
