"""Whether the order of the classes explains an accuracy at chance level."""

import numpy as np

from core.deploy.other_order import other_order

TWELVE = tuple(sorted(str(number) for number in range(12)))


def answered(order: list[int], labels: np.ndarray) -> np.ndarray:
    """Logits of a network whose output order[c] is class c."""
    return np.eye(len(order))[np.array(order)[labels]]


def test_the_order_by_number_is_recognised():
    labels = np.repeat(np.arange(12), 2)
    logits = answered([int(name) for name in TWELVE], labels)
    (note,) = other_order(logits, labels, TWELVE)
    assert note.startswith(
        "17 % of the answers are right, but 100 % would be with the classes ordered by number (0, 1, 2, 3"
    )


def test_any_other_order_is_recognised_where_there_are_images_enough():
    labels = np.repeat(np.arange(3), 4)
    (note,) = other_order(answered([2, 0, 1], labels), labels, ("a", "b", "c"))
    assert "“c” for “a”, “a” for “b”, “b” for “c”" in note
    assert other_order(answered([2, 0, 1], labels[::4]), labels[::4], ("a", "b", "c")) == []


def test_nothing_is_said_of_good_guessing_and_untrained_networks():
    labels = np.repeat(np.arange(10), 20)
    names = tuple(f"class {number}" for number in range(10))
    assert other_order(np.eye(10)[labels], labels, names) == []
    assert other_order(np.eye(10)[np.zeros_like(labels)], labels, names) == []
    for seed in range(20):
        guesses = np.random.default_rng(seed).integers(0, 10, len(labels))
        assert other_order(np.eye(10)[guesses], labels, names) == []
        few = np.random.default_rng(seed).integers(0, 10, 20)
        assert other_order(np.eye(10)[few], np.repeat(np.arange(10), 2), names) == []
