"""install.sh with a small program in place of the large one: install, upgrade, go back, uninstall."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "linux" / "install.sh"
DESKTOP = SCRIPT.with_name("espalier.desktop")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the archive is for Linux")


def unpacked(folder: Path, version: str, glibc: str = "2.17", kilobytes: int = 10) -> Path:
    """What the archive unpacks to, with a shell script for the program."""
    tree = folder / f"espalier-{version}"
    icon = tree / "share" / "icons" / "scalable" / "apps" / "espalier.svg"
    icon.parent.mkdir(parents=True)
    icon.write_text("<svg/>")
    (tree / "espalier").mkdir()
    for name in ("espalier", "espalier-window"):
        (tree / "espalier" / name).write_text(f"#!/bin/sh\necho {name} {version}\n")
        (tree / "espalier" / name).chmod(0o755)
    (tree / "VERSION").write_text(f"{version}\n")
    (tree / "share" / "espalier.desktop").write_text(DESKTOP.read_text())
    (tree / "share" / "espalier.xml").write_text(SCRIPT.with_name("espalier.xml").read_text())
    text = SCRIPT.read_text().replace("@MACHINE@", os.uname().machine)
    text = text.replace("@GLIBC@", glibc).replace("@KILOBYTES@", str(kilobytes))
    (tree / "install.sh").write_text(text)
    (tree / "install.sh").chmod(0o755)
    return tree


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "a home & garden"
    folder.mkdir()
    return folder


def install(tree: Path, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [tree / "install.sh", *options], env=environment, cwd=home, capture_output=True, text=True
    )


def says(home: Path, name: str = "espalier") -> str:
    return subprocess.run([home / ".local" / "bin" / name], capture_output=True, text=True).stdout.strip()


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_install_and_uninstall_leave_nothing(tmp_path, home):
    (home / "thesis.txt").write_text("mine")
    tree = unpacked(tmp_path, "0.1.0")
    done = install(tree, home)
    assert done.returncode == 0, done.stderr
    assert says(home) == "espalier 0.1.0" and says(home, "espalier-window") == "espalier-window 0.1.0"
    share = home / ".local" / "share"
    entry = (share / "applications" / "espalier.desktop").read_text()
    assert f'\nExec="{home}/.local/opt/espalier/current/espalier-window" %f\n' in entry and "@" not in entry
    assert (share / "icons" / "hicolor" / "scalable" / "apps" / "espalier.svg").is_file()
    assert "application/x-espalier-pipeline+yaml" in (share / "mime/packages/espalier.xml").read_text()

    done = install(home / ".local" / "opt" / "espalier", home, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert everything(home) == ["thesis.txt"]


def test_what_was_there_before_stays(tmp_path, home):
    share = home / ".local" / "share"
    (share / "applications").mkdir(parents=True)
    (share / "applications" / "other.desktop").write_text("[Desktop Entry]\n")
    (share / "Espalier" / "runs").mkdir(parents=True)
    (home / ".local" / "bin").mkdir()
    before = everything(home)
    tree = unpacked(tmp_path, "0.1.0")
    assert install(tree, home).returncode == 0
    assert install(tree, home, "--uninstall").returncode == 0
    assert [path for path in everything(home) if "mimeinfo.cache" not in path] == before


def test_an_upgrade_keeps_the_version_before_and_goes_back_to_it(tmp_path, home):
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        assert install(unpacked(tmp_path, version), home).returncode == 0
        assert says(home) == f"espalier {version}"
    program = home / ".local" / "opt" / "espalier"
    assert sorted(p.name for p in program.iterdir() if p.is_dir() and not p.is_symlink()) == [
        "0.2.0",
        "0.3.0",
    ]
    done = install(program, home, "--rollback")
    assert done.returncode == 0 and says(home) == "espalier 0.2.0"
    assert install(program, home, "--rollback").returncode == 0 and says(home) == "espalier 0.3.0"


def test_installing_the_same_version_again_mends_it(tmp_path, home):
    tree = unpacked(tmp_path, "0.1.0")
    assert install(tree, home).returncode == 0
    (home / ".local" / "opt" / "espalier" / "0.1.0" / "espalier").unlink()
    assert install(tree, home).returncode == 0
    assert says(home) == "espalier 0.1.0"
    assert "There is no version before" in install(tree, home, "--rollback").stderr


def test_another_folder_and_no_menu(tmp_path, home):
    tree = unpacked(tmp_path, "0.1.0")
    assert (
        install(tree, home, "--prefix", str(tmp_path / "programs" / "espalier"), "--no-menu").returncode == 0
    )
    assert says(home) == "espalier 0.1.0"
    assert everything(home) == [".local", ".local/bin", ".local/bin/espalier", ".local/bin/espalier-window"]
    assert (
        install(tree, home, "--prefix", str(tmp_path / "programs" / "espalier"), "--uninstall").returncode
        == 0
    )
    assert everything(home) == [] and not (tmp_path / "programs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"glibc": "99.1"}, "Espalier needs the C library glibc 99.1 or newer"),
        ({"kilobytes": 10**12}, "MB are free there"),
    ],
)
def test_a_machine_that_it_cannot_run_on_is_refused_in_words(tmp_path, home, given, says):
    done = install(unpacked(tmp_path, "0.1.0", **given), home)
    assert done.returncode == 1 and says in done.stderr
    assert everything(home) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--frobnicate"], "received: --frobnicate"),
        (["--prefix"], "Expected a folder after --prefix"),
        (["--uninstall"], "There is no Espalier in"),
    ],
)
def test_wrong_orders_are_refused_in_words(tmp_path, home, options, says):
    done = install(unpacked(tmp_path, "0.1.0"), home, *options)
    assert done.returncode in (1, 2) and says in done.stderr
