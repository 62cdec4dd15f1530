"""Claim: what is equal is kept once: 60 equal stages of a run take, in run folder and cache together, at most twice the
room of one stage's network and file, and a second run that takes them from the cache nothing but small files.

    python tests/benchmarks/kept_once.py [--quick]

Keeps the files of a network (bytes by chance, of the size of a ResNet-56's) 60 times under different keys as the engine
does, in a home in the folder for temporary files (TMPDIR chooses the disk). `--without-links` plays a file system that gives
a file one name only: the cache keeps contents once there too, each run has copies. `--quick`: 6 stages.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from core.common.content_hashes import seal_folder
from core.runs.cache import Store
from core.runs.home import Home

SIZES = {
    "checkpoint/weights.safetensors": 3_460_000,
    "checkpoint/architecture.json": 9_000,
    "artefacts/float32.onnx": 3_470_000,
}


def make_stage(folder: Path) -> None:
    """The files of a stage, sealed."""
    chance = random.Random(0)
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(chance.randbytes(size))
    seal_folder(folder)


def room(*folders: Path) -> int:
    """Bytes of all files below, each content once however many names it has."""
    stats = [file.stat() for folder in folders for file in folder.rglob("*") if file.is_file()]
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in stats}.values())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--without-links", action="store_true")
    arguments = parser.parse_args()
    stages = 6 if arguments.quick else 60
    if arguments.without_links:

        def refuse(*_arguments: object, **_named: object) -> None:
            raise PermissionError("links are refused")

        os.link = refuse  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        home, original = Home(Path(folder) / "home"), Path(folder) / "original"
        make_stage(original)
        one = room(original)
        started = time.perf_counter()
        for number in range(stages):
            stage = home.runs / "first" / "stages" / f"s{number}"
            shutil.copytree(original, stage)  # files of its own, as a stage makes them
            Store(home.cache / "models").put(f"{number:02d}-a-key", stage)
        first = room(home.runs, home.cache)
        print(
            f"{stages} equal stages of {one / 1e6:.2f} MB: {first / 1e6:.2f} MB, {first / one:.2f} times one"
        )
        for number in range(stages):
            taken = Store(home.cache / "models").copy_to(
                f"{number:02d}-a-key", home.runs / "second" / f"s{number}"
            )
            assert taken, "an entry is found again, and whole"
        second = room(home.runs, home.cache) - first
        print(f"the same run again: {second / 1e6:.2f} MB more, {second / one:.2f} times one")
        print(f"cache alone {room(home.cache) / 1e6:.2f} MB; {time.perf_counter() - started:.1f} s")
        holds = room(home.cache) <= 2 * one if arguments.without_links else first <= 2 * one and second <= one
    print("The claim holds." if holds else "The claim does not hold.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
