"""The trial of precisions: it disturbs nothing, takes the faster, and is never taken twice."""

import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.store import open_data
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.precision_choice import PrecisionChoices, add_trial_note
from core.engine.stage_inputs import RunContext, StageInputs
from core.engine.stage_runner import StageRunner
from core.machine.child import Child
from core.records.events import Event, PhaseStarted
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.stages.catalogue import remark_on
from core.stages.result import StageResult
from core.training.precision import PrecisionTrial, resolve_precision, try_precisions, undecided

needs_bfloat16 = pytest.mark.skipif(
    not undecided("cpu"), reason="this processor has no bfloat16 instructions"
)

TEXT = """
espalier: 1
name: Which is faster
data: {source: fashion-mnist-sample, image_size: 32, train_images: 64, validation_images: 20, test_images: 20}
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: mixed, kind: train-mixed, settings: {precision: %s, training: {epochs: 1, batch_size: %d}}}
  - {id: pruned, kind: prune-channels, settings: {scope: whole-groups, training: {epochs: 1, batch_size: 32, precision: auto}}}
"""


class Slow(nn.Module):
    """A small network that computes 20 ms longer in one of the two precisions, and waits for others in the other."""

    def __init__(self, slow_when_reduced: bool):
        super().__init__()
        self.slow_when_reduced = slow_when_reduced
        self.norm, self.drop, self.last = nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Linear(3, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu") == self.slow_when_reduced:
            until = time.process_time() + 0.02
            while time.process_time() < until:
                pass
        else:
            time.sleep(0.03)  # as a busy machine has it; by the clock on the wall this one would be slower
        return self.last(self.drop(self.norm(images).mean((2, 3))))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.linspace(0, 1, 8 * 3 * 4 * 4).reshape(8, 3, 4, 4), torch.arange(8) % 4


def sgd(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


@needs_bfloat16
@pytest.mark.parametrize(("slow_when_reduced", "chosen"), [(True, "float32"), (False, "mixed")])
def test_the_faster_precision_is_taken(slow_when_reduced, chosen):
    trial = try_precisions(Slow(slow_when_reduced), *batch(), sgd, RunControl())
    assert trial.chosen == chosen and trial.reduced == "bfloat16"
    assert max(trial.float32_seconds, trial.reduced_seconds) > 0.02
    assert min(trial.float32_seconds, trial.reduced_seconds) < 0.01
    assert trial.where.startswith("one thread of ") and torch.__version__ in trial.where
    assert f"of processor time on {trial.where})." in trial.sentence


@needs_bfloat16
def test_a_trial_disturbs_nothing():
    model = Slow(True).eval()
    model.last.weight.requires_grad_(False)
    before, stream = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    try_precisions(model, *batch(), sgd, RunControl())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(parameter.grad is None for parameter in model.parameters()) and not model.training


@needs_bfloat16
def test_a_trial_hears_stop():
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        try_precisions(Slow(True), *batch(), sgd, control)


@pytest.mark.parametrize(
    ("seconds", "chosen", "sentence"),
    [
        ((0.1, 0.14), "float32", "Trained in float32: bfloat16 was 1.4 times slower here (short trial: 100 ms a step in float32, 140 ms in bfloat16)."),
        ((0.1, 0.101), "float32", "Trained in float32: bfloat16 was about as fast here (short trial: 100 ms a step in float32, 101 ms in bfloat16)."),
        ((0.15, 0.1), "mixed", "Trained in bfloat16: 1.5 times faster than float32 here (short trial: 150 ms a step in float32, 100 ms in bfloat16)."),
    ],
)  # fmt: skip
def test_the_trial_is_said(seconds, chosen, sentence):
    trial = PrecisionTrial("bfloat16", *seconds)
    assert (trial.chosen, trial.sentence) == (chosen, sentence)
    result = StageResult(
        nn.Identity(), [resolve_precision(chosen, "cpu").sentence, "More."], facts={"trained_in": "x"}
    )
    if chosen == "float32" or undecided("cpu"):
        add_trial_note(result, trial)
        assert result.notes == [sentence, "More."]
        assert PrecisionTrial(**result.facts["precision_trial"]) == trial


def test_what_needs_no_trial():
    assert not undecided("cuda") and not undecided("cuda:1")
    assert resolve_precision("auto", "cuda") == resolve_precision("mixed", "cuda")
    assert resolve_precision("mixed", "cuda").scaled and resolve_precision("mixed", "cuda").name == "float16"


@pytest.mark.parametrize(("trained_in", "remark"), [("float32", "trained in float32"), ("bfloat16", "")])
def test_the_table_says_that_a_mixed_stage_trained_in_float32(trained_in, remark):
    facts = {"trained_in": trained_in}
    assert remark_on("train-mixed", facts) == remark
    assert remark_on("train", facts) == remark_on("device", facts) == ""


class Bench:
    """Runs of a pipeline in one home, and the trials that they began."""

    def __init__(self, folder: Path):
        self.home, self.trials = Home(folder / "home"), 0

    def context(self, pipeline: Pipeline, run: RunFolder | None = None, device: str = "cpu") -> RunContext:
        run = run or create_run(pipeline, Path(), self.home)
        data = open_data(pipeline.data, self.home.data)
        tool = cast(Child, None)  # none is needed to make a network
        return RunContext(run, self.home, pipeline, data, device, 1, RunControl(), self._heard, tool, 10.0)

    def _heard(self, event: Event) -> None:
        self.trials += isinstance(event, PhaseStarted) and event.phase == "trial"


def settled(context: RunContext, id: str = "mixed", seed: int = 0) -> tuple[Any, PrecisionTrial | None]:
    node = context.pipeline.stage(id)
    found, trial = PrecisionChoices(context).settled(node, seed, StageInputs(context).stage_input(node, seed))
    return found, trial


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def pipeline(precision: str = "auto", batch_size: int = 32) -> Pipeline:
    return documents.loads(TEXT % (precision, batch_size))


@needs_bfloat16
def test_a_decision_is_taken_once_and_written_down(bench):
    context = bench.context(pipeline())
    node, trial = settled(context)
    assert bench.trials == 1 and node.parameters.precision == trial.chosen in ("mixed", "float32")
    written = json.loads((context.run.folder / "precision_trials.json").read_text())
    assert written["mixed"] == trial.as_dict()
    again = bench.context(context.pipeline, context.run)  # the run goes on, or comes to another seed
    assert settled(again)[1] == settled(again, seed=1)[1] == trial and bench.trials == 1
    other = bench.context(context.pipeline)  # another run of the same stage
    assert settled(other)[1] == trial and bench.trials == 1
    settled(bench.context(pipeline(batch_size=16)))
    assert bench.trials == 2


@needs_bfloat16
@pytest.mark.parametrize(("seconds", "chosen"), [((1.0, 2.0), "float32"), ((2.0, 1.0), "mixed")])
def test_a_written_decision_is_followed_and_enters_the_key(bench, seconds, chosen):
    context = bench.context(pipeline())
    kept = {"mixed": PrecisionTrial("bfloat16", *seconds).as_dict()}
    (context.run.folder / "precision_trials.json").write_text(json.dumps(kept))
    maker = StageRunner(context)
    keys = []
    for run in (context, bench.context(pipeline(chosen))):
        node, _ = StageRunner(run).settled(
            run.pipeline.stage("mixed"), 0, maker.inputs.stage_input(run.pipeline.stage("mixed"), 0)
        )
        assert node.parameters.precision == chosen
        keys.append(maker.cache_key(node, 0, maker.inputs.stage_input(node, 0)))
    assert keys[0] == keys[1] and bench.trials == 0


@needs_bfloat16
def test_a_stage_is_made_with_what_was_decided(bench):
    context = bench.context(pipeline())
    kept = {"mixed": PrecisionTrial("bfloat16", 0.1, 0.14).as_dict()}
    (context.run.folder / "precision_trials.json").write_text(json.dumps(kept))
    StageRunner(context).make(context.pipeline.stage("mixed"), 0, lambda fraction: None)
    made = json.loads(context.run.stage_folder("mixed").outcome_file.read_text())
    assert made["facts"]["trained_in"] == "float32" and bench.trials == 0
    assert made["notes"][0].startswith("Trained in float32: bfloat16 was 1.4 times slower here (short trial:")
    node, trial = settled(context, "pruned")  # every stage that trains may ask for the faster one
    assert trial is not None and node.parameters.training.precision == trial.chosen and bench.trials == 1


@needs_bfloat16
def test_a_rehearsal_tries_nothing(bench):
    context = replace(bench.context(pipeline()), rehearsal=True)
    node, trial = settled(context)
    assert (node.parameters.precision, trial, bench.trials) == ("mixed", None, 0)


def test_on_cuda_and_with_an_explicit_choice_nothing_is_tried(bench):
    node, trial = settled(bench.context(pipeline(), device="cuda"))
    assert (node.parameters.precision, trial) == ("mixed", None)
    for precision in ("mixed", "float32"):
        node, trial = settled(bench.context(pipeline(precision)))
        assert (node.parameters.precision, trial) == (precision, None)
    assert bench.trials == 0
