"""Python environments for tools that do not go with our own libraries, made when a person asks.

Each is a folder in the person's home, made with Python's own venv and pip. What is in it was installed by the
person's word, from where pip is set up to install from; it is code that runs with their rights.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from filelock import FileLock

from core.common.errors import EspalierError
from core.common.files import write_atomically
from core.machine.home_folder import home_folder
from core.machine.site_policy import site_policy

_READY = "ready.json"  # written last: an environment without it is half made
_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment by name, whether it is made or not."""

    name: str

    @property
    def folder(self) -> Path:
        return home_folder() / "environments" / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        inside = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
        return self.folder.joinpath(*inside)

    def is_made(self) -> bool:
        return (self.folder / _READY).is_file() and self.python.exists()

    def version(self, package: str) -> str:
        """The version of an installed package; "" where it is not there."""
        if not self.is_made():
            return ""
        versions = json.loads((self.folder / _READY).read_text(encoding="utf-8"))
        return str(versions.get(_normal(package), ""))

    def make(self, requirements: Sequence[str], say: Callable[[str], None]) -> None:
        """Make it anew with these packages.

        Raises:
            EspalierError: when the policy forbids downloads, there is no Python to make it with, or pip fails.
        """
        site_policy().allow_download(", ".join(requirements))
        base = _base_python()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_suffix(".lock")):
            self.remove()
            say(f"Making an environment in {self.folder}")
            _call([base, "-m", "venv", str(self.folder)], "Python could not make an environment")
            say(f"Installing {', '.join(requirements)}; this can take some minutes")
            _call(
                [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", *requirements],
                "pip could not install the packages",
            )
            write_atomically(self.folder / _READY, json.dumps(_versions(self.folder), indent=1))

    def remove(self) -> None:
        """Remove it, if it is there; the mark that it is whole goes first."""
        (self.folder / _READY).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _base_python() -> str:
    """An interpreter that can make environments: ours, or in the installed program one of the system's."""
    if not getattr(sys, "frozen", False):
        return sys.executable
    found = shutil.which("python3") or shutil.which("python")
    if found is None:
        raise EspalierError(
            "The installed program has no Python of its own that could make an environment, and the system has none.",
            "Install Python 3.11 or newer and try again.",
        )
    return found


def _call(command: list[str], failed: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise EspalierError(
            f"{failed}: {said.splitlines()[-1][:200] if said else 'it gives no reason'}.",
            "Check the connection, the space on the disk, and pip's settings.",
            said[-_TAIL:],
        )


def _versions(folder: Path) -> dict[str, str]:
    """By normal name, the versions of everything in an environment."""
    packages = [str(path) for path in folder.rglob("site-packages")]
    return {_normal(found.metadata["Name"]): found.version for found in distributions(path=packages)}


def _normal(package: str) -> str:
    return package.lower().replace("_", "-").replace(".", "-")
