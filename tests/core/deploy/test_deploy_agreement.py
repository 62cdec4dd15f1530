"""The verdict on exported files, on logits written by hand."""

import json

import numpy as np
import pytest

from core.deploy.agreement import compare_logits, may_be_rounding
from core.records.reports import Verification

REFERENCE = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [5.0, 4.0, 4.5], [1.0, 1.0004, 0.0]], np.float32)


def test_equal_logits_are_good():
    verdict = compare_logits(REFERENCE, REFERENCE)
    assert verdict.good and verdict.images == 4
    assert (verdict.agreement, verdict.explained_agreement, verdict.max_logit_difference) == (100, 100, 0)
    assert verdict.sentence == (
        "Same class as the PyTorch model on 4 images, largest logit difference 0 (limit 0.001)."
    )


def test_a_near_tie_within_rounding_is_explained():
    candidate = REFERENCE.copy()
    candidate[3, 0] += 5e-4  # margin 4e-4, below twice the difference
    verdict = compare_logits(REFERENCE, candidate)
    assert verdict.good
    assert verdict.agreement == 75 and verdict.explained_agreement == 100
    assert verdict.max_logit_difference == pytest.approx(5e-4, rel=1e-3)
    assert verdict.sentence.startswith("1 image changed class, each a near tie within rounding, on 4 images")


def test_a_difference_at_the_limit_is_not_good_even_where_classes_agree():
    candidate = REFERENCE.copy()
    candidate[0, 0] += 0.01
    verdict = compare_logits(REFERENCE, candidate)
    assert not verdict.good and verdict.agreement == 100
    assert verdict.sentence == (
        "Differs too much from the PyTorch model: 0 images changed class on 4 images, "
        "largest logit difference 0.01 (limit 0.001)."
    )
    assert compare_logits(REFERENCE, candidate, limit=0.02).good


def test_the_limit_follows_the_size_of_large_logits():
    large = REFERENCE * 1000  # up to 5000, where neighbouring float32 numbers are 0.0005 apart
    candidate = large.copy()
    candidate[0, 0] += 0.02
    verdict = compare_logits(large, candidate)
    assert verdict.good and verdict.limit == pytest.approx(0.05)
    candidate[0, 0] += 0.1
    assert not compare_logits(large, candidate).good


def test_a_network_that_rounds_badly_itself_is_judged_by_that():
    candidate = REFERENCE.copy()
    candidate[0, 0] += 0.02
    first = compare_logits(REFERENCE, candidate)
    assert may_be_rounding(first) and not first.good
    verdict = compare_logits(REFERENCE, candidate, rounding=0.01)
    assert verdict.good and (verdict.limit, verdict.rounding) == (pytest.approx(0.1), 0.01)
    assert verdict.sentence.endswith("in float32 differ from those in float64 by up to 0.01.")
    assert not compare_logits(REFERENCE, candidate, rounding=0.001).good
    assert not may_be_rounding(compare_logits(REFERENCE, REFERENCE))  # it is good
    assert not compare_logits(REFERENCE, np.roll(REFERENCE, 1, axis=1), rounding=0.01).good


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_finite_number_is_never_good(value, precision, which):
    both = [REFERENCE.copy(), REFERENCE.copy()]
    both[which][2, 1] = value
    verdict = compare_logits(*both, precision=precision)
    assert not verdict.good
    assert verdict.sentence == "Not usable: on 1 image of 4 a logit is not a finite number."
    plain = json.loads(verdict.model_dump_json())
    assert Verification.model_validate(plain) == verdict  # what a report stores can be read again


def noisy(images: int, changed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits [images, 2] with a margin of 1, and the same with `changed` answers turned over."""
    reference = np.tile([[10.0, 9.0]], (images, 1))
    candidate = reference.copy()
    candidate[:changed] = candidate[:changed, ::-1]
    return reference, candidate


def test_half_precision_has_its_own_rule():
    assert compare_logits(*noisy(200, 2), precision="float16").good  # 99 %
    refused = compare_logits(*noisy(200, 3), precision="float16")
    assert not refused.good
    assert refused.sentence == (
        "Differs too much: 98.50 % of 200 images keep their class, largest logit difference 1; "
        "the half precision rule asks for 99 % or differences up to 0.1, 1 % of the largest logit."
    )


def test_half_precision_forgives_rounding_among_close_logits():
    reference = np.array([[10.0, 10.01], [10.0, 9.0]])
    candidate = np.array([[10.02, 10.0], [10.0, 9.0]])
    verdict = compare_logits(reference, candidate, precision="float16")
    assert verdict.good and verdict.agreement == 50
    assert verdict.sentence.startswith("Agrees: 50.00 % of 2 images keep their class")


def test_half_precision_of_a_hardly_trained_network_is_judged_mildly():
    """EfficientNet-Lite0 after a step of each stage: one of 16 images changed, logits to 9.5 differed by 0.49."""
    reference = np.tile([[9.5, 9.3]], (16, 1))
    candidate = reference.copy()
    candidate[0] = [9.3, 9.79]
    assert not compare_logits(reference, candidate, precision="float16").good
    verdict = compare_logits(reference, candidate, precision="float16", rehearsal=True)
    assert verdict.good and verdict.sentence.endswith(
        "99 % or differences up to 0.95, 10 % of the largest logit."
    )
    wrong = reference[:, ::-1] * [[0.5, 1.0]]
    assert not compare_logits(reference, wrong, precision="float16", rehearsal=True).good
    assert not compare_logits(reference, candidate, precision="float32", rehearsal=True).good


def test_quantized_files_are_judged_by_their_results():
    verdict = compare_logits(*noisy(200, 150), precision="int8")
    assert verdict.good and verdict.agreement == 25 and verdict.limit is None
    assert verdict.sentence == (
        "Quantized: 25.00 % of 200 images keep the class that the float network gives, "
        "largest logit difference 1."
    )


def test_one_class_and_ties_are_no_trouble():
    assert compare_logits(np.ones((3, 1)), np.ones((3, 1))).good
    assert compare_logits(np.ones((3, 4)), np.ones((3, 4))).good


@pytest.mark.parametrize("shape", [(3, 4), (4, 2), (0, 3), (4,)])
def test_shapes_must_match(shape):
    with pytest.raises(ValueError, match="Expected equal shapes"):
        compare_logits(REFERENCE if shape != (0, 3) else np.ones(shape), np.ones(shape))
