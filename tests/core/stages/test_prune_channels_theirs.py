"""torch-pruning's own pruner as a choice in channel pruning: its cuts are its own, budgets are kept, the rest is refused."""

import pytest
import torch
import torch_pruning as tp
from small_stages import small_network, stage_context
from torch import nn

from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.prune_channels import PruneChannels, PruneChannelsParams
from core.surgery.groups import unfold_shortcuts
from core.surgery.meta_copy import count

STAGE = PruneChannels()
PLAIN = BackboneSettings(backbone="resnet20")


def asked(**changes: object) -> PruneChannelsParams:
    given = {"pruner": "torch-pruning", "scope": "whole-groups", "training": {"epochs": 0, "batch_size": 50}}
    return PruneChannelsParams.parse(given | changes)


def widths(model: nn.Module) -> dict[str, int]:
    return {path: m.out_channels for path, m in model.named_modules() if isinstance(m, nn.Conv2d)}


def test_the_cut_is_that_of_a_direct_call(data, tmp_path):
    ours, theirs = small_network(4, PLAIN), small_network(4, PLAIN)
    result = STAGE.run(
        ours, asked(ratio=0.5, round_to=4, importance="l2"), stage_context(data, tmp_path, network=PLAIN)
    )
    unfold_shortcuts(theirs)
    tp.pruner.BasePruner(
        theirs.eval(), torch.zeros(1, 3, 16, 16), importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5, round_to=4, ignored_layers=[theirs.head],
    ).step()  # fmt: skip
    assert widths(ours) == widths(theirs) and widths(ours)["body.conv1"] == 8
    for name, weight in theirs.named_parameters():
        assert torch.equal(ours.get_parameter(name).contiguous(), weight), name
    assert result.facts["pruner"] == "torch-pruning" and result.facts["layers"][0]["after"] == 8
    assert ours.head.out_features == 10


def test_a_budget_is_kept_and_not_missed_by_much(data, tmp_path):
    model = small_network(4, BackboneSettings(backbone="resnet20", fem={"place": "pooled"}))
    before = count(model, 16)
    settings = asked(target="macs", budget=0.6, ranking="global", round_to=1)
    result = STAGE.run(model, settings, stage_context(data, tmp_path, network=PLAIN))
    left = count(model, 16).macs / before.macs
    assert 0.5 < left <= 0.6 and result.facts["macs"] == count(model, 16).macs
    assert result.facts["budget_missed_by"] == pytest.approx(left - 0.6)


def test_settings_without_a_counterpart_are_refused_and_old_keys_stay():
    facts = NetworkFacts(PLAIN)
    assert STAGE.check(asked(), facts) == []
    wrong = asked(scope="block-internal", importance="hessian", own_ratios="body.conv1=0", target="latency")
    assert [problem.place for problem in STAGE.check(wrong, facts)] == [
        ("scope",), ("importance",), ("target",), ("own_ratios",)
    ]  # fmt: skip
    assert "pruner" not in PruneChannelsParams().for_key() and STAGE.versions(PruneChannelsParams()) == {}
    assert list(STAGE.versions(asked())) == ["torch-pruning"]
    assert STAGE.latency_target(asked(target="latency")) is None
