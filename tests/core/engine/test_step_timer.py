"""How long steps take: few of them, none that a check has no use for, and what a teacher takes beside them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.store import open_data
from core.document import pipeline as documents
from core.engine.step_timer import StepTimer

PIPELINE = """
espalier: 1
name: Steps
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 16, test_images: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: short, kind: train, name: Short, settings: {training: {epochs: 1, batch_size: 16}}}
  - {id: long, kind: train, name: Long, from: short, settings: {training: {epochs: 40, batch_size: 16}}}
axes: {seed: [1, 2]}
"""
GRADUAL = """\
  - {id: gradual, kind: prune-channels, name: Gradual, settings: {ratio: 0.4, steps: 20, step_epochs: 3, training: {epochs: 1, batch_size: 16}}}
"""
TAUGHT = """\
  - {id: taught, kind: distil, from: net, name: Taught, settings: {teacher: short, training: {epochs: 10, batch_size: 16}}}
"""


def timer(folder: Path, stages: str = "") -> StepTimer:
    """A timer of the pipeline on its images, with further stages behind its own."""
    pipeline = documents.loads(PIPELINE.replace("axes:", stages + "axes:"))
    return StepTimer(pipeline, open_data(pipeline.data, folder / "data", folder), folder, "cpu", folder)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (lambda steps: (16 * steps, 0.5 + 16 * steps * 0.01), (0.01, 0.5)),
        (lambda steps: (12, 0.6), (0.05, 0.0)),  # all images fit into the first step
    ],
)
def test_what_comes_once_an_epoch_is_not_charged_to_its_images(epoch, expected, monkeypatch):
    monkeypatch.setattr(StepTimer, "_epoch", lambda timer, model, settings, context, steps: epoch(steps))
    timer = StepTimer(documents.loads(PIPELINE), None, Path(), "cpu", Path())
    assert timer._seconds(None, None, None) == pytest.approx(expected)


def test_equal_stages_on_equal_networks_are_measured_once(monkeypatch, tmp_path):
    """So that hundreds of stages cost a moment each, and their networks no memory."""
    measured: list[str] = []

    def measure(timer, node, stage, given):
        measured.append(node.id)
        timer.models[node.id] = given
        return {"id": node.id, "name": node.title, "seconds": 1.0, "disk_mb": 1.0, "steps": 4}

    monkeypatch.setattr(StepTimer, "_network_stage", measure)
    monkeypatch.setattr(StepTimer, "_input", lambda timer, node: (torch.nn.Linear(2, 2), None, None))
    same = "".join(
        f"  - {{id: s{number}, kind: train, from: short, settings: {{training: {{epochs: 3}}}}}}\n"
        for number in range(5)
    )
    pipeline = documents.loads(PIPELINE.replace("axes:", same + "axes:"))
    timer = StepTimer(pipeline, None, tmp_path, "cpu", tmp_path)
    costs = [timer.stage(node) for node in pipeline.active if node.kind == "train"]
    assert measured == ["short", "long", "s0"]
    assert [cost["id"] for cost in costs] == ["short", "long", "s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize(
    ("seconds", "asked", "expected"),
    [
        (0.1, [1, 4] * 3, (0.1 / 16, 0.0)),
        (4.0, [1, 4], (4.0 / 16, 0.0)),  # twenty seconds have gone: no second trial
        (50.0, [1], (50.0 / (16 + 0.35 * 16), 0.0)),  # one step alone, with the images that it validates on
    ],
)
def test_the_longer_a_step_the_fewer_are_taken(
    seconds: float,
    asked: list[int],
    expected: tuple[float, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []

    def epoch(self: StepTimer, model: Any, settings: Any, context: Any, steps: int) -> tuple[int, float]:
        taken.append(steps)
        return 16 * steps, seconds * steps

    monkeypatch.setattr(StepTimer, "_epoch", epoch)
    assert timer(tmp_path)._seconds(None, None, None) == pytest.approx(expected)
    assert taken == asked


def test_stages_whose_steps_are_alike_are_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`short` and `long` differ in their epochs alone; a larger batch is something else."""
    measured: list[int] = []

    def seconds(self: StepTimer, model: Any, settings: Any, context: Any) -> tuple[float, float]:
        measured.append(settings.batch_size)
        return 0.01, 0.0

    monkeypatch.setattr(StepTimer, "_seconds", seconds)
    larger = "  - {id: larger, kind: train, settings: {training: {epochs: 1, batch_size: 32}}}\n"
    timed = timer(tmp_path, larger)
    short, long, _ = [timed.stage(node) for node in timed.pipeline.active]
    assert measured == [16, 32]
    assert long["seconds"] - short["seconds"] == pytest.approx(39 * (128 + 0.35 * 16) * 0.01)


def test_a_gradual_pruning_trains_no_epochs_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trained 57 epochs on all images before its steps were timed: `espalier check` took as long as the run."""
    from core.stages import prune_channels

    images: list[int] = []
    really = prune_channels.run_training

    def training(model: Any, settings: Any, context: Any, *others: Any, **more: Any) -> Any:
        images.append(settings.epochs * len(context.data.splits["train"]))
        return really(model, settings, context, *others, **more)

    monkeypatch.setattr(prune_channels, "run_training", training)
    monkeypatch.setattr(StepTimer, "_seconds", lambda *_: (0.01, 0.0))
    timed = timer(tmp_path, GRADUAL)
    for node in timed.pipeline.active:
        timed.stage(node)
    assert images and sum(images) <= 16  # one batch between its two prunings
    assert sum(p.numel() for p in timed.models["gradual"][0].parameters()) < 0.7 * 270_000


def test_no_state_to_go_on_from_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the size of three networks and more, and was written after every trial."""

    def write(*_: Any) -> None:
        raise AssertionError("a state was written")

    monkeypatch.setattr("core.training.loop.write_state", write)
    timed = timer(tmp_path)
    assert timed.stage(timed.pipeline.active[0])["steps"] == 4


def test_what_a_teacher_takes_is_the_teachers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher may be a hundred times its student; it was taken for as large."""
    monkeypatch.setattr(StepTimer, "_seconds", lambda *_: (0.01, 0.0))
    timed = timer(tmp_path, TAUGHT)
    assert 0 < timed._forward(timed._input(timed.pipeline.active[0])[0], timed._context(timed.pipeline.active[0], None, timed._input(timed.pipeline.active[0])[2]), True) < 1  # fmt: skip
    monkeypatch.setattr(StepTimer, "_forward", lambda *_: 1.0)
    _, long, taught = [timed.stage(node) for node in timed.pipeline.active]
    quarter = (long["seconds"] - 18 - 2 * 0.35 * 16 * 0.01) / 4
    assert taught["seconds"] - 18 == pytest.approx(quarter + 10 * 128 * 1.0, rel=1e-3)
