"""Command lines that a person may copy into a terminal."""

import re
import shlex
import sys
from pathlib import Path


def command_line(*words: str | Path) -> str:
    """`espalier` with these words, quoted for the platform's shell where they need it."""
    return " ".join(["espalier", *(quoted(str(word)) for word in words)])


def quoted(word: str) -> str:
    """One word of a command line, so that the shell passes it on unchanged.

    On Windows for cmd.exe and PowerShell alike: in double quotes, with the backslashes before the last quote
    doubled, as the C runtime reads them.
    """
    if sys.platform != "win32":
        return shlex.quote(word)
    if re.fullmatch(r"[\w.:/\\+=~-]+", word):
        return word
    inside = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inside) + '"'
