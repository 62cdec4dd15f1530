"""From a stage's checkpoint to its report: files, verification, accuracy, speed, memory, size.

Files and predictions are kept by what they were made from; measurements by the file's hash, the
machine's fingerprint and the protocol's version. A stage is compared with the baseline on the
same images and in alternating blocks of timed runs.
"""

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from core.analysis.accuracy import accuracy_metrics, paired_change
from core.common.content_hashes import digest_of, intact, seal_folder
from core.common.files import copy_file
from core.common.keys import make_key
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.artefact_record import ArtefactRecord
from core.deploy.artefacts import ToolCalls, VerifiedArtefact, adopt_artefact, make_artefacts
from core.deploy.other_order import other_order
from core.engine.measuring import BaselineFile, Figures, Measuring
from core.engine.stage_inputs import RunContext
from core.machine.measuring_lock import saying_waits
from core.models.checkpoint_files import WEIGHTS
from core.onnx_graph.stored_form import stored_size
from core.profiling.counting import count
from core.profiling.latency import profile_checkpoint
from core.records.events import PhaseStarted
from core.records.reports import Artefact, MeasuredWith, Metric, StageReport
from core.records.stage_outcome import OwnFile, StageOutcome
from core.runs.stage_folder import StageFolder
from core.sources.base import StageInput
from core.stages.base import ModelStage, Stage

_log = logging.getLogger(__name__)

_FILES_VERSION = 3  # raised when the same checkpoint gives other files or counts
_RUNTIME = "exported file in ONNX Runtime on the CPU"
_FILES, _EAGER, _MEASURE = 0.45, 0.15, 0.40  # shares of an evaluation's time


class Evaluator:
    """Evaluates the stages of one run."""

    def __init__(self, context: RunContext):
        self.context = context
        self.run, self.pipeline, self.data = context.run, context.pipeline, context.data
        self.control, self.emit = context.control, context.emit
        self._files = context.store("artefacts")
        self._measurements = context.measurements
        self.measuring = Measuring(
            context.run, context.pipeline, self._measurements, context.control, context.emit,
            MeasuredWith(image=(context.data.size[0], context.data.size[1]), core_watts=context.core_watts),
        )  # fmt: skip

    def evaluate(
        self,
        report: StageReport,
        folder: StageFolder,
        outcome: StageOutcome,
        stage_input: StageInput,
        stage: Stage,
        on_fraction: Callable[[float], None],
    ) -> bool:
        """Fill `report` with artefacts, metrics and changes; True when all came from caches.

        Args:
            folder: the stage's folder with its checkpoint or its own file.
            stage_input: what the stage continued.

        Raises:
            EspalierError: when the exported file does not agree with the network.
        """
        files, cached = self.obtain(
            report, folder, outcome, stage_input, stage, _from(on_fraction, 0.0, _FILES)
        )
        if outcome.deployed is None:
            on_part_fraction = _from(on_fraction, _FILES, _EAGER)
            report.pytorch, eager_cached = self._eager(report, folder, stage, on_part_fraction)
            cached = cached and eager_cached
        main = files.artefacts[0]
        report.notes += [
            *files.notes,
            *other_order(np.load(intact(main.logits)), np.load(intact(main.labels)), self.data.classes),
        ]
        report.headline = files.artefacts[0].id
        base = self.measuring.baseline(report, files)
        share = _MEASURE / len(files.artefacts)
        for index, artefact in enumerate(files.artefacts):
            self.emit(PhaseStarted(report.key, "measure", f"Measuring {artefact.label}"))
            on_part_fraction = _from(on_fraction, _FILES + _EAGER + index * share, share)
            figures, measured_cached = self.measuring.figures(report.key, artefact, base, on_part_fraction)
            cached = cached and measured_cached
            report.artefacts.append(self._artefact(artefact, files, outcome, figures, base))
        self.measuring.compare(report)
        self.measuring.explain(report, files.artefacts[0])
        on_fraction(1.0)
        return cached

    def obtain(
        self,
        report: StageReport,
        folder: StageFolder,
        outcome: StageOutcome,
        stage_input: StageInput,
        stage: Stage,
        on_fraction: Callable[[float], None],
    ) -> tuple[ArtefactRecord, bool]:
        """The stage's files, verified, and whether they came from the cache; arguments as of `evaluate`."""
        if outcome.deployed is not None:
            return self._obtain_deployed(report, folder, outcome.deployed, stage_input, on_fraction)
        half = isinstance(stage, ModelStage) and stage.half_artefact
        return self._obtain_files(report, folder, half, on_fraction)

    def _obtain_files(
        self, report: StageReport, folder: StageFolder, half: bool, on_fraction: Callable[[float], None]
    ) -> tuple[ArtefactRecord, bool]:
        from core.models.checkpoint import content_hash

        target = folder.artefacts
        if target.record.is_file():
            return ArtefactRecord.read(target), False
        key = make_key({
            "files": _FILES_VERSION, "checkpoint": content_hash(folder.checkpoint), "data": self.data.fingerprint, "half": half,
            "device": self.context.device.split(":")[0], **{name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        })  # fmt: skip
        if self._from_cache(report, key, target):
            return ArtefactRecord.read(target), True
        with self._files.making(key):
            if self._from_cache(report, key, target):
                return ArtefactRecord.read(target), True
            return self._make_files(report, folder, half, key, on_fraction), False

    def _from_cache(self, report: StageReport, key: str, target: ArtefactFolder) -> bool:
        """Whether the files, with how they were verified, were made before."""
        cached = self._files.copy_to(key, target.path)
        if cached:
            _log.info("The files of %s come from the cache (%s).", report.key, key[:12])
        return cached

    def _make_files(
        self,
        report: StageReport,
        folder: StageFolder,
        half: bool,
        key: str,
        on_fraction: Callable[[float], None],
    ) -> ArtefactRecord:
        target = folder.artefacts
        self.emit(PhaseStarted(report.key, "export", "Exporting and verifying"))
        target.path.mkdir(exist_ok=True)
        refused: list[str] = []
        artefacts = make_artefacts(
            self._tool(on_fraction), folder.checkpoint, target, self.context.access, half, self.context.device,
            on_refused=lambda error: refused.append(f"No float16 file: {error.message}"),
        )  # fmt: skip
        files = ArtefactRecord(artefacts, self._count(artefacts[0]), refused)
        files.write(target)
        seal_folder(target.path)
        self._files.put(key, target.path)
        return files

    def _obtain_deployed(
        self,
        report: StageReport,
        folder: StageFolder,
        deployed: OwnFile,
        stage_input: StageInput,
        on_fraction: Callable[[float], None],
    ) -> tuple[ArtefactRecord, bool]:
        """The file that the stage made itself, held against the float network that it stands for.

        That is the stage's own network (quantization-aware training), or the one before it.
        """
        target = folder.artefacts
        if target.record.is_file():
            return ArtefactRecord.read(target), False
        file, checkpoint = folder.deployed_as(deployed.precision), folder.network
        reference = stage_input.logits if checkpoint is None else checkpoint / WEIGHTS
        assert reference is not None
        key = make_key({
            "files": _FILES_VERSION, "file": digest_of(intact(file)), "of": digest_of(intact(reference)), "data": self.data.fingerprint,
            "label": deployed.label, "onnxruntime": version("onnxruntime"),
        })  # fmt: skip
        if self._from_cache(report, key, target):
            return ArtefactRecord.read(target), True
        with self._files.making(key):
            if self._from_cache(report, key, target):
                return ArtefactRecord.read(target), True
            self.emit(PhaseStarted(report.key, "verify", "Verifying the file"))
            target.path.mkdir(exist_ok=True)
            if checkpoint is None:
                copy_file(reference, target.network_logits)
            artefact = adopt_artefact(
                self._tool(on_fraction), file, deployed.label, target, self.context.access, checkpoint,
                self.context.rehearsal,
            )  # fmt: skip
            files = ArtefactRecord([artefact], self._count(artefact))
            files.write(target)
            seal_folder(target.path)
            self._files.put(key, target.path)
        return files, False

    def _tool(self, on_fraction: Callable[[float], None]) -> ToolCalls:
        """The tool child; making and verifying files is most of the work whose progress `on_fraction` receives."""
        return ToolCalls(self.context.tool, self.control, lambda done, text: on_fraction(0.9 * done))

    def _count(self, artefact: VerifiedArtefact) -> dict[str, Any]:
        """Parameters and MACs of the graph that is deployed."""
        size = artefact.facts["input_size"] or self.data.size[0]
        arguments = {"model": str(artefact.path), "input_size": size}
        return self.context.tool.call(count, arguments, self.control)

    def _eager(
        self, report: StageReport, folder: StageFolder, stage: Stage, on_fraction: Callable[[float], None]
    ) -> tuple[dict[str, Metric], bool]:
        """PyTorch's own figures on the run's device, beside the deployment's."""
        precision = stage.computes_in(report.facts)
        if self.context.device.startswith("cuda"):  # both, so that every stage can be set beside a paper's
            mixed = precision if precision != "float32" else "float16"
            metrics, cached = self._in_pytorch(report, folder, "float32", _from(on_fraction, 0.0, 0.5))
            in_mixed, cached_too = self._in_pytorch(report, folder, mixed, _from(on_fraction, 0.5, 0.5))
            metrics |= {f"mixed_{name}": metric for name, metric in in_mixed.items()}
            cached = cached and cached_too
        else:
            metrics, cached = self._in_pytorch(report, folder, precision, on_fraction)
        labels, logits = (
            np.load(intact(folder.artefacts.labels)),
            np.load(intact(folder.artefacts.network_logits)),
        )
        return {**accuracy_metrics(logits, labels, f"PyTorch on {self.context.device}"), **metrics}, cached

    def _in_pytorch(
        self, report: StageReport, folder: StageFolder, precision: str, on_fraction: Callable[[float], None]
    ) -> tuple[dict[str, Metric], bool]:
        """Times (and on a GPU memory and energy) of the network in PyTorch in one number format."""
        from core.models.checkpoint import content_hash

        key = {
            "eager": content_hash(folder.checkpoint),
            "device": self.context.device,
            "precision": precision,
        }

        def say(text: str) -> None:
            self.emit(PhaseStarted(report.key, "measure", text))

        def measure() -> dict[str, Any]:
            say("Measuring PyTorch")
            metrics = profile_checkpoint(
                self.context.tool, folder.checkpoint, self.context.device, precision,
                self.control, saying_waits(say, on_fraction),
            )  # fmt: skip
            return {name: metric.model_dump() for name, metric in metrics.items()}

        plain, cached = self._measurements.get_or_measure(
            key,
            measure,
            lambda plain: not any(Metric.model_validate(metric).is_range for metric in plain.values()),
        )
        return {name: Metric.model_validate(metric) for name, metric in plain.items()}, cached

    def _artefact(
        self,
        artefact: VerifiedArtefact,
        files: ArtefactRecord,
        outcome: StageOutcome,
        figures: Figures,
        base: BaselineFile | None,
    ) -> Artefact:
        logits, labels = np.load(intact(artefact.logits)), np.load(intact(artefact.labels))
        right = logits.argmax(1) == labels
        metrics = accuracy_metrics(logits, labels, _RUNTIME) | figures.metrics
        stored = stored_size(artefact.path)
        metrics["stored_mb"] = Metric(value=stored.bytes / 1e6, unit="MB", how=stored.how)
        how = "counted on the network"
        metrics["params"] = Metric(value=outcome.params, how=how)
        metrics["nonzero_params"] = Metric(value=outcome.nonzero_params, how=how)
        metrics["macs"] = Metric(
            value=files.counts["macs"], how="counted on the exported graph: convolutions and matrix products"
        )
        metrics["flops"] = Metric(value=2 * files.counts["macs"], how="2 × MACs")
        metrics["training_seconds"] = Metric(
            value=outcome.training_seconds, unit="s", how=f"training on {self.context.device}"
        )
        metrics["agreement"] = Metric(
            value=artefact.verification.agreement,
            unit="%",
            n=artefact.verification.images,
            how="top-1 of file and PyTorch network",
        )
        metrics["max_logit_difference"] = Metric(
            value=artefact.verification.max_logit_difference,
            n=artefact.verification.images,
            how="file against PyTorch network",
        )
        change: dict[str, Metric] = {}
        if base is not None and base.file != artefact.path:
            change = {**figures.change, "top1": paired_change(base.right, right)}
        return Artefact(
            id=artefact.id, label=artefact.label, precision=artefact.precision, path=str(artefact.path.relative_to(self.run.folder)), sha256=artefact.sha256,
            bytes=artefact.bytes, verification=artefact.verification, metrics=metrics, change=change,
            measured=figures.measured,
        )  # fmt: skip


def _from(on_fraction: Callable[[float], None], start: float, share: float) -> Callable[[float], None]:
    """Progress (0…1) of a part of the work, scaled to the `share` of the whole that begins at `start`."""
    return lambda done: on_fraction(start + share * done)
