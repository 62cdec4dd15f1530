"""What stages will cost, before they begin: from how fast processes start here, and from earlier runs of this machine."""

from pathlib import Path

import pytest

from core.common.control import RunControl
from core.data.image_data import Opened
from core.data.store import open_data
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.stage_plans import answering, fixed_seconds, process_seconds, source_costs, step_cost
from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.records.reports import StageReport
from core.runs.costs import EarlierCosts
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.stages.catalogue import STAGES

CHAIN = """
espalier: 1
name: Chain
data: {source: fashion-mnist-sample, train_images: 500}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 2}}}
  - {id: half, kind: prune-channels, settings: {ratio: 0.5, training: {epochs: 1}}}
  - {id: fewer, kind: prune-layers, settings: {share: 0.25, training: {epochs: 1}}}
  - {id: all, kind: prune-channels, from: fp32, settings: {ratio: 0.5, scope: whole-groups, training: {epochs: 1}}}
  - {id: scaled, kind: scale-down, from: fp32, settings: {budget: 0.4, training: {epochs: 1}}}
  - {id: int8, kind: quantize-static, from: half}
"""
TWO = """
espalier: 1
name: Two
data: {source: fashion-mnist-sample, train_images: 500}
sources: [{id: large, settings: {backbone: resnet20}}, {id: deep, settings: {backbone: resnet56}}]
stages:
  - {id: teacher, kind: train, from: large, settings: {training: {epochs: 2}}}
  - {id: pruned, kind: prune-channels, from: deep, settings: {ratio: 0.5, training: {epochs: 1}}}
"""


@pytest.fixture
def chain() -> Pipeline:
    return documents.loads(CHAIN)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def run_of(pipeline: Pipeline, home: Home, folder: str, process: float, **fixed: float) -> RunFolder:
    """A run whose stages took so long beside 4 s of training."""
    run = create_run(pipeline, home.folder.parent, home, home.runs / folder)
    data = Opened("Sample", "f", images={"train": 500}).as_plain()
    run.update_info(
        machine=fingerprint(), device="cpu", threads=1, data=data, process_seconds=process, status="completed"
    )
    for id, seconds in fixed.items():
        history = [{"epoch": 1.0, "seconds": 4.0}]
        report = StageReport(
            key=id, id=id, source="network", seed=42, name=id, kind=pipeline.stage(id).kind, seconds=4.0 + seconds,
            history=history if pipeline.stage(id).stage.epochs(pipeline.stage(id).parameters) else [],
        )  # fmt: skip
        run.stage_folder(id).path.mkdir(parents=True, exist_ok=True)
        run.write_report(report)
    return run


def test_what_follows_training_grows_with_the_files_and_with_what_a_process_takes_to_start() -> None:
    train, mixed, file = STAGES["train"], STAGES["train-mixed"], STAGES["quantize-static"]
    for stage in (train, mixed, file):
        slow, usual, fast = (fixed_seconds(stage, process) for process in (6.0, 2.0, 1.0))
        assert slow - usual == pytest.approx(4 * (usual - fast)) and usual == fixed_seconds(stage, 0.0)
    one = fixed_seconds(file, 2.0)
    assert one < fixed_seconds(train, 2.0) == pytest.approx(fixed_seconds(mixed, 2.0) - one), (
        "two files instead of one"
    )
    assert answering(train, 1000) == pytest.approx(2 * 0.35 * 1000), "the network and its file"
    assert answering(mixed, 1000) == pytest.approx(1050) and answering(file, 1000) == pytest.approx(350)


def test_the_tool_process_is_timed_when_it_starts_and_only_then() -> None:
    options = Options(device="cpu", threads=1)
    with Child("tool") as tool:
        seconds = process_seconds(tool, options, RunControl())
        assert 0.1 < seconds < 120 and tool.pid is not None
        assert process_seconds(tool, options, RunControl()) == 0.0


def test_a_step_costs_what_is_left_of_the_network(chain: Pipeline) -> None:
    costs = {node.id: step_cost(chain, node, {}) for node in chain.active}
    assert costs == pytest.approx(
        {"fp32": 1.0, "half": 0.5, "fewer": 0.375, "all": 0.25, "scaled": 0.4, "int8": 0.5}
    )


def test_networks_are_told_apart_by_their_macs(tmp_path: Path) -> None:
    pipeline = documents.loads(TWO)
    data = open_data(pipeline.data, tmp_path / "cache")
    sources = source_costs(pipeline, tmp_path, data)
    assert sources["large"] == 1.0 and sources["deep"] == pytest.approx(3.1, abs=0.2), (
        "ResNet-56 has 3 times the blocks"
    )
    assert step_cost(pipeline, pipeline.stage("pruned"), sources) == pytest.approx(0.5 * sources["deep"])
    one = documents.loads(CHAIN)
    assert source_costs(one, tmp_path, data) == {}


def test_earlier_runs_say_what_stages_take_at_the_speed_of_now(chain: Pipeline, home: Home) -> None:
    run_of(chain, home, "20260101-000000-before", 0.5, fp32=30.0, half=40.0, int8=20.0)
    now = run_of(chain, home, "20260102-000000-now", 1.0)
    known = EarlierCosts(home, chain, now, 500)
    fp32, fewer, int8 = (chain.stage(id) for id in ("fp32", "fewer", "int8"))
    assert known.fixed(fp32, 1.0) == pytest.approx(2 * 30.0), "processes start half as fast now"
    assert known.fixed(fewer, 1.0) == pytest.approx(2 * 35.0), "as in most stages on networks"
    assert known.fixed(int8, 1.0) == pytest.approx(2 * 24.0)
    assert known.rate(fp32) == pytest.approx(4.0 / 500) and known.rate(fewer) is None


def test_a_run_that_did_not_time_its_processes_counts_as_it_is(chain: Pipeline, home: Home) -> None:
    run_of(chain, home, "20260101-000000-before", 0.0, fp32=30.0)
    now = run_of(chain, home, "20260102-000000-now", 1.0)
    assert EarlierCosts(home, chain, now, 500).fixed(chain.stage("fp32"), 1.0) == pytest.approx(30.0)
