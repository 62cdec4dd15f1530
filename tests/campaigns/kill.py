"""Runs killed by -9 at drawn moments, whole or one process of theirs: resumed, each ends with the same files, and nothing is left over.

    python tests/campaigns/kill.py --trials 50 [--seed S] [--only TEXT] [--state FILE] [--minutes M]

A trial starts a run, waits for a moment of it, and kills everything at once, the run's process, the process for PyTorch's files, or the
measuring one. Then: no process is left over, `--resume` completes, networks, files and answers are those of a run that nobody
killed, and no half-written file stays. About half a minute a trial, longer where the measuring one is killed. Linux.
"""

import os
import random
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path

from common import (
    Prepared,
    Trial,
    campaign,
    check_no_process,
    end_group,
    espalier,
    made_files,
    options,
    prepare,
    processes_of,
    require,
    start,
    work_folder,
)

PIPELINE = """
espalier: 1
name: Killed
data: {source: fashion-mnist-sample, image_size: 32, train_images: 400, validation_images: 100, test_images: 100}
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 2, learning_rate: 0.005, batch_size: 32, precision: float32}}}
  - {id: int8, kind: quantize-static, settings: {images: 32}}
"""
TARGETS = {
    "everything": "",
    "the run": "core.engine.run_process",
    "the tool": "core.machine.child tool",
    "the measuring": "core.machine.child measure",
}
KEPT = {"all kept": (), "trained anew": ("models", "artefacts"), "nothing kept": ("models", "artefacts", "measurements", "data")}  # fmt: skip
LIMIT = 120  # seconds that a run may take to get to its moment, on a slow machine
MEASURED = 1200  # seconds that one may take which measures everything anew
LATEST = 12.0  # seconds after its target appears that a run is killed at the latest


def trial(base: Path, target: str, kept: str, folder: Path, draw: random.Random) -> str:
    """Kill once, resume, compare."""
    prepared = prepare(base, PIPELINE).copy(folder / "prepared")
    for name in KEPT[kept]:
        shutil.rmtree(prepared.home / "cache" / name)
    run = folder / "run"
    process = start(prepared.home, "run", prepared.pipeline, "--threads", 1, "--out", run)
    try:
        moment = kill(prepared, target, draw)
        process.communicate(timeout=MEASURED)
    finally:
        end_group(process)
        process.communicate()
    check_no_process(prepared.home)
    command = ("run", prepared.pipeline, "--threads", 1, "--out", run, "--resume")
    espalier(prepared.home, *command, limit=MEASURED).check(0)
    require(made_files(run) == made_files(prepared.run), "other files than those of a run that nobody killed")
    left = [path for place in (run, prepared.home) for path in place.rglob(".*.part-*")]
    require(not left, f"left over: {', '.join(str(path.relative_to(folder)) for path in left)}")
    return moment


def kill(prepared: Prepared, target: str, draw: random.Random) -> str:
    """Wait for the target and a moment of it, and kill it; what happened."""
    until = time.monotonic() + LIMIT
    while not (found := working(prepared.home, TARGETS[target])) and time.monotonic() < until:
        time.sleep(0.02)
        if not processes_of(prepared.home):
            return f"no {target} process came"
    seconds = draw.uniform(0, LATEST)
    time.sleep(seconds)
    found = working(prepared.home, TARGETS[target])
    for number in found:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return f"{len(found)} killed after {seconds:.1f} s"


def working(home: Path, words: str) -> list[int]:
    """The processes of a home whose command line holds the words."""
    found = []
    for number in processes_of(home):
        try:
            line = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        if words in line:
            found.append(number)
    return found


def trials(base: Path, count: int) -> list[Trial]:
    """So many, over targets and caches in turn; a measuring process comes only where it is measured."""
    kinds = [
        (target, kept)
        for target in TARGETS
        for kept in KEPT
        if (target == "the measuring") == (kept == "nothing kept")
        and (target, kept) != ("the tool", "all kept")
    ]
    return [
        Trial(f"{number}: {target}, {kept}", partial(trial, base, target, kept))
        for number in range(1, count + 1)
        for target, kept in [kinds[number % len(kinds)]]
    ]


if __name__ == "__main__":
    if not Path("/proc/self/environ").is_file():
        sys.exit("This campaign finds processes in /proc.")
    chosen = options(str(__doc__), 50)
    folder = work_folder(chosen)
    code = campaign(chosen, folder, trials(folder / "base", chosen.trials))
    if code == 0 and chosen.work is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)
