"""Events as a run gives them."""

from core.records import events


def epoch(
    stage: str, number: int, step: int, top1: float, best: bool = False, **parts: float
) -> events.EpochDone:
    metrics = {
        "train_loss": 2.0 / number,
        "val_loss": 2.1 / number,
        "train_top1": top1 - 1,
        "val_top1": top1,
        "learning_rate": 0.1,
        "seconds": 1.0,
        "epoch": number,
        **parts,
    }
    return events.EpochDone(stage, number, 3, step, metrics, best)


def started() -> list[events.Event]:
    return [
        events.RunStarted("run-1", "/tmp/run-1", "Tiny", ("a", "b"), ("First", "Second"), False),
        events.StageStarted("a", "First", "train", 0, 2),
        events.PhaseStarted("a", "train", "Training"),
        events.TrainingStarted("a", 1, 3, 10, "float32"),
    ]
