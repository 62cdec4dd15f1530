"""What of a declaration enters cache keys."""

from core.common.params import Params, param


class Training(Params):
    epochs: int = param(3, "Epochs", "Passes.")
    penalty: float = param(0.0, "Penalty", "Came later.", added=True)


class Stage(Params):
    ratio: float = param(0.5, "Ratio", "How much.")
    training: Training = param(Training(epochs=5), "Training", "How it is trained.")


def test_a_setting_that_came_later_enters_keys_only_when_it_is_set():
    assert Stage().for_key() == {"ratio": 0.5, "training": {"epochs": 5}}
    changed = Stage.parse({"training": {"penalty": 0.1}})
    assert changed.for_key() == {"ratio": 0.5, "training": {"epochs": 5, "penalty": 0.1}}
    assert Stage.parse({"training": {"penalty": 0.0}}).for_key() == Stage().for_key()
