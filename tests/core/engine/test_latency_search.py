"""Pruning to a latency: what is searched, what is written down, and what the stage is then given."""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_stages import NETWORK, document, small_data, small_network, stage_context

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.engine.latency_decision import TOLERANCE, Attempt, LatencyDecision
from core.engine.latency_search import LatencyTargets, narrowed, search, search_blocks, search_macs
from core.engine.stage_inputs import RunContext
from core.machine.child import Child
from core.models.catalogue import backbone
from core.models.forecast import TimedNetwork
from core.profiling.latency_table import Kind, LatencyTable
from core.runs.cache import Measurements
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.timing_decisions import PROTOCOL
from core.sources.base import StageInput
from core.stages.latency_target import LatencyTarget
from core.stages.prune_channels import (
    PrunableGroups,
    PruneChannels,
    PruneChannelsParams,
    find_prunable_groups,
)
from core.stages.prune_layers import PruneLayers, PruneLayersParams
from core.stages.result import StageResult
from core.stages.scale_down import ScaleDown, ScaleDownParams
from core.surgery.budget import layer_shapes
from core.surgery.meta_copy import count
from core.whatif.network_timer import NetworkTimer, table_key, unfolded, widths

BLOCKS = ("BasicBlock",)


def target(pruning: PruneChannelsParams) -> LatencyTarget:
    latency_target = PruneChannels().latency_target(pruning)
    assert isinstance(latency_target, LatencyTarget)
    return latency_target


def settings(**changes: object) -> PruneChannelsParams:
    training = {"epochs": 0, "batch_size": 50}
    defaults = {"target": "latency", "latency": 0.6, "batch_norm_batches": 0, "training": training}
    return PruneChannelsParams.parse(defaults | changes)


def like_macs(prunable: PrunableGroups) -> LatencyTable:
    """A table of a machine that takes a microsecond for a thousand weights' uses, and nothing else."""
    shapes = prunable.costs.layers({})
    kinds: dict[str, Kind] = dict.fromkeys(shapes, "linear")
    layers = dict.fromkeys(shapes, (0.0, 0.001, 0.0, 0.0))
    return LatencyTable(dict.fromkeys(shapes, 1), kinds, 1, layers, (0.0, 0.0, 0.0), (0.0, 1.0), 1.0)


def test_a_plan_meets_the_latency_that_a_table_predicts() -> None:
    prunable = find_prunable_groups(small_network(), 16, settings(round_to=1, scope="whole-groups"), BLOCKS)
    share = prunable.latency_share(like_macs(prunable).milliseconds)
    for share_left in (0.8, 0.5, 0.3):
        pruning = settings(latency=share_left, round_to=1, scope="whole-groups")
        kept_channels = prunable.plan(pruning, latency=share).kept_channels
        weights = sum(o * i for o, i, *_ in prunable.costs.layers(kept_channels).values())
        before = sum(o * i for o, i, *_ in prunable.costs.layers({}).values())
        assert share(kept_channels) == pytest.approx(weights / before)
        assert share(kept_channels) == pytest.approx(share_left, abs=0.01)


def test_shapes_of_the_cost_model_are_those_of_the_cut_network() -> None:
    pruning = settings(target="ratio", ratio=0.4, scope="whole-groups")
    model = small_network()
    prunable = find_prunable_groups(model, 16, pruning, BLOCKS)
    plan = prunable.plan(pruning)
    for group in prunable.groups:
        group.prune(plan.removed_units[group.path])
    assert prunable.costs.layers(plan.kept_channels) == layer_shapes(model)
    parameters = dict(model.named_parameters())
    for name, shape in prunable.costs.shapes(plan.kept_channels).items():
        assert tuple(parameters[name].shape) == shape, name


def test_without_a_bench_macs_stand_for_the_latency(tmp_path: Path) -> None:
    """A rehearsal: nothing is timed, and the chain behind gets a network of about the right shape."""
    context = stage_context(small_data(tmp_path / "data"), tmp_path)
    before = count(small_network(), 16).macs
    pruning = settings(scope="whole-groups", round_to=1)
    left = PruneChannels().run(small_network(), pruning, context)
    assert left.facts["macs"] / before == pytest.approx(0.6, abs=0.01)


def test_what_was_found_gives_the_stage_the_same_widths() -> None:
    pruning = settings(scope="whole-groups", round_to=4)
    prunable = find_prunable_groups(small_network(), 16, pruning, BLOCKS)
    kept_channels = prunable.plan(
        pruning, latency=prunable.latency_share(like_macs(prunable).milliseconds)
    ).kept_channels
    channels = prunable.start.channels
    ratios = {path: 1 - left / channels[path] for path, left in kept_channels.items()}
    one = Attempt(0.6, 0.61, 0.60, 0.62)
    decision = LatencyDecision(ratios, 0.6, one, [one], 0.05)
    settled = target(pruning).settled(decision.ratios)
    assert settled.target == "ratio" and PruneChannelsParams.parse(settled.model_dump(mode="json")) == settled
    again = find_prunable_groups(small_network(), 16, settled, BLOCKS).plan(settled)
    assert again.kept_channels == kept_channels


def test_the_outcome_is_said_with_its_figures() -> None:
    result, one = StageResult(small_network()), Attempt(0.5, 0.512, 0.508, 0.516)
    met = LatencyDecision({"body.conv1": 0.5}, 0.5, one, [one], 0.04)
    met.write_to(result)
    assert met.met and result.notes == [
        "51.2 % of the latency before is left (50.8 % to 51.6 %), measured on the exported file; 50.0 % was asked for, "
        "the table of layer times predicted 50.0 %. One network was exported and timed."
    ]
    assert result.facts["latency"]["chosen"]["measured"] == 0.512
    far = Attempt(0.5, 0.5 * (1 + TOLERANCE) + 0.01, None, None)
    missed = LatencyDecision({}, 0.5, far, [one, far], 0.04)
    missed.write_to(result)
    assert not missed.met and "That is more than 5 % off" in result.notes[-1]
    assert "2 networks were exported" in result.notes[-1]


class Machine:
    """Stands in for the timer: it predicts by MACs, and a block takes what it takes here."""

    def __init__(self, share_of: Any):
        self.share_of, self.networks = share_of, []  # type: ignore[var-annotated]

    def table(self, subject: TimedNetwork) -> LatencyTable:
        return like_macs(find_prunable_groups(copy.deepcopy(subject.model), 16, settings(), BLOCKS))

    def exported(self, subject: TimedNetwork, name: str) -> Path:
        self.networks.append(subject.model)
        return Path(name)

    def compare(self, before: Path, after: Path, shape: Any) -> Any:
        left = self.share_of(self.networks[-1])
        return SimpleNamespace(ratio=SimpleNamespace(value=left, low=0.999 * left, high=1.001 * left))


def layers_of(model: Any) -> int:
    return len(layer_shapes(model))


def timed(tmp_path: Path) -> TimedNetwork:
    data = small_data(tmp_path / "data")
    preprocess = stage_context(data, tmp_path).preprocess
    return TimedNetwork(small_network(), NETWORK, preprocess, data.classes, backbone("resnet20").blocks)


BLOCKS_TARGET = PruneLayers().latency_target(PruneLayersParams(amount_as="latency", latency=0.5))
ORDER = [f"body.layer{stage}.{number}" for stage in (1, 2, 3) for number in (1, 2)]


@pytest.mark.parametrize(("share", "blocks"), [(0.9, 1), (0.71, 3), (0.42, 6), (0.1, 6)])
def test_as_many_blocks_go_as_the_measured_latency_says(share: float, blocks: int, tmp_path: Path) -> None:
    """Every block takes a tenth of the time, whatever its weights: the prediction by weights is corrected."""
    subject = timed(tmp_path)
    whole = layers_of(subject.model)
    machine = Machine(lambda model: 1 - 0.1 * (whole - layers_of(model)) / 2)
    decision = search_blocks(subject, share, ORDER, machine)  # type: ignore[arg-type]
    assert decision.blocks == blocks and decision.ratios == {}
    assert decision.chosen.measured == pytest.approx(1 - 0.1 * blocks)
    assert len(decision.tries) == len(machine.networks) - 1  # the first is the network before
    assert layers_of(subject.model) == whole, "the network itself stays whole"
    settled = BLOCKS_TARGET.settled(decision.blocks)
    assert settled == PruneLayersParams(amount_as="count", count=blocks, latency=0.5)


def test_blocks_that_come_no_closer_are_said() -> None:
    result, far = StageResult(small_network()), Attempt(0.5, 0.6, None, None)
    decision = LatencyDecision({}, 0.5, far, [far], 0.04, 3)
    decision.write_to(result)
    assert result.notes[0].endswith("That is more than 5 % off: whole blocks come no closer.")
    assert LatencyDecision.from_plain(json.loads(json.dumps(asdict(decision)))) == decision


def test_the_macs_are_as_many_as_the_measured_latency_allows(tmp_path: Path) -> None:
    """Fewer blocks and channels together, on a machine where a fifth of the time is nothing that could go."""
    subject, share = timed(tmp_path), 0.6
    asked = ScaleDownParams(target="latency", latency=share, round_to=1)
    scaling = ScaleDown().latency_target(asked)
    assert scaling is not None and scaling.share == share
    whole = count(subject.model, 16).macs
    machine = Machine(lambda model: 0.2 + 0.8 * count(model, 16).macs / whole)
    smaller = scaling.smaller(small_network(), stage_context(small_data(tmp_path / "data"), tmp_path))
    decision = search_macs(subject, share, smaller, machine)  # type: ignore[arg-type]
    assert decision.chosen.measured == pytest.approx(share, abs=0.02)
    assert decision.macs == pytest.approx((share - 0.2) / 0.8, abs=0.03)
    settled = scaling.settled(decision.macs)
    assert (settled.target, settled.budget) == ("macs", decision.macs)
    assert ScaleDown().latency_target(settled) is None and "target" not in ScaleDownParams().for_key()
    assert LatencyDecision.from_plain(json.loads(json.dumps(asdict(decision)))) == decision


def test_a_latency_out_of_reach_of_scaling_down_is_refused(tmp_path: Path) -> None:
    scaling = ScaleDown().latency_target(ScaleDownParams(target="latency", latency=0.01, round_to=16))
    assert scaling is not None
    smaller = scaling.smaller(small_network(), stage_context(small_data(tmp_path / "data"), tmp_path))
    with pytest.raises(
        EspalierError, match=r"Expected a latency that these settings can reach, received 1\.0 %"
    ):
        search_macs(timed(tmp_path), 0.01, smaller, Machine(layers_of))  # type: ignore[arg-type]


def test_a_decision_on_blocks_gives_the_stage_their_number(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    asked = around.pipeline.stage("pruned").model_copy(
        update={"kind": "prune-layers", "settings": {"amount_as": "latency", "latency": 0.6}}
    )
    one = Attempt(0.6, 0.61, 0.60, 0.62)
    plain = asdict(LatencyDecision({}, 0.6, one, [one], 0.05, 3))
    name = {"latency target": 1, "of": "key", "protocol": PROTOCOL}
    Measurements(around.home.cache / "measurements").get_or_measure(name, lambda: plain)
    settled, decision = LatencyTargets(around).settled(
        asked, 42, StageInput(None, checkpoint=tmp_path), unwanted, lambda: "key"
    )
    assert decision is not None and decision.blocks == 3
    assert (settled.settings["amount_as"], settled.settings["count"]) == ("count", 3)


def test_an_uncertain_measurement_is_drawn_towards_the_prediction() -> None:
    sure, blurred = Attempt(0.6, 0.5, 0.499, 0.501), Attempt(0.6, 0.5, 0.3, 0.7)
    assert sure.estimate(0.05) == pytest.approx(0.5, abs=1e-3)
    # deviations of 0.074 and 0.155: trust in the measurement is 0.074² / (0.074² + 0.155²)
    trust = 0.074**2 / (0.074**2 + (0.4 / 2.58) ** 2)
    assert blurred.estimate(0.05) == pytest.approx(0.6 * (0.5 / 0.6) ** trust)
    result = StageResult(small_network())
    LatencyDecision({}, 0.5, blurred, [blurred], 0.05).write_to(result)
    assert result.notes[0].endswith("The machine was busy: the figure is uncertain to ±40 %.")


def surroundings(tmp_path: Path, rehearsal: bool = False) -> RunContext:
    pruned = "id: pruned, kind: prune-channels, settings: {target: latency, latency: 0.6}"
    pipeline, home = (
        document("id: fp32, kind: train, settings: {training: {epochs: 0}}", pruned),
        Home(tmp_path),
    )
    run = create_run(pipeline, tmp_path, home)
    return RunContext(
        run, home, pipeline, small_data(tmp_path / "data"), "cpu", 1, RunControl(), lambda event: None,
        Child("tool", tmp_path / "tool.log"), 10.0, rehearsal,
    )  # fmt: skip


def unwanted() -> Any:
    raise AssertionError("asked again")


def test_a_decision_is_taken_from_the_run_and_then_from_the_machine(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    node, stage_input = around.pipeline.stage("pruned"), StageInput(None, checkpoint=tmp_path)
    one = Attempt(0.6, 0.61, 0.60, 0.62)
    plain = {
        "ratios": {"body.layer1.0.conv1": 0.25}, "wanted": 0.6, "chosen": asdict(one), "tries": [asdict(one)],
        "error": 0.05,
    }  # fmt: skip
    name = {"latency target": 1, "of": "key", "protocol": PROTOCOL}
    Measurements(around.home.cache / "measurements").get_or_measure(name, lambda: plain)
    settled, decision = LatencyTargets(around).settled(node, 42, stage_input, unwanted, lambda: "key")
    assert decision is not None and decision.chosen == one
    assert settled.settings["own_ratios"] == "body.layer1.0.conv1=0.250000"
    written = around.run.folder / "latency_targets.json"
    assert json.loads(written.read_text())["pruned"] == plain
    again, _ = LatencyTargets(around).settled(node, 42, stage_input, unwanted, unwanted)
    assert again == settled


def test_a_rehearsal_and_other_targets_settle_nothing(tmp_path: Path) -> None:
    around = surroundings(tmp_path, rehearsal=True)
    node, stage_input = around.pipeline.stage("pruned"), StageInput(None, checkpoint=tmp_path)
    assert LatencyTargets(around).settled(node, 42, stage_input, unwanted, unwanted) == (node, None)
    around = surroundings(tmp_path / "other")
    ratio = around.pipeline.with_settings("pruned", {"ratio": 0.3}).stage("pruned")
    assert LatencyTargets(around).settled(ratio, 42, stage_input, unwanted, unwanted) == (ratio, None)


def test_widths_of_a_table_spread_over_what_can_go() -> None:
    prunable = find_prunable_groups(small_network(), 16, settings(scope="whole-groups"), BLOCKS)
    chosen = widths(prunable.groups)
    assert chosen[0] == {} and len(chosen) == 16
    for kept_channels in chosen[1:]:
        for group in prunable.groups:
            assert (
                1 <= kept_channels[group.path] <= group.channels
                and kept_channels[group.path] % group.bundle == 0
            )
    assert all(left % 4 == 0 for kept_channels in chosen[1:-4] for left in kept_channels.values())
    assert any(left % 4 for left in chosen[-1].values())


def test_the_key_of_a_table_is_the_build_and_the_size() -> None:
    model = unfolded(small_network())
    key = table_key(model, 16)
    assert key == table_key(unfolded(small_network(9)), 16) != table_key(model, 32)
    prunable = find_prunable_groups(
        copy.deepcopy(model), 16, settings(target="ratio", scope="whole-groups"), BLOCKS
    )
    prunable.groups[0].prune([0])
    assert key == table_key(model, 16)


@pytest.mark.slow
def test_a_searched_network_really_takes_the_latency(tmp_path: Path) -> None:
    data = small_data(tmp_path / "data")
    context = stage_context(data, tmp_path)
    subject = TimedNetwork(
        small_network(), NETWORK, context.preprocess, data.classes, backbone("resnet20").blocks
    )
    pruning = settings(latency=0.6, scope="whole-groups", round_to=4)
    with Child("tool") as tool:
        timer = NetworkTimer(tool, Measurements(tmp_path / "measurements"), tmp_path / "timed")
        decision = search(
            subject, target(pruning), find_prunable_groups(small_network(), 16, pruning, BLOCKS), timer
        )
        kept_channels = (
            find_prunable_groups(small_network(), 16, pruning, BLOCKS)
            .plan(target(pruning).settled(decision.ratios))
            .kept_channels
        )
        before = timer.exported(subject, "one")
        ratio = timer.compare(
            before, timer.exported(narrowed(subject, target(pruning), kept_channels), "two"), (3, 16, 16)
        ).ratio
    assert ratio is not None and ratio.value == pytest.approx(decision.chosen.measured, rel=0.1)
    assert ratio.value < 0.75 and decision.error < 0.5
