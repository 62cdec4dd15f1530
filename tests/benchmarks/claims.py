"""What the benchmarks of compression quality share: their arguments, a run of a pipeline, verdicts.

They run pipelines with the engine, as a person does, so their figures are those of the exported files, and
on a second run every stage that did not change comes from the cache in the home folder (ESPALIER_HOME).
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from core.analysis.accuracy import paired_change
from core.analysis.table import as_text, table_rows
from core.commands.terminal import EventPrinter
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.engine import Engine
from core.engine.options import Options
from core.engine.preflight import reduced
from core.machine.fingerprint import fingerprint
from core.records.reports import Metric, StageReport
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

_FEW = {"train_images": 320, "validation_images": 160, "test_images": 240}


def parser(about: str, data: bool = False, weights: str = "") -> argparse.ArgumentParser:
    """The arguments of a benchmark.

    Args:
        about: its docstring. data: whether it wants CIFAR-10. weights: what file it starts from, if any.
    """
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        made.add_argument(
            "--data", type=Path, required=True, help="CIFAR-10 as JPEG: a folder or zip of train and test"
        )
    if weights:
        made.add_argument("--weights", type=Path, required=True, help=weights)
    made.add_argument("--quick", action="store_true", help="few images, one epoch: shows that it works")
    made.add_argument("--threads", type=int, default=0, help="of training; 0: one per physical core")
    return made


def with_files(content: dict[str, Any], arguments: argparse.Namespace) -> Pipeline:
    """A document's content as a pipeline, on the data and the weights that were given."""
    content["data"] = {**content["data"], "source": "folder", "path": str(arguments.data.resolve())}
    for source in content["sources"]:
        if source.get("settings", {}).get("weights") == "file":
            source["settings"]["weights_file"] = str(arguments.weights.resolve())
    return Pipeline.parse(content)


def finished(pipeline: Pipeline, arguments: argparse.Namespace) -> RunFolder:
    """Run a pipeline in a new run folder and show its table.

    Raises:
        SystemExit: when the document breaks a rule or the run does not complete.
    """
    pipeline = quick(pipeline) if arguments.quick else pipeline
    if problems := documents.check(pipeline):
        raise SystemExit("\n".join(str(problem) for problem in problems))
    home = Home.default()
    run = create_run(pipeline, Path.cwd(), home)
    with EventPrinter() as printer:
        done = Engine(run, home, Options("cpu", arguments.threads), None, printer).run()
    if done.status != "completed":
        raise SystemExit(f"{done.message} {done.advice}\n{done.details}")
    print(
        f"{as_text(table_rows(run.reports(), pipeline.baseline_of_each()))}\nRun folder: {run.folder}\n",
        flush=True,
    )
    return run


def quick(pipeline: Pipeline) -> Pipeline:
    """The same pipeline on a few hundred images, one epoch a stage and at most two seeds."""
    little = reduced(pipeline)
    axes = pipeline.axes.model_copy(update={"seed": pipeline.axes.seed[:2]})
    return little.model_copy(update={"data": little.data.model_copy(update=_FEW), "axes": axes})


def report(run: RunFolder, key: str) -> StageReport:
    """A finished stage's report by its key (`id`, or `id@seed`)."""
    found = run.report(key)
    assert found is not None and found.main is not None, key
    return found


def value(stage: StageReport, metric: str) -> float:
    """A figure of the stage's headline file."""
    found = stage.metric(metric)
    assert found is not None and found.value is not None, metric
    return found.value


def change(stage: StageReport, metric: str) -> Metric:
    """What was measured in pairs with the baseline: points of accuracy, ratios of times."""
    assert stage.main is not None
    return stage.main.change[metric]


def right(run: RunFolder, stage: StageReport) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Per test image [n], whether the stage's headline file is right."""
    assert stage.main is not None
    folder = (run.folder / stage.main.path).parent
    logits, labels = np.load(folder / f"{stage.main.id}.logits.npy"), np.load(folder / "labels.npy")
    return logits.argmax(1) == labels


def paired(run: RunFolder, before: str, after: str) -> Metric:
    """Change of top-1 from one stage's file to another's on the same images, with a 95 % interval."""
    return paired_change(*(right(run, report(run, key)) for key in (before, after)))


def low(metric: Metric) -> float:
    """The interval's lower bound; without an interval not a number, of which no claim holds."""
    return math.nan if metric.low is None else metric.low


def high(metric: Metric) -> float:
    """The interval's upper bound, likewise."""
    return math.nan if metric.high is None else metric.high


def interval(metric: Metric, digits: int = 2) -> str:
    """A figure with its bounds."""
    if metric.low is None or metric.high is None or metric.level is None:
        return f"{metric.value:.{digits}f} (no interval)"
    bounds = f"{metric.low:.{digits}f} to {metric.high:.{digits}f}"
    return f"{metric.value:.{digits}f} ({100 * metric.level:.0f} % interval {bounds})"


def print_machine() -> None:
    """Say where the figures below come from."""
    print(f"{fingerprint()['processor']}, Python {sys.version.split()[0]}", flush=True)


class Verdict:
    """The claims of a benchmark, said one by one; `status` is its exit status."""

    def __init__(self, arguments: argparse.Namespace):
        self._quick, self._held = arguments.quick, True
        print_machine()

    def claim(self, said: str, holds: bool) -> None:
        """One claim with its figures."""
        self._held = self._held and bool(holds)
        print(f"{'holds' if holds else 'FAILS'}: {said}")

    def status(self) -> int:
        """0 when every claim holds; with --quick whenever it came this far."""
        if self._quick:
            print("--quick: far too few images and epochs to judge by; every step worked.")
            return 0
        print("Every claim holds." if self._held else "Not every claim holds.")
        return 0 if self._held else 1
