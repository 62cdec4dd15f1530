"""What is said of a file that is no ONNX file, or no classifier's: the same wherever one is opened."""

from pathlib import Path

from core.common.errors import EspalierError
from core.common.regular_files import open_regular
from core.common.shown_text import shortened

_LOOKED_AT, _LONGEST_CHARACTER = 256, 4  # bytes
_ADVICE = "Pick the .onnx file of an image classifier; if this is it, copy or download it again."


def unreadable(path: Path, error: Exception) -> EspalierError:
    """What is in the file is no ONNX."""
    return EspalierError(f"Expected an ONNX file, but {path.name} {_kind(path)}.", _ADVICE, str(error))


def without_network(path: Path) -> EspalierError:
    """The file is ONNX by its form, and holds nothing."""
    return EspalierError(f"Expected an ONNX file, but {path.name} holds no network.", _ADVICE)


def no_classifier(what: str, advice: str) -> EspalierError:
    """The file's network does something else; `what` says which, a part of a sentence."""
    return EspalierError(f"Expected an ONNX file of an image classifier, but {what}.", advice)


def unprepared(name: str, size: int | None, where: str = "") -> EspalierError:
    """Nothing says how images become the network's input.

    Args:
        size: pixels a side that it takes; None for any. where: a person can give it, as the end of a sentence.
    """
    takes = f"its input is {size} × {size} pixels" if size else "its input takes any size"
    return EspalierError(
        f"{name} does not say how images have to be prepared for it: it was not made by Espalier.",
        f"Give the image size ({takes}) and the normalisation: mean and standard deviation{where}.",
    )


def _kind(path: Path) -> str:
    """What a file is, as far as its beginning tells."""
    try:
        with open_regular(path) as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        start = b""
    if start.startswith(b"PK\x03\x04"):
        return "is a zip archive"
    text = _text(start).strip()
    if text and all(one.isprintable() or one.isspace() for one in text):
        return f"is a text that begins with {shortened(text.splitlines()[0])}"
    return "cannot be read as one: it is damaged, or something else"


def _text(start: bytes) -> str:
    """The beginning of a file as text; empty where it is none."""
    try:
        return start.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = len(start) == _LOOKED_AT and error.start > _LOOKED_AT - _LONGEST_CHARACTER
        return start[: error.start].decode("utf-8") if cut else ""
