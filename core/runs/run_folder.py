"""A run folder: what lies where in it, and reading and writing it.

A run is a folder: `pipeline.yaml` (every setting written out), `run.json` (machine, versions,
status; `run.copy.json` holds the same), `events.jsonl` (numbered), what was settled by timing (`precision_trials.json`,
`latency_targets.json`), `inputs/` (weights and teachers from outside, copied), `sources/`,
`stages/<key>/` (checkpoint, artefacts, predictions, report), `report.md`, and the final model. The
index next to the runs (`core.runs.index`) is made from them. A new one is made by `core.runs.new_run`; `core.runs.finding`
finds those that are there.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.common.content_hashes import DAMAGED, DamagedError, read_sealed, set_aside, write_sealed
from core.common.errors import EspalierError
from core.common.files import text_sha256, write_atomically
from core.common.logs import in_a_line, passed_over
from core.data.image_data import Opened
from core.document import pipeline as documents
from core.document.expansion import expanded
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_keys
from core.records.events import Event
from core.records.reports import StageReport
from core.records.run_info import FORMAT, RunInfo
from core.runs.event_log import EventLog
from core.runs.info_file import InfoFile
from core.runs.own_files import check_own_files
from core.runs.run_lock import RunLock
from core.runs.stage_folder import StageFolder

PIPELINE_FILE = "pipeline.yaml"
CONFIRMED = "confirmed.json"  # of a search: what its finalists are confirmed by
_log = logging.getLogger(__name__)


class RunFolder:
    """One run on disk."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._log = EventLog(folder / "events.jsonl")
        self._info_file, self._lock = InfoFile(folder), RunLock(folder)
        self.restored: list[str] = []  # a sentence for each file that was damaged and is whole again

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """An existing run.

        Raises:
            EspalierError: when it is none, was written by a newer version, or holds links that lead elsewhere.
        """
        check_own_files(folder)
        run = cls(folder)
        received = run._info_file.content().get("format")
        if received != FORMAT:
            raise EspalierError(
                f"The run in {folder} has format {received}; this version of Espalier reads format {FORMAT}.",
                "Open it with the version that wrote it, or a newer one.",
            )
        return run

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def info(self) -> RunInfo:
        """The content of run.json.

        Raises:
            EspalierError: when there is none, or it is no such file.
        """
        return self._info_file.read()

    def update_info(self, **changes: Any) -> None:
        """Change entries of run.json, by the names of `RunInfo`; None takes an entry out, all others stay."""
        if damage := self._info_file.change(**changes):
            self.restored.append(damage)

    @property
    def base(self) -> Path:
        """Where relative paths of its pipeline start."""
        return Path(self.info.base)

    @property
    def opened_data(self) -> Opened | None:
        """The images that it was started with; None where that was not written down."""
        try:
            return Opened.from_plain(self.info.data)
        except ValueError:
            return None

    @property
    def pipeline(self) -> Pipeline:
        """The document that its stages are of: as it was run, every backbone of an axis written out, or what a search
        confirms, once that is known."""
        file = self.folder / CONFIRMED
        if file.is_file():
            with passed_over(_log, f"{file} is passed over", DamagedError, ValueError):
                return Pipeline.parse(read_sealed(file)["pipeline"])
        return expanded(self.written)

    def write_confirmed(self, pipeline: Pipeline) -> None:
        """Say which stages the run has from now on: those that confirm what a search found."""
        write_sealed(self.folder / CONFIRMED, {"pipeline": pipeline.resolved().as_dict()})

    @property
    def written(self) -> Pipeline:
        """The document as it was run, every setting written out, also where pipeline.yaml is damaged."""
        document = self.info.document
        if document and not self.pipeline_is_untouched:
            return documents.loads(document, self.name).resolved()
        return documents.load(self.pipeline_file)

    @property
    def pipeline_file(self) -> Path:
        return self.folder / PIPELINE_FILE

    @property
    def pipeline_is_untouched(self) -> bool:
        """Whether pipeline.yaml is as the run wrote it; also where that was not written down."""
        written = self.info.pipeline_sha256
        try:
            return not written or written == text_sha256(self.pipeline_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            _log.debug("%s cannot be read: %s", self.pipeline_file, in_a_line(error))
            return False

    def restore_pipeline(self) -> None:
        """Write pipeline.yaml again where it is damaged; one that can be read was changed by a person and stays."""
        if self.pipeline_is_untouched:
            return
        try:
            documents.load(self.pipeline_file)
        except EspalierError as error:
            text = documents.dumps(self.written)
            if self.pipeline_file.exists():
                set_aside(self.pipeline_file)
            write_atomically(self.pipeline_file, text)
            self.update_info(pipeline_sha256=text_sha256(text))
            self.restored.append(f"{self.pipeline_file} was damaged and is written again. {error.message}")

    def stage_folder(self, key: str) -> StageFolder:
        """The folder of a stage, which may not be there yet."""
        return StageFolder(self.folder / "stages" / key)

    def stage_folders(self) -> list[StageFolder]:
        """The folders of all stages that are there, by their names."""
        folders = sorted((self.folder / "stages").glob("*"))
        return [StageFolder(path) for path in folders if not path.name.endswith(DAMAGED)]

    @property
    def markdown_report(self) -> Path:
        """The report of the finished run, for people."""
        return self.folder / "report.md"

    @property
    def final_model(self) -> Path:
        """The exported file of the pipeline's final stage, once the run is completed."""
        return self.folder / "model.onnx"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @contextmanager
    def locked(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the folder for writing; within one `RunFolder` it may be held several times over.

        Args:
            wait: seconds to wait for another process, such as one that looks whether the run goes on.

        Raises:
            EspalierError: when another process holds it.
        """
        with self._lock.held(wait):
            try:
                yield
            finally:
                self.close()

    @property
    def active(self) -> bool:
        """Whether a process works in the folder now: it holds the lock until it ends."""
        return self._lock.taken

    @property
    def status(self) -> str:
        """`status` of run.json, but "interrupted" where the process ended without writing a final status,
        and "paused" while a running run is paused."""
        info = self.info
        return self.status_now(info.status, info.paused)

    def status_now(self, recorded: str, paused: bool) -> str:
        """The same from what run.json says."""
        if recorded != "running":
            return recorded
        if not self.active:
            return "interrupted"
        return "paused" if paused else "running"

    def record(self, event: Event) -> None:
        """Append an event to events.jsonl."""
        self._log.record(event)

    def events(self) -> Iterator[dict[str, Any]]:
        """All events so far, oldest first."""
        return self._log.records()

    @property
    def last_event_number(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._log.last_number

    @property
    def damaged_events(self) -> int:
        """How many lines of events.jsonl are damaged."""
        return self._log.damaged

    def close(self) -> None:
        """Close the events file."""
        self._log.close()

    def write_report(self, report: StageReport) -> None:
        self.stage_folder(report.key).write_report(report)

    def report(self, key: str) -> StageReport | None:
        """The report of a finished stage, or None."""
        return self.stage_folder(key).report

    def finished_report(self, key: str) -> StageReport:
        """The report of a stage by its key.

        Raises:
            EspalierError: when there is no such stage, or it is not finished.
        """
        report = self.report(key)
        if report is None:
            finished = ", ".join(other.key for other in self.reports()) or "none yet"
            raise EspalierError(
                f"Expected a finished stage of {self.name}, received {key!r}.", f"Finished: {finished}."
            )
        return report

    def reports(self, pipeline: Pipeline | None = None) -> list[StageReport]:
        """All finished stages in the order of the pipeline, seed after seed; `pipeline` is this run's, where it was read."""
        reports = [self.report(key) for key in stage_keys(pipeline or self.pipeline)]
        return [report for report in reports if report is not None]
