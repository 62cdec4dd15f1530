"""Guesses the kind of data set at a path that a person dropped or picked."""

import zipfile
from pathlib import Path, PurePosixPath

from core.common.errors import EspalierError
from core.data import cifar, idx, parquet, shards
from core.data.catalogue import SOURCES
from core.data.layout import IMAGE_ENDINGS
from core.data.source import Watch
from core.data.tiny_imagenet import WNIDS

_LISTS = (".csv", ".tsv", ".txt")
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
ENDINGS = (*_LISTS, *_ARCHIVES, ".zip", parquet.FILES.ending)
"""Of files that may be data sets."""
_LOOKED_AT = 2000


def may_be_data(path: Path) -> bool:
    """Whether a dragged path may be a data set, by its name only."""
    return path.is_dir() or path.name.casefold().endswith(ENDINGS)


def guess_source(path: Path, watch: Watch | None = None) -> tuple[str, Path]:
    """The id of the data source, and the path to give it.

    Raises:
        EspalierError: nothing there looks like a data set.
        Stopped: a person asked to stop.
    """
    name = path.name.casefold()
    if path.is_dir():
        return _guess_folder(path, watch or Watch())
    if path.exists() and not path.is_file():
        raise EspalierError(
            f"Expected a folder or a file of images, and {path.name} is a pipe or a device.",
            "Choose another.",
        )
    if name.endswith(shards.FILES.ending) and shards.holds_samples(path):
        return "shards", path
    if name.endswith(parquet.FILES.ending):
        return "parquet", path
    if name.endswith(_ARCHIVES):
        return "cifar", path
    if name.endswith(_LISTS):
        return "csv", path
    if name.endswith(".zip"):
        return _guess_zip(path), path
    raise EspalierError(
        f"Expected a folder, a zip file, a CSV file or an archive of images, received {path.name}.",
        f"Data sets that can be opened: {', '.join(source.title for source in SOURCES.values())}.",
    )


def _guess_folder(path: Path, watch: Watch) -> tuple[str, Path]:
    for source, locate in (("cifar", cifar.locate), ("idx", idx.locate)):
        try:
            locate(path, watch)
        except EspalierError:
            continue
        return source, path
    for top in (path, path / "tiny-imagenet-200"):
        if (top / WNIDS).is_file():
            return "tiny-imagenet", path
    tars = shards.FILES.below(path, watch)
    if tars and shards.holds_samples(tars[0]) and not _has_class_folders(path):
        return "shards", path
    if parquet.FILES.below(path, watch) and not _has_class_folders(path):
        return "parquet", path
    lists = sorted(file for file in path.glob("*.csv") if file.is_file())
    if len(lists) == 1 and not _has_class_folders(path):
        return "csv", lists[0]
    return "folder", path


def _has_class_folders(path: Path) -> bool:
    """Whether at least two folders here hold images, or hold folders."""
    folders = 0
    for folder in path.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            inside = (entry for _, entry in zip(range(_LOOKED_AT), folder.iterdir(), strict=False))
            folders += any(entry.is_dir() or entry.suffix.casefold() in IMAGE_ENDINGS for entry in inside)
    return folders > 1


def _guess_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise EspalierError(
            f"Expected a zip file of images, but {path.name} cannot be read: {error}.",
            "Copy or download it again.",
        ) from error
    if any(name.name == WNIDS and len(name.parts) <= 2 for name in names):
        return "tiny-imagenet"
    folders = {name.parent for name in names if name.suffix.casefold() in IMAGE_ENDINGS}
    lists = [name for name in names if name.suffix.casefold() == ".csv" and not name.name.startswith(".")]
    return "csv" if len(lists) == 1 and len(folders) < 2 else "folder"
