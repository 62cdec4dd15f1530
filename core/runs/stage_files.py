"""The files of finished stages: which network and images each belongs to, and what it is compared with at first."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.analysis.confusion import Answers, read_answers
from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.data.access import DataAccess
from core.data.settings import settings_path
from core.deploy.artefact_record import facts_of_file
from core.document.pipeline import Pipeline
from core.document.stage_keys import id_of
from core.models.checkpoint_description import read_architecture
from core.records.reports import Artefact, StageReport
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

_DECIDE_NO_TEST_IMAGE = {
    "augmentation", "image_size", "resize", "normalisation", "train_images", "validation_images", "balance",
    "imbalance",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageFile:
    """One file. Two are equal when they are the same file of the same run."""

    folder: Path
    key: str
    artefact_id: str
    run: RunFolder = field(compare=False, repr=False)
    pipeline: Pipeline = field(compare=False, repr=False)
    report: StageReport = field(compare=False, repr=False)
    artefact: Artefact = field(compare=False, repr=False)
    parents: tuple[str, ...] = field(compare=False, repr=False, default=())

    @property
    def title(self) -> str:
        """Stage, seed where there are several, and file."""
        seed = f" · seed {self.report.seed}" if "@" in self.key else ""
        return f"{self.report.name}{seed} · {self.artefact.label}"

    @property
    def short(self) -> str:
        """The stage's name alone; the file's where it is not the stage's main one."""
        main = self.artefact_id == self.report.headline
        return self.report.name if main else f"{self.report.name} · {self.artefact.label}"

    @property
    def file(self) -> Path:
        return self.folder / self.artefact.path

    @property
    def checkpoint(self) -> Path | None:
        """The network that this stage left; None for stages that work on the exported file."""
        return self.run.stage_folder(self.key).network

    @property
    def network(self) -> Path | None:
        """The network that the file was exported from: this stage's, or the nearest before it."""
        for key in (self.key, *self.parents):
            if (checkpoint := self.run.stage_folder(key).network) is not None:
                return checkpoint
        return None

    @property
    def float_file(self) -> Path | None:
        """The float32 file that the network was exported to; None where there is none."""
        key = self._float_key
        return self.run.stage_folder(key).artefacts.float32 if key else None

    @property
    def float_stage(self) -> str:
        """The id of the stage whose network `float_file` is; empty where there is none."""
        return id_of(self._float_key)

    @property
    def _float_key(self) -> str:
        keys = (self.key, *self.parents)
        return next((key for key in keys if self.run.stage_folder(key).artefacts.float32.is_file()), "")

    @property
    def input_size(self) -> int:
        """Side of the images that the network takes, in pixels."""
        if self.network is not None:
            return int(read_architecture(self.network)["preprocess"]["size"])
        return int(facts_of_file(self.file).get("input_size") or self.pipeline.data.image_size or 224)

    def classes(self, home: Home) -> tuple[str, ...]:
        """The data set's classes, in the order of the logits.

        Raises:
            EspalierError: when neither a network nor the data set says them.
        """
        if self.network is not None:
            return tuple(read_architecture(self.network)["classes"])
        return self.access(home).open().classes

    def answers(self, home: Home) -> Answers:
        """What the file answered on the test images.

        Raises:
            EspalierError: when its answers are not there.
        """
        folder = self.run.stage_folder(self.key).artefacts
        return read_answers(folder.logits(self.artefact_id), folder.labels, self.classes(home), self.images)

    @property
    def images(self) -> str:
        """What identifies the test images: everything in the data section that decides them."""
        data = self.pipeline.data.model_dump(mode="json", exclude=_DECIDE_NO_TEST_IMAGE)
        if data.get("path"):
            data["path"] = str(settings_path(data["path"], self.run.base))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    @property
    def data_folder(self) -> Path | None:
        """The file or folder with the images of the run, where a person named one."""
        path = self.pipeline.data.path
        return settings_path(path, self.run.base) if path else None

    @property
    def validation_images(self) -> int | None:
        """How many validation images the run worked with; None where that was not written down."""
        opened = self.run.opened_data
        return opened.images.get("validation") if opened is not None else None

    def access(self, home: Home) -> DataAccess:
        """The images that the file was tested on."""
        return DataAccess(self.pipeline.data, home.data, self.run.base, opened=self.run.opened_data)


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of the list of runs."""

    folder: Path
    label: str


def runs_to_inspect(home: Home, limit: int = 60) -> list[RunEntry]:
    """The newest runs that have a finished stage."""
    entries = []
    for run in find_runs(home)[:limit]:
        with passed_over(_log, f"{run.folder} is not offered to look at", EspalierError):
            info = run.info
            if any(stage.report_file.is_file() for stage in run.stage_folders()):
                when = time.strftime("%d %b, %H:%M", time.localtime(info.started))
                entries.append(RunEntry(run.folder, f"{when} · {info.name or run.name}"))
    return entries


def subjects_of(run: RunFolder) -> list[StageFile]:
    """Every file of every finished stage of a run, in the order of the pipeline.

    Raises:
        EspalierError: when it is no run folder, or cannot be read.
    """
    pipeline, reports = run.pipeline, run.reports()
    sources = {report.key: report.source for report in reports}
    files = []
    for report in reports:
        parents, key = [], report.source
        while key in sources and key not in parents:
            parents.append(key)
            key = sources[key]
        files += [
            StageFile(run.folder, report.key, artefact.id, run, pipeline, report, artefact, tuple(parents))
            for artefact in report.artefacts
            if (run.folder / artefact.path).is_file()
        ]
    return files


def find(subjects: Sequence[StageFile], key: str, artefact_id: str = "") -> StageFile | None:
    """The file of a stage; its main one where none is named."""
    same = [file for file in subjects if file.key == key]
    return next((file for file in same if file.artefact_id == (artefact_id or file.report.headline)), None)


def final(subjects: Sequence[StageFile]) -> StageFile | None:
    """The main file of the pipeline's result; of the last finished stage where that is not there yet."""
    mains = [file for file in subjects if file.artefact_id == file.report.headline]
    results = [file for file in mains if file.report.id == file.pipeline.final_id]
    best = results or mains
    return best[-1] if best else None


def counterpart(subject: StageFile, subjects: Sequence[StageFile]) -> StageFile | None:
    """The file to compare with by default: the stage before it, or else the baseline."""
    if subject.artefact_id != subject.report.headline:
        return find(subjects, subject.key)
    earlier = find(subjects, subject.report.source)
    if earlier is not None:
        return earlier
    same_seed = [file for file in subjects if file.report.seed == subject.report.seed]
    id = subject.pipeline.baseline_of(subject.report.id)
    baseline = next((file for file in same_seed if file.report.id == id), None)
    return baseline if baseline != subject else None


def check_files(subjects: Sequence[StageFile]) -> None:
    """Check that the files are still there and hold what was written into them.

    Raises:
        EspalierError: when one is missing or damaged.
    """
    for subject in subjects:
        if not subject.file.is_file():
            raise EspalierError(
                f"The file of {subject.title!r} is gone: {subject.file}.",
                "Run the pipeline again; its stages come from the cache.",
            )
        intact(subject.file)
