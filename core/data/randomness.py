"""Seeds without a running stream: every draw follows from what it is for, not from what ran before.

A draw is seeded from its parts (the run's seed, the stage's key, the purpose, epoch, step), so
nothing has to be saved or restored to repeat it, and one draw cannot disturb another.
"""

import hashlib
import operator
from collections.abc import Sequence

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def derive_seed(*parts: str | int | float | bool | None) -> int:
    """A 63-bit seed that depends on every part, on its type and on the order, and on nothing else.

    The same parts give the same seed on every machine and in every process (SHA-256; Python's
    own `hash` differs from process to process).

    Raises:
        TypeError: a part is not plain data.
    """
    text = "\x1f".join(_spell(part) for part in parts)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def shuffled(count: int, seed: int) -> np.ndarray:
    """A permutation of 0…count-1 that depends on `count` and `seed` only.

    Sorts the indices by a random key each. Unlike NumPy's and PyTorch's permutations it cannot
    change with the library's version, so drawn splits stay what they were.

    Returns: int64 [count].
    """
    return np.argsort(_keys(count, seed), kind="stable").astype(np.int64)


def uniform(count: int, seed: int) -> np.ndarray:
    """Numbers in 0…1 (never 1) that depend on their place and `seed` only: float64 [count]."""
    return (_keys(count, seed) >> np.uint64(11)) * 2.0**-53


def uniform_at(places: np.ndarray, seed: int) -> np.ndarray:
    """What `uniform` gives at these places, without making those before: float64 like int `places`."""
    return (_keys_at(places, seed) >> np.uint64(11)) * 2.0**-53


def _keys(count: int, seed: int) -> np.ndarray:
    return _keys_at(np.arange(count), seed)


def _keys_at(places: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195): uint64 like `places`."""
    start = np.uint64(seed & _WORD)
    with np.errstate(over="ignore"):
        keys = start + (places.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return keys ^ (keys >> np.uint64(31))


def ranks_within(groups: np.ndarray, seed: int) -> np.ndarray:
    """For every element its place in a random order of its own group.

    Args:
        groups: int [n], the group (class) of each element.

    Returns: int64 [n]; each group holds 0, 1, 2, … once.
    """
    ranks = np.zeros(len(groups), dtype=np.int64)
    for group in _distinct(groups):
        members = np.flatnonzero(groups == group)
        ranks[members[shuffled(len(members), derive_seed(seed, group))]] = np.arange(len(members))
    return ranks


def _distinct(groups: np.ndarray) -> Sequence[int]:
    return [int(group) for group in np.unique(groups)]


def _spell(part: str | int | float | bool | None) -> str:
    if part is None or isinstance(part, bool | np.bool_):
        return f"b:{part}"
    if isinstance(part, str):
        return f"s:{part}"
    if isinstance(part, float | np.floating):
        return f"f:{float(part)!r}"
    try:
        return f"i:{operator.index(part)}"
    except TypeError:
        raise TypeError(
            f"Expected text, a number, a truth value or None, received {type(part).__name__}."
        ) from None
