"""Pickles as Python 2 wrote them in 2009, byte by byte; for the tests of CIFAR's files."""

import struct
from typing import Any

import numpy as np

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def python2(value: Any) -> bytes:
    """The pickle, protocol 2, of dicts, lists, text, numbers and uint8 arrays."""
    return b"\x80\x02" + _body(value) + b"."


def _body(value: Any) -> bytes:
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(_body(item) for item in value) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_body(key) + _body(item) for key, item in value.items()) + b"u"
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8
    shape = b"(" + b"".join(_body(side) for side in value.shape) + b"t"
    by_columns = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
    data = value.tobytes("F" if by_columns else "C")
    state = b"K\x01" + shape + DTYPE + (b"I01\n" if by_columns else b"I00\n")
    return RECONSTRUCT + b"(" + state + b"T" + struct.pack("<i", len(data)) + data + b"tb"
