"""Licence notices of everything inside a package: from the libraries' own metadata, and for the system's
libraries from Debian's copyright files. Nothing may be in a package without a licence text."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path

# In the environment, not in the package. Of PyInstaller a loader is inside, which its licence allows expressly.
_NOT_INSIDE = {"pip", "setuptools", "altgraph", "pyinstaller-hooks-contrib", "wheel", "hf-xet"}
_LICENCE_FILE = re.compile(
    r"(^|/)(licen[cs]es?/|(licen[cs]e|copying|notice|authors|copyright)[^/]*$)", re.IGNORECASE
)
_WITHOUT_TEXT = re.compile(r"\.(py|pyc|so|json)$")

_HEAD = """\
Espalier is free software under the MIT licence (LICENSE). This package also contains the programs and libraries
below, each under its own licence. The full texts are in the folder licences, a folder for each part.

Qt and PySide6 are used under the GNU Lesser General Public License, version 3 (licences/LGPL-3.0.txt, and
licences/GPL-3.0.txt which it refers to). They lie as separate shared libraries in _internal/PySide6 and may be
replaced there by a modified build of the same version series. Their sources are at
https://download.qt.io/official_releases/ (Qt {qt}, Qt for Python {qt}); nothing of them was changed.
Other libraries under the LGPL (GLib, libgcc's and others' notices below) are likewise separate files in _internal.
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """How many parts were written about."""

    libraries: int
    system: int


def write(folder: Path, environment: Path, texts: Path) -> Facts:
    """Write NOTICES.txt and the folder `licences` into the frozen program.

    Args:
        folder: the frozen program.
        environment: the virtual environment that it was made from.
        texts: licence texts that no library brings along.
    """
    target = folder / "licences"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for text in sorted(texts.glob("*.txt")):
        shutil.copyfile(text, target / text.name)
    site = next(environment.glob("[Ll]ib/python*/site-packages"), environment / "Lib" / "site-packages")
    found = sorted(distributions(path=[str(site)]), key=lambda one: one.name.lower())
    rows = [_library(one, target) for one in found if one.name.lower() not in _NOT_INSIDE]
    rows.append(_python(target))
    system = _system_libraries(folder, target)
    qt = next(one.version for one in found if one.name.lower().startswith("pyside6"))
    lines = [_HEAD.format(qt=qt), "Libraries:", "", *rows]
    if system:
        lines += ["", "Libraries of the system that the package was built on:", "", *system]
    (folder / "NOTICES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Facts(len(rows), len(system))


def _library(one: Distribution, target: Path) -> str:
    """Copy a library's licence texts and describe it in a line."""
    kept = target / one.name
    for file in one.files or []:
        text = Path(str(one.locate_file(file)))
        inside = str(file).replace("\\", "/")
        if _LICENCE_FILE.search(inside) and not _WITHOUT_TEXT.search(inside) and text.is_file():
            kept.mkdir(exist_ok=True)
            name = inside.rsplit("dist-info/", 1)[-1].removeprefix("licenses/").replace("/", "_")
            shutil.copyfile(text, kept / name)
    licence = _licence(one.metadata)  # type: ignore[arg-type]
    if not kept.is_dir():
        kept.mkdir()
        body = one.metadata.get("License") or licence
        (kept / "LICENSE.txt").write_text(
            f"{one.name} {one.version} brings no licence text; its metadata says: {body}\n", encoding="utf-8"
        )
    address = one.metadata.get("Home-page") or next(iter(one.metadata.get_all("Project-URL") or [""]))
    return f"  {one.name} {one.version}: {licence}  {address.rpartition(' ')[2]}".rstrip()


def _licence(about: Message) -> str:
    """The licence in a few words."""
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [name for name in named if name != "OSI Approved"]
    if named:
        return " or ".join(dict.fromkeys(named))
    plain = str(about.get("License") or "").strip().splitlines()
    return plain[0] if plain and len(plain[0]) < 80 else "see its text"


def _python(target: Path) -> str:
    """Python itself, whose licence lies beside its library."""
    places = [
        Path(sys.base_prefix),
        *Path(sys.base_prefix).glob("lib/python3*"),
        *Path("/usr/share/doc").glob("python3*"),
    ]
    names = ("LICENSE.txt", "LICENSE", "copyright")
    text = next((place / name for place in places for name in names if (place / name).is_file()), None)
    if text is None:
        sys.exit(f"Expected Python's licence text below {sys.base_prefix}, found none.")
    (target / "Python").mkdir()
    shutil.copyfile(text, target / "Python" / "LICENSE.txt")
    return f"  Python {sys.version.split()[0]}: Python-2.0.1  https://www.python.org"


def _system_libraries(folder: Path, target: Path) -> list[str]:
    """Describe the libraries at the top of the program that come from the building system's packages."""
    if not shutil.which("dpkg"):
        return []
    packages: dict[str, list[str]] = {}
    for path in sorted(folder.glob("_internal/lib*.so*")):
        if path.is_symlink() or path.name.startswith("libpython"):
            continue
        owner = _owner(path.name)
        if owner is None:
            sys.exit(
                f"Expected a package of this system that {path.name} is from, found none; whose licence is it?"
            )
        packages.setdefault(owner, []).append(path.name)
    rows = []
    for package, names in sorted(packages.items()):
        text = Path("/usr/share/doc") / package / "copyright"
        (target / package).mkdir(exist_ok=True)
        shutil.copyfile(text, target / package / "copyright")
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True
        ).stdout
        rows.append(f"  {', '.join(names)}: Debian package {package} {version}")
    return rows


def _owner(library: str) -> str | None:
    """The Debian package that a library's file name belongs to."""
    answer = subprocess.run(
        ["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=False
    ).stdout
    for line in answer.splitlines():
        package, _, path = line.partition(": ")
        if path.startswith(("/lib/", "/usr/lib/")) and Path(path).name == library:
            return package.partition(":")[0]
    return None
