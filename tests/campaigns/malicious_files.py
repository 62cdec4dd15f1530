"""The pipeline files and data of `malice.py`: each made to run something, to read or write elsewhere, to hang, or to fill memory or disk.

A function that makes data, a model or a source gets a folder and the path of a marker, a file that only exists when code
out of the malicious file ran.
"""

import gzip
import io
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import PIPELINE as WHOLE
from PIL import Image

PIPELINE = WHOLE.replace("  - {id: int8, kind: quantize-static, settings: {images: 32}}\n", "").replace(
    "epochs: 1", "epochs: 0"
)
CODE_TEXT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n"


def write(path: Path, content: bytes) -> Path:
    """The file, with this content."""
    path.write_bytes(content)
    return path


class Runs:
    """Its pickle asks for a call."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


# Pipeline files


def pipeline_texts() -> dict[str, str | bytes]:
    """Texts that are refused."""
    aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    return {
        "aliases of aliases": PIPELINE + aliases,
        "an alias within itself": PIPELINE + "notes: &a [*a]\n",
        "a merge of itself": PIPELINE + "notes: &a\n  <<: *a\n",
        "lists in lists": PIPELINE + "notes: " + "[" * 100_000 + "]" * 100_000,
        "mappings in mappings": PIPELINE + "notes: " + "{a: " * 5_000 + "}" * 5_000,
        "a number without end": PIPELINE.replace("epochs: 0", "epochs: " + "9" * 100_000),
        "a fraction without end": PIPELINE.replace("0.005", "0." + "1" * 100_000),
        "code as a tag": PIPELINE + "notes: !!python/object/apply:os.mkdir [x]\n",
        "a standard tag": PIPELINE.replace("epochs: 0", 'epochs: !!int "1_0"'),
        "a binary tag": PIPELINE + "notes: !!binary aGVsbG8=\n",
        "a number that is none": PIPELINE.replace("0.005", ".nan"),
        "an infinite number": PIPELINE.replace("0.005", ".inf"),
        "zero bytes": PIPELINE.encode() + b"notes: [\0]\n",
        "another encoding": PIPELINE.replace("Campaign", "Größe").encode("utf-16"),
        "half of an encoding": PIPELINE.replace("Campaign", "Größe").encode("latin-1"),
        "nine million characters": PIPELINE + "about: " + "x" * 9_000_000,
        "a key twice": PIPELINE + "name: Another\n",
        "a list as a key": PIPELINE + "? [a, b]\n: c\n",
        "a name with escape codes": PIPELINE.replace("name: Campaign", 'name: "\\e]0;owned\\a\\e[2J"'),
        "an id that leads out": PIPELINE.replace("id: fp32", "id: ../../x"),
        "more stages than anybody runs": PIPELINE
        + "".join(f"  - {{id: s{n}, kind: train}}\n" for n in range(2_000)),
        "hundreds of wrong stages": PIPELINE
        + "".join(f"  - {{id: s{n}, kind: trian}}\n" for n in range(900)),
        "a file that quantizes hundreds of times": PIPELINE
        + "".join(f"  - {{id: s{n}, kind: quantize-static}}\n" for n in range(800)),
        "hundreds of thousands of keys": PIPELINE + "".join(f"k{n}: 1\n" for n in range(300_000)),
    }


def odd_but_right() -> dict[str, str]:
    """Texts that are right, and would upset a terminal or a slow check."""
    return {
        "eight hundred stages": PIPELINE + "".join(f"  - {{id: s{n}, kind: train}}\n" for n in range(800)),
        "a name that is markup": PIPELINE.replace("name: Campaign", "name: '[/red]<b>=1+1 :cat:'"),
    }


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "p.yaml")
    return folder / "p.yaml"


def _link(folder: Path) -> Path:
    (folder / "p.yaml").symlink_to("/dev/zero")
    return folder / "p.yaml"


PLACES: dict[str, Callable[[Path], Path]] = {
    "a named pipe": _pipe,
    "a device": lambda folder: Path("/dev/zero"),
    "a link to a device": _link,
    "a folder": lambda folder: folder,
}


# Images and archives


def source_of(place: Path) -> str:
    """The data source that opens a place."""
    kinds = {"idx": "idx", "cifar": "cifar", ".csv": "csv"}
    return next((kind for name, kind in kinds.items() if name in place.name), "folder")


def pictures(folder: Path, classes: str = "ab", count: int = 12) -> Path:
    """A folder of small images, `count` in each class."""
    draw = random.Random(1)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (28, 28), draw.randrange(255)).save(folder / name / f"{number}.png")
    return folder


def _with_file(name: str, content: bytes | Callable[[Path], bytes]) -> Callable[[Path, Path], Path]:
    def make(folder: Path, marker: Path) -> Path:
        pictures(folder)
        (folder / "a" / name).write_bytes(content(marker) if callable(content) else content)
        return folder

    return make


def _png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_000))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _gif(frames: int) -> bytes:
    file = io.BytesIO()
    images = [Image.new("L", (28, 28), number % 255) for number in range(frames)]
    images[0].save(file, "GIF", save_all=True, append_images=images[1:])
    return file.getvalue()


def _with_pipe(folder: Path, marker: Path) -> Path:
    os.mkfifo(pictures(folder) / "a" / "pipe.png")
    return folder


def _with_links(folder: Path, marker: Path) -> Path:
    pictures(folder)
    (folder / "a" / "endless.png").symlink_to("/dev/zero")
    (folder / "b" / "up").symlink_to(folder)
    (folder / "b" / "itself.png").symlink_to("itself.png")
    return folder


def _odd_names(folder: Path, marker: Path) -> Path:
    pictures(folder, "a")
    for name in ("=cmd|' C'!A0", "<img src=x onerror=alert(1)>", "\x1b[31mred", "$(touch x)", "..a"):
        shutil.copytree(folder / "a", folder / name)
    return folder


def _zip(members: dict[str, bytes | int], folder: Path) -> Path:
    """A zip file of two classes and further members; a number: so many zero bytes."""
    pictures(folder / "in")
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((folder / "in").rglob("*.png")):
            archive.write(file, file.relative_to(folder / "in").as_posix())
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                if isinstance(content, bytes):
                    member.write(content)
                    continue
                for _ in range(content // 1_000_000):
                    member.write(bytes(1_000_000))
    shutil.rmtree(folder / "in")
    return folder / "data.zip"


def _list(*rows: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, marker: Path) -> Path:
        pictures(folder)
        own = [f"{name}/{number}.png,{name}" for name in "ab" for number in range(12)]
        (folder / "list.csv").write_text("\n".join(["path,label", *own, *rows]), encoding="utf-8")
        return folder / "list.csv"

    return make


DATA: dict[str, Callable[[Path, Path], Path]] = {
    "PostScript that writes": _with_file("x.png", lambda marker: f"{CODE_TEXT}({marker}) (w) file closefile\nshowpage\n".encode()),
    "PostScript that hangs": _with_file("x.png", f"{CODE_TEXT}{{}} loop\nshowpage\n".encode()),
    "a PDF": _with_file("x.png", b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(touch x)>>>>endobj\n"),
    "an SVG with a script": _with_file("x.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>"),
    "a metafile": _with_file("x.png", b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhH", 0, 0, 28, 28, 72) + bytes(60)),
    "a picture of ten thousand million pixels": _with_file("x.png", _png(100_000, 100_000)),
    "a picture of a billion columns": _with_file("x.png", _png(2**31 - 1, 1)),
    "an animation of thousands of frames": _with_file("x.gif", _gif(3_000)),
    "a pointer to a file": _with_file("x.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"),
    "a named pipe": _with_pipe,
    "links to a device, to itself and upwards": _with_links,
    "names that are commands, HTML and escape codes": _odd_names,
    "a zip file with names that lead out": lambda folder, marker: _zip({"../../victim/keys": b"x", "/etc/x.png": b"x", "a/../../x.png": b"x"}, folder),
    "a zip file with a picture of gigabytes": lambda folder, marker: _zip({"a/x.png": 2_000_000_000}, folder),
    "a list that leads to devices and elsewhere": _list("/dev/zero,a", "../../../../etc/passwd,a", "a/../../victim/keys,b"),
    "a list with formulas": _list("=HYPERLINK(1),a", "a/0.png,=1+1", '"a/1.png","\x1b[2J"'),
}  # fmt: skip


def _zip_of_much(folder: Path, marker: Path) -> Path:
    place = _zip({"a/x.png": 100_000_000}, folder)
    content = place.read_bytes()
    declared = struct.pack("<I", 100_000_000)
    assert declared in content
    with zipfile.ZipFile(place, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(60):
            archive.writestr(f"b/{number}-x.png", bytes(100_000_000), compresslevel=1)
    return place


def _idx(folder: Path, images: bytes) -> Path:
    place = folder / "idx"
    place.mkdir(parents=True)
    (place / "train-images-idx3-ubyte.gz").write_bytes(images)
    (place / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 20) + bytes([0, 1] * 10))
    return place


def _zeros(packed: int) -> bytes:
    """A gzip file that unpacks to thousandfold its `packed` megabytes."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as stream:
        stream.write(struct.pack(">IIII", 2051, 20, 28, 28))
        for _ in range(packed * 1000):
            stream.write(bytes(1_000_000))
    return file.getvalue()


def _cifar(folder: Path, meta: bytes) -> Path:
    place = folder / "cifar"
    place.mkdir(parents=True)
    for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (place / name).write_bytes(meta)
    return place


def _tar(folder: Path, members: dict[str, int]) -> Path:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz", compresslevel=9) as archive:
        for name, size in members.items():
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, _Zeros(size))
    return folder / "cifar-10-python.tar.gz"


class _Zeros(io.RawIOBase):
    """So many zero bytes."""

    def __init__(self, size: int):
        self._left = size

    def read(self, size: int = -1) -> bytes:
        taken = self._left if size < 0 else min(size, self._left)
        self._left -= taken
        return bytes(taken)


def _unreadable(folder: Path, marker: Path) -> Path:
    folder.mkdir()
    os.mkfifo(folder / "data.zip")
    return folder / "data.zip"


NO_DATA: dict[str, Callable[[Path, Path], Path]] = {
    "a zip file that unpacks to gigabytes": _zip_of_much,
    "a zip file that is a named pipe": _unreadable,
    "an IDX file that unpacks without end": lambda folder, marker: _idx(folder, _zeros(1)),
    "an IDX file of more images than memory holds": lambda folder, marker: _idx(folder, gzip.compress(struct.pack(">IIII", 2051, 2**32 - 1, 9999, 9999))),
    "a pickle that runs": lambda folder, marker: _cifar(folder, pickle.dumps({"label_names": Runs(marker)})),
    "a pickle that wants all memory": lambda folder, marker: _cifar(folder, b"\x80\x02]r\xff\xff\xff\xff."),
    "a pickle of a number without end": lambda folder, marker: _cifar(folder, b"\x80\x02\x8b\xff\xff\xff\x7f."),
    "an archive that unpacks without end": lambda folder, marker: _tar(folder, {"padding": 3_000_000_000}),
    "an archive with a huge batch": lambda folder, marker: _tar(folder, {"cifar-10-batches-py/data_batch_1": 800_000_000}),
    "a list of nothing but devices": lambda folder, marker: _only(folder, "path,label\n/dev/zero,a\n/dev/urandom,b\n"),
    "a list with a cell of megabytes": lambda folder, marker: _only(folder, "path,label\n" + "x" * 5_000_000 + ",a\n"),
    "a list of zero bytes": lambda folder, marker: _only(folder, "path,label\na\0b,\0\n"),
}  # fmt: skip


def _only(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"
