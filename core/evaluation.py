"""From a stage's checkpoint to its report: files, verification, accuracy, speed, memory, size.

Files and predictions are kept by what they were made from; measurements by the file's hash, the
machine's fingerprint and the protocol's version. A stage is compared with the baseline on the
same images and in alternating blocks of timed runs.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from core.analysis.accuracy import accuracy_metrics, paired_change
from core.cache import Store, make_key
from core.child import Child
from core.control import RunControl
from core.data.image_data import ImageData
from core.deploy.artefacts import MadeArtefact, make_artefacts
from core.events import Listener, Note, PhaseStarted
from core.pipeline import Pipeline
from core.profiling.latency import PROTOCOL_VERSION, profile_artefact
from core.profiling.machine import fingerprint, fingerprint_hash
from core.reports import Artefact, Metric, StageReport, Verification
from core.runs import Home, RunFolder, stage_key, write_atomically

_FILES_VERSION = 1  # raised when the same checkpoint gives other files or counts
_RUNTIME = "exported file in ONNX Runtime on the CPU"
_PATHS = ("path", "logits", "reference", "labels")
_FILES, _EAGER, _MEASURE = 0.45, 0.15, 0.40  # shares of an evaluation's time


@dataclass(slots=True)
class _Files:
    """What the tool child made of one checkpoint; lies in the stage's `artefacts` folder."""

    made: list[MadeArtefact]
    counts: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        plain = [
            {
                **asdict(one),
                "verification": one.verification.model_dump(),
                **{n: getattr(one, n).name for n in _PATHS},
            }
            for one in self.made
        ]
        write_atomically(
            folder / "made.json", json.dumps({"made": plain, "counts": self.counts, "notes": self.notes})
        )

    @classmethod
    def read(cls, folder: Path) -> "_Files":
        plain = json.loads((folder / "made.json").read_text(encoding="utf-8"))
        names = {entry.name for entry in fields(MadeArtefact)}
        made = []
        for one in plain["made"]:
            one |= {name: folder / one[name] for name in _PATHS} | {
                "verification": Verification.model_validate(one["verification"])
            }
            made.append(MadeArtefact(**{name: value for name, value in one.items() if name in names}))
        return cls(made, plain["counts"], plain["notes"])


class Evaluator:
    """Evaluates the stages of one run; holds the tool child and the caches. Use as a context."""

    def __init__(
        self,
        run: RunFolder,
        home: Home,
        pipeline: Pipeline,
        data: ImageData,
        device: str,
        threads: int,
        control: RunControl,
        emit: Listener,
    ):
        self.run, self.home, self.pipeline, self.data = run, home, pipeline, data
        self.device, self.threads, self.control, self.emit = device, threads, control, emit
        self._files = Store(home.cache / "artefacts")
        self._measurements = Store(home.cache / "measurements")
        self._machine = fingerprint()
        self._tool = Child("tool", run.folder / "tool.log")

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tool.close()

    def evaluate(
        self,
        report: StageReport,
        folder: Path,
        kept: dict[str, Any],
        half: bool,
        on_fraction: Callable[[float], None],
    ) -> bool:
        """Fill `report` with artefacts, metrics and changes; True when all came from caches.

        Args:
            folder: the stage's folder with its `checkpoint`.
            kept: what the stage left: training_seconds, params, nonzero_params.
            half: make the float16 file too.

        Raises:
            EspalierError: when the exported file does not agree with the network.
        """
        files, cached = self._obtain_files(report, folder, half, _from(on_fraction, 0.0, _FILES))
        report.pytorch, eager_cached = self._eager(report, folder, _from(on_fraction, _FILES, _EAGER))
        report.notes += files.notes
        report.headline = files.made[0].id
        base = self._baseline(report, files)
        share = _MEASURE / len(files.made)
        for index, made in enumerate(files.made):
            self.emit(PhaseStarted(report.key, "measure", f"Measuring {made.label}"))
            told = _from(on_fraction, _FILES + _EAGER + index * share, share)
            measured, change, measured_cached = self._measure(made, base, folder, told)
            cached = cached and measured_cached
            report.artefacts.append(self._artefact(report, made, files, kept, measured, change, base))
        self._compare(report)
        on_fraction(1.0)
        return cached and eager_cached

    def _obtain_files(
        self, report: StageReport, folder: Path, half: bool, on_fraction: Callable[[float], None]
    ) -> tuple[_Files, bool]:
        from core.checkpoint import content_hash

        target = folder / "artefacts"
        if (target / "made.json").is_file():
            return _Files.read(target), False
        key = make_key({
            "files": _FILES_VERSION, "checkpoint": content_hash(folder / "checkpoint"), "data": self.data.fingerprint, "half": half,
            "device": self.device.split(":")[0], **{name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        })  # fmt: skip
        if self._files.copy_to(key, target):
            return _Files.read(target), True
        self.emit(PhaseStarted(report.key, "export", "Exporting and verifying"))
        target.mkdir(exist_ok=True)
        refused: list[str] = []
        made = make_artefacts(
            self._tool, folder / "checkpoint", target, self.pipeline.data.model_dump(mode="json"), self.home.data, self.run.base,
            half=half, device=self.device, threads=self.threads, control=self.control,
            on_progress=lambda done, text: on_fraction(0.9 * done),
            on_refused=lambda error: refused.append(f"No float16 file: {error.message}"),
        )  # fmt: skip
        counts = self._tool.call(
            "core.profiling.counting:count",
            {"model": str(made[0].path), "input_size": made[0].facts["input_size"]},
            self.control,
        )
        files = _Files(made, counts, refused)
        files.write(target)
        self._files.put(key, target)
        return files, False

    def _eager(
        self, report: StageReport, folder: Path, on_fraction: Callable[[float], None]
    ) -> tuple[dict[str, Metric], bool]:
        """PyTorch's own figures on the run's device, beside the deployment's."""
        from core.checkpoint import content_hash

        precision = report.facts.get("trained_in", "float32") if report.kind == "train-mixed" else "float32"
        key = {"eager": content_hash(folder / "checkpoint"), "device": self.device, "precision": precision}

        def measure() -> dict[str, Any]:
            self.emit(PhaseStarted(report.key, "measure", "Measuring PyTorch"))
            arguments = {
                "checkpoint": str(folder / "checkpoint"),
                "device": self.device,
                "autocast": precision if precision != "float32" else None,
                "threads": 1,
            }
            return self._tool.call(
                "core.profiling.eager:profile", arguments, self.control, lambda done, text: on_fraction(done)
            )

        plain, cached = self._remembered(key, measure)
        metrics = {name: Metric.model_validate(metric) for name, metric in plain.items()}
        labels, logits = (
            np.load(folder / "artefacts" / name) for name in ("labels.npy", "pytorch.logits.npy")
        )
        return {**accuracy_metrics(logits, labels, f"PyTorch on {self.device}"), **metrics}, cached

    def _measure(
        self, made: MadeArtefact, base: "_Base | None", folder: Path, on_fraction: Callable[[float], None]
    ) -> tuple[dict[str, Metric], dict[str, Metric], bool]:
        """Latency, throughput, memory and size of a file, and their ratios to the baseline's."""
        against = None if base is None or base.file == made.path else base.file

        def measure() -> dict[str, Any]:
            sample = self._sample(folder)
            metrics, change = profile_artefact(
                made.path,
                against,
                sample,
                log=self.run.folder / "measure.log",
                control=self.control,
                on_progress=lambda done, text: on_fraction(done),
            )
            return {
                "metrics": {n: m.model_dump() for n, m in metrics.items()},
                "change": {n: m.model_dump() for n, m in change.items()},
            }

        key = {"file": made.sha256, "baseline": base.sha256 if base and against else ""}
        plain, cached = self._remembered(key, measure)
        metrics, change = (
            {name: Metric.model_validate(metric) for name, metric in plain[part].items()}
            for part in ("metrics", "change")
        )
        return metrics, change, cached

    def _remembered(
        self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> tuple[dict[str, Any], bool]:
        """A measurement from this machine's store, or a fresh one, and which it was."""
        name = make_key({**key, "machine": fingerprint_hash(self._machine), "protocol": PROTOCOL_VERSION})
        entry = self._measurements.get(name)
        if entry is not None:
            return json.loads((entry / "measurement.json").read_text(encoding="utf-8")), True
        plain = measure()
        scratch = self.run.scratch / "measurement"
        scratch.mkdir(parents=True, exist_ok=True)
        write_atomically(scratch / "measurement.json", json.dumps(plain))
        self._measurements.put(name, scratch)
        return plain, False

    def _sample(self, folder: Path) -> Path:
        """One preprocessed test image as .npy, float32 [1, 3, s, s]."""
        from core.data.preprocess import Preprocess

        plain = json.loads((folder / "checkpoint" / "architecture.json").read_text(encoding="utf-8"))[
            "preprocess"
        ]
        index = self.data.split("test")[:1]
        path = self.run.scratch / "sample.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, Preprocess.from_dict(plain)(np.asarray(self.data.images[index])).numpy())
        return path

    def _artefact(
        self,
        report: StageReport,
        made: MadeArtefact,
        files: _Files,
        kept: dict[str, Any],
        measured: dict[str, Metric],
        change: dict[str, Metric],
        base: "_Base | None",
    ) -> Artefact:
        logits, labels = np.load(made.logits), np.load(made.labels)
        right = logits.argmax(1) == labels
        metrics = accuracy_metrics(logits, labels, _RUNTIME) | measured
        how = "counted on the network"
        metrics["params"] = Metric(value=kept["params"], how=how)
        metrics["nonzero_params"] = Metric(value=kept["nonzero_params"], how=how)
        metrics["macs"] = Metric(
            value=files.counts["macs"], how="counted on the exported graph: convolutions and matrix products"
        )
        metrics["flops"] = Metric(value=2 * files.counts["macs"], how="2 × MACs")
        metrics["training_seconds"] = Metric(
            value=kept["training_seconds"], unit="s", how=f"training on {self.device}"
        )
        metrics["agreement"] = Metric(
            value=made.verification.agreement,
            unit="%",
            n=made.verification.images,
            how="top-1 of file and PyTorch network",
        )
        metrics["max_logit_difference"] = Metric(
            value=made.verification.max_logit_difference,
            n=made.verification.images,
            how="file against PyTorch network",
        )
        if base is not None and base.file != made.path:
            change = {**change, "top1": paired_change(base.right, right)}
        else:
            change = {}
        if report.kind == "train-mixed" and made.id == report.headline:
            notes = ["Exported as float32: cannot be smaller or faster than the model before."]
        else:
            notes = []
        return Artefact(
            id=made.id, label=made.label, precision=made.precision, path=str(made.path.relative_to(self.run.folder)), sha256=made.sha256,
            bytes=made.bytes, verification=made.verification, metrics=metrics, change=change, notes=notes,
        )  # fmt: skip

    def _baseline(self, report: StageReport, files: _Files) -> "_Base | None":
        """The baseline's headline file, of the same seed, when it is there already or is this stage."""
        if report.id == self.pipeline.baseline_id:
            made = files.made[0]
            return _Base(made.path, made.sha256, np.load(made.logits).argmax(1) == np.load(made.labels))
        other = self.run.report(stage_key(self.pipeline, self.pipeline.baseline_id, report.seed))
        if other is None or other.main is None:
            return None
        made = _Files.read(self.run.stage_folder(other.key) / "artefacts").made[0]
        return _Base(made.path, made.sha256, np.load(made.logits).argmax(1) == np.load(made.labels))

    def _compare(self, report: StageReport) -> None:
        """Compression ratio and memory reduction against the baseline (R1's CR and MR%)."""
        baseline = (
            report
            if report.id == self.pipeline.baseline_id
            else self.run.report(stage_key(self.pipeline, self.pipeline.baseline_id, report.seed))
        )
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
            own = artefact.metrics
            if params and params.value:
                artefact.metrics["compression_ratio"] = Metric(
                    value=params.value / float(own["params"].value or 1),
                    unit="×",
                    how="parameters of the baseline / parameters",
                )
            if memory and memory.value and own.get("memory_mb") and own["memory_mb"].value is not None:
                saved = 100.0 * (memory.value - own["memory_mb"].value) / memory.value
                artefact.metrics["memory_reduction"] = Metric(
                    value=saved, unit="%", how="(M_baseline − M) / M_baseline of the inference process"
                )


def _from(on_fraction: Callable[[float], None], start: float, share: float) -> Callable[[float], None]:
    """Tell the done part of a share that begins at `start`."""
    return lambda done: on_fraction(start + share * done)


@dataclass(frozen=True, slots=True)
class _Base:
    """The baseline's headline file and, per test image, whether it is right [n]."""

    file: Path
    sha256: str
    right: "np.ndarray[Any, np.dtype[np.bool_]]"
