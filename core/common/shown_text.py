"""Texts from files as a person may be shown them: short, without what a terminal or a spreadsheet obeys."""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

_LONGEST, _MOST_NAMES = 120, 24
_OBEYED = re.compile("\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?%?|[-+]|[-+]?(?:inf|nan)")


def shortened(value: object) -> str:
    """A value as Python writes it; of a long one the beginning, and how long it is."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def harmless(text: str) -> str:
    """Without the characters by which a text moves a terminal's cursor, hides or turns what stands beside it.

    Line ends and tabs stay; every other control character is shown as the sign for one.
    """
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


def csv_cell(text: str) -> str:
    """A cell that a spreadsheet program takes for text or a number, never for a formula.

    Source: OWASP, CSV Injection: an apostrophe before what begins like a formula.
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


class SafeCsv:
    """A CSV file in which no text is taken for a formula; numbers stay what they are."""

    def __init__(self, file: TextIO, lineterminator: str = "\n"):
        self._writer = csv.writer(file, lineterminator=lineterminator)

    def writerow(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._writer.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in cells])


def plain_markdown(text: str) -> str:
    """A Markdown text in which what came from files makes neither HTML nor links, pictures or entities."""
    return harmless(_ENTITY.sub("&amp;", text).replace("<", "&lt;").replace("](", "]\\("))


def some_of(names: Iterable[str]) -> str:
    """Names between commas; of many the first, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return ", ".join(known[:_MOST_NAMES]) + more
