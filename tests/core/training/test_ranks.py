"""Two processes that train together: the same weights on both to the bit, those of one process but for rounding, one decision
on everything that a person asks or the clock says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_trial import do
from small_stages import SETTINGS

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.batches import Batches, BatchForm, Draws, bounds_of
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation
from core.machine.processes import environment
from core.training.ranks import Ranks, current_ranks

COUNT = 2
MIXED = {"settings": {"mixup": 0.4, "cutmix": 1.0, "erasing": 0.5, "epochs": 1}}
JOBS: dict[str, dict[str, Any]] = {
    "one step": {"images": 11},
    "plain": {},
    "without norm": {"norm": False},
    "mixed": MIXED,
    "with dropout": {"dropout": 0.3, "state": "whole.resume"},
    "stopped": {"dropout": 0.3, "state": "stopped.resume", "stop_after": 8},
    "resumed": {"dropout": 0.3, "state": "stopped.resume"},
    "finished": {"finish_after": 3},
    "patient": {"settings": {"epochs": 4, "patience": 1, "learning_rate": 1e-9}},
    "diverged": {
        "settings": {"learning_rate": 10.0, "optimiser": "sgd", "clip_norm": 0, "epochs": 4},
        "norm": False,
    },
    "too small": {"settings": {"batch_size": 2}},
}
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What came of the jobs on each of two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "jobs.json").write_text(json.dumps(list(JOBS.values())))
    here = Path(__file__).parent
    path = {"PYTHONPATH": os.pathsep.join([str(here.parent), os.environ.get("PYTHONPATH", "")])}
    processes = [
        subprocess.Popen(
            [sys.executable, str(here / "rank_trial.py"), str(rank), str(COUNT), str(folder)],
            env=environment(1, path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for rank in range(COUNT)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * COUNT, "\n".join(said)
    results = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(COUNT)]
    return [dict(zip(JOBS, one, strict=True)) for one in results]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The same jobs in this process."""
    names = ("one step", "plain", "without norm", "mixed")
    return dict(zip(names, do([JOBS[name] for name in names], tmp_path_factory.mktemp("alone")), strict=True))


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two networks' weights and statistics."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).nan_to_num().abs().max()) for name in one)


@pytest.mark.parametrize("job", [name for name in JOBS if name != "too small"])
def test_all_ranks_hold_the_same_weights_to_the_bit(ranks, job):
    first, second = (one[job]["weights"] for one in ranks)
    assert apart(first, second) == 0.0
    if job != "one step":
        assert ranks[0][job]["history"] == ranks[1][job]["history"]


def test_gradients_and_statistics_are_those_of_the_whole_batch(ranks, alone):
    """In float64, where rounding hides nothing; eleven images, so that the parts are unequal."""
    for ours, whole in zip(ranks[0]["one step"]["gradients"], alone["one step"]["gradients"], strict=True):
        assert torch.allclose(ours, whole, rtol=1e-11, atol=1e-14)
    assert apart(ranks[0]["one step"]["weights"], alone["one step"]["weights"]) < 1e-14


@pytest.mark.parametrize(("job", "most"), [("plain", 2e-3), ("without norm", 2e-4), ("mixed", 2e-3)])
def test_a_training_is_that_of_one_process_but_for_rounding(ranks, alone, job, most):
    assert apart(ranks[0][job]["weights"], alone[job]["weights"]) < most
    for ours, whole in zip(ranks[0][job]["history"], alone[job]["history"], strict=True):
        assert ours["train_loss"] == pytest.approx(whole["train_loss"], abs=1e-3)
        assert ours["step"] == whole["step"]


def test_resuming_gives_the_same_weights_to_the_bit(ranks):
    for one in ranks:
        assert one["stopped"]["ended"] == "stopped" and one["stopped"]["steps"] == 8
        assert one["resumed"]["steps"] == 2 * 6 - 8
        assert apart(one["resumed"]["weights"], one["with dropout"]["weights"]) == 0.0
        assert one["resumed"]["history"] == one["with dropout"]["history"]


def test_the_ranks_draw_their_own_dropout(ranks):
    """Each rank's images lose channels of their own: else the same ones in both halves of a batch."""
    assert apart(ranks[0]["with dropout"]["weights"], ranks[0]["plain"]["weights"]) > 1e-4


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("finished", "finished by hand in epoch 1"),
        ("patient", "no better validation accuracy for 1 epochs"),
        ("diverged", "diverged"),
        ("too small", "completed"),
    ],
)
def test_all_ranks_end_alike(ranks, job, words):
    ends = [one[job]["ended"] for one in ranks]
    assert ends[0] == ends[1] and words in ends[0]
    assert ranks[0][job]["steps"] == ranks[1][job]["steps"]


def test_the_parts_of_a_batch_are_the_whole_and_draw_as_it_does(data):
    preprocess = make_preprocess(SETTINGS, data)

    def batches(count: int) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
        return [
            list(
                Batches(
                    data, "train", preprocess, BatchForm(31, part=(rank, count)), Draws(1, "key"),
                    Augmentation(rotation=10, brightness=0.3, vertical_flip=True),
                ).epoch(2, start=1)
            )
            for rank in range(count)
        ]  # fmt: skip

    whole, parts = batches(1)[0], batches(3)
    assert len(whole) == 5 and [len(part[0][0]) for part in parts] == [10, 10, 11]
    for step, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), images)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), labels)


def test_a_part_without_images_is_left_out(data):
    form = BatchForm(99, part=(0, 2))  # of 100 images, the last batch has one, which is the other part's
    batches = Batches(data, "validation", make_preprocess(SETTINGS, data), form, Draws(1, "key"))
    assert [len(labels) for _, labels in batches.epoch(0)] == [49]
    assert [bounds_of(7, (rank, 3)) for rank in range(3)] == [(0, 2), (2, 4), (4, 7)]


def test_one_process_decides_for_itself():
    ranks, control = current_ranks(), RunControl()
    assert ranks == Ranks(0, 1) and ranks.agreed(5) == 5 and ranks.summed([1.5]) == [1.5]
    ranks.hold(control)
    control.stop()
    with pytest.raises(Stopped):
        ranks.hold(control)
