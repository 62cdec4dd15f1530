"""Large files, kept once however many stages of however many runs have them: by the hash of their content.

Where the file system has hard links, the large files of cache entries and run folders are further names of what lies here. Elsewhere
an entry of a cache keeps its small files and its manifest, and the large files that it names lie here alone; a run folder has copies:
whoever copies a run folder has everything. Whoever makes a file again writes a new one, never into one that is there; damage
to a shared one is damage to all its names, and each is noticed by its hash when it is read.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.content_hashes import DAMAGED, MANIFEST, digest_of
from core.common.files import WORTH_SHARING, put_link_or_copy
from core.common.logs import passed_over
from core.common.partial_files import is_part, part_beside

_log = logging.getLogger(__name__)

CONTENTS = "contents"  # below the caches
_AGE_SECONDS = 24 * 3600  # what somebody may be about to name in an entry is younger
_LOOKED_THROUGH = ".looked-through"
_EVERY_SECONDS = 7 * 24 * 3600


class Contents:
    """Contents of files below one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where a content lies, if it is here."""
        return self.folder / digest[:2] / digest

    def take(self, folder: Path, files: Mapping[str, Any]) -> None:
        """Keep the large files of a folder; it has further names of them where there are links, else none.

        Args:
            files: the folder's files as its manifest has them, held against it already.
        """
        for name, about in files.items():
            if about["bytes"] >= WORTH_SHARING:
                self._take(folder / name, about["sha256"])

    def bring(self, folder: Path, files: Mapping[str, Any]) -> None:
        """Put what `take` took back into the folder, or a copy of it.

        Raises:
            UnreadableError: when a content cannot be read.
            OSError: when the folder takes nothing.
        """
        for name, about in files.items():
            target, kept = folder / name, self.path(about["sha256"])
            if not target.exists() and kept.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                put_link_or_copy(kept, target)

    def share(self, folder: Path, files: Mapping[str, Any]) -> None:
        """Let the large files of a folder be further names of what is kept, instead of copies or of what was damaged and made
        again meanwhile; where that cannot be they stay."""
        for name, about in files.items():
            file, kept = folder / name, self.path(about["sha256"])
            if about["bytes"] < WORTH_SHARING or not (file.is_file() and kept.is_file()):
                continue
            with passed_over(_log, f"{file} stays as it is", OSError):
                if not kept.samefile(file) and digest_of(kept) == about["sha256"]:
                    _replace_by_link(file, kept)

    def _take(self, file: Path, digest: str) -> None:
        kept = self.path(digest)
        if kept.is_file() and digest_of(kept) == digest:
            os.utime(
                kept, ns=(kept.stat().st_atime_ns, kept.stat().st_mtime_ns)
            )  # changed now: it is in use again
            file.unlink()
        else:  # a damaged one keeps its other names, and what is made from now on has this one
            kept.parent.mkdir(parents=True, exist_ok=True)
            file.replace(kept)
        with passed_over(_log, f"{file} lies with the contents alone", OSError):
            os.link(kept, file)


def remove_unused(contents: Path, cache: Path) -> int:
    """Remove contents that no entry of the cache names, once in a week; the number of them. Runs keep their files."""
    looked = contents / _LOOKED_THROUGH
    if not contents.is_dir() or (looked.exists() and time.time() - looked.stat().st_mtime < _EVERY_SECONDS):
        return 0
    named = {digest for manifest in cache.glob(f"*/*/*/{MANIFEST}") for digest in _digests(manifest)}
    removed = 0
    for kept in contents.glob("*/*"):
        with passed_over(_log, f"{kept} stays", OSError):
            old = time.time() - kept.stat().st_ctime > _AGE_SECONDS
            if old and kept.name not in named and not is_part(kept.name):
                kept.unlink()
                removed += 1
    looked.touch()
    return removed


def _digests(manifest: Path) -> set[str]:
    """The contents that an entry names; one that is damaged names none."""
    if manifest.parent.name.endswith(DAMAGED):
        return set()
    with passed_over(
        _log, f"{manifest} names no contents", OSError, ValueError, KeyError, AttributeError, TypeError
    ):
        files = json.loads(manifest.read_bytes())["files"]
        return {str(about["sha256"]) for about in files.values()}
    return set()


def _replace_by_link(file: Path, kept: Path) -> None:
    part = part_beside(file)
    try:
        os.link(kept, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
