"""Wraps the frozen folder for Linux: a .deb for the whole machine, an archive with install.sh for one person."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import binaries
import contents

# Debian's package of every library that the package leaves to the system.
_PACKAGES = {
    "ld-linux-x86-64.so.2": "libc6", "libc.so.6": "libc6", "libdl.so.2": "libc6", "libm.so.6": "libc6",
    "libpthread.so.0": "libc6", "libresolv.so.2": "libc6", "librt.so.1": "libc6", "libutil.so.1": "libc6",
    "libgcc_s.so.1": "libgcc-s1", "libstdc++.so.6": "libstdc++6", "libexpat.so.1": "libexpat1",
    "libEGL.so.1": "libegl1", "libGL.so.1": "libgl1", "libdrm.so.2": "libdrm2", "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1", "libxcb.so.1": "libxcb1", "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1", "libXau.so.6": "libxau6", "libXdmcp.so.6": "libxdmcp6",
    "libfontconfig.so.1": "libfontconfig1", "libfreetype.so.6": "libfreetype6", "libdbus-1.so.3": "libdbus-1-3",
}  # fmt: skip
_WAYLAND = ("libwayland-client0", "libwayland-cursor0", "libwayland-egl1")
_DEBIAN_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

_CONTROL = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: The Espalier developers <espalier@localhost>
Installed-Size: {kilobytes}
Depends: {depends}
Recommends: {recommends}
Conflicts: {other}
Replaces: {other}
Section: science
Priority: optional
Description: explore neural-network compression of image classifiers
 Build a compression pipeline by pointing and clicking, watch it train, compare
 every stage on accuracy, latency, size and memory, and export a verified model.
 .
 Everything that it needs is inside, PyTorch ({flavour}) and ONNX Runtime among
 it; NOTICES.txt in /opt/espalier names every part and its licence.
"""

_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Espalier
Comment: /opt/espalier/NOTICES.txt names every library inside, its version and its
 licence; the full texts are in /opt/espalier/licences.

Files: *
Copyright: 2026 The Espalier developers
License: Expat
"""


class Wrapper:
    """Makes the packages of one frozen folder.

    Args:
        folder: the frozen program.
        source: the copy of the sources, with packaging/linux in it.
        work: folder for everything in between.
        dist: where the packages go.
        level: of xz, 1 to 9.
    """

    def __init__(
        self, folder: Path, source: Path, work: Path, dist: Path, version: str, flavour: str, level: int
    ):
        self.folder, self.parts = folder, source / "packaging" / "linux"
        self.licence = source / "LICENSE"
        self.work, self.dist, self.version, self.flavour, self.level = work, dist, version, flavour, level
        self.machine = platform.machine()
        self.needs = binaries.needs_of(folder)

    def deb(self) -> Path:
        """The .deb: the program in /opt/espalier, commands, menu entry, icons and file type in /usr."""
        tree = self._fresh("deb")
        _copy(self.folder, tree / "opt" / "espalier")
        (tree / "usr" / "bin").mkdir(parents=True)
        for name in ("espalier", "espalier-window"):
            (tree / "usr" / "bin" / name).symlink_to(f"../../opt/espalier/{name}")
        share = tree / "usr" / "share"
        self._menu(share / "applications" / "espalier.desktop", "/opt/espalier/espalier-window")
        _put(self.parts / "espalier.xml", share / "mime" / "packages" / "espalier.xml")
        _copy(self.parts / "icons", share / "icons" / "hicolor")
        package = "espalier" if self.flavour == "cpu" else f"espalier-{self.flavour}"
        self._copyright(share / "doc" / package / "copyright")
        kilobytes = contents.size(tree) // 1024
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(self._control(package, kilobytes), encoding="utf-8")
        (tree / "DEBIAN" / "md5sums").write_text(_md5sums(tree), encoding="utf-8")
        target = self.dist / f"{package}_{self.version}_{_DEBIAN_MACHINES[self.machine]}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zxz", f"-z{self.level}", "--build", str(tree), str(target))
        shutil.rmtree(tree)
        return target

    def archive(self) -> Path:
        """The archive: the program, install.sh, and what the menu needs."""
        name = f"espalier-{self.version}-linux-{self.machine}-{self.flavour}"
        tree = self._fresh("archive") / name
        _copy(self.folder, tree / "espalier")
        _put(self.parts / "espalier.desktop", tree / "share" / "espalier.desktop")
        _put(self.parts / "espalier.xml", tree / "share" / "espalier.xml")
        _copy(self.parts / "icons", tree / "share" / "icons")
        (tree / "VERSION").write_text(f"{self.version}\n")
        script = (self.parts / "install.sh").read_text(encoding="utf-8")
        for mark, value in (
            ("@MACHINE@", self.machine),
            ("@GLIBC@", ".".join(map(str, self.needs.glibc))),
            ("@KILOBYTES@", str(contents.size(self.folder) // 1024 + 50_000)),
        ):
            script = script.replace(mark, value)
        (tree / "install.sh").write_text(script, encoding="utf-8")
        (tree / "install.sh").chmod(0o755)
        target = self.dist / f"{name}.tar.xz"
        _run(
            "tar", "--sort=name", f"--mtime=@{os.environ['SOURCE_DATE_EPOCH']}", "--owner=0", "--group=0",
            "--numeric-owner", "-I", f"xz -T0 -{self.level}", "-C", str(tree.parent), "-cf", str(target), name,
        )  # fmt: skip
        shutil.rmtree(tree.parent)
        return target

    def _fresh(self, name: str) -> Path:
        tree = self.work / f"{name}-{self.flavour}"
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        return tree

    def _menu(self, target: Path, program: str) -> None:
        target.parent.mkdir(parents=True)
        text = (self.parts / "espalier.desktop").read_text(encoding="utf-8")
        target.write_text(text.replace("@PROGRAM@", program), encoding="utf-8")

    def _copyright(self, target: Path) -> None:
        target.parent.mkdir(parents=True)
        body = self.licence.read_text(encoding="utf-8").split("\n\n", 2)[2]
        indented = "\n".join(f" {line or '.'}" for line in body.strip().splitlines())
        target.write_text(f"{_COPYRIGHT}{indented}\n", encoding="utf-8")

    def _control(self, package: str, kilobytes: int) -> str:
        unknown = sorted(set(self.needs.libraries) - set(_PACKAGES) - {"libwayland-client.so.0", "libwayland-cursor.so.0", "libwayland-egl.so.1"})  # fmt: skip
        if unknown:
            wanted = ", ".join(f"{name} (for {self.needs.libraries[name]})" for name in unknown)
            sys.exit(f"Expected every library of the system in packaging/linux.py, not there: {wanted}.")
        depends = {_PACKAGES[name] for name in self.needs.libraries if name in _PACKAGES} - {"libc6"}
        glibc = ".".join(map(str, self.needs.glibc))
        return _CONTROL.format(
            package=package, version=self.version, architecture=_DEBIAN_MACHINES[self.machine],
            kilobytes=kilobytes, depends=", ".join([f"libc6 (>= {glibc})", *sorted(depends)]),
            recommends=", ".join(_WAYLAND), flavour=self.flavour.upper(),
            other="espalier-cuda" if package == "espalier" else "espalier",
        )  # fmt: skip


def _copy(folder: Path, target: Path) -> None:
    """A copy that shares the files' content on disk."""
    shutil.copytree(folder, target, symlinks=True, copy_function=os.link)


def _put(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    target.chmod(0o644)


def _md5sums(tree: Path) -> str:
    """What `dpkg --verify` compares the installed files with."""
    lines = []
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and inside.parts[0] != "DEBIAN":
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'md5').hexdigest()}  {inside.as_posix()}\n")
    return "".join(lines)


def _run(*command: str) -> None:
    if status := subprocess.call(command, stdout=subprocess.DEVNULL):
        sys.exit(f"This command ended with status {status}: {' '.join(command)}")
