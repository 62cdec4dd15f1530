"""An ONNX file as it is stored: small whole numbers Huffman-coded, all else deflated; the same file comes back, byte for byte.

Source: Han, Mao, Dally 2016, "Deep Compression", arXiv 1510.00149, sections 2 and 4: indices of shared weights are Huffman-coded, of sparse
layers also the distances between entries that are not zero. Where we depart: they store every pruned layer by distances, we what is shorter; and
what they leave out of their count (biases, codebooks, the graph) is in ours, deflated.

What is coded: integers of 4 and 8 bits, that is the indices of `core.onnx_graph.shared_weights` and weights that are quantized. The file is
taken apart as bytes, not as a graph, so that what comes back cannot differ. No runtime reads this form: it is for storing and sending.

Form: `MAGIC`, SHA-256 of the ONNX file, then the deflated rest and the coded parts, each behind its length.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.common.errors import EspalierError
from core.common.files import deflated_bytes, written_beside
from core.common.regular_files import open_regular
from core.onnx_graph.huffman import Symbols, decode, encode

if TYPE_CHECKING:
    import onnx

SUFFIX = ".onnxh"
MAGIC = b"ONNXH1\0\0"
_PART = struct.Struct("<QQBI")  # where it stood, its bytes there, its kind, bytes as coded
_LENGTH = struct.Struct("<Q")
_LEAST = 64  # bytes of a tensor that is worth a code
_BYTES, _HALVES = 0, 1  # kinds of symbols: a byte, or each half of one, the lower first
_DISTANCES = 2  # added to a kind: distances between entries that differ from the commonest symbol
_FARTHEST = 255  # of a distance; one more entry of the commonest symbol fills longer gaps


@dataclass(frozen=True, slots=True)
class StoredSize:
    """The bytes of a file as stored, and how they are stored, in words."""

    bytes: int
    how: str


def stored_size(path: Path) -> StoredSize:
    """The size of an ONNX file in storage: Huffman-coded where its weights are codebooks with indices, else deflated."""
    data = path.read_bytes()
    model = _model(data)
    if model is None or not any(tensor.name.endswith(".indices") for tensor in model.graph.initializer):
        return StoredSize(deflated_bytes(path), "size of the file, deflated (zlib, level 6)")
    return StoredSize(
        len(to_stored(data)),
        "size of the file, its indices Huffman-coded and the rest deflated (zlib, level 6)",
    )


def pack(source: Path, target: Path) -> None:
    """Write an ONNX file in its stored form; whole or not at all.

    Raises:
        EspalierError: when it is no ONNX file.
    """
    stored = to_stored(source.read_bytes())
    with written_beside(target) as part:
        part.write_bytes(stored)


def unpack(source: Path, target: Path) -> None:
    """Write the ONNX file that was stored; whole or not at all.

    Raises:
        EspalierError: when the source is no such form, or damaged.
        OSError: when a file cannot be read or written.
    """
    with open_regular(source) as file:
        data = from_stored(file.read())
    with written_beside(target) as part:
        part.write_bytes(data)


def to_stored(data: bytes) -> bytes:
    """The stored form of an ONNX file's bytes.

    Raises:
        EspalierError: when they are no ONNX file.
    """
    model = _model(data)
    if model is None:
        raise EspalierError("Expected an ONNX file, received one that cannot be read as such.")
    rest, parts, end = bytearray(), [], 0
    for start, length, halves in _places(data, model):
        kind, coded = _coded(np.frombuffer(data, np.uint8, length, start), halves)
        if len(coded) + _PART.size >= length:
            continue
        parts.append(_PART.pack(start, length, kind, len(coded)) + coded)
        rest += data[end:start]
        end = start + length
    rest += data[end:]
    deflated = zlib.compress(bytes(rest), 6)
    head = MAGIC + hashlib.sha256(data).digest() + _LENGTH.pack(len(data)) + _LENGTH.pack(len(deflated))
    return b"".join([head, deflated, *parts])


def from_stored(stored: bytes) -> bytes:
    """The ONNX file that `to_stored` was given.

    Raises:
        EspalierError: when it is no such form, or damaged.
    """
    if stored[: len(MAGIC)] != MAGIC:
        raise EspalierError("Expected a Huffman-coded ONNX file, received one that does not begin as such.")
    try:
        data = _decoded(stored)
    except (struct.error, ValueError, IndexError, zlib.error) as error:
        raise EspalierError("The Huffman-coded file is damaged.", "Fetch it again.", str(error)) from error
    if hashlib.sha256(data).digest() != stored[len(MAGIC) : len(MAGIC) + 32]:
        raise EspalierError(
            "The Huffman-coded file is damaged: what it gives is not what it says.", "Fetch it again."
        )
    return data


def _decoded(stored: bytes) -> bytes:
    at = len(MAGIC) + 32
    total, deflated = (_LENGTH.unpack_from(stored, at + place)[0] for place in (0, _LENGTH.size))
    at += 2 * _LENGTH.size
    inflate = zlib.decompressobj()
    rest = memoryview(inflate.decompress(stored[at : at + deflated], total + 1))  # no more than it says
    at += deflated
    data = bytearray()
    used = 0
    while at < len(stored):
        start, length, kind, coded = _PART.unpack_from(stored, at)
        at += _PART.size
        if start < len(data) or start + length > total:
            raise ValueError("a part lies outside of the file")
        gap = start - len(data)
        data += rest[used : used + gap]
        used += gap
        data += _symbols_of(stored[at : at + coded], kind, length)
        at += coded
    return bytes(data + rest[used:])


def _places(data: bytes, model: "onnx.ModelProto") -> list[tuple[int, int, bool]]:
    """Where integers of 4 and 8 bits lie in the file: start, bytes, whether two share a byte."""
    from onnx import TensorProto

    kinds = {
        TensorProto.UINT8: False,
        TensorProto.INT8: False,
        TensorProto.UINT4: True,
        TensorProto.INT4: True,
    }
    places, cursor = [], 0
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        if tensor.data_type not in kinds or len(raw) < _LEAST:
            continue
        start = data.find(raw, cursor)
        if start >= 0:
            places.append((start, len(raw), kinds[tensor.data_type]))
            cursor = start + len(raw)
    return places


def _coded(values: Symbols, halves: bool) -> tuple[int, bytes]:
    """The shorter of both ways to code these bytes, and its kind."""
    symbols = np.stack([values & 15, values >> 4], 1).reshape(-1) if halves else values
    kind = _HALVES if halves else _BYTES
    plain, sparse = encode(symbols), _sparse(symbols)
    return (kind, plain) if len(plain) <= len(sparse) else (kind + _DISTANCES, sparse)


def _sparse(symbols: Symbols) -> bytes:
    """As distances between the entries that are not the commonest symbol, and these entries, each Huffman-coded."""
    common = np.bincount(symbols, minlength=256).argmax()
    places = np.flatnonzero(symbols != common)
    gaps = np.diff(places, prepend=-1) - 1  # of the common symbol before each entry
    fillers = gaps // (_FARTHEST + 1)  # entries that stand in a gap which no distance spans
    distances = np.full(int((fillers + 1).sum()), _FARTHEST, np.uint8)
    entries = np.full(len(distances), common, np.uint8)
    ends = np.cumsum(fillers + 1) - 1
    distances[ends] = gaps % (_FARTHEST + 1)
    entries[ends] = symbols[places]
    first = encode(distances)
    return bytes([common]) + _LENGTH.pack(len(first)) + first + encode(entries)


def _symbols_of(coded: bytes, kind: int, length: int) -> bytes:
    """The bytes that `_coded` was given, of which there were `length`."""
    halves = kind in (_HALVES, _HALVES + _DISTANCES)
    count = 2 * length if halves else length
    symbols = _dense(coded, count) if kind >= _DISTANCES else decode(coded)
    if len(symbols) != count:
        raise ValueError("a part has another length than it says")
    return (symbols[0::2] | (symbols[1::2] << 4)).tobytes() if halves else symbols.tobytes()


def _dense(coded: bytes, count: int) -> Symbols:
    """What `_sparse` was given."""
    split = 1 + _LENGTH.size + _LENGTH.unpack_from(coded, 1)[0]
    distances, entries = decode(coded[1 + _LENGTH.size : split]), decode(coded[split:])
    symbols = np.full(count, coded[0], np.uint8)
    symbols[np.cumsum(distances.astype(np.int64) + 1) - 1] = entries
    return symbols


def _model(data: bytes) -> "onnx.ModelProto | None":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        return None
