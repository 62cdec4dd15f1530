"""Whether pruning to a latency gives that latency.

Claim: channels are pruned to a wanted share of the latency, and the exported network takes that share within
5 %: ResNet-56 at 32 px, MobileNetV2 and ResNet-50 at 224 px, for shares of 70 % and 50 %.

Measured: the widths are searched as the stage "prune-channels" does with its target 'latency' (table of
layer times, export, measure, correct). The network that was found is then exported anew and timed again
against the network before, in alternating sessions that the search has not seen: this second figure counts.
Weights are random: times do not depend on them.

    python tests/benchmarks/latency_budget.py [--networks resnet56:32 ...] [--shares 0.7 0.5]
"""

import argparse
import copy
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.engine.latency_decision import TOLERANCE
from core.engine.latency_search import narrowed, search
from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.models.catalogue import backbone
from core.models.forecast import TimedNetwork
from core.models.settings import BackboneSettings
from core.runs.cache import Measurements
from core.runs.home import Home
from core.stages.prune_channels import PruneChannels, PruneChannelsParams, find_prunable_groups
from core.whatif.network_timer import NetworkTimer

NETWORKS = ("resnet56:32", "mobilenet-v2:224", "resnet50:224")


def subject(name: str, size: int) -> TimedNetwork:
    """The network with random weights."""
    torch.manual_seed(0)
    settings, chosen = BackboneSettings(backbone=name), backbone(name)
    prepare = Preprocess(size=size, mean=(0.5,) * 3, std=(0.5,) * 3)
    return TimedNetwork(
        chosen.build(settings, 10).eval(), settings, prepare, tuple("abcdefghij"), chosen.blocks
    )


def check(name: str, size: int, share: float, home: Home, folder: Path, tool: Child) -> bool:
    """Search, export anew, measure again; whether the share was met."""
    started = time.monotonic()
    settings = PruneChannelsParams.parse({"target": "latency", "latency": share, "scope": "whole-groups"})
    before = subject(name, size)
    timer = NetworkTimer(tool, Measurements(home.cache / "measurements"), folder / "timed")
    prunable = find_prunable_groups(copy.deepcopy(before.model), size, settings, before.blocks)
    target = PruneChannels().latency_target(settings)
    assert target is not None
    try:
        found = search(before, target, prunable, timer)
    except EspalierError as error:
        print(f"{name}, {size} px, {share:.0%}: {error.message}", flush=True)
        return False
    took = time.monotonic() - started
    settled = target.settled(found.ratios)
    kept = (
        find_prunable_groups(copy.deepcopy(before.model), size, settled, before.blocks)
        .plan(settled)
        .kept_channels
    )
    again = timer.compare(
        timer.exported(before, "baseline"),
        timer.exported(narrowed(before, target, kept), "candidate"),
        (3, size, size),
    ).ratio
    assert again is not None and again.low is not None and again.high is not None
    met = abs(again.value / share - 1) <= TOLERANCE
    tries = ", ".join(f"{each.predicted:.1%} → {each.measured:.1%}" for each in found.tries)
    print(
        f"{name}, {size} px: asked {share:.0%}; predicted → measured: {tries}; measured again {again.value:.1%} "
        f"({again.low:.1%} to {again.high:.1%}), {100 * (again.value / share - 1):+.1f} % of what was asked, "
        f"{'met' if met else 'MISSED'}; found in {took:.0f} s",
        flush=True,
    )
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="BACKBONE:PIXELS")
    parser.add_argument("--shares", nargs="+", type=float, default=(0.7, 0.5))
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = fingerprint()
    print(
        f"{machine['processor']}, {machine['physical_cores']} cores, ONNX Runtime {machine['versions']['onnxruntime']}"
    )
    with tempfile.TemporaryDirectory() as scratch, Child("tool", Path(scratch) / "tool.log") as tool:
        met = [
            check(name, int(size), share, Home(Path(scratch)), Path(scratch), tool)
            for name, _, size in (each.partition(":") for each in options.networks)
            for share in options.shares
        ]
    holds = all(met)
    print(
        f"{'HOLDS' if holds else 'DOES NOT HOLD'}: {sum(met)} of {len(met)} latencies met within {TOLERANCE:.0%}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
