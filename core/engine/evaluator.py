"""From a stage's checkpoint to its report: files, verification, accuracy, speed, memory, size.

Files and predictions are kept by what they were made from; measurements by the file's hash, the
machine's fingerprint and the protocol's version. A stage is compared with the baseline on the
same images and in alternating blocks of timed runs.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core.analysis.accuracy import accuracy_metrics, paired_change
from core.analysis.why import ChainStage, Evidence, explain
from core.analysis.why.graph import examine_graph
from core.common.errors import EspalierError
from core.common.files import copy_file, deflated_bytes, save_array, sha256_of
from core.common.keys import make_key
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.artefact_record import ArtefactRecord
from core.deploy.artefacts import ToolCalls, VerifiedArtefact, adopt_artefact, make_artefacts
from core.deploy.other_order import other_order
from core.document.stage_keys import stage_key, stage_keys
from core.engine.stage_inputs import RunContext
from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.models.checkpoint_files import WEIGHTS
from core.profiling.counting import count
from core.profiling.energy import estimated
from core.profiling.latency import MeasuringProcess, profile_artefact, profile_checkpoint
from core.records.events import Note, PhaseStarted
from core.records.reports import Artefact, Metric, StageReport, Why
from core.records.stage_outcome import OwnFile, StageOutcome
from core.runs.stage_folder import StageFolder
from core.sources.base import StageInput
from core.stages.base import ModelStage, Stage

_log = logging.getLogger(__name__)

_FILES_VERSION = 3  # raised when the same checkpoint gives other files or counts
_WHY_VERSION = 3  # raised when other things are looked for in a file
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
            *other_order(np.load(main.logits), np.load(main.labels), self.data.classes),
        ]
        report.headline = files.artefacts[0].id
        base = self._baseline(report, files)
        share = _MEASURE / len(files.artefacts)
        for index, artefact in enumerate(files.artefacts):
            self.emit(PhaseStarted(report.key, "measure", f"Measuring {artefact.label}"))
            on_part_fraction = _from(on_fraction, _FILES + _EAGER + index * share, share)
            measured, change, measured_cached = self._measure(artefact, base, on_part_fraction)
            cached = cached and measured_cached
            report.artefacts.append(self._artefact(report, artefact, files, outcome, measured, change, base))
        self._compare(report)
        try:
            report.why = self._why(report, files.artefacts[0])
        except EspalierError as error:  # the figures stand without their reasons
            self.emit(Note(report.key, "warning", f"No reasons for the figures: {error.message}"))
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
            "files": _FILES_VERSION, "file": sha256_of(file), "of": sha256_of(reference), "data": self.data.fingerprint,
            "label": deployed.label, "onnxruntime": version("onnxruntime"),
        })  # fmt: skip
        if self._from_cache(report, key, target):
            return ArtefactRecord.read(target), True
        self.emit(PhaseStarted(report.key, "verify", "Verifying the file"))
        target.path.mkdir(exist_ok=True)
        if checkpoint is None:
            copy_file(reference, target.network_logits)
        artefact = adopt_artefact(
            self._tool(on_fraction), file, deployed.label, target, self.context.access, checkpoint
        )
        files = ArtefactRecord([artefact], self._count(artefact))
        files.write(target)
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
        from core.models.checkpoint import content_hash

        precision = stage.computes_in(report.facts)
        key = {
            "eager": content_hash(folder.checkpoint),
            "device": self.context.device,
            "precision": precision,
        }

        def measure() -> dict[str, Any]:
            self.emit(PhaseStarted(report.key, "measure", "Measuring PyTorch"))
            metrics = profile_checkpoint(
                self.context.tool, folder.checkpoint, self.context.device, precision,
                self.control, lambda done, text: on_fraction(done),
            )  # fmt: skip
            return {name: metric.model_dump() for name, metric in metrics.items()}

        plain, cached = self._measurements.get_or_measure(key, measure)
        metrics = {name: Metric.model_validate(metric) for name, metric in plain.items()}
        labels, logits = np.load(folder.artefacts.labels), np.load(folder.artefacts.network_logits)
        return {**accuracy_metrics(logits, labels, f"PyTorch on {self.context.device}"), **metrics}, cached

    def _measure(
        self, artefact: VerifiedArtefact, base: "_BaselineFile | None", on_fraction: Callable[[float], None]
    ) -> tuple[dict[str, Metric], dict[str, Metric], bool]:
        """Latency, throughput, memory and size of a file, and their ratios to the baseline's."""
        baseline_file = None if base is None or base.file == artefact.path else base.file

        def measure() -> dict[str, Any]:
            sample = self._sample(artefact)
            metrics, change = profile_artefact(
                artefact.path,
                baseline_file,
                sample,
                MeasuringProcess(
                    self.run.folder / "measure.log", self.control, lambda done, text: on_fraction(done)
                ),
                prepare={"image": list(self.data.size), "preprocess": artefact.facts["preprocess"]},
                measurements=self._measurements,
            )
            return {
                "metrics": {n: m.model_dump() for n, m in metrics.items()},
                "change": {n: m.model_dump() for n, m in change.items()},
            }

        key = {
            "file": artefact.sha256,
            "baseline": base.sha256 if base and baseline_file else "",
            "image": list(self.data.size),
        }
        plain, cached = self._measurements.get_or_measure(key, measure)
        metrics, change = (
            {name: Metric.model_validate(metric) for name, metric in plain[part].items()}
            for part in ("metrics", "change")
        )
        return metrics, change, cached

    def _why(self, report: StageReport, artefact: VerifiedArtefact) -> Why:
        """The reasons for the headline file's figures, from its graph and from times of its layers."""

        def measure_graph() -> dict[str, Any]:
            self.emit(PhaseStarted(report.key, "measure", "Looking for the reasons"))
            arguments = {
                "model": str(artefact.path),
                "input_size": artefact.facts["input_size"] or self.data.size[0],
            }
            with Child("measure", self.run.folder / "measure.log") as child:
                return child.call(examine_graph, arguments, self.control)

        graph, _ = self._measurements.get_or_measure(
            {"why": _WHY_VERSION, "file": artefact.sha256}, measure_graph
        )
        node = self.pipeline.stage(report.id)
        machine, chain = fingerprint(), [*self.pipeline.chain(node), node]
        timed = {
            1: report.metric("latency_ms"),
            machine["physical_cores"]: report.metric("latency_ms_all_cores"),
        }
        return explain(
            Evidence(
                report, None if report.id == self.pipeline.baseline_id else self._before(report),
                [ChainStage(stage.id, stage.kind, stage.parameters.model_dump(mode="json")) for stage in chain],
                graph, frozenset(machine["instructions"]),
                {threads: metric.value for threads, metric in timed.items() if metric and metric.value},
            )
        )  # fmt: skip

    def _before(self, report: StageReport) -> StageReport | None:
        """The stage that this one continues; the baseline where it continues a source."""
        before = self.run.report(report.source) if report.source in stage_keys(self.pipeline) else None
        return before or self._reference(report)

    def _sample(self, artefact: VerifiedArtefact) -> Path:
        """One preprocessed test image as .npy, float32 [1, 3, s, s]."""
        from core.data.preprocess import Preprocess

        index = self.data.split("test")[:1]
        path = self.run.scratch / "sample.npy"
        prepare = Preprocess.from_dict(artefact.facts["preprocess"])
        save_array(path, prepare(np.asarray(self.data.images[index])).numpy())
        return path

    def _artefact(
        self,
        report: StageReport,
        artefact: VerifiedArtefact,
        files: ArtefactRecord,
        outcome: StageOutcome,
        measured: dict[str, Metric],
        change: dict[str, Metric],
        base: "_BaselineFile | None",
    ) -> Artefact:
        logits, labels = np.load(artefact.logits), np.load(artefact.labels)
        right = logits.argmax(1) == labels
        metrics = accuracy_metrics(logits, labels, _RUNTIME) | measured
        if "energy_mj" not in metrics:
            metrics |= estimated(metrics["latency_ms"], self.context.core_watts)
        metrics["stored_mb"] = Metric(
            value=deflated_bytes(artefact.path) / 1e6,
            unit="MB",
            how="size of the file, deflated (zlib, level 6)",
        )
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
        if base is not None and base.file != artefact.path:
            change = {**change, "top1": paired_change(base.right, right)}
        else:
            change = {}
        return Artefact(
            id=artefact.id, label=artefact.label, precision=artefact.precision, path=str(artefact.path.relative_to(self.run.folder)), sha256=artefact.sha256,
            bytes=artefact.bytes, verification=artefact.verification, metrics=metrics, change=change,
        )  # fmt: skip

    def _baseline(self, report: StageReport, files: ArtefactRecord) -> "_BaselineFile | None":
        """The baseline's headline file, when it is there already or is this stage."""
        baseline = self._reference(report)
        if baseline is None:
            return None
        if baseline is not report:
            files = ArtefactRecord.read(self.run.stage_folder(baseline.key).artefacts)
        artefact = files.artefacts[0]
        return _BaselineFile(
            artefact.path, artefact.sha256, np.load(artefact.logits).argmax(1) == np.load(artefact.labels)
        )

    def _reference(self, report: StageReport) -> StageReport | None:
        """The baseline's report, of the same seed; None where it comes later."""
        if report.id == self.pipeline.baseline_id:
            return report
        return self.run.report(stage_key(self.pipeline, self.pipeline.baseline_id, report.seed))

    def _compare(self, report: StageReport) -> None:
        """Compression ratio and memory reduction against the baseline (R1's CR and MR%)."""
        baseline = self._reference(report)
        if baseline is None:
            self.emit(
                Note(
                    report.key,
                    "warning",
                    "The baseline comes later in this pipeline, so this stage has no changes beside it.",
                )
            )
            return
        params, memory = baseline.metric("params"), baseline.metric("memory_mb")
        for artefact in report.artefacts:
            metrics = artefact.metrics
            if params and params.value:
                artefact.metrics["compression_ratio"] = Metric(
                    value=params.value / float(metrics["params"].value or 1),
                    unit="×",
                    how="parameters of the baseline / parameters",
                )
            remaining = metrics.get("memory_mb")
            if memory and memory.value and remaining and remaining.value is not None:
                saved = 100.0 * (memory.value - remaining.value) / memory.value
                artefact.metrics["memory_reduction"] = Metric(
                    value=saved, unit="%", how="(M_baseline − M) / M_baseline of the inference process"
                )


def _from(on_fraction: Callable[[float], None], start: float, share: float) -> Callable[[float], None]:
    """Progress (0…1) of a part of the work, scaled to the `share` of the whole that begins at `start`."""
    return lambda done: on_fraction(start + share * done)


@dataclass(frozen=True, slots=True)
class _BaselineFile:
    """The baseline's headline file and, per test image, whether it is right [n]."""

    file: Path
    sha256: str
    right: "np.ndarray[Any, np.dtype[np.bool_]]"
