"""Measuring the files of a run: in its stages, and again later, without training.

Measurements are kept by the file's hash, the machine's fingerprint and the protocol's version; one that a busy machine
spoiled is not kept. A file is compared with the baseline's of the same seed in alternating blocks of timed runs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.analysis.interval_support import uncertain
from core.analysis.why import ChainStage, Evidence, explain
from core.analysis.why.graph import examine_graph
from core.common.content_hashes import intact
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.deploy.artefact_record import ArtefactRecord
from core.deploy.artefacts import VerifiedArtefact
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_key, stage_keys
from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.machine.measuring_lock import measuring_alone, saying_waits
from core.profiling import PROTOCOL_VERSION
from core.profiling.energy import estimated
from core.profiling.latency import MeasuringProcess, make_sample, profile_artefact
from core.records.events import Event, Note, PhaseStarted
from core.records.reports import MeasuredWith, Metric, StageReport
from core.runs.cache import Measurements
from core.runs.run_folder import RunFolder

_WHY_VERSION = 3  # raised when other things are looked for in a file


@dataclass(frozen=True, slots=True)
class BaselineFile:
    """The baseline's headline file and, per test image, whether it is right [n]."""

    file: Path
    sha256: str
    right: "np.ndarray[Any, np.dtype[np.bool_]]"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on a file, its changes against the baseline's, and how it was taken."""

    metrics: dict[str, Metric]
    change: dict[str, Metric]
    measured: MeasuredWith


class TimedFile(Protocol):
    """A file that can be timed: its hash, and in its facts how its images are prepared (`preprocess`)."""

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def facts(self) -> dict[str, Any]: ...


class Measuring:
    """Measures the files of one run.

    Args:
        how: the image that preprocessing begins with, and the power of one busy core.
        again: whether files are measured although a measurement is known.
    """

    def __init__(
        self,
        run: RunFolder,
        pipeline: Pipeline,
        measurements: Measurements,
        control: RunControl,
        emit: Callable[[Event], None],
        how: MeasuredWith,
        again: bool = False,
    ):
        self.run, self.pipeline = run, pipeline
        self._measurements, self._control, self._emit = measurements, control, emit
        self._how, self._again = how, again

    def figures(
        self,
        stage: str,
        artefact: TimedFile,
        base: BaselineFile | None,
        on_fraction: Callable[[float], None],
    ) -> tuple[Figures, bool]:
        """Times, memory, energy and size of a file and their ratios to the baseline's; whether they were known.

        Args:
            stage: the key of the stage that made it.
        """
        baseline = None if base is None or base.file == artefact.path else base
        image = None if self._how.image is None else list(self._how.image)
        key = {
            "file": artefact.sha256,
            "baseline": baseline.sha256 if baseline else "",
            "image": image,
        }

        def say(text: str) -> None:
            self._emit(PhaseStarted(stage, "measure", text))

        def measure() -> dict[str, Any]:
            sample = self.run.scratch / "sample.npy"
            sample.parent.mkdir(exist_ok=True)
            preprocess = artefact.facts["preprocess"]
            make_sample(sample, preprocess["size"], preprocess.get("channels", 3))
            metrics, change = profile_artefact(
                artefact.path,
                baseline.file if baseline else None,
                sample,
                MeasuringProcess(self._log, self._control, saying_waits(say, on_fraction)),
                prepare=None if image is None else {"image": image, "preprocess": preprocess},
                measurements=self._measurements,
            )
            return {
                "metrics": {n: m.model_dump() for n, m in metrics.items()},
                "change": {n: m.model_dump() for n, m in change.items()},
                "at": time.time(),
            }

        plain, cached = self._measurements.get_or_measure(key, measure, _settled, self._again)
        metrics, change = (
            {name: Metric.model_validate(metric) for name, metric in plain[part].items()}
            for part in ("metrics", "change")
        )
        if "energy_mj" not in metrics and self._how.core_watts is not None:
            metrics |= estimated(metrics["latency_ms"], self._how.core_watts)
        taken = {"protocol": PROTOCOL_VERSION, "at": plain.get("at", 0.0)}
        return Figures(metrics, change, self._how.model_copy(update=taken)), cached

    def baseline(self, report: StageReport, files: ArtefactRecord) -> BaselineFile | None:
        """The baseline's headline file, when it is there already or is this stage."""
        baseline = self._reference(report)
        if baseline is None:
            return None
        if baseline is not report:
            files = ArtefactRecord.read(self.run.stage_folder(baseline.key).artefacts)
        artefact = files.artefacts[0]
        return BaselineFile(
            artefact.path,
            artefact.sha256,
            np.load(intact(artefact.logits)).argmax(1) == np.load(intact(artefact.labels)),
        )

    def compare(self, report: StageReport) -> None:
        """Ratio of parameters and memory reduction against the baseline (Hamza et al.'s CR and MR%)."""
        baseline = self._reference(report)
        if baseline is None:
            self._emit(
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

    def explain(self, report: StageReport, artefact: VerifiedArtefact) -> None:
        """The reasons for the headline file's figures, from its graph and from times of its layers."""
        try:
            graph, _ = self._measurements.get_or_measure(
                {"why": _WHY_VERSION, "file": artefact.sha256}, lambda: self._graph(report, artefact)
            )
        except EspalierError as error:  # the figures stand without their reasons
            self._emit(Note(report.key, "warning", f"No reasons for the figures: {error.message}"))
            return
        node = self.pipeline.stage(report.id)
        machine, chain = fingerprint(), [*self.pipeline.chain(node), node]
        timed = {
            1: report.metric("latency_ms"),
            machine["physical_cores"]: report.metric("latency_ms_all_cores"),
        }
        report.why = explain(
            Evidence(
                report, None if report.id == self.pipeline.baseline_of(report.id) else self._before(report),
                [ChainStage(stage.id, stage.kind, stage.parameters.model_dump(mode="json")) for stage in chain],
                graph, frozenset(machine["instructions"]),
                {
                    threads: metric.value for threads, metric in timed.items()
                    if metric and metric.value and not uncertain("latency_ms", metric)
                },
            )
        )  # fmt: skip

    def _graph(self, report: StageReport, artefact: VerifiedArtefact) -> dict[str, Any]:
        self._emit(PhaseStarted(report.key, "measure", "Looking for the reasons"))
        size = artefact.facts["input_size"] or artefact.facts["preprocess"]["size"]
        arguments = {"model": str(artefact.path), "input_size": size}
        tell = saying_waits(
            lambda text: self._emit(PhaseStarted(report.key, "measure", text)), lambda done: None
        )
        with measuring_alone(self._control, tell), Child("measure", self._log) as child:
            return child.call(examine_graph, arguments, self._control)

    @property
    def _log(self) -> Path:
        return self.run.folder / "measure.log"

    def _before(self, report: StageReport) -> StageReport | None:
        """The stage that this one continues; the baseline where it continues a source."""
        before = self.run.report(report.source) if report.source in stage_keys(self.pipeline) else None
        return before or self._reference(report)

    def _reference(self, report: StageReport) -> StageReport | None:
        """The report of the stage's baseline, of the same seed; None where it comes later."""
        baseline = self.pipeline.baseline_of(report.id)
        if report.id == baseline:
            return report
        return self.run.report(stage_key(self.pipeline, baseline, report.seed))


def _settled(plain: dict[str, Any]) -> bool:
    """Whether a measurement is worth keeping: one that a busy machine spoiled is taken again the next time."""
    ratio = plain["change"].get("latency_ms")
    is_range = Metric.model_validate(plain["metrics"]["latency_ms"]).is_range
    return not is_range and (ratio is None or ratio["value"] is not None)
