"""Values on the command line: what is no such value is refused in a sentence, before anything is loaded."""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from core.common.errors import EspalierError
from core.common.paths import printable

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # what a command adds its own to
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")
MOST_THREADS = 1024


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {low} to {high}, received {text[:40]!r}"
            )
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of a number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"expected a number from {low:g} to {high:g}, received {text[:40]!r}"
            )
        return value

    return parse


def device(text: str) -> str:
    """The type of a device's name; whether there is one shows later."""
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda or cuda:N, received {text[:40]!r}")
    return text


def batch(text: str) -> int | str:
    """The type of images in a call: "dynamic" or a number."""
    return text if text == "dynamic" else whole(1, 4096)(text)


def refuse_other_encodings(words: Sequence[str]) -> None:
    """Refuse paths whose bytes are no text: what is written down of them is UTF-8.

    Raises:
        EspalierError: naming the first.
    """
    for word in words:
        if printable(word) != word:
            raise EspalierError(
                f"Expected names of files and folders in UTF-8, received '{printable(word)}', which is in another encoding.",
                "Rename it.",
            )
