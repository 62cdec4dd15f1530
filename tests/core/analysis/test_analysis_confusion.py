"""Confusion matrices, figures per class and flips, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from core.analysis.confusion import (
    Answers,
    cell,
    check_same_images,
    class_figures,
    read_answers,
    row_percent,
)
from core.analysis.flips import AnswerPair
from core.common.errors import EspalierError

CLASSES = ("ant", "bee", "cat")
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], np.int64)
BEFORE = [0, 0, 0, 1, 1, 1, 2, 2, 2, 0]  # 7 right
AFTER = [0, 0, 1, 0, 1, 2, 2, 2, 1, 2]  # 6 right


def answers(guesses: list[int], sure: list[float] | None = None, **more: object) -> Answers:
    """Answers with these guesses; `sure` is the logit of the guess, the others being 0."""
    logits = np.zeros((len(guesses), 3), np.float32)
    logits[np.arange(len(guesses)), guesses] = sure or [3.0] * len(guesses)
    return Answers(logits, LABELS, CLASSES, **more)  # type: ignore[arg-type]


def test_the_matrix_counts_true_classes_in_rows_and_answers_in_columns() -> None:
    found = answers(AFTER)
    assert found.counts.tolist() == [[3, 1, 0], [0, 1, 2], [0, 1, 2]]
    assert row_percent(found.counts)[0].tolist() == [75.0, 25.0, 0.0]
    assert found.right.sum() == 6
    assert (found.counts - answers(BEFORE).counts).tolist() == [[0, 0, 0], [0, -1, 1], [-1, 1, 0]]


def test_a_class_without_images_has_no_row_percent_and_no_accuracy() -> None:
    found = Answers(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1], np.int64), CLASSES)
    assert row_percent(found.counts)[2].tolist() == [0.0, 0.0, 0.0]
    assert class_figures(found)[2].recall is None and class_figures(found)[2].precision is None


def test_figures_per_class() -> None:
    ant, bee, cat = class_figures(answers(AFTER))
    assert (ant.images, ant.recall, ant.precision) == (4, 75.0, 100.0)
    assert bee.recall == pytest.approx(100 / 3) and bee.precision == pytest.approx(100 / 3)
    assert bee.f1 == pytest.approx(200 / 6)
    assert cat.recall == pytest.approx(200 / 3) and cat.precision == 50.0


def test_confidence_and_best_are_softmax() -> None:
    found = Answers(np.log(np.array([[0.7, 0.2, 0.1]], np.float32)), np.array([1], np.int64), CLASSES)
    assert found.confidence[0] == pytest.approx(0.7, abs=1e-6)
    assert [(label, round(share, 4)) for label, share in found.best(0)] == [(0, 0.7), (1, 0.2), (2, 0.1)]


def test_the_images_of_a_cell_come_most_confident_first() -> None:
    sure = [3.0] * 5 + [1.0, 2.0] + [3.0] * 3
    assert cell(answers(AFTER, sure), true=1, guess=2).tolist() == [6, 5]


def test_flips_are_what_changed_from_right_to_wrong_and_back() -> None:
    sure = [3.0, 3.0, 1.0, 3.0, 3.0, 5.0, 3.0, 3.0, 2.0, 3.0]
    pair = AnswerPair(answers(AFTER, sure), answers(BEFORE))
    assert pair.images("lost").tolist() == [5, 8, 2]  # by the confidence of the wrong answer
    assert pair.images("won").tolist() == [3, 9]
    assert pair.images("both-wrong").tolist() == [6]
    assert sorted(pair.images("changed").tolist()) == [2, 3, 5, 8, 9]
    assert sorted(pair.images("mistakes").tolist()) == [2, 5, 6, 8]
    assert len(pair.images("all")) == 10
    assert pair.images("lost", true=1).tolist() == [5]
    assert pair.images("lost", guess=1).tolist() == [8, 2]
    assert sorted(pair.images("all", guess_before=1).tolist()) == [3, 4, 5]
    assert pair.sentence == (
        "3 images were right and are wrong now, 2 the other way round: −10.00 points on 10 test images."
    )


def test_one_model_alone_has_mistakes_only() -> None:
    pair = AnswerPair(answers(AFTER))
    assert pair.kinds == ("mistakes", "all") and pair.count("mistakes") == 4
    assert pair.sentence == "6 of 10 test images are right."


def test_models_of_other_images_or_classes_are_refused() -> None:
    other = Answers(answers(AFTER).logits, LABELS[::-1].copy(), CLASSES)
    with pytest.raises(EspalierError, match=r"tested on different images \(10 and 10\)"):
        AnswerPair(other, answers(BEFORE))
    with pytest.raises(EspalierError, match="different images"):
        check_same_images(answers(AFTER, images="a"), answers(BEFORE, images="b"))
    renamed = Answers(answers(AFTER).logits, LABELS, ("ant", "bee", "dog"))
    with pytest.raises(EspalierError, match="different classes, among them cat, dog"):
        AnswerPair(renamed, answers(BEFORE))


def test_answers_are_read_and_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", answers(AFTER).logits)
    np.save(tmp_path / "labels.npy", LABELS)
    found = read_answers(tmp_path / "logits.npy", tmp_path / "labels.npy", CLASSES)
    assert found.guesses.tolist() == AFTER
    with pytest.raises(
        EspalierError, match=r"Expected 10 answers with 2 classes, logits.npy holds \[10, 3\]"
    ):
        read_answers(tmp_path / "logits.npy", tmp_path / "labels.npy", CLASSES[:2])
    with pytest.raises(EspalierError, match="cannot be read"):
        read_answers(tmp_path / "none.npy", tmp_path / "labels.npy", CLASSES)
