"""Texts that a delegate paints in lines: broken between words, and cut by "…" where there are too many."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics


def wrapped(words: str, metrics: QFontMetrics, width: int, most: int = 0) -> list[str]:
    """The lines of a text, each at most `width` pixels wide; `most` of them, 0 for as many as it needs."""
    lines: list[str] = []
    rest = words.split()
    while rest:
        count = 1
        while count < len(rest) and metrics.horizontalAdvance(" ".join(rest[: count + 1])) <= width:
            count += 1
        if len(lines) + 1 == most:
            count = len(rest)
        line, rest = " ".join(rest[:count]), rest[count:]
        if metrics.horizontalAdvance(line) > width:
            line = metrics.elidedText(line, Qt.TextElideMode.ElideRight, width)
        lines.append(line)
    return lines
