"""Files that hold many images each (tar shards, Parquet): where they lie, which split each is, and what goes wrong with all of them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.errors import EspalierError
from core.common.regular_files import in_words
from core.data.layout import is_litter
from core.data.source import Contents, Located, Problem, Watch, stamp
from core.data.split_names import split_folders
from core.data.splits import TRAIN

_MOST_FILES = 100_000
_LONGEST_CLASS = 200
_NUMBERS = re.compile(r"([-_ ]*\d+([-_ ]of[-_ ]\d+)?([-_][0-9a-f]{6,})?)+$")


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """One kind of such files.

    Attributes:
        ending: of their names, in small letters. what: what they are called. choose: what to choose instead where there are none.
        advice: what each image needs in them.
    """

    ending: str
    what: str
    choose: str
    advice: str

    def locate(self, path: Path, contents: Callable[[Path, list[Path]], Contents], watch: Watch) -> Located:
        """List the files of a folder, or take one; `contents` reads the place and its files later.

        Raises:
            EspalierError: there are none, or they cannot be read.
            Stopped: a person asked to stop.
        """
        try:
            files = [path] if path.is_file() else self.below(path, watch)
            if not files:
                raise EspalierError(f"Expected {self.what} of images in {path}, received none.", self.choose)
            stamps = tuple(stamp(file, name_in(path, file)) for file in files)
        except OSError as error:
            raise EspalierError(
                f"Expected readable {self.what}, but {path} cannot be read: {in_words(error)}.",
                "Check its permissions.",
            ) from error
        title = path.name.removesuffix(self.ending)
        return Located(title, str(path), stamps, lambda: contents(path, files), resizes=True)

    def below(self, folder: Path, watch: Watch) -> list[Path]:
        """The files of a folder and of the folders in it, by name.

        Raises:
            OSError: when it cannot be listed.
            Stopped: a person asked to stop.
        """
        doing = f"Looking for {self.what}"
        here = [entry for entry in watch.each(folder.iterdir(), doing) if not is_litter(entry.name)]
        inside = (
            entry
            for place in watch.each(here, doing)
            if place.is_dir()
            for entry in watch.each(place.iterdir(), doing)
            if not is_litter(entry.name)
        )
        found = [e for e in (*here, *inside) if e.name.casefold().endswith(self.ending) and e.is_file()]
        return sorted(found)[:_MOST_FILES]

    def nothing_usable(self, place: Path, problems: Sequence[Problem]) -> EspalierError:
        """The message for files without an image that can be used."""
        first = ": ".join(problems[0]) if problems else ""
        return EspalierError(
            f"Expected images with their classes in {place}, received none that can be used.", self.advice,
            f"The first that cannot be used: {first}." if first else "",
        )  # fmt: skip


def splits_by_name(place: Path, files: Sequence[Path]) -> tuple[dict[Path, int], tuple[str, ...]]:
    """The split of every file, and a sentence on those whose names say none: they are training images.

    What the folders in `place` are called counts before what the files are called.
    """
    folders = split_folders([{file.parent.name for file in files if place not in (file, file.parent)}])
    names = split_folders([{_without_numbers(file) for file in files}])

    def split_of_file(file: Path) -> int | None:
        of_folder = folders.get(file.parent.name) if place not in (file, file.parent) else None
        return of_folder if of_folder is not None else names.get(_without_numbers(file))

    splits = {file: split_of_file(file) for file in files}
    silent = [name_in(place, file) for file, split in splits.items() if split is None]
    notes: tuple[str, ...] = ()
    if 0 < len(silent) < len(files):
        shown = ", ".join(silent[:4]) + (", …" if len(silent) > 4 else "")
        notes = (f"The names of {shown} say no split: what is in them is training images.",)
    return {file: TRAIN if split is None else split for file, split in splits.items()}, notes


def _without_numbers(file: Path) -> str:
    """A file's name without its ending and what numbers it: "train-00000-of-00004-9f86d081" is "train"."""
    return _NUMBERS.sub("", file.name.split(".")[0])


def class_name(label: Any) -> str:
    """A class as files hold it, as text: a name, a whole number, or yes or no; "" for everything else."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if not isinstance(label, int | str):
        return ""
    text = " ".join(str(label).split())[:_LONGEST_CLASS]
    return text if text.isprintable() else ""


def name_in(place: Path, file: Path) -> str:
    """How a file is called within the place that was chosen."""
    return file.name if file == place else file.relative_to(place).as_posix()
