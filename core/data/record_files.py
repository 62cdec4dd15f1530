"""Files that hold many images each (tar shards, Parquet): where they lie, which split each is, and what goes wrong with all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.common.errors import EspalierError
from core.common.regular_files import in_words
from core.data.layout import is_litter
from core.data.source import Contents, Located, Problem, Watch, stamp

_MOST_FILES = 100_000


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


def name_in(place: Path, file: Path) -> str:
    """How a file is called within the place that was chosen."""
    return file.name if file == place else file.relative_to(place).as_posix()
