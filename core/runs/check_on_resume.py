"""What a run that goes on believes of its own folder: only what fits its manifest. The rest is set aside and made again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.common.content_hashes import (
    DAMAGED,
    DamagedError,
    check_folder,
    digest_of,
    manifest_of,
    read_sealed,
    seal_folder,
    set_aside,
)
from core.common.errors import EspalierError
from core.runs.former_folders import check_or_adopt
from core.runs.run_folder import RunFolder
from core.runs.stage_folder import StageFolder

_log = logging.getLogger(__name__)

_NOTES = ".notes.json"  # beside a source's network
Say = Callable[[str], None]
_DOCUMENTS = ("precision_trials.json", "latency_targets.json")


def check_own_documents(run: RunFolder, say: Say) -> None:
    """Set aside what is damaged of the run's sources, copies from outside and documents."""
    for folder in sorted((run.folder / "sources").glob("*")):
        if folder.is_dir() and not folder.name.endswith(DAMAGED):
            _believe(folder, say, check_folder, folder)
    for notes in sorted((run.folder / "sources").glob(f"*{_NOTES}")):
        source = notes.with_name(notes.name.removesuffix(_NOTES))
        if not _believe(notes, say, read_sealed, notes) and source.is_dir():
            set_aside(source)  # which is made again with its notes
    inputs = run.folder / "inputs"
    try:
        while (error := _first_damage(inputs)) is not None:
            named = error.path.relative_to(inputs).parts[0]
            _put_aside(inputs / named, error, say)
            seal_folder(inputs)
    except FileNotFoundError as error:
        _log.debug("Nothing was copied from outside: %s", error)
    if lines := run.damaged_events:
        say(
            f"{lines} line{'s' if lines > 1 else ''} of events.jsonl cannot be read; curves may have gaps, figures none."
        )
    for file in (*sorted(run.folder.glob("grid*.json")), *(run.folder / name for name in _DOCUMENTS)):
        if file.is_file():
            _believe(file, say, read_sealed, file)


def check_stage(run: RunFolder, key: str, say: Say) -> None:
    """Set aside what is damaged of a stage: all of it, its files, or its report."""
    folder = run.stage_folder(key)
    if not folder.path.is_dir() or not _believe(folder.path, say, _check_made, folder):
        return
    files = folder.artefacts
    if files.path.is_dir() and not _believe(files.path, say, _check_files, folder):
        if folder.report_file.is_file():
            set_aside(folder.report_file)
    elif folder.report_file.is_file():
        _believe(folder.report_file, say, _check_report, folder)


def made_from(folder: StageFolder) -> Any:
    """What a stage's result was made from, as the stage's manifest has it; None where it does not say."""
    manifest = manifest_of(folder.path)
    return None if manifest is None else manifest.get("made_from")


def _check_made(folder: StageFolder) -> None:
    """The stage's network or file, without what was made of it later."""
    if folder.complete or manifest_of(folder.path) is not None:
        check_or_adopt(folder.path, _log, (folder.artefacts.path.name, folder.report_file.name))
    elif folder.report_file.is_file() or folder.artefacts.path.is_dir():
        raise DamagedError(folder.outcome_file, "it is missing")


def _check_files(folder: StageFolder) -> None:
    """The files that can be deployed; a folder without its record was left half made, and is filled again."""
    if folder.artefacts.record.is_file() or manifest_of(folder.artefacts.path) is not None:
        check_or_adopt(folder.artefacts.path, _log)
    elif folder.report_file.is_file():
        raise DamagedError(folder.artefacts.record, "it is missing")


def _check_report(folder: StageFolder) -> None:
    """The report, and that it is about the files that are there."""
    report = folder.report
    for artefact in report.artefacts if report is not None else ():
        file = folder.path.parent.parent / artefact.path
        if not file.is_file() or digest_of(file) != artefact.sha256:
            raise DamagedError(folder.report_file, f"it is about another {artefact.path}")


def _first_damage(folder: Path) -> DamagedError | None:
    try:
        check_folder(folder)
    except DamagedError as error:
        return error
    return None


def _believe(path: Path, say: Say, check: Callable[[Any], object], subject: Any) -> bool:
    """Whether `check` finds nothing; else `path` is set aside."""
    try:
        check(subject)
        return True
    except EspalierError as error:
        _put_aside(path, error, say)
        return False


def _put_aside(path: Path, error: EspalierError, say: Say) -> None:
    if path.exists():
        aside = set_aside(path)
        say(f"{error.message} It is set aside as {aside.name} and made again.")
    else:
        say(f"{error.message} It is made again.")
