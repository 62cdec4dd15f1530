"""Claim: from the second epoch on, *time left* is within ±25 % of what a run then took, and never more than twice it.

Recorded runs (`recorded_runs.json`, ten are wanted: when stages began, epochs ended, training was over and stages were done, and
what was planned) are played to the meter that the engine uses: each as the very first on a machine, as the first of
its kind on a machine that has run the others, and as one that was run before (its own costs are known, which is
the best that can be). What is asked at every epoch from the second one on, and at every stage's beginning after that:
the seconds left that the meter says, against those that the run really took from there.

Run: `python tests/benchmarks/time_left.py`. Takes a second. `--record RUN …` prints runs in the recorded form.
"""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.document.stage_keys import stage_key
from core.engine.cost_estimate import fixed_seconds
from core.records.events import Event, Progress
from core.records.progress import Meter, StagePlan
from core.runs.run_folder import RunFolder

RECORDED = Path(__file__).with_name("recorded_runs.json")
_NEAR, _MOST = 0.25, 2.0


def record(run: RunFolder) -> dict[str, Any]:
    """What the meter was told in a run, with the seconds since its first stage began."""
    pipeline, events = run.pipeline, list(run.events())
    images = int(run.info.data["images"]["train"])
    plans = []
    for seed in pipeline.axes.seed:
        for node in pipeline.active:
            epochs = node.stage.epochs(node.parameters)
            key = stage_key(pipeline, node.id, seed)
            plans.append(asdict(StagePlan(key, epochs * images, epochs, fixed_seconds(node.stage))))
    began, told = None, []
    order = [plan["key"] for plan in plans]
    for event in events:
        kind, at = event["event"], float(event["time"])
        if kind == "StageStarted":
            began = at if began is None else began
            told.append([at - began, "begin", order.index(event["stage"])])
        elif kind == "TrainingStarted":
            told.append([at - began, "train", (event["epoch"] - 1) / event["epochs"]])
        elif kind == "EpochDone":
            told.append([at - began, "train", event["epoch"] / event["epochs"]])
        elif kind == "PhaseStarted" and event["phase"] == "export" and told[-1][1] != "follow_up":
            told.append([at - began, "follow_up", 0.01])
        elif kind == "StageDone":
            told.append([at - began, "end", event["cached"]])
    return {"name": pipeline.name, "plans": plans, "told": told}


def replayed(recorded: dict[str, Any], plans: list[StagePlan]) -> list[tuple[float, float | None]]:
    """Seconds really left and seconds said, from the second epoch on."""
    now, said, asked = 0.0, list[Event](), []
    meter = Meter(plans, said.append, lambda: now)
    end, epochs = recorded["told"][-1][0], 0
    for at, act, argument in recorded["told"]:
        now = at
        getattr(meter, act)(argument)
        epochs += act == "train" and argument > 0
        last = said[-1]
        if epochs >= 2 and act in ("begin", "train") and isinstance(last, Progress) and end - at > 1:
            asked.append((end - at, last.run_seconds_left))
    return asked


def plans_of(recorded: dict[str, Any]) -> list[StagePlan]:
    return [StagePlan(**plan) for plan in recorded["plans"]]


def costs(recorded: dict[str, Any]) -> list[tuple[float | None, float]]:
    """Of every stage the seconds of training an image, and of what came after training."""
    found, began, trained = [], 0.0, 0.0
    for at, act, argument in recorded["told"]:
        if act == "begin":
            stage, began, trained = int(argument), at, at
        elif act == "train":
            trained = at
        elif act == "end":
            work = recorded["plans"][stage]["training"]
            found.append(((trained - began) / work if work and trained > began else None, at - trained))
    return found


def after_others(recorded: dict[str, Any], others: list[dict[str, Any]]) -> list[StagePlan]:
    """The plans on a machine that has run the others: what comes after training takes as in most of their stages."""
    fixed: dict[bool, list[float]] = {True: [], False: []}
    for other in others:
        for plan, (_, seconds) in zip(other["plans"], costs(other), strict=True):
            fixed[bool(plan["training"])].append(seconds)
    return [replace(plan, fixed=statistics.median(fixed[bool(plan.training)])) for plan in plans_of(recorded)]


def run_before(recorded: dict[str, Any], _others: list[dict[str, Any]]) -> list[StagePlan]:
    """The plans with the costs that the run really had."""
    known = zip(plans_of(recorded), costs(recorded), strict=True)
    return [replace(plan, rate=rate, fixed=fixed) for plan, (rate, fixed) in known]


WAYS = {
    "The very first run of a machine": lambda recorded, _others: plans_of(recorded),
    "The first of its kind, after the others": after_others,
    "Run before": run_before,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", nargs="+", type=Path, metavar="RUN")
    options = parser.parse_args()
    if options.record:
        print(json.dumps([record(RunFolder.open(folder)) for folder in options.record]))
        return 0
    every, good = json.loads(RECORDED.read_text(encoding="utf-8")), True
    for way, plans in WAYS.items():
        print(way)
        for recorded in every:
            others = [other for other in every if other is not recorded]
            asked = replayed(recorded, plans(recorded, others))
            ratios = [said / left for left, said in asked if said is not None]
            near = sum(1 - _NEAR <= ratio <= 1 + _NEAR for ratio in ratios) / max(1, len(ratios))
            worst = max((max(ratio, 1 / ratio if ratio else 99) for ratio in ratios), default=0)
            good = good and near == 1 and worst <= _MOST
            print(
                f"  {recorded['name']:16} {len(ratios):3} asked, median {statistics.median(ratios or [0]):.2f}, "
                f"within ±25 %: {100 * near:3.0f} %, worst {worst:.2f} times"
            )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
