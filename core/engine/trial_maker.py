"""Makes one trial of a search: an ordinary pipeline, up to the file of its final stage, judged on validation images.

Stages come from the caches where anything has made them before, so what trials have in common is made once. Only the final
stage's file is exported and, where a time or the memory is wanted, measured. The test split is never opened.
"""

import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core.analysis.accuracy import accuracy_metrics
from core.analysis.packed_answers import packed
from core.common.content_hashes import digest_of, intact, seal_folder
from core.common.errors import EspalierError
from core.common.files import folder_beside, write_atomically, written_beside
from core.common.keys import make_key
from core.deploy.artefacts import ToolCalls, verify_onnx
from core.deploy.onnx_export import export_onnx
from core.document import dimensions
from core.document.pipeline import Pipeline, StageNode
from core.document.search import Search
from core.engine.measuring import Measuring
from core.engine.stage_inputs import RunContext
from core.engine.stage_runner import StageRunner
from core.onnx_graph.stored_form import stored_size
from core.profiling.counting import count
from core.records.events import Event, Note, PhaseStarted
from core.records.reports import MeasuredWith, Metric
from core.runs.finding import is_run
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.runs.stage_folder import StageFolder
from core.search.records import StageMade, trial_folder
from core.stages.base import DeploymentStage

_VERSION = 1  # raised when the same network or file is judged otherwise
_HOW = "exported file in ONNX Runtime on the CPU, validation images"
_COUNTED = {"params", "nonzero_params"}
_FREE = {"top1", "top5", "balanced_accuracy", "macro_f1", "size_mb", "stored_mb", "macs", "flops"} | _COUNTED
"""Metrics that are known without timing anything."""


class EndEarly(Exception):
    """The trial under way has no prospects; the text says why."""


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """A file and its answers on the validation images.

    Attributes:
        facts: `preprocess`, and `input_size`.
    """

    path: Path
    sha256: str
    facts: dict[str, Any]
    logits: "np.ndarray[Any, np.dtype[np.float32]]"
    labels: "np.ndarray[Any, np.dtype[np.int64]]"

    @property
    def right(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which images are answered right [n]."""
        return (self.logits.argmax(1) == self.labels) & np.isfinite(self.logits).all(1)


@dataclass(slots=True)
class MadeTrial:
    """What a trial has given so far."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    stages: list[StageMade] = field(default_factory=list)
    right: dict[str, str] = field(default_factory=dict)
    file: str = ""


Judge = Callable[[str, "np.ndarray[Any, np.dtype[np.bool_]]"], None]
"""Called with a stage and what its network answers right while more is to be trained; raises `EndEarly`."""


class TrialMaker:
    """Makes the trials of one search.

    Args:
        context: of the run that searches.
    """

    def __init__(self, context: RunContext, search: Search):
        self.context, self.search = context, search
        self._varying = dimensions.varying(context.pipeline)

    def make(
        self,
        number: int,
        trial: Pipeline,
        made: MadeTrial,
        judge: Judge,
        on_fraction: Callable[[float], None],
    ) -> None:
        """Make a trial and fill `made`, also with what was there when it ends otherwise.

        Args:
            trial: the pipeline at the point, as `shortened` gave it.

        Raises:
            EspalierError: when a stage cannot be made.
            EndEarly: from `judge`.
            Stopped: a person asked to stop; it goes on from there.
        """
        context = self._context(number, trial)
        runner, seed = StageRunner(context), trial.axes.seed[0]
        nodes = dimensions.needed(trial)
        for index, node in enumerate(nodes):
            context.control.checkpoint()
            started = time.monotonic()
            context.emit(PhaseStarted(node.id, "trial", node.title))
            cached = runner.make(node, seed, _part(on_fraction, index, len(nodes)))
            made.stages.append(StageMade(id=node.id, cached=cached, seconds=time.monotonic() - started))
            self._look(context, node, nodes[index + 1 :], made, judge)
        final = nodes[-1]
        judged = self._judged(context, final)
        made.file = judged.sha256
        made.right[final.id] = packed(judged.right)
        made.metrics |= self._metrics(context, final, judged)

    def forget(self, number: int) -> None:
        """Remove what a trial that has ended left beside its record; its stages are in the caches."""
        folder = trial_folder(self.context.run, number)
        for name in ("stages", "sources", "inputs", "scratch"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def _context(self, number: int, trial: Pipeline) -> RunContext:
        folder = trial_folder(self.context.run, number)
        if is_run(folder):
            run = RunFolder.open(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            run = create_run(trial, self.context.run.base, self.context.home, folder)
        return replace(self.context, run=run, pipeline=trial, emit=self._emit)

    def _emit(self, event: Event) -> None:
        """Of what a trial says, the run tells warnings and what is under way: the stages are not the run's own."""
        if isinstance(event, PhaseStarted):
            phase = "measure" if event.phase == "measure" else "trial"
            self.context.emit(PhaseStarted("", phase, event.text))
        elif isinstance(event, Note) and event.level == "warning":
            self.context.emit(Note("", "warning", event.text))

    def _look(
        self, context: RunContext, node: StageNode, later: list[StageNode], made: MadeTrial, judge: Judge
    ) -> None:
        """Judge a stage that others of the trial train on from, and export it where one continues its file."""
        if any(
            isinstance(one.stage, DeploymentStage) and context.pipeline.parent(one) == node.id
            for one in later
        ):
            self._judged(context, node)
        trains = any(one.stage.epochs(one.parameters) for one in later)
        if node.id in self._varying and trains and not isinstance(node.stage, DeploymentStage):
            right = self._judged(context, node).right
            made.right[node.id] = packed(right)
            judge(node.id, right)

    def _judged(self, context: RunContext, node: StageNode) -> JudgedFile:
        """The file of a stage with its answers on the validation images, from the cache where they are known."""
        from core.models.checkpoint import content_hash

        folder = context.run.stage_folder(node.id)
        own, store = folder.deployed_file, context.store("validated")
        of = (
            {"file": digest_of(intact(own))}
            if own is not None
            else {"checkpoint": content_hash(folder.checkpoint)}
        )
        key = make_key({
            "validated": _VERSION, **of, "data": context.data.fingerprint,
            **{name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        })  # fmt: skip
        place = folder.path / "validated"
        if not place.is_dir() and not store.copy_to(key, place):
            with store.making(key):
                if not store.copy_to(key, place):
                    self._validate(context, node, folder, place)
                    store.put(key, place)
        file = own if own is not None else _placed(place / "float32.onnx", folder)
        logits, labels = (np.load(intact(place / f"judged.{name}.npy")) for name in ("logits", "labels"))
        facts = _facts(place)
        return JudgedFile(file, digest_of(file), facts, logits, labels)

    def _validate(self, context: RunContext, node: StageNode, folder: StageFolder, place: Path) -> None:
        context.emit(PhaseStarted(node.id, "trial", f"{node.title}: validation images"))
        with folder_beside(place) as part:
            file = folder.deployed_file
            if file is None:
                file = part / "float32.onnx"
                arguments = {"checkpoint": str(folder.checkpoint), "target": str(file)}
                context.tool.call(export_onnx, arguments, context.control)
            named = part / "judged.onnx"  # whose name the answers are called by
            shutil.copyfile(file, named)
            tool = ToolCalls(context.tool, context.control)
            check = verify_onnx(tool, named, context.access, part, "validation", node.title)
            named.unlink()
            facts = {"preprocess": check.preprocess, "input_size": check.preprocess["size"]}
            write_atomically(part / "facts.json", json.dumps(facts))
            seal_folder(part)

    def _metrics(self, context: RunContext, node: StageNode, judged: JudgedFile) -> dict[str, Metric]:
        outcome = context.run.stage_folder(node.id).outcome
        counts = context.tool.call(
            count, {"model": str(judged.path), "input_size": judged.facts["input_size"]}, context.control
        )
        size, stored = judged.path.stat().st_size / 1e6, stored_size(judged.path)
        metrics = {
            **accuracy_metrics(judged.logits, judged.labels, _HOW),
            "size_mb": Metric(value=size, unit="MB", how="size of the file"),
            "stored_mb": Metric(value=stored.bytes / 1e6, unit="MB", how=stored.how),
            "params": Metric(value=outcome.params, how="counted on the network"),
            "nonzero_params": Metric(value=outcome.nonzero_params, how="counted on the network"),
            "macs": Metric(value=counts["macs"], how="counted on the exported graph"),
            "flops": Metric(value=2 * counts["macs"], how="2 × MACs"),
        }  # fmt: skip
        if set(self.search.aims) <= _FREE:
            return metrics
        context.emit(PhaseStarted(node.id, "measure", f"{node.title}: measuring"))
        measuring = Measuring(
            context.run, context.pipeline, context.measurements, context.control, context.emit,
            MeasuredWith(image=(context.data.size[0], context.data.size[1]), core_watts=context.core_watts),
        )  # fmt: skip
        figures, _ = measuring.figures(node.id, judged, None, lambda fraction: None)
        return {**figures.metrics, **metrics}


def shortened(trial: Pipeline, search: Search, varying: set[str]) -> Pipeline:
    """The same pipeline with fewer epochs where it differs from other trials; what they share stays as it is."""
    if search.fidelity.epochs >= 1:
        return trial
    for node in trial.active:
        training = node.stage.training(node.parameters)
        if node.id not in varying or training is None:
            continue
        epochs = max(1, round(training.epochs * search.fidelity.epochs))
        written: Mapping[str, Any] = (
            node.parameters.model_dump(mode="json", exclude_unset=True).get("training") or {}
        )
        settings = {**node.settings, "training": {**written, "epochs": epochs}}
        trial = trial.with_settings(node.id, settings)
    return trial


def this_machine() -> str:
    """What a trial says of who made it."""
    return platform.node()


def _placed(file: Path, folder: StageFolder) -> Path:
    """The float32 file where stages that continue it look for it."""
    target = folder.artefacts.float32
    if not target.is_file():
        if not file.is_file():
            raise EspalierError(
                f"Expected the exported file of a trial at {file}, it is gone.", "Start the run again."
            )
        target.parent.mkdir(exist_ok=True)
        with written_beside(target) as part:
            shutil.copyfile(file, part)
    return target


def _facts(place: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(intact(place / "facts.json").read_text(encoding="utf-8"))
    return facts


def _part(on_fraction: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    return lambda fraction: on_fraction((index + fraction) / count)
