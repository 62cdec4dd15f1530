"""Claim: a search finds a smaller and faster network that is no worse, and costs a fraction of its trials.

The Quick tour's pipeline with what is pruned and how the last file is stored set free; limits: half the size of the shipped final
model, and 0.8 of its latency. Within 20 trials, with each of three sampler seeds, a confirmed point is measurably better than the shipped
final model in size and latency (alternating sessions, 99 %) and not measurably worse on the 10 000 test images (paired, 95 %).

And: the trials of a study take at most 40 % of the time that they take one by one, each as a run of its own with nothing
cached. `--alone N` of the trials, spread over the study, are run so; the others are taken to cost their mean.

    python tests/benchmarks/search.py [--seeds 0 1 2] [--trials 20] [--alone 3] [--quick]

Each seed has a home of its own, so nothing is shared between them. One to three hours on two cores; `--quick` takes few images and
trials, shows that it works, and claims nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.document.recipes import FIRST

SIZE, LATENCY, COST = 0.5, 0.8, 0.4
QUICK = {"train_images": 600, "validation_images": 200, "test_images": 300}
PROGRAM = "import sys; from core.commands.main import main; sys.exit(main())"


def espalier(home: Path, *words: str) -> dict[str, Any]:
    """Run a command with a home; what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--json"], capture_output=True, text=True,
        env={**os.environ, "ESPALIER_HOME": str(home)},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"espalier {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def stage(result: dict[str, Any], id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in result["stages"] if one["id"] == id)
    return found


def shipped(quick: bool) -> Pipeline:
    """The Quick tour, compared with its own final model."""
    content = {**documents.load(FIRST).as_dict(), "baseline": "distilled"}
    if quick:
        content["data"] = {**content["data"], **QUICK}
    return Pipeline.parse(content)


def searched(before: Pipeline, limits: dict[str, float], seed: int, trials: int) -> Pipeline:
    """The same with a search."""
    content = before.as_dict()
    content["stages"] += [
        {"id": "int8", "kind": "quantize-static", "enabled": False},
        {"id": "mixed-int8", "kind": "quantize-mixed", "enabled": False},
    ]
    del content["final"]
    content["search"] = {
        "free": {
            "stages.pruned.ratio": {"low": 0.2, "high": 0.8, "step": 0.05},
            "stages.pruned.round_to": {"choices": [1, 4, 8]},
        },
        "slots": {"file": ["int8", "mixed-int8", None]},
        "objectives": ["top1", "size_mb", "latency_ms"],
        "limits": limits, "trials": trials, "sampler_seed": seed, "finalists": 1 if trials < 10 else 3,
    }  # fmt: skip
    problems = documents.check(pipeline := Pipeline.parse(content))
    assert not problems, problems
    return pipeline


def better(change: dict[str, Any], name: str) -> bool:
    """Whether a change (in percent, less is better) lies below none with its whole interval."""
    found = change.get(name)
    return found is not None and found["value"] < 0 and (found["high"] is None or found["high"] < 0)


def judged(result: dict[str, Any]) -> bool:
    """Print every confirmed point beside the shipped final model; whether one keeps the claim."""
    kept = False
    for number, id in result["search"]["confirmed"].items():
        one = stage(result, id)
        figures, change = one["metrics"], one["change"]
        worse = change.get("top1", {}).get("high")
        holds = (
            better(change, "size_mb") and better(change, "latency_ms") and worse is not None and worse >= 0
        )
        kept = kept or holds
        print(
            f"    trial {number}: top-1 {figures['top1']:.2f} %, {figures['size_mb']:.3f} MB, {figures['latency_ms']:.3f} ms; "
            f"change of top-1 {shown(change, 'top1')} points, of latency {shown(change, 'latency_ms')} %: {'holds' if holds else 'does not'}"
        )
    return kept


def shown(change: dict[str, Any], name: str) -> str:
    one = change.get(name)
    if one is None or one["value"] is None:
        return "unknown"
    span = f" ({one['low']:+.2f} to {one['high']:+.2f})" if one["low"] is not None else ""
    return f"{one['value']:+.2f}{span}"


def alone(run: Path, result: dict[str, Any], count: int) -> float:
    """Seconds that a counted trial takes as a run of its own with nothing cached: the mean of some of them."""
    made = [
        trial["number"]
        for trial in result["search"]["trials"]
        if trial["state"] == "done" and trial["same_as"] is None
    ]
    chosen = made[:: max(1, len(made) // count)][:count]
    seconds = []
    for number in chosen:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            espalier(
                Path(folder) / "home",
                "run",
                str(run / "trials" / f"{number:04d}" / "pipeline.yaml"),
                "--out",
                f"{folder}/run",
            )
            seconds.append(time.monotonic() - started)
    print(f"    alone, trials {chosen}: {', '.join(f'{one:.0f}' for one in seconds)} s")
    return statistics.mean(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--alone", type=int, default=3)
    parser.add_argument(
        "--quick", action="store_true", help="a few minutes: shows that it works, claims nothing"
    )
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.trials, options.alone = options.seeds[:1], min(options.trials, 4), 1
    found: list[bool] = []
    cheap: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        before = shipped(options.quick)
        file = Path(folder) / "shipped.yaml"
        file.write_text(documents.dumps(before))
        final = stage(espalier(Path(folder) / "shipped", "run", str(file)), "distilled")["metrics"]
        limits = {"size_mb": SIZE * final["size_mb"], "latency_ms": LATENCY * final["latency_ms"]}
        print(
            f"shipped: top-1 {final['top1']:.2f} %, {final['size_mb']:.3f} MB, {final['latency_ms']:.3f} ms; limits {limits}",
            flush=True,
        )
        for seed in options.seeds:
            run, file = Path(folder) / f"run-{seed}", Path(folder) / f"search-{seed}.yaml"
            file.write_text(documents.dumps(searched(before, limits, seed, options.trials)))
            result = espalier(Path(folder) / f"home-{seed}", "search", str(file), "--out", str(run))
            trials = result["search"]["trials"]
            seconds, counted = sum(trial["seconds"] for trial in trials), result["search"]["counted"]
            feasible = [trial["number"] for trial in trials if trial["feasible"]]
            print(
                f"seed {seed}: {counted} trials, {seconds:.0f} s; within the limits: {feasible or 'none'}",
                flush=True,
            )
            found.append(judged(result))
            each = alone(run, result, options.alone)
            cheap.append(seconds <= COST * each * counted)
            print(
                f"    the study took {seconds / (each * counted):.1%} of its trials run alone; claim: at most {COST:.0%}",
                flush=True,
            )
    print(f"found with {sum(found)} of {len(found)} seeds; cheap enough {sum(cheap)} of {len(cheap)}")
    return 0 if options.quick or (all(found) and all(cheap)) else 1


if __name__ == "__main__":
    sys.exit(main())
