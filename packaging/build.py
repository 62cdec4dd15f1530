"""Builds the packages: `python3 dev.py package`.

From a clean checkout, with nothing but Python and (on Linux) binutils: copies the sources aside, makes an
environment of its own, freezes it with PyInstaller, collects licence notices, and wraps the folder for the
platform. Needs no other library, so that any Python 3.11 or newer can run it.

    dist/espalier_VERSION_amd64.deb                     system-wide, Debian and Ubuntu
    dist/espalier-VERSION-linux-x86_64-cpu.tar.xz       for one person, with install.sh
    dist/CONTENTS-cpu.txt, dist/SHA256SUMS              every file inside; checksums of the packages
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import binaries
import contents
import linux
import notices
import selection

ROOT = Path(__file__).resolve().parent.parent
PYINSTALLER = "pyinstaller==6.22.3"
SOURCES = ("core", "gui", "resources", "docs", "packaging")
SOURCE_FILES = ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
STEPS = ("folder", "deb", "archive")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is built, and where.

    Attributes:
        flavour: "cpu" or "cuda".
        work: folder for everything in between; may be deleted at any time.
        dist: folder for the finished packages.
        steps: which of `STEPS` are wanted.
        pip: further arguments of pip, such as the address of PyTorch's CPU builds.
        level: of xz, 1 (quick) to 9 (small).
    """

    flavour: str
    work: Path
    dist: Path
    steps: tuple[str, ...]
    pip: tuple[str, ...]
    level: int

    @property
    def source(self) -> Path:
        return self.work / "source"

    @property
    def environment(self) -> Path:
        return self.work / f"environment-{self.flavour}"

    @property
    def python(self) -> Path:
        return self.environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def folder(self) -> Path:
        """The frozen program."""
        return self.work / self.flavour / "espalier"


def main(arguments: list[str]) -> int:
    """Build what is asked for; the exit status."""
    plan = _plan(arguments)
    started = time.monotonic()
    os.environ.setdefault("SOURCE_DATE_EPOCH", _date_of_sources())
    copy_sources(plan)
    make_environment(plan)
    call(plan.python, plan.source / "packaging" / "icons.py", plan.source)
    freeze(plan)
    version = selection.version_of(plan.source)
    facts = notices.write(plan.folder, plan.environment, plan.source / "packaging" / "licences")
    say(f"Licence notices of {facts.libraries} libraries and {facts.system} packages of the system")
    contents.same_modes(plan.folder)
    plan.dist.mkdir(parents=True, exist_ok=True)
    contents.write(plan.folder, plan.dist / f"CONTENTS-{plan.flavour}.txt")
    made = _wrap(plan, version)
    write_checksums(plan.dist)
    for path in made:
        say(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    say(
        f"{plan.folder}: {contents.size(plan.folder) / 1e6:.1f} MB, {time.monotonic() - started:.0f} s in all"
    )
    return 0


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(
        prog="dev.py package", description="Build the packages of this platform; see docs/packaging.md."
    )
    parser.add_argument("--flavour", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", choices=STEPS, action="append", help="one of the steps; may be repeated")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "package", help="folder in between")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder of the packages")
    parser.add_argument(
        "--index", help="another package index beside pip's own, such as PyTorch's for processors"
    )
    parser.add_argument(
        "--level", type=int, choices=range(1, 10), default=3, help="of compression: 1 is quick, 9 small"
    )
    options = parser.parse_args(arguments)
    pip = ("--extra-index-url", options.index) if options.index else ()
    steps = tuple(options.only or STEPS)
    return Plan(options.flavour, options.work.resolve(), options.dist.resolve(), steps, pip, options.level)


def say(text: str) -> None:
    """One line for the person who waits."""
    sys.stderr.write(f"→ {text}\n")


def _date_of_sources() -> str:
    """Seconds of the last commit, so that the same sources give the same dates; the clock without git."""
    answer = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or str(int(time.time()))


def copy_sources(plan: Plan) -> None:
    """Lay a copy of what goes into the package aside: the tree may change while we build."""
    shutil.rmtree(plan.source, ignore_errors=True)
    plan.source.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for name in SOURCES:
        shutil.copytree(ROOT / name, plan.source / name, ignore=skip)
    for name in SOURCE_FILES:
        shutil.copyfile(ROOT / name, plan.source / name)


def make_environment(plan: Plan) -> None:
    """A virtual environment with the pinned libraries and nothing else, unless it is there already."""
    pinned = plan.source / "packaging" / "constraints.txt"
    needed = tomllib.loads((plan.source / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = hashlib.sha256(
        "\n".join([*needed, pinned.read_text(), PYINSTALLER, *plan.pip, sys.version]).encode()
    ).hexdigest()
    stamp = plan.environment / "espalier-package.stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"Making the environment {plan.environment}")
    shutil.rmtree(plan.environment, ignore_errors=True)
    call(sys.executable, "-m", "venv", plan.environment)
    pip = (plan.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    call(*pip, "-c", pinned, *plan.pip, *needed, PYINSTALLER)
    _check_flavour(plan)
    stamp.write_text(wanted)


def _check_flavour(plan: Plan) -> None:
    """Refuse a PyTorch build that is not of the flavour asked for."""
    program = "import torch; print(torch.version.cuda or '')"
    cuda = subprocess.run([plan.python, "-c", program], capture_output=True, text=True, check=True).stdout
    if bool(cuda.strip()) == (plan.flavour == "cuda"):
        return
    found = "a CUDA build" if cuda.strip() else "a build for processors"
    sys.exit(
        f"Expected PyTorch for the flavour {plan.flavour!r}, pip found {found}. "
        "Name the index that has the other one, as pytorch.org lists it: --index ADDRESS."
    )


def freeze(plan: Plan) -> None:
    """Run PyInstaller; the folder `plan.folder` is made anew."""
    say("Freezing (some minutes)")
    began = time.monotonic()
    log = plan.work / f"pyinstaller-{plan.flavour}.log"
    environment = {
        **os.environ, "ESPALIER_SOURCE": str(plan.source), "ESPALIER_FLAVOUR": plan.flavour,
        "PYTHONHASHSEED": "1", "PYTHONPATH": str(plan.source), "PYTHONNOUSERSITE": "1",
    }  # fmt: skip
    command = [
        plan.python, "-m", "PyInstaller", "--noconfirm", "--log-level", "INFO",
        "--distpath", plan.work / plan.flavour, "--workpath", plan.work / f"pyinstaller-{plan.flavour}",
        plan.source / "packaging" / "espalier.spec",
    ]  # fmt: skip
    with log.open("wb") as output:
        status = subprocess.call(command, env=environment, cwd=plan.work, stdout=output, stderr=output)
    if status:
        sys.exit(
            "\n".join(
                [*log.read_text(errors="replace").splitlines()[-25:], f"PyInstaller failed; see {log}."]
            )
        )
    if sys.platform == "linux":
        (plan.folder / "espalier-window").hardlink_to(plan.folder / "espalier")
        dropped = binaries.drop_unneeded(plan.folder)
        say(f"{len(dropped)} libraries that nothing needs removed: {' '.join(dropped)}")
    say(f"Frozen in {time.monotonic() - began:.0f} s")


def _wrap(plan: Plan, version: str) -> list[Path]:
    """The platform's packages; elsewhere than on Linux the folder is what the definitions start from."""
    if not sys.platform.startswith("linux"):
        say("On this platform the folder is wrapped by packaging/windows or packaging/macos.")
        return []
    wrapper = linux.Wrapper(plan.folder, plan.source, plan.work, plan.dist, version, plan.flavour, plan.level)
    made = []
    if "deb" in plan.steps:
        say("Wrapping the .deb (some minutes)")
        made.append(wrapper.deb())
    if "archive" in plan.steps:
        say("Wrapping the archive (some minutes)")
        made.append(wrapper.archive())
    return made


def write_checksums(dist: Path) -> None:
    """SHA256SUMS over the packages, in the form that `sha256sum --check` reads."""
    lines = []
    for path in sorted(dist.iterdir()):
        if path.name != "SHA256SUMS" and path.is_file():
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    (dist / "SHA256SUMS").write_text("".join(lines))


def call(*command: str | Path) -> None:
    """Run a command; end with its status when it fails."""
    status = subprocess.call([str(part) for part in command])
    if status:
        sys.exit(f"This command ended with status {status}: {' '.join(map(str, command))}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
