"""What a run will cost: every kind of stage has its time and its disk, by its id."""

import pytest

from core.common.control import RunControl
from core.document import pipeline as documents
from core.engine.cost_estimate import Estimate, SearchEstimate, StageEstimate, estimate, of_search
from core.engine.options import Options
from core.runs.home import Home

PIPELINE = """
espalier: 1
name: Cost
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 16, test_images: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: short, kind: train, name: Short, settings: {training: {epochs: 1, batch_size: 16}}}
  - {id: int8, kind: quantize-dynamic, name: INT8}
  - {id: long, kind: train, name: Long, from: short, settings: {training: {epochs: 40, batch_size: 16}}}
axes: {seed: [1, 2]}
"""


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> Estimate:
    folder = tmp_path_factory.mktemp("cost")
    options = Options(device="cpu", threads=1)
    return estimate(documents.loads(PIPELINE), folder, Home(folder), options, control=RunControl())


def test_every_stage_has_its_cost(cost: Estimate) -> None:
    assert [(stage.id, stage.steps > 0) for stage in cost.stages] == [
        ("short", True),
        ("int8", False),
        ("long", True),
    ]
    assert cost.seconds == pytest.approx(2 * sum(stage.seconds for stage in cost.stages))
    assert "(2 seeds)" in cost.lines()[-1]


def test_more_epochs_take_longer_and_the_network_says_the_disk(cost: Estimate) -> None:
    short, int8, long = cost.stages
    assert long.seconds > short.seconds
    network_mb = 0.27 * 4  # parameters of ResNet-20 in millions, four bytes each
    for stage in (short, int8, long):
        assert stage.disk_mb == pytest.approx(4 * network_mb, rel=0.05), stage.id


def test_a_search_costs_its_trials_and_its_finalists() -> None:
    """What trials share costs once; finalists are made with every seed."""
    text = PIPELINE + (
        "search: {free: {stages.long.training.epochs: {low: 10, high: 40}}, trials: 10, fidelity: {epochs: 0.5}, finalists: 2}"
    )
    stages = tuple(StageEstimate(id, id, seconds, 1.0, 1) for id, seconds in (("short", 5.0), ("int8", 1.0), ("long", 100.0)))  # fmt: skip
    searched = of_search(documents.loads(text), stages)
    assert searched == SearchEstimate(trials=10, hours=None, each=50.0, confirming=400.0)
    cost = Estimate(stages, 2, 1.0, "cpu", searched)
    assert cost.seconds == 2 * 106 + 10 * 50 + 400 and "10 trials of about" in "\n".join(cost.lines())
    assert of_search(documents.loads(PIPELINE), stages) is None
