"""The archive for a device: model, card, test images with labels, expected answers, and the script.

The script (`resources/edge/run.py`) needs NumPy, Pillow and ONNX Runtime only. The test images are the
same for the same data set and number; they are PNG files with their pixels unchanged.
`n` test images, `k` classes.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import core
from core.common.files import RESOURCES
from core.common.shown_text import SafeCsv
from core.data.image_data import ImageData
from core.data.splits import limit

FORMAT = 1
EDGE = RESOURCES / "edge"
SCRIPTS = ("run.py", "README.md", "requirements.txt")
_SEED = 20_261_121
_TIME = (2026, 1, 1, 0, 0, 0)  # of every member: the same content gives the same archive


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What the archive says of its model.

    Attributes:
        name: of the pipeline. file: the artefact's label. pipeline: SHA-256 of the document.
        classes: in the order of the model's logits. preprocess: `Preprocess.as_dict`.
        prepares: whether the model prepares images itself.
    """

    name: str
    run: str
    stage: str
    stage_name: str
    file: str
    precision: str
    sha256: str
    pipeline: str
    classes: tuple[str, ...]
    preprocess: dict[str, Any]
    prepares: bool


def pack(
    archive: Path,
    model: Path,
    card: str,
    facts: BundleFacts,
    data: ImageData,
    logits: NDArray[np.float32],
    count: int,
) -> None:
    """Write the archive.

    Args:
        logits: [n, k] of the model on the whole test split, in the data set's order of classes.
        count: how many test images travel along, evenly over the classes.
    """
    test = data.split("test")
    chosen = limit(test, data.labels, count, _SEED)
    order = [data.classes.index(name) for name in facts.classes]
    expected = logits[np.searchsorted(test, chosen)][:, order]
    images = {_image_name(number, row, data): _png(data.images[row]) for number, row in enumerate(chosen)}
    labels = _labels(images, [data.classes[data.labels[row]] for row in chosen])
    plain = {
        "format": FORMAT, "espalier": core.__version__, **asdict(facts), "model": "model.onnx",
        "bytes": model.stat().st_size,
        "images": {"count": len(chosen), "of": len(test), "id": _id_of(data.images[chosen], labels)},
    }  # fmt: skip
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        _add(opened, "bundle.json", json.dumps(plain, indent=1, ensure_ascii=False).encode())
        _add(opened, "MODEL_CARD.md", card.encode())
        for name in SCRIPTS:
            _add(opened, name, (EDGE / name).read_bytes())
        _add(opened, "model.onnx", model.read_bytes())
        _add(opened, "labels.csv", labels)
        _add(opened, "expected.npy", _npy(expected.astype(np.float32)))
        for name, content in images.items():
            _add(opened, name, content)


def _image_name(number: int, row: int, data: ImageData) -> str:
    """ "images/0007-ankle-boot.png": a number, and the class in letters that any system takes."""
    name = data.classes[data.labels[row]]
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in name.lower())
    return f"images/{number:04d}-{plain[:40]}.png"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [h, w, 1 or 3] as PNG."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).save(file, "PNG")
    return file.getvalue()


def _labels(images: dict[str, bytes], names: list[str]) -> bytes:
    text = io.StringIO()
    writer = SafeCsv(text)
    writer.writerow(("file", "class"))
    for row in zip(images, names, strict=True):
        writer.writerow(row)
    return text.getvalue().encode()


def _id_of(images: NDArray[np.uint8], labels: bytes) -> str:
    """The same for the same pixels [n, h, w, c] with the same labels."""
    digest = hashlib.sha256(labels)
    digest.update(json.dumps(images.shape).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()


def _npy(array: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)
