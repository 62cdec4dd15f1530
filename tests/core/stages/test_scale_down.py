"""Compound scaling down: the coefficient by hand, the budget met, depth and width both used."""

import math
from pathlib import Path

import pytest
from small_stages import NETWORK, reloads, small_network, stage_context
from torch import nn

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.result import StageResult
from core.stages.scale_down import ScaleDown, ScaleDownParams, largest_phi, scaled
from core.surgery.meta_copy import count


def run(data: ImageData, scratch: Path, **changes: object) -> StageResult:
    settings = ScaleDownParams.parse({"training": {"epochs": 0}, "round_to": 1} | changes)
    return ScaleDown().run(small_network(), settings, stage_context(data, scratch))


def test_depth_and_width_by_hand():
    """EfficientNet's bases at φ = 2, the other way round."""
    depth, width = scaled(2.0, ScaleDownParams())
    assert depth == pytest.approx(1 / 1.44) and width == pytest.approx(1 / 1.21)
    assert scaled(0.0, ScaleDownParams()) == (1.0, 1.0)


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.25])
def test_the_coefficient_by_hand(budget):
    """Where MACs follow d·w²: φ = ln(1 / budget) / ln(αβ²)."""
    phi = largest_phi(lambda phi: 1.2**-phi * 1.1 ** (-2 * phi), budget, 1.1)
    assert phi == pytest.approx(math.log(1 / budget) / math.log(1.2 * 1.1**2), abs=1e-4)


def test_the_coefficient_stays_on_the_near_side_of_a_step():
    """Blocks come whole: where one more would undershoot the budget, it stays."""
    assert largest_phi(lambda phi: 1.0 if phi < 2 else 0.3, 0.5, 1.1) == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize("scope", ["block-internal", "whole-groups"])
@pytest.mark.parametrize(
    "budget", [0.5, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.75, 0.35))]
)
@pytest.mark.slow
def test_the_budget_is_met_by_both(data, tmp_path, scope, budget):
    before = count(small_network(), 16)
    result = run(data, tmp_path, budget=budget, scope=scope)
    facts, after = result.facts, count(result.model, 16)
    assert after.macs == facts["macs"] and after.params == facts["params"]
    assert after.macs / before.macs == pytest.approx(budget, abs=0.02)
    gone = [block["path"] for block in facts["blocks"] if block["dropped"]]
    assert len(gone) == min(round(9 * (1 - facts["depth"])), 6) >= 1
    assert [path for path in gone if type(result.model.get_submodule(path)) is not nn.Identity] == []
    kept = sum(row["after"] for row in facts["layers"]) / sum(row["before"] for row in facts["layers"])
    assert kept == pytest.approx(facts["width"], abs=0.1) and kept < 1
    assert f"Compound coefficient {facts['phi']:.2f}" in result.notes[0]


@pytest.mark.slow
def test_without_a_depth_base_all_blocks_stay(data, tmp_path):
    result = run(data, tmp_path, depth_base=1.0)
    assert not any(block["dropped"] for block in result.facts["blocks"])
    assert result.facts["macs"] / result.facts["macs_before"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_a_steeper_depth_base_drops_more_and_keeps_wider(data, tmp_path):
    flat, steep = run(data, tmp_path, depth_base=1.05).facts, run(data, tmp_path, depth_base=2.0).facts
    assert sum(b["dropped"] for b in steep["blocks"]) > sum(b["dropped"] for b in flat["blocks"])
    assert steep["width"] > flat["width"]


@pytest.mark.slow
def test_what_is_left_can_be_trained_saved_and_reloaded(data, tmp_path):
    training = {"epochs": 1, "batch_size": 50, "learning_rate": 0.01}
    result = run(data, tmp_path, importance="feature-map-rank", round_to=4, training=training)
    assert len(result.history) == 1
    assert all(row["after"] % 4 == 0 for row in result.facts["layers"])
    assert reloads(result, data, tmp_path)


def test_without_a_bench_macs_stand_for_the_latency(data, tmp_path):
    """A rehearsal times nothing; a run settles the MACs before the stage begins."""
    by_latency = run(data, tmp_path, target="latency", latency=0.6).facts
    assert by_latency == run(data, tmp_path, budget=0.6).facts


def test_a_budget_out_of_reach_is_refused(data, tmp_path):
    with pytest.raises(EspalierError) as caught:
        run(data, tmp_path, budget=0.01, round_to=16)
    assert caught.value.message.startswith(
        "Expected a budget of MACs that these settings can reach, received 1.0 % of the baseline"
    )


def test_a_plain_network_is_refused_before_it_runs():
    [problem] = ScaleDown().check(
        ScaleDownParams(), NetworkFacts(BackboneSettings(backbone="plain-cnn-tiny"))
    )
    assert problem.message.startswith("Plain CNN, tiny has no residual blocks")
    assert ScaleDown().check(ScaleDownParams(), NetworkFacts(NETWORK)) == []
