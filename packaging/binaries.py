"""What the compiled files of a package need from the system: libraries, and the oldest C library (Linux).

Read with binutils' `objdump`, which PyInstaller needs on Linux too.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Parts that Qt tries and does without: a missing library there is no fault.
_OPTIONAL = re.compile(r"/platformthemes/|/egldeviceintegrations/|/printsupport/|/tls/")
_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)(?:\.\d+)?\b")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a folder of compiled files asks of the system.

    Attributes:
        libraries: by name, those that the folder does not bring, with one file that wants each.
        glibc: the newest version of the C library that any file names, as (2, 28).
        glibc_file: a file that names it.
    """

    libraries: dict[str, str]
    glibc: tuple[int, int]
    glibc_file: str


def needs_of(folder: Path) -> Needs:
    """What all compiled files below `folder` need and do not bring themselves."""
    brought = {path.name for path in folder.rglob("*.so*")}
    libraries: dict[str, str] = {}
    newest, newest_file = (0, 0), ""
    for path in compiled_files(folder):
        inside = path.relative_to(folder).as_posix()
        text = _headers(path)
        for version in _GLIBC.findall(text):
            found = (int(version[0]), int(version[1]))
            if found > newest:
                newest, newest_file = found, inside
        if not _OPTIONAL.search(f"/{inside}"):
            for name in re.findall(r"^\s+NEEDED\s+(\S+)", text, re.MULTILINE):
                if name not in brought:
                    libraries.setdefault(name, inside)
    return Needs(dict(sorted(libraries.items())), newest, newest_file)


def drop_unneeded(folder: Path) -> list[str]:
    """Remove the system's libraries that lie at the top of the program and nothing there needs; their names.

    PyInstaller took them along for parts that `selection` refused afterwards.
    """
    dropped: list[str] = []
    while True:
        needed = {
            name
            for path in compiled_files(folder)
            for name in re.findall(r"^\s+NEEDED\s+(\S+)", _headers(path), re.MULTILINE)
        }
        spare = [
            path
            for path in folder.glob("_internal/lib*.so*")
            if path.name not in needed and not path.name.startswith("libpython")
        ]
        if not spare:
            return sorted(dropped)
        for path in spare:
            path.unlink()
            dropped.append(path.name)


def compiled_files(folder: Path) -> list[Path]:
    """Every ELF file below `folder`, links left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def _headers(path: Path) -> str:
    return subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
