"""Disks that fill up: every 50 kB of room from 100 kB to 3 MB, for the run folder and for the home.

    python tests/campaigns/disk.py --trials 118 [--only "run folder"] [--state FILE] [--minutes M]

A run folder without room ends in a sentence, and with room again `--resume` gives the files of a run that had it from the beginning. A
home without room stops no run. About half a minute a trial. Needs the right to mount a small file system (root, Linux);
without it, it says so and tries nothing.
"""

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import Trial, campaign, espalier, made_files, options, prepare, require, work_folder
from kill import PIPELINE

FIRST, LAST, STEP = 100, 3000, 50  # kB
ROOMY = "100m"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of a size, mounted on `folder` while this lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def mount(*arguments: str) -> None:
    """Call mount; raises CalledProcessError where that is not allowed."""
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def room_for_the_run(base: Path, room: int, kept: bool, folder: Path, draw: random.Random) -> str:
    """The run folder's disk has so many kB; its stages come from the cache, or are made."""
    prepared = prepare(base, PIPELINE).copy(folder / "prepared")
    if not kept:
        shutil.rmtree(prepared.home / "cache" / "models")
        shutil.rmtree(prepared.home / "cache" / "artefacts")
    command = ("run", prepared.pipeline, "--threads", 1, "--json")
    with small_disk(folder / "small", f"{room}k") as small:
        run = small / "run"
        first = espalier(prepared.home, *command, "--out", run).check(0, 1)
        mount("-o", f"remount,size={ROOMY}", str(small))
        if first.status == 0:
            require(made_files(run) == made_files(prepared.run), "completed with other files")
            return "there was room"
        require(
            "full" in first.said.lower() or "space" in first.said.lower(),
            f"no word of the disk: {first.said[-200:]}",
        )
        espalier(prepared.home, *command, "--out", run, "--resume").check(0)
        require(made_files(run) == made_files(prepared.run), "resumed to other files")
        return "full, then resumed"


def room_for_the_home(base: Path, room: int, kept: bool, folder: Path, draw: random.Random) -> str:
    """The home's disk has so many kB beside what was measured; the run folder lies elsewhere."""
    prepared = prepare(base, PIPELINE)
    measured = prepared.home / "cache" / "measurements"
    used = sum(file.stat().st_size + 4096 for file in measured.rglob("*")) // 1000
    with small_disk(folder / "home", f"{room + used}k") as home:
        shutil.copytree(measured, home / "cache" / "measurements")
        run = folder / "run"
        answer = espalier(home, "run", prepared.pipeline, "--threads", 1, "--json", "--out", run).check(0)
        require(made_files(run) == made_files(prepared.run), "completed with other files")
        return (
            "told, and on without"
            if "takes nothing" in answer.said or "Expected" in answer.said
            else "there was room"
        )


def trials(base: Path) -> list[Trial]:
    """Every room, for either place; every second run folder gets its stages from the cache."""
    return [
        Trial(f"{place}, {room} kB", partial(work, base, room, bool(number % 2)))
        for number, room in enumerate(range(FIRST, LAST + 1, STEP))
        for place, work in (("run folder", room_for_the_run), ("home", room_for_the_home))
    ]


def may_mount() -> bool:
    """Whether a small file system can be mounted here."""
    with tempfile.TemporaryDirectory() as place:
        try:
            with small_disk(Path(place) / "small", "100k"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


if __name__ == "__main__":
    chosen = options(str(__doc__), 118)
    if not may_mount():
        print(
            "Mounting a small file system is not allowed here: nothing is tried.\ntrials 0, survived 0, faults 0"
        )
        sys.exit(0)
    folder = work_folder(chosen)
    code = campaign(chosen, folder, trials(folder / "base")[: chosen.trials])
    if code == 0 and chosen.work is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)
