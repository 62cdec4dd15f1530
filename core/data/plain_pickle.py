"""Reading pickled arrays, text and lists without ever running what a pickle asks for.

A pickle is a program: it may name any function of any module and have it called. Here the few names
that an array of bytes needs stand for small objects of this file, which have no attributes that a
pickle could change; every other name is refused. Neither NumPy nor anything else is called with
what the file says, and attributes, imports and instances of classes are out of its reach.

Source of the names: what `pickle.dumps` writes for an ndarray (Python 2 and 3, NumPy 1 and 2).
"""

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

from core.common.errors import EspalierError

_NDARRAY = "ndarray"


def read_pickle(data: bytes, name: str) -> Any:
    """The content of a pickle of lists, dicts, text, numbers and uint8 arrays holds.

    Text of Python 2 comes as bytes. An array comes as a read-only view of its bytes.

    Args:
        name: the file's, for messages.

    Raises:
        EspalierError: it refers to anything else, or is damaged.
    """
    try:
        _check_sizes(data)
        return _resolved(_Reader(io.BytesIO(data), encoding="bytes").load())
    except _Refused as refused:
        raise EspalierError(
            f"Expected only arrays, text and lists in {name}, received a reference to {refused}.",
            "The file was not read, because it could run a program. Download it again from a place you trust.",
        ) from None
    except Exception as error:  # The pickle machine raises almost anything on damaged files.
        raise EspalierError(
            f"Expected a whole file of arrays, text and lists, but {name} is damaged.",
            "Copy or download it again.",
            str(error) or type(error).__name__,
        ) from error


def _check_sizes(data: bytes) -> None:
    """Nothing where no instruction announces more than the file can hold: for such numbers memory is taken at once.

    Raises:
        ValueError: one does, or the instructions do not end.
    """
    for instruction, argument, _ in pickletools.genops(data):
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "FRAME"):
            if not isinstance(argument, int) or not 0 <= argument <= len(data):
                raise ValueError(f"{instruction.name} with {argument}")
        elif isinstance(argument, int) and argument.bit_length() > 64:
            raise ValueError("a number of more than 64 bits")


class _Refused(Exception):
    """The pickle names what it has no business with; the text is that name."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _Refused(f"{module}.{name}")
        return _KNOWN[module, name]


class _Array:
    """A placeholder for an ndarray until its state is read."""

    __slots__ = ("values",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Kind) or not isinstance(data, bytes) or math.prod(shape) != len(data):
            raise ValueError("an array whose shape does not fit its bytes")
        self.values = np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Kind:
    """A placeholder for the only dtype, bytes; its state is not needed."""

    __slots__ = ()

    def __setstate__(self, _: object) -> None:
        """A byte has no byte order, fields or alignment."""


class _MakeArray:
    __slots__ = ()

    def __call__(self, subtype: object, shape: object, kind: object) -> _Array:
        if subtype != _NDARRAY:
            raise ValueError("an array of an unknown type")
        return _Array()


class _MakeKind:
    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> _Kind:
        if kind not in ("u1", b"u1", "|u1", b"|u1"):
            raise ValueError(f"an array of {kind!r} instead of bytes")
        return _Kind()


class _MakeBytes:
    """Python 3 writes bytes this way for Python 2."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise ValueError("text in an unknown encoding")
        return text.encode("latin1")


_KNOWN: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _MakeKind(),
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
    ("_codecs", "encode"): _MakeBytes(),
}


def _resolved(value: Any) -> Any:
    """With arrays in place of what stood for them, one level deep: that is all CIFAR has."""
    if isinstance(value, dict):
        return {key: item.values if isinstance(item, _Array) else item for key, item in value.items()}
    return value.values if isinstance(value, _Array) else value
