"""Exports a finished stage of a run in any of the formats, and verifies the file against the network.

The file is written beside its target, opened again in a fresh process, and answers the test images;
only a file that keeps the limits on the whole way from the network (`core.export.verification_ladder`) takes its place.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.common.errors import EspalierError
from core.common.files import advice_on, sha256_of
from core.data.access import DataAccess
from core.deploy.bundle import BundleFacts, pack
from core.deploy.formats import jobs
from core.deploy.formats.base import Format, Subject
from core.deploy.formats.catalogue import FORMATS, format_called
from core.deploy.formats.settings import ExportSettings
from core.export.measuring import measured
from core.export.model_card import Exported, card_of
from core.export.placing import folder_beside, placed, size_in_bytes
from core.export.stage_file import find_file, ladder_steps, origin, subject_of
from core.export.verification_ladder import Rung, Step, ladder
from core.export.watching import ExportWatch
from core.machine.child import Child
from core.records.reports import Artefact, Metric, StageReport, Verification
from core.runs.home import Home
from core.runs.run_folder import RunFolder

__all__ = [
    "FORMATS",
    "ExportResult",
    "ExportSettings",
    "ExportWatch",
    "Rung",
    "export_stage",
    "ladder_of",
    "model_card",
    "reason_against",
    "suggested_name",
]

_VERIFIED, _TIMED = 0.7, 0.95  # shares of an export's time


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The exported file at `path`, verified.

    Attributes:
        bytes, sha256: of `files` together, and of the file that was verified (in an archive: the model).
        top1: percent, of the file as it was opened again.
        verification: of the file against the PyTorch network.
        metrics: of the stage's file in the run; with `latency_ms` as measured on the exported file, where it was.
        files: everything that was written, `path` first.
        ladder: from the network to the exported file.
        card: the model card, Markdown; also where it was not written.
        notes: sentences about what the file is or is not.
    """

    path: Path
    bytes: int
    sha256: str
    top1: float
    verification: Verification
    metrics: dict[str, Metric]
    files: tuple[Path, ...] = ()
    ladder: tuple[Rung, ...] = ()
    card: str = ""
    notes: tuple[str, ...] = ()


def reason_against(run: RunFolder, report: StageReport, artefact: Artefact, settings: ExportSettings) -> str:
    """Why a stage's file cannot be exported like that, in a sentence or two; "" where it can."""
    return format_called(settings.format).reason_against(subject_of(run, report, artefact), settings)


def suggested_name(report: StageReport, artefact: Artefact, settings: ExportSettings) -> str:
    """A name for the exported file (or folder)."""
    name = f"{report.key.replace('@', '-')}-{artefact.id}"
    return name + format_called(settings.format).suffix


def ladder_of(run: RunFolder, stage_key: str, artefact_id: str = "") -> list[Rung]:
    """The ladder as far as the run itself has climbed it; empty where predictions are missing.

    Raises:
        EspalierError: when there is no such stage or file.
    """
    report, artefact = find_file(run, stage_key, artefact_id)
    steps, labels = ladder_steps(run, report, artefact)
    return ladder(steps, labels) if steps else []


def model_card(run: RunFolder, stage_key: str, artefact_id: str = "") -> str:
    """The model card of a stage's file, before any export.

    Raises:
        EspalierError: when there is no such stage or file.
    """
    report, artefact = find_file(run, stage_key, artefact_id)
    return card_of(run, report, artefact, ladder_of(run, stage_key, artefact_id), None)


def export_stage(
    run: RunFolder,
    stage_key: str,
    artefact_id: str,
    target: Path,
    settings: ExportSettings | None = None,
    watch: ExportWatch | None = None,
) -> ExportResult:
    """Write a stage's file to `target` as the settings say, verified on the test images in a fresh process.

    Args:
        stage_key: the stage's key in the run; with several seeds `id@seed`.
        artefact_id: of the file; "" takes the stage's headline file.
        settings: the run's ONNX file as it is, unless given.
        watch: by which a person follows and steers it.

    Raises:
        EspalierError: when there is no such stage or file, the format cannot hold it, the target cannot
            be written, or the file does not agree with the network (nothing is left at `target` then).
        Stopped: a person asked to stop; nothing is left at `target`.
    """
    settings = settings or ExportSettings()
    report, artefact = find_file(run, stage_key, artefact_id)
    subject = subject_of(run, report, artefact)
    kind = format_called(settings.format)
    if reason := kind.reason_against(subject, settings):
        raise EspalierError(f"{report.name} ({artefact.label}) cannot be exported as {kind.title}.", reason)
    work = _Export(run, subject, kind, settings, target, watch or ExportWatch(), Home.default())
    try:
        return work.run()
    except OSError as error:
        raise EspalierError(
            f"{target} could not be written: {error.strerror or error}.", advice_on(error)
        ) from error


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the exported file said in a fresh process.

    Attributes:
        logits: .npy [n, k] in the data set's order of classes. labels: .npy [n].
        sample: .npy, the first image as the file takes it.
        classes: in the order of the file's logits. preprocess: `Preprocess.as_dict`.
    """

    logits: Path
    labels: Path
    sample: Path
    classes: tuple[str, ...]
    preprocess: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Export:
    """One export under way."""

    run_folder: RunFolder
    subject: Subject
    kind: Format
    settings: ExportSettings
    target: Path
    watch: ExportWatch
    home: Home

    def run(self) -> ExportResult:
        """All of it; see `export_stage`."""
        with folder_beside(self.target, self.kind) as folder:
            scratch = folder / ".answers"  # not in the run folder, which may be somebody else's
            scratch.mkdir()
            return self._export(folder, scratch)

    def _export(self, folder: Path, scratch: Path) -> ExportResult:
        path = folder / ("model.onnx" if self.kind.bundle else self.target.name)
        self._write(path)
        answers = self._answers(path, scratch)
        rungs = self._ladder(answers)
        final = rungs[-1]
        if not final.good or final.network is None:
            raise EspalierError(
                f"The exported file does not agree with the network. {final.sentence}",
                "Nothing was written; choose another format or other settings, or run the stage again.",
            )
        metrics = dict(self.subject.artefact.metrics)
        latency = self._latency(path, answers) if self.settings.latency else None
        if latency is not None:
            metrics["latency_ms"] = latency
        self.watch.tell(_TIMED, "Writing")
        size = sum(size_in_bytes(part) for part in self.kind.parts(path))
        digest = sha256_of(self.kind.model_of(path))
        exported = Exported(self.kind, self.settings, final, metrics.get("latency_ms"), digest, size)
        card = card_of(self.run_folder, self.subject.report, self.subject.artefact, rungs, exported)
        if self.kind.bundle:
            files = [self._packed(path, folder, answers, digest, final, card)]
        else:
            files = list(self.kind.parts(path))
        if self.settings.card and not self.kind.bundle:
            files.append(folder / f"{self.target.stem}.md")
            files[-1].write_text(card, encoding="utf-8")
        self.watch.tell(1.0, "Exported")  # the last point to stop: from here on files are at the target
        written = tuple(placed(file, self.target.parent) for file in files)
        total = sum(
            size_in_bytes(file) for file in written[: 1 if self.kind.bundle else len(self.kind.parts(path))]
        )
        top1 = final.top1.value
        assert top1 is not None  # of at least one image
        return ExportResult(
            self.target,
            total,
            digest,
            top1,
            final.network,
            metrics,
            written,
            tuple(rungs),
            card,
            self._notes(skipped=self.settings.latency and latency is None),
        )

    @property
    def _access(self) -> DataAccess:
        """The images that the run worked with."""
        run = self.run_folder
        return DataAccess(run.pipeline.data, self.home.data, run.base, opened=run.opened_data)

    def _write(self, path: Path) -> None:
        self.watch.tell(0.0, f"Writing {self.kind.title}")
        with Child("tool", self._log) as tool:
            self.kind.write(
                self.subject, self.settings, origin(self.run_folder, self.subject.report), path,
                lambda job, arguments: tool.call(job, arguments, self.watch.control),
            )  # fmt: skip

    def _answers(self, path: Path, scratch: Path) -> _Answers:
        """Open the file in a fresh process and predict every test image."""
        files = {name: str(scratch / f"{name}.npy") for name in ("logits", "labels", "sample")}
        arguments = {
            **self._access.as_plain(), **files, "format": self.kind.id, "path": str(path),
        }  # fmt: skip
        with Child("tool", self._log) as fresh:
            result = fresh.call(
                jobs.predict, arguments, self.watch.control,
                lambda done, words: self.watch.tell(0.1 + (_VERIFIED - 0.1) * done, words),
            )  # fmt: skip
        classes = tuple(result["file_classes"] or result["classes"])
        logits, labels, sample = (Path(files[name]) for name in ("logits", "labels", "sample"))
        return _Answers(logits, labels, sample, classes, result["preprocess"])

    def _ladder(self, answers: _Answers) -> list[Rung]:
        artefact = self.subject.artefact
        steps, _ = ladder_steps(self.run_folder, self.subject.report, artefact)
        if not steps:
            raise EspalierError(
                "The run no longer holds the network's answers, which the file is held against.",
                "Run the pipeline again; its stages come from the cache.",
            )
        label = f"Exported: {self.kind.title}"
        last = Step("exported", label, artefact.precision, self.kind.runtime, np.load(answers.logits))
        return ladder([*steps, last], np.load(answers.labels))

    def _latency(self, path: Path, answers: _Answers) -> Metric | None:
        def tell(done: float, words: str) -> None:
            self.watch.tell(_VERIFIED + (_TIMED - _VERIFIED) * done, words)

        return self.watch.measure(
            lambda control: measured(path, self.kind, answers.sample, self._log, self.home, control, tell)
        )

    def _packed(
        self, model: Path, folder: Path, answers: _Answers, digest: str, final: Rung, card: str
    ) -> Path:
        """The archive, with a part of the test images and what the file answered to them here."""
        run, report = self.run_folder, self.subject.report
        data = self._access.open(self.watch.control)
        archive = folder / self.target.name
        facts = BundleFacts(
            name=run.pipeline.name, run=run.name, stage=report.key, stage_name=report.name,
            file=self.subject.artefact.label, precision=self.subject.precision, sha256=digest,
            pipeline=origin(run, report)["pipeline"], classes=answers.classes, preprocess=answers.preprocess,
            prepares=self.settings.preprocessing,
        )  # fmt: skip
        pack(archive, model, card, facts, data, np.load(answers.logits), self.settings.images)
        return archive

    def _notes(self, skipped: bool) -> tuple[str, ...]:
        """Sentences about the file; `skipped`: a person left out that it is measured."""
        notes = []
        if skipped:
            notes.append("Measuring was skipped: a latency that stands here is the one from the run.")
        if self.settings.preprocessing:
            notes.append(
                "Takes images as bytes (red, green, blue) of any size. ONNX Runtime makes them smaller as the "
                "training did; other runtimes may leave out the smoothing."
            )
        if self.settings.batch:
            count = self.settings.batch
            notes.append(f"Takes exactly {count} image{'s' if count > 1 else ''} in a call.")
        if self.subject.checkpoint is None and self.subject.precision not in ("float32", "given", "float16"):
            notes.append("Quantized: other processors may round otherwise; measure it where it will run.")
        return tuple(notes)

    @property
    def _log(self) -> Path:
        return self.run_folder.folder / "export.log"
