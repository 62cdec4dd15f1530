"""Run folders.

A run is a folder: `pipeline.yaml` (every setting written out), `run.json` (machine, versions,
status; `run.copy.json` holds the same), `events.jsonl` (numbered), what was settled by timing (`precision_trials.json`,
`latency_targets.json`), `inputs/` (weights and teachers from outside, copied), `sources/`,
`stages/<key>/` (checkpoint, artefacts, predictions, report), `report.md`, and the final model. The
index next to the runs (`core.runs.index`) is made from them.
"""

import hashlib
import itertools
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import core
from core.common.errors import EspalierError
from core.common.files import changed_by_one, folder_beside, write_atomically
from core.common.full_disk import full_disk
from core.common.logs import in_a_line, passed_over
from core.common.parts import is_part, remove_abandoned
from core.common.seals import DAMAGED, DamagedError, read_sealed, set_aside, write_sealed
from core.data.image_data import Opened
from core.document import pipeline as documents
from core.document.expansion import expanded
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_keys
from core.records.events import Event
from core.records.reports import StageReport
from core.records.run_info import FORMAT, RunInfo, changed
from core.runs.event_log import EventLog
from core.runs.home import Home
from core.runs.own_files import check_own_files
from core.runs.stage_folder import StageFolder

INFO_FILE = "run.json"
_COPY = "run.copy.json"  # of run.json, without which nothing says what the folder holds
_PIPELINE = "pipeline.yaml"
CONFIRMED = "confirmed.json"  # of a search: what its finalists are confirmed by
_LOCK = ".lock"
_SKELETON = ("stages", "sources", "inputs", "scratch")
_log = logging.getLogger(__name__)


class RunFolder:
    """One run on disk."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._log = EventLog(folder / "events.jsonl")
        self._info_lock = threading.Lock()
        self.restored: list[str] = []  # a sentence for each file that was damaged and is whole again

    @classmethod
    def create(
        cls, pipeline: Pipeline, base: Path, home: Home, folder: Path | None = None, series: str = ""
    ) -> "RunFolder":
        """A fresh run folder for `pipeline`.

        Args:
            base: the folder that the pipeline's relative paths start from.
            folder: where to put it; None makes a name from the date and the pipeline's name.
            series: what runs have in common that one pipeline over several data sets was started as.

        Raises:
            EspalierError: when the folder holds something already or cannot be made, or the pipeline has several data sets.
        """
        if pipeline.axes.data is not None:
            raise EspalierError(
                "Expected a pipeline on one data set for a run, received one over several.",
                "Run it on each: core.document.data_axis.per_data_set gives the pipelines.",
            )

        def fill(place: Path) -> None:
            for name in _SKELETON:
                (place / name).mkdir(exist_ok=True)
            resolved = documents.dumps(pipeline.resolved())
            write_atomically(place / _PIPELINE, resolved)
            cls(place)._write_info(changed(
                {}, format=FORMAT, espalier=core.__version__, name=pipeline.name, base=str(base.resolve()),
                started=time.time(), status="new", document=documents.dumps(pipeline), pipeline_sha256=_sha256(resolved),
                **({"series": series} if series else {}),
            ))  # fmt: skip

        slug = re.sub(r"[^a-z0-9]+", "-", pipeline.name.lower()).strip("-")[:40] or "run"
        wanted = folder or home.runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}"
        try:
            made = _made_under_a_free_name(wanted, fill) if folder is None else _made_at(wanted, fill)
        except OSError as error:
            raise full_disk(error) or EspalierError(
                f"The run folder {wanted} cannot be made: {error.strerror or error}.",
                "Choose another folder.",
            ) from error
        return cls(made)

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """An existing run.

        Raises:
            EspalierError: when it is none, was written by a newer version, or holds links that lead elsewhere.
        """
        check_own_files(folder)
        run = cls(folder)
        received = run._read_info().get("format")
        if received != FORMAT:
            raise EspalierError(
                f"The run in {folder} has format {received}; this version of Espalier reads format {FORMAT}.",
                "Open it with the version that wrote it, or a newer one.",
            )
        return run

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self.folder / _LOCK)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def info(self) -> RunInfo:
        """The content of run.json.

        Raises:
            EspalierError: when there is none, or it is no such file.
        """
        content = self._read_info()
        try:
            return RunInfo.model_validate(content)
        except ValueError as error:
            raise self._no_run(error) from error

    def update_info(self, **changes: Any) -> None:
        """Change entries of run.json, by the names of `RunInfo`; None takes an entry out, all others stay."""
        with (
            self._info_lock,
            changed_by_one(self.folder / INFO_FILE),
        ):  # a pause is noted on a thread of its own
            content, damage = self._info_and_damage()
            if damage is not None:
                with passed_over(_log, "It is written over", OSError):
                    set_aside(self.folder / INFO_FILE)
                self.restored.append(f"{damage.message} It is made again from its copy.")
            self._write_info(changed(content, **changes))

    def _read_info(self) -> dict[str, Any]:
        return self._info_and_damage()[0]

    def _info_and_damage(self) -> tuple[dict[str, Any], EspalierError | None]:
        """The content of run.json, from its copy where it is damaged, and then why."""
        try:
            return read_sealed(self.folder / INFO_FILE), None
        except EspalierError as error:
            if (self.folder / _COPY).is_file():
                return read_sealed(self.folder / _COPY), error
            raise self._no_run(error) from error

    def _write_info(self, content: dict[str, Any]) -> None:
        for name in (INFO_FILE, _COPY):
            write_sealed(self.folder / name, content)

    def _no_run(self, error: Exception) -> EspalierError:
        if isinstance(error, DamagedError):
            return EspalierError(
                error.message, "Start its pipeline again: finished stages come from the cache."
            )
        return EspalierError(
            f"Expected a run folder (with run.json), {self.folder} is none.",
            "Pick the folder of a run.",
            repr(error),
        )

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
        return self.folder / _PIPELINE

    @property
    def pipeline_is_untouched(self) -> bool:
        """Whether pipeline.yaml is as the run wrote it; also where that was not written down."""
        written = self.info.pipeline_sha256
        try:
            return not written or written == _sha256(self.pipeline_file.read_text(encoding="utf-8"))
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
            self.update_info(pipeline_sha256=_sha256(text))
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
        try:
            self._remove_linked_lock()
            self._lock.acquire(timeout=wait)
        except Timeout as error:
            raise EspalierError(
                f"The run in {self.folder} is being written by another process.",
                "Wait for it, or stop it there.",
            ) from error
        except OSError as error:
            raise full_disk(error) or EspalierError(
                f"The run in {self.folder} cannot be locked: {error.strerror or error}.",
                "Network folders need a lock service; choose a folder on this machine's own disk.",
            ) from error
        try:
            yield
        finally:
            self.close()
            self._lock.release()

    def _remove_linked_lock(self) -> None:
        """Locking would empty what a link in the lock's place leads to."""
        lock = Path(self._lock.lock_file)
        if lock.is_symlink():
            lock.unlink()

    @property
    def active(self) -> bool:
        """Whether a process works in the folder now: it holds the lock until it ends."""
        path = Path(self._lock.lock_file)
        if (
            path.is_symlink() or not path.is_file()
        ):  # a check must not write into a folder that may belong to another person
            return False
        probe = FileLock(path)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        probe.release()
        return False

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


def is_run(folder: Path) -> bool:
    """Whether a run was made in the folder."""
    try:
        known = any((folder / name).is_file() for name in (INFO_FILE, _COPY))
        return known and not is_part(folder.name)
    except OSError as error:
        _log.debug("%s cannot be looked at: %s", folder, in_a_line(error))
        return False


def find_runs(home: Home) -> list[RunFolder]:
    """All runs in the person's folder, newest first; folders that are none are passed over."""
    if not home.runs.is_dir():
        return []
    with os.scandir(home.runs) as entries:
        names = sorted((entry.name for entry in entries), reverse=True)
    return [RunFolder(path) for name in names if is_run(path := home.runs / name)]


def running_runs(home: Home) -> list[RunFolder]:
    """The runs of the home that a process works at now, newest first; looks at every run."""
    return [run for run in find_runs(home) if run.active]


def unfinished_run(home: Home, pipeline: Pipeline) -> RunFolder | None:
    """The newest run of exactly this document that is not completed."""
    document = documents.dumps(pipeline)
    runs = unfinished_runs(home, pipeline.name)
    return next((run for run in runs if run.info.document == document), None)


def unfinished_runs(home: Home, pipeline_name: str) -> Iterator[RunFolder]:
    """The runs of pipelines of this name that are not completed, newest first."""
    for run in find_runs(home):
        with passed_over(_log, f"{run.folder} is not looked at", EspalierError):
            info = run.info
            if info.pipeline_title == pipeline_name and info.status != "completed":
                yield run


def resolve_run(text: str, home: Home) -> RunFolder:
    """A run by its folder, or by its name (or the beginning of it) among the person's runs.

    Raises:
        EspalierError: when there is none, or the beginning fits several.
    """
    if is_run(Path(text)):
        return RunFolder.open(Path(text))
    fitting = [run for run in find_runs(home) if run.name.startswith(text)]
    if len(fitting) != 1:
        names = ", ".join(run.name for run in (fitting or find_runs(home))[:5]) or "there are none yet"
        count = "several" if fitting else "none"
        raise EspalierError(
            f"Expected a run's folder or name, found {count} for {text!r}.", f"Runs: {names}."
        )
    return RunFolder.open(fitting[0].folder)


def _made_under_a_free_name(wanted: Path, fill: Callable[[Path], None]) -> Path:
    """A whole new folder, of the wanted name or the next that nobody has, also when several ask at once."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if os.path.lexists(folder):
            continue
        try:
            with folder_beside(folder, replace=False) as part:
                fill(part)
            return folder
        except OSError:
            if not folder.exists():
                raise
            _log.debug("Another process took the name %s.", folder.name)
    raise AssertionError("unreachable")


def _made_at(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder that a person named, which is new, empty, or was left by a process that ended while it made it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _held_while_made(folder):
        if not _is_free(folder):
            raise EspalierError(
                f"Expected an empty or new folder for the run, {folder} holds files already.",
                "Choose another folder, or go on with the run in it by --resume.",
            )
        remove_abandoned(folder, ours=True)
        fill(folder)
    return folder


@contextmanager
def _held_while_made(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise EspalierError(
            f"Another process makes a run in {folder}.", "Choose another folder for this one."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_free(folder: Path) -> bool:
    """Whether nothing is lost when a run is made in the folder: what a run begins with is all there is."""
    begun = all((folder / name).is_dir() for name in _SKELETON)  # else the pipeline file is a person's own
    for path in folder.iterdir():
        if path.name in _SKELETON and path.is_dir() and not any(path.iterdir()):
            continue
        if path.name != _LOCK and not is_part(path.name) and not (begun and path.name == _PIPELINE):
            return False
    return True


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
