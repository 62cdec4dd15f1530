"""The person's runs and recipes, as the window and `espalier runs` list them.

A run of this machine lies in the home's `runs`; its name, tags and notes stand in its `run.json`.
A run folder from elsewhere (a stick, a share, another machine) stays where it lies and is never
written to: `elsewhere.json` in the home remembers it, with the name, tags and notes that it was given.
"""

import json
import logging
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from core.common.content_hashes import set_aside
from core.common.control import RunControl
from core.common.durations import date_and_time, time_taken
from core.common.errors import EspalierError
from core.common.files import changed_by_one, write_atomically
from core.common.logs import in_a_line, passed_over
from core.common.paths import resolved
from core.document.recipes import Recipe, recipes
from core.machine.fingerprint import fingerprint
from core.runs.final_figures import FinalFigures, forget_other_figures, read_figures
from core.runs.finding import find_runs, is_run
from core.runs.home import Home
from core.runs.index import Kept
from core.runs.info_file import INFO_FILE
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

_SAME_MACHINE = ("processor", "logical_cores", "memory_bytes", "gpu")
_LOOKED_AT = 5
_VERSION = 1  # raised when the same run.json gives another line
_REGISTRY = "elsewhere.json"
_LIMIT = re.compile(r"(top-?1|size|latency)(<=|>=|<|>)(\d+(?:[.,]\d+)?)")
_LIMITED = {"top1": "top1", "top-1": "top1", "size": "size_mb", "latency": "latency_ms"}
_COMPARED = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
NEVER = "Not complete on this machine yet"
STATUS_WORDS = {
    "completed": "Complete", "stopped": "Stopped", "failed": "Failed", "running": "Running",
    "paused": "Paused", "interrupted": "Interrupted", "new": "Not started", "missing": "Not found",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list.

    Attributes:
        pipeline: the name of its pipeline, whatever the run is called.
        status: a key of `STATUS_WORDS`.
        started: seconds since 1970; 0 where unknown.
        elsewhere: it lies outside the home and is not written to.
        this_machine: it was computed on this machine.
        figures: of its result; read on their own (`with_figures`), as that takes longer.
    """

    folder: Path
    name: str
    pipeline: str
    tags: tuple[str, ...]
    notes: str
    status: str
    started: float
    seconds: float | None
    elsewhere: bool = False
    this_machine: bool = True
    figures: FinalFigures = field(default_factory=FinalFigures)

    @property
    def when(self) -> str:
        return date_and_time(self.started)

    @property
    def took(self) -> str:
        return time_taken(self.seconds)


@dataclass(frozen=True, slots=True)
class RecipeLine:
    """One recipe.

    Attributes:
        last_duration: how long it took last time on this machine, in words.
    """

    recipe: Recipe
    last_duration: str

    @property
    def timed(self) -> bool:
        """Whether it was completed on this machine."""
        return self.last_duration != NEVER


@dataclass(frozen=True, slots=True)
class Library:
    """Every recipe and every run."""

    recipes: tuple[RecipeLine, ...]
    runs: tuple[RunLine, ...]


def read_library(home: Home) -> Library:
    """All recipes and runs, newest first; reads every run's `run.json`, so not for the window's thread."""
    runs = list_runs(home)
    return Library(
        tuple(RecipeLine(recipe, last_time(recipe.name, runs)) for recipe in recipes()), tuple(runs)
    )


def list_runs(home: Home) -> list[RunLine]:
    """The runs of the home and those from elsewhere, newest first; what cannot be read is passed over."""
    machine = fingerprint()
    lines, runs = [], find_runs(home)
    with Kept.opened(home, "listed") as kept:
        for run in runs:
            try:
                lines.append(_line(run, _obtained(kept, run), machine))
            except EspalierError as error:
                _log.warning("A run is left out of the list: %s", error.message)
                continue
        kept.forget_others(run.name for run in runs)
    lines += [_elsewhere_line(Path(path), entry) for path, entry in _registry(home).items()]
    forget_other_figures(home, [line.folder for line in lines])
    return sorted(lines, key=lambda line: -line.started)


def with_figures(home: Home, lines: Sequence[RunLine], control: RunControl | None = None) -> list[RunLine]:
    """The lines with the figures of their runs' results.

    Raises:
        Stopped: a person asked to stop.
    """
    figures = read_figures(home, [line.folder for line in lines], control or RunControl())
    return [replace(line, figures=one) for line, one in zip(lines, figures, strict=True)]


class _Listed(BaseModel):
    """The part of run.json that the list shows, with the names of `RunInfo`."""

    name: str
    pipeline_title: str
    tags: tuple[str, ...]
    notes: str
    status: str
    paused: bool
    started: float
    seconds: float | None
    machine: dict[str, Any]


def _obtained(kept: Kept, run: RunFolder) -> _Listed:
    """From the index while run.json, which is written anew at every change, is the same file."""
    stamp = _stamp(run)
    text = kept.get(run.name, stamp) if stamp else None
    if text is not None:
        with passed_over(_log, f"The index has {run.name} in another form", ValidationError):
            return _Listed.model_validate_json(text)
    listed = _listed(run)
    if stamp:
        kept.put(run.name, stamp, listed.model_dump_json())
    return listed


def _stamp(run: RunFolder) -> str:
    """Changes whenever run.json does; "" where there is none."""
    try:
        about = (run.folder / INFO_FILE).stat()
    except OSError:
        return ""
    return f"{_VERSION} {about.st_ino} {about.st_mtime_ns} {about.st_size}"


def _listed(run: RunFolder) -> _Listed:
    info = run.info
    return _Listed(
        name=info.name, pipeline_title=info.pipeline_title, tags=info.tags, notes=info.notes, status=info.status,
        paused=info.paused, started=info.started, seconds=info.seconds,
        machine={key: info.machine.get(key) for key in _SAME_MACHINE} if info.machine else {},
    )  # fmt: skip


def _line(run: RunFolder, listed: _Listed, machine: Mapping[str, Any]) -> RunLine:
    run_machine = listed.machine or machine
    return RunLine(
        run.folder,
        name=listed.name or run.name,
        pipeline=listed.pipeline_title,
        tags=listed.tags,
        notes=listed.notes,
        status=run.status_now(listed.status, listed.paused),
        started=listed.started,
        seconds=listed.seconds,
        this_machine=all(run_machine.get(key) == machine.get(key) for key in _SAME_MACHINE),
    )


def _elsewhere_line(folder: Path, entry: Mapping[str, Any]) -> RunLine:
    status, started, seconds = "missing", float(entry.get("started", 0)), None
    pipeline = str(entry.get("pipeline_name", ""))
    try:
        run = RunFolder(folder)
        info, status = run.info, run.status
        started, seconds, pipeline = info.started, info.seconds, info.pipeline_title
    except EspalierError as error:
        _log.debug("A run from elsewhere is not there: %s", error.message)
    return RunLine(
        folder, str(entry.get("name", folder.name)), pipeline, tuple(entry.get("tags", ())),
        str(entry.get("notes", "")), status, started, seconds, elsewhere=True, this_machine=False,
    )  # fmt: skip


def last_time(name: str, runs: Iterable[RunLine]) -> str:
    """How long a recipe took last time on this machine; a time that is mostly the cache's is passed over."""
    complete = [
        line for line in runs if line.this_machine and line.pipeline == name and line.status == "completed"
    ]
    for line in complete[:_LOOKED_AT]:
        cached = cached_stages(line.folder)
        if line.seconds is not None and cached is not None and not cached:
            return f"Took {time_taken(line.seconds)} on this machine, {date_and_time(line.started).split(',')[0]}"
    if complete and complete[0].seconds is not None:
        return f"Took {time_taken(complete[0].seconds)} on this machine, with kept stages"
    return NEVER


def cached_stages(folder: Path) -> int | None:
    """How many stages of a run came from the cache; None where it has no reports."""
    cached: list[bool] = []
    for stage in RunFolder(folder).stage_folders():
        try:
            cached.append(bool(json.loads(stage.report_file.read_text(encoding="utf-8")).get("cached")))
        except (OSError, ValueError) as error:
            _log.debug("A report is passed over: %s", in_a_line(error))
            continue
    return sum(cached) if cached else None


class _Named(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def name(self) -> str: ...


_R = TypeVar("_R", bound=_Named)


def the_named(runs: Sequence[_R], text: str, place: str) -> _R:
    """The run that a person names: by its folder, its name, or the beginning of its folder's name.

    Args:
        place: what the runs are of, for the sentence.

    Raises:
        EspalierError: when none or several are called so.
    """
    path = resolved(text, Path()).resolve()
    exact = [run for run in runs if run.folder.name == text or run.folder.resolve() == path]
    fitting = exact or [run for run in runs if _is_called(run, text)]
    if len(fitting) != 1:
        names = ", ".join(run.folder.name for run in (fitting or runs)[:5]) or "there are none yet"
        raise EspalierError(
            f"Expected one run of the {place}, found {'several' if fitting else 'none'} for {text!r}.",
            f"Name it by its folder, its name, or the beginning of its folder's name. Runs: {names}.",
        )
    return fitting[0]


def _is_called(run: _Named, text: str) -> bool:
    return run.folder.name.startswith(text) or run.name == text


def names_runs(home: Home, text: str) -> bool:
    """Whether a person's runs are called so: by their name, or the beginning of their folder's name."""
    return any(_is_called(run, text) for run in list_runs(home))


def find_line(home: Home, text: str) -> RunLine:
    """The run of the list that a person names (`the_named`)."""
    return the_named(list_runs(home), text, "list")


def find_run(home: Home, text: str) -> RunFolder:
    """The run that a person names (`the_named`): of the list, or any folder of a run."""
    folder = Path(text)
    return RunFolder.open(folder if is_run(folder) else find_line(home, text).folder)


def matches(line: RunLine, words: str) -> bool:
    """Whether every word stands somewhere in the run's texts; `top-1>90`, `size<2` and `latency<5` ask for figures."""
    about = (
        line.name,
        line.pipeline,
        *line.tags,
        line.notes,
        STATUS_WORDS[line.status],
        line.when,
        line.folder.name,
        line.figures.data,
        line.figures.network,
    )
    text = " ".join(about).casefold()
    return all(_fits(line, word) or word in text for word in words.casefold().split())


def _fits(line: RunLine, word: str) -> bool:
    limit = _LIMIT.fullmatch(word)
    value = getattr(line.figures, _LIMITED[limit[1]]) if limit else None
    return bool(limit and value is not None and _COMPARED[limit[2]](value, float(limit[3].replace(",", "."))))


def parse_tags(text: str) -> tuple[str, ...]:
    """Tags between commas, each once, in their order."""
    return tuple(dict.fromkeys(tag for part in text.split(",") if (tag := " ".join(part.split()))))


def annotate(home: Home, line: RunLine, name: str, tags: Sequence[str], notes: str) -> RunLine:
    """Give a run another name, tags and notes; the line as it is then.

    Raises:
        EspalierError: when it cannot be written.
    """
    texts = {"name": name.strip() or line.pipeline or line.folder.name, "tags": list(tags), "notes": notes}
    if line.elsewhere:
        with _changed_registry(home) as registry:
            entry = registry[str(line.folder)] = {**registry.get(str(line.folder), {}), **texts}
        return _elsewhere_line(line.folder, entry)
    run = RunFolder.open(line.folder)
    run.update_info(**texts, pipeline_name=line.pipeline)
    return _line(run, _listed(run), fingerprint())


def register(home: Home, folder: Path) -> bool:
    """Add a run folder from elsewhere to the list; False when it is among the person's runs anyway.

    Raises:
        EspalierError: when it is no run folder, or the list cannot be written.
    """
    folder = resolved(folder, Path()).resolve()
    if folder.parent == home.runs.resolve():
        return False
    info = RunFolder.open(folder).info
    with _changed_registry(home) as registry:
        registry.setdefault(str(folder), {
            "name": info.name or folder.name, "pipeline_name": info.pipeline_title,
            "started": info.started, "tags": list(info.tags), "notes": info.notes,
        })  # fmt: skip
    return True


def remove_entry(home: Home, folder: Path) -> dict[str, Any]:
    """Take a run from elsewhere off the list; returns its entry."""
    with _changed_registry(home) as registry:
        return registry.pop(str(folder), {})


def add_entry(home: Home, folder: Path, entry: dict[str, Any]) -> None:
    """Put a removed entry back."""
    with _changed_registry(home) as registry:
        registry[str(folder)] = entry


@contextmanager
def _changed_registry(home: Home) -> Iterator[dict[str, dict[str, Any]]]:
    """The list of runs from elsewhere, to be changed: it is written at the end, and nobody else changes it meanwhile.

    Raises:
        EspalierError: when it cannot be read or written.
    """
    file = home.folder / _REGISTRY
    with changed_by_one(file):
        try:
            registry = _read_registry(file)
        except OSError as error:
            raise EspalierError(
                f"The list of runs from elsewhere, {file}, cannot be read: {error.strerror or error}.",
                "Ask for the right to read it.",
            ) from error
        yield registry
        write_atomically(file, json.dumps(registry, indent=1))


def _registry(home: Home) -> dict[str, dict[str, Any]]:
    try:
        return _read_registry(home.folder / _REGISTRY)
    except OSError as error:
        _log.warning("The list of runs from elsewhere cannot be read: %s", in_a_line(error))
        return {}


def _read_registry(file: Path) -> dict[str, dict[str, Any]]:
    """The list; a damaged one is set aside and counts as empty."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(entry, dict) for entry in content.values()):
            return content
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        _log.debug("%s is no list of runs: %s", file, in_a_line(error))
    with passed_over(_log, f"{file} is written over", OSError):
        set_aside(file)
    return {}
