"""Finishing a stage by hand ends that stage's training, whenever it is asked for, and no other's."""

from pathlib import Path

import pytest

from core.common.control import RunControl
from core.document import pipeline as documents
from core.engine.engine import Engine
from core.engine.options import Options
from core.records.events import EpochDone, Event, Note
from core.runs.home import Home
from core.runs.new_run import create_run

pytestmark = pytest.mark.slow

PIPELINE = """
espalier: 1
name: Finished
data: {source: fashion-mnist-sample, image_size: 16, train_images: 96, validation_images: 32, test_images: 32}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: first, kind: train, settings: {training: {epochs: 2}}}
  - {id: second, kind: prune-channels, settings: {training: {epochs: 2}}}
"""


@pytest.mark.parametrize("asked_in", [1, 2])
def test_the_next_stage_trains_all_its_epochs(asked_in: int, tmp_path: Path) -> None:
    """`EpochDone` comes after the epoch's last step: asked then, in epoch 2 nothing is left to be finished."""
    home, control = Home(tmp_path / "home"), RunControl()
    run = create_run(documents.loads(PIPELINE), tmp_path, home)

    def ask(event: Event) -> None:
        if isinstance(event, EpochDone) and event.stage == "first" and event.epoch == asked_in:
            control.finish_stage()

    done = Engine(run, home, Options("cpu", 1), control, ask).run()
    assert done.status == "completed", done
    first, second = run.reports()
    assert [len(first.history), len(second.history)] == [2, 2]
    assert any("finished by hand" in note for note in first.notes) == (asked_in == 1)
    assert not any("finished by hand" in note for note in second.notes)


def test_a_later_run_says_that_it_trains_anew_what_was_finished_by_hand(tmp_path: Path) -> None:
    """After "Finish this stage" and another setting of a later stage, the first trained again without a word."""
    home, text = Home(tmp_path / "home"), PIPELINE.partition("  - {id: second")[0]
    said: list[str] = []

    def run(control: RunControl) -> str:
        made = create_run(documents.loads(text), tmp_path, home)

        def listen(event: Event) -> None:
            if isinstance(event, EpochDone) and event.epoch == 1:
                control.finish_stage()
            if isinstance(event, Note) and "finished by hand" in event.text and "trained anew" in event.text:
                said.append(event.text)

        assert Engine(made, home, Options("cpu", 1), control, listen).run().status == "completed"
        return made.name

    first = run(RunControl())
    assert not said
    run(RunControl())
    assert len(said) == 1 and f"finished by hand in epoch 2 in the run {first!r}" in said[0]
