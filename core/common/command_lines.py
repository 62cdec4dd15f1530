"""Command lines that a person may copy into a terminal."""

import shlex
import sys
from pathlib import Path


def command_line(*words: str | Path) -> str:
    """`espalier` with these words, quoted for the platform's shell where they need it."""
    return " ".join(["espalier", *(quoted(str(word)) for word in words)])


def quoted(word: str) -> str:
    """One word of a command line."""
    if sys.platform != "win32":
        return shlex.quote(word)
    return f'"{word}"' if not word or any(sign in word for sign in " &()^;,'`") else word
