"""Parquet files of images as Hugging Face data sets have them, read where they lie.

A row is an image (a struct with `bytes`, or bytes) and its class: a name, or a number, which the schema's `ClassLabel` names. Training,
validation and test are told by the files' names ("train-00000-of-00004.parquet") or folders; without such names all are training
images. Source: https://huggingface.co/docs/hub/datasets-image. Departures: images that are only named by a path or an address are
left out; other columns are ignored. Needs pyarrow, which reads the files' pages; nothing in them is run.
"""

import io
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from core.common.errors import EspalierError
from core.common.regular_files import in_words, open_regular
from core.data.decode import Undecodable
from core.data.layout import NamedImage, PlacedImage, arrange
from core.data.reader import FilePictures
from core.data.record_files import RecordFiles, class_name, name_in, splits_by_name
from core.data.source import Contents, Located, Problem, Watch
from core.machine.optional_packages import extra, reason_absent

FILES = RecordFiles(
    ".parquet", "Parquet files", "Choose a Parquet file, or the folder that holds them.",
    "Each row needs an image with its bytes (a column image or img) and a class (a column label).",
)  # fmt: skip
_IMAGES, _LABELS = ("image", "img", "picture"), ("label", "labels", "fine_label", "class", "target")
_GROUPS = 4  # row groups that stay in memory: images are read in order, by several threads
_UNNAMED = -1  # what ClassLabel gives images without a class


def locate(path: Path, watch: Watch) -> Located:
    """List the Parquet files of a folder, or take one.

    Raises:
        EspalierError: there are none, they cannot be read, or pyarrow is not installed.
        Stopped: a person asked to stop.
    """
    if reason := reason_absent("Reading Parquet files", "pyarrow", extra("parquet")):
        raise EspalierError(reason, "Install it, or unpack the images into a folder for each class.")
    return FILES.locate(path, lambda place, files: _contents(place, files, watch), watch)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a file's images and classes stand; `names`: of the classes, where the schema has them."""

    image: str
    label: str
    names: tuple[str, ...]


class _File:
    """One Parquet file, whose row groups are read when an image of them is asked for."""

    def __init__(self, path: Path):
        """Raises OSError or ValueError (pyarrow's errors are such) where it is none, or lacks a column."""
        import pyarrow.parquet

        self._stream = open_regular(path)
        self._parquet = pyarrow.parquet.ParquetFile(self._stream)
        self.columns = _columns(self._parquet.schema_arrow)
        metadata = self._parquet.metadata
        self.groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def labels(self) -> list[Any]:
        """Of every row, as the file has it."""
        plain: list[Any] = self._parquet.read([self.columns.label], use_threads=False)[0].to_pylist()
        return plain

    def image(self, group: int, row: int) -> bytes:
        """The bytes of an image.

        Raises:
            Undecodable: the file holds none, or is damaged there.
        """
        try:
            with self._lock:
                if group not in self._kept:
                    table = self._parquet.read_row_group(group, [self.columns.image], use_threads=False)
                    self._kept[group] = table[0]
                    if len(self._kept) > _GROUPS:
                        self._kept.popitem(last=False)
                value = self._kept[group][row].as_py()
        except (OSError, ValueError) as error:
            raise Undecodable(f"the Parquet file is damaged there: {in_words(error)}") from error
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise Undecodable("the row holds no bytes of an image")
        return content


def _columns(schema: Any) -> _Columns:
    """Raises ValueError where there is no image or no class."""
    image = next((name for name in (*_IMAGES, *schema.names) if _holds_images(schema, name)), None)
    label = next((name for name in _LABELS if name in schema.names), None)
    if image is None or label is None:
        raise ValueError(f"it has no column of {'images' if image is None else 'classes'}")
    names: Any = ()
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = about["info"]["features"][label].get("names", ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        names = ()
    plain = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return _Columns(image, label, tuple(" ".join(name.split())[:200] for name in names) if plain else ())


def _holds_images(schema: Any, name: str) -> bool:
    import pyarrow

    if name not in schema.names:
        return False
    kind = schema.field(name).type
    if pyarrow.types.is_struct(kind):
        return any(kind.field(place).name == "bytes" for place in range(kind.num_fields))
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _contents(place: Path, files: list[Path], watch: Watch) -> Contents:
    splits, notes = splits_by_name(place, files)
    images: list[NamedImage] = []
    rows: dict[str, tuple[_File, int, int]] = {}
    problems: list[Problem] = []
    listed: list[str] = []  # the classes as the schema orders them
    for path in watch.each(files, "Reading the classes of the Parquet files"):
        name = name_in(place, path)
        try:
            file = _File(path)
            _add(file, name, splits[path], images, rows, problems)
        except (OSError, ValueError) as error:
            problems.append((name, f"cannot be read: {in_words(error)}"))
            continue
        listed += [one for one in file.columns.names if one not in listed]
    if not images:
        raise FILES.nothing_usable(place, problems)
    layout = arrange(images, str(place), FILES.advice, notes)
    classes = tuple(
        sorted(layout.classes, key=lambda one: listed.index(one) if one in listed else len(listed))
    )
    index = [classes.index(one) for one in layout.classes]
    placed = [PlacedImage(one.name, index[one.label], one.membership) for one in layout.images]
    # In the order of the files, so that each row group is read once.
    placed.sort(key=lambda one: (one.membership, one.name))

    def opener(name: str) -> BinaryIO:
        file, group, row = rows[name]
        return io.BytesIO(file.image(group, row))

    return Contents(classes, FilePictures(placed, opener), tuple(problems), layout.notes)


def _add(
    file: _File,
    name: str,
    membership: int,
    images: list[NamedImage],
    rows: dict[str, tuple[_File, int, int]],
    problems: list[Problem],
) -> None:
    """Add a file's rows."""
    places = ((group, row) for group, count in enumerate(file.groups) for row in range(count))
    for number, (label, (group, row)) in enumerate(zip(file.labels(), places, strict=True)):
        image = f"{name}/{number:08d}"
        name_of_class = _class_name(label, file.columns.names)
        if name_of_class is None:
            problems.append((image, f"has no class that is a name or a number: {str(label)[:40]}"))
            continue
        images.append(NamedImage(image, name_of_class, membership))
        rows[image] = (file, group, row)


def _class_name(label: Any, names: tuple[str, ...]) -> str | None:
    if label == _UNNAMED and not isinstance(label, bool):
        return None
    if isinstance(label, int) and names:
        return names[label] if 0 <= label < len(names) else None
    return class_name(label) or None
