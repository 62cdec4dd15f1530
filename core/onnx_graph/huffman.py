"""Huffman codes of small whole numbers, exactly decodable.

Source: Huffman 1952, "A method for the construction of minimum-redundancy codes"; Han, Mao, Dally 2016, arXiv 1510.00149, section 4, which codes
the indices of shared weights so. Codes are canonical (Schwartz and Kallick 1964): their lengths are all that a decoder needs.

Where we depart: lengths are at most 16 bits, by evening out the counts where they would be longer; and the stream is cut into lanes whose lengths
in bits are stored, so that they can be decoded side by side.
"""

import heapq
import struct

import numpy as np
from numpy.typing import NDArray

_LONGEST = 16  # bits of a code
_LANE = 4096  # symbols; a lane costs four bytes
_HEAD = struct.Struct("<QI")  # symbols, lanes

Symbols = NDArray[np.uint8]


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits of each symbol's code, 0 for one that does not occur.

    Args:
        counts: int64 [256], how often each symbol occurs.
    """
    counts = counts.astype(np.int64).copy()
    present = counts > 0
    while (lengths := _lengths(counts)).max(initial=0) > _LONGEST:
        counts[present] = np.maximum(counts[present] // 2, 1)
    return lengths


def _lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    lengths = np.zeros(len(counts), np.uint8)
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (int(count), symbol, (symbol,)) for symbol, count in enumerate(counts) if count
    ]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
        return lengths
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        members = (*first[2], *second[2])
        lengths[list(members)] += 1
        heapq.heappush(heap, (first[0] + second[0], min(first[1], second[1]), members))
    return lengths


def canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The code of each symbol: shorter ones first, among equal lengths in the order of the symbols."""
    codes = np.zeros(len(lengths), np.uint32)
    code = previous = 0
    for symbol in sorted(np.flatnonzero(lengths), key=lambda symbol: (lengths[symbol], symbol)):
        code <<= int(lengths[symbol]) - previous
        previous = int(lengths[symbol])
        codes[symbol] = code
        code += 1
    return codes


def encode(symbols: Symbols) -> bytes:
    """Symbols as lengths of codes, lanes and bits. `decode` gives them back."""
    lengths = code_lengths(np.bincount(symbols, minlength=256))
    codes = canonical_codes(lengths)
    lanes = [_bits(symbols[start : start + _LANE], lengths, codes) for start in range(0, len(symbols), _LANE)]
    sizes = np.array([len(lane) for lane in lanes], "<u4")
    stream = np.packbits(np.concatenate(lanes)) if lanes else np.zeros(0, np.uint8)
    used = np.flatnonzero(lengths)
    table = (
        bytes([len(used) - 1]) + used.astype(np.uint8).tobytes() + lengths[used].tobytes()
        if len(used)
        else b""
    )
    return _HEAD.pack(len(symbols), len(lanes)) + table + sizes.tobytes() + stream.tobytes()


def _bits(symbols: Symbols, lengths: NDArray[np.uint8], codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The codes of the symbols one after the other, a bit in a byte."""
    widths, values = lengths[symbols].astype(np.int64), codes[symbols]
    starts = np.cumsum(widths) - widths
    bits = np.zeros(int(widths.sum()), np.uint8)
    for place in range(int(widths.max())):
        inside = widths > place
        bits[starts[inside] + place] = (values[inside] >> (widths[inside] - 1 - place).astype(np.uint32)) & 1
    return bits


def decode(coded: bytes) -> Symbols:
    """The symbols that `encode` was given.

    Raises:
        ValueError: when the bytes are no such code.
    """
    count, lane_count = _HEAD.unpack_from(coded)
    if lane_count != -(-count // _LANE):
        raise ValueError("the number of lanes does not fit the number of symbols")
    if not count:
        return np.zeros(0, np.uint8)
    at = _HEAD.size
    used = coded[at] + 1
    symbols = np.frombuffer(coded, np.uint8, used, at + 1)
    lengths = np.zeros(256, np.uint8)
    lengths[symbols] = np.frombuffer(coded, np.uint8, used, at + 1 + used)
    at += 1 + 2 * used
    sizes = np.frombuffer(coded, "<u4", lane_count, at).astype(np.int64)
    stream = np.frombuffer(coded, np.uint8, -(-int(sizes.sum()) // 8), at + 4 * lane_count)
    symbol_at, length_at = _tables(lengths)
    stream = np.concatenate([stream, np.zeros(4, np.uint8)]).astype(np.uint32)
    place = np.cumsum(sizes) - sizes
    ends = place + sizes
    found = np.zeros((min(_LANE, count), lane_count), np.uint8)
    for number in range(len(found)):  # of all lanes the next symbol at once
        byte, shift = place >> 3, (place & 7).astype(np.uint32)
        window = (stream[byte] << 16) | (stream[byte + 1] << 8) | stream[byte + 2]
        window = (window >> (8 - shift)) & 0xFFFF
        found[number] = symbol_at[window]
        place = np.minimum(
            place + length_at[window], ends
        )  # the last lane may be shorter, and waits at its end
    if not np.array_equal(place, ends):
        raise ValueError("the lanes do not end where they should")
    decoded: Symbols = found.T.reshape(-1)[:count]
    return decoded


def _tables(lengths: NDArray[np.uint8]) -> tuple[Symbols, NDArray[np.int64]]:
    """For every 16 bits the symbol that they begin with, and the length of its code."""
    symbol_at, length_at = np.zeros(1 << _LONGEST, np.uint8), np.zeros(1 << _LONGEST, np.int64)
    for symbol, code in enumerate(canonical_codes(lengths)):
        if not (length := int(lengths[symbol])):
            continue
        if length > _LONGEST:
            raise ValueError(f"a code of {length} bits, more than {_LONGEST}")
        start = int(code) << (_LONGEST - length)
        symbol_at[start : start + (1 << (_LONGEST - length))] = symbol
        length_at[start : start + (1 << (_LONGEST - length))] = length
    return symbol_at, length_at
