#!/usr/bin/env python3
"""Everything a newcomer needs: `python3 dev.py run` and `python3 dev.py test`.

The first call makes `.venv` beside this file and installs what pyproject.toml names, in the
versions of packaging/constraints.txt; nothing outside the folder is touched. Later calls find
everything in place and need no network.

    run [FILE]      open the window (without a display: run the Quick tour in the terminal)
    test [ARGS]     formatter, linter, type checker, import contract, fast tests
    gpu [ARGS]      what only an NVIDIA GPU can show, under ten minutes; without one all of it is skipped, and said
    slow [ARGS]     the slow tests: full-size runs, real kills, long journeys
    cli ARGS        the command line, `espalier ARGS`
    package [ARGS]  build the installers of this platform (see docs/packaging.md)
    setup           only install
"""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"
# The tests of a file share fixtures and one process; the order that tests/conftest.py gives is kept.
SCHEDULE = ("--dist", "loadfile", "--no-loadscope-reorder")
# A test that hangs ends its worker with the stack of each thread, and is named; the longest takes two minutes.
LIMIT = (
    "-o",
    "faulthandler_timeout=600",
    "-o",
    "faulthandler_exit_on_timeout=true",
    "--max-worker-restart",
    "2",
)
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SYSTEM_PACKAGES = "libglib2.0-0 libgl1 libegl1 libdbus-1-3 libfontconfig1 libxkbcommon0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0"


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 (pip has not checked it yet)
        print(f"Espalier needs Python 3.11 or newer, this is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    command, rest = (arguments or ["help"])[0], arguments[1:]
    if command not in ("run", "test", "gpu", "slow", "cli", "package", "setup"):
        print(__doc__)
        return 0 if command in ("help", "-h", "--help") else 2
    if command == "package":  # makes an environment of its own
        return subprocess.call([sys.executable, str(ROOT / "packaging" / "build.py"), *rest])
    setup(developing=command not in ("run", "cli"))
    if command == "run":
        return run(rest)
    if command == "test":
        return test(rest)
    if command == "gpu":
        return call("-m", "pytest", "-m", "gpu", "-rs", "tests/gpu", *rest)
    if command == "slow":
        return call("-m", "pytest", "-m", "slow", *rest)
    return call("-m", "core.commands.main", *rest, here=False) if command == "cli" else 0


def setup(developing: bool) -> None:
    """Make `.venv` and install, unless a stamp says that exactly this is done."""
    if os.environ.get("ESPALIER_ENVIRONMENT") == "given":
        return
    wanted = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes() + sys.version.encode()
    ).hexdigest()
    stamps = (
        [VENV / "espalier-dev.stamp"]
        if developing
        else [VENV / "espalier-dev.stamp", VENV / "espalier-run.stamp"]
    )
    if PYTHON.exists() and any(stamp.is_file() and stamp.read_text() == wanted for stamp in stamps):
        return
    print("Setting up .venv (the first time this takes some minutes)…", file=sys.stderr)
    if not PYTHON.exists() and subprocess.call([sys.executable, "-m", "venv", str(VENV)]):
        sys.exit("The virtual environment could not be made. On Debian and Ubuntu: apt install python3-venv")
    target = f"{ROOT}[dev]" if developing else str(ROOT)
    if call(
        "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(CONSTRAINTS), "-e", target
    ):
        sys.exit(
            "The installation failed; pip's messages above say why. Run the command again when it is mended."
        )
    stamps[-1].write_text(wanted)


def run(arguments: list[str]) -> int:
    """The window where there is a display, else the same pipeline in the terminal."""
    if has_display():
        if call("-c", "import PySide6.QtWidgets") == 0:
            return call("-m", "gui.app", *arguments, here=False)
        print(
            f"Qt's libraries are not complete. On Debian and Ubuntu: apt install {SYSTEM_PACKAGES}",
            file=sys.stderr,
        )
    recipe = arguments or [str(ROOT / "resources" / "recipes" / "quick-tour.yaml")]
    print("No display: running in the terminal.", file=sys.stderr)
    return call("-m", "core.commands.main", "run", *recipe, here=False)


def has_display() -> bool:
    """Whether a window can be shown here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def test(arguments: list[str]) -> int:
    """All checks in turn; the first that fails ends it. The tests' order is drawn from a seed that is printed."""
    seed = ("--randomly-seed", str(random.randrange(2**32)))
    checks = [
        ("-m", "ruff", "format", "--check", "--quiet", "."),
        ("-m", "ruff", "check", "--quiet", "."),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command as lint; lint()"),
        ("-m", "pytest", "-n", str(min(4, os.cpu_count() or 1)), *SCHEDULE, *LIMIT, *seed, *arguments),
    ]
    for check in checks:
        print("→", check[-1] if check[0] == "-c" else " ".join(check[1:]), flush=True)
        if status := call(*check):
            return status
    return 0


def call(*arguments: str, here: bool = True) -> int:
    """Run the environment's Python, in this folder or (here=False) in the caller's; its exit status."""
    python = sys.executable if os.environ.get("ESPALIER_ENVIRONMENT") == "given" else str(PYTHON)
    # A run starts dozens of processes; without bytecode each would compile the engine again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        return subprocess.call([python, *arguments], cwd=ROOT if here else None, env=environment)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
