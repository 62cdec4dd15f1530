"""Claim: from the second epoch on, *time left* is within ±25 % of what a run then took, and never more than twice it.

Recorded runs (`recorded_runs.json`: when stages began, epochs ended, training was over and stages were done, what
was planned, and how fast processes started) are played to the meter that the engine uses: each as the very first on a
machine, as the first of its kind on a machine that has run the others, and as one that was run before (its own costs are
known, which is the best that can be). What is asked at every epoch from the second one on, and at every stage's beginning
after that: the seconds left that the meter says, against those that the run really took from there.

Run: `python tests/benchmarks/time_left.py`. Takes a second. `--make FOLDER` runs the ten pipelines of `time_left_runs.yaml`,
each in a home of its own below the folder (half an hour), and `--record RUN …` prints runs in the recorded form.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.data.store import open_data
from core.document.stage_keys import stage_key
from core.engine.stage_plans import answering, fixed_seconds, source_costs, step_cost, training_work
from core.records.events import Event, Progress
from core.records.time_left import Meter, StagePlan
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.stages.catalogue import STAGES

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("recorded_runs.json")
PIPELINES = Path(__file__).with_name("time_left_runs.yaml")
_NEAR, _MOST = 0.25, 2.0


def make(folder: Path) -> None:
    """Run the ten pipelines, one after the other, each as the first of a machine."""
    for number, text in enumerate(PIPELINES.read_text(encoding="utf-8").split("\n---\n")):
        home = folder / f"{number:02d}"
        home.mkdir(parents=True)
        (home / "pipeline.yaml").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "core.commands.main", "run", str(home / "pipeline.yaml")]
        environment = {**os.environ, "ESPALIER_HOME": str(home), "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, "--device", "cpu", "--threads", "1"], env=environment, check=True)


def record(run: RunFolder) -> dict[str, Any]:
    """What the meter was told in a run, with the seconds since its first stage began."""
    pipeline, events = run.pipeline, list(run.events())
    images = int(run.info.data["images"]["train"])
    plans: list[dict[str, Any]] = []
    sources = source_costs(pipeline, run.base, open_data(pipeline.data, Home.default().data, run.base))
    for seed in pipeline.axes.seed:
        for node in pipeline.active:
            training, epochs = training_work(node, (), images)
            key = stage_key(pipeline, node.id, seed)
            cost = round(step_cost(pipeline, node, sources), 3)
            plans.append(
                {"key": key, "training": training, "epochs": epochs, "kind": node.kind, "cost": cost}
            )
    began, told, phases = None, [], []
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
        if kind == "PhaseStarted" and began is not None:
            phases.append([round(at - began, 2), event["phase"], event["text"]])
    told = [[round(at, 2), act, argument] for at, act, argument in told]
    return {
        "name": pipeline.name,
        "process": round(run.info.process_seconds, 3),
        "test": int(run.info.data["images"]["test"]),
        "plans": plans,
        "told": told,
        "phases": phases,
    }


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
    """As the engine makes them where nothing is known."""
    return [
        StagePlan(
            plan["key"],
            plan["training"],
            plan["epochs"],
            fixed_seconds(STAGES[plan["kind"]], recorded["process"]),
            None,
            plan["cost"],
            answering(STAGES[plan["kind"]], recorded["test"]),
        )
        for plan in recorded["plans"]
    ]


def costs(recorded: dict[str, Any]) -> list[tuple[float | None, float]]:
    """Of every stage the seconds of training an image, and of what came before and after training."""
    found, began, first, trained = [], 0.0, 0.0, 0.0
    for at, act, argument in recorded["told"]:
        if act == "begin":
            stage, began, first, trained = int(argument), at, at, at
        elif act == "train":
            first = at if argument == 0 else first
            trained = at
        elif act == "end":
            work = recorded["plans"][stage]["training"]
            rate = (trained - first) / work if work and trained > first else None
            found.append((rate, first - began + at - trained))
    return found


def after_others(recorded: dict[str, Any], others: list[dict[str, Any]]) -> list[StagePlan]:
    """The plans on a machine that has run the others: what comes after training takes as in most of their stages."""
    fixed: dict[bool, list[float]] = {True: [], False: []}
    for other in others:
        for plan, (_, seconds) in zip(other["plans"], costs(other), strict=True):
            fixed[bool(plan["training"])].append(seconds * recorded["process"] / other["process"])
    return [
        replace(plan, fixed=statistics.median(fixed[bool(plan.training)]), answering=0.0)
        for plan in plans_of(recorded)
    ]


def run_before(recorded: dict[str, Any], _others: list[dict[str, Any]]) -> list[StagePlan]:
    """The plans with the costs that the run really had."""
    known = zip(plans_of(recorded), costs(recorded), strict=True)
    return [replace(plan, rate=rate, fixed=fixed, answering=0.0) for plan, (rate, fixed) in known]


WAYS = {
    "The very first run of a machine": lambda recorded, _others: plans_of(recorded),
    "The first of its kind, after the others": after_others,
    "Run before": run_before,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", type=Path, metavar="FOLDER")
    parser.add_argument("--record", nargs="+", type=Path, metavar="RUN")
    options = parser.parse_args()
    if options.make:
        make(options.make)
        return 0
    if options.record:
        runs = (record(RunFolder.open(folder)) for folder in options.record)
        print("[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]")
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
                f"  {recorded['name']:20} {len(ratios):3} asked, median {statistics.median(ratios or [0]):.2f}, "
                f"within ±25 %: {100 * near:3.0f} %, worst {worst:.2f} times"
            )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
