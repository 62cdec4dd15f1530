"""Runs after runs: nothing grows, nothing is left over.

    python tests/campaigns/soak.py [--trials 100] [--work FOLDER]

So many runs (`--trials`) follow each other twice: by the engine in one process, and each in a run process that one program
starts and follows, as the window does. Every run learns at another rate, so that its training, its exports and its
measurements are real. After each run the program's resident memory, open descriptors and threads are noted. A fault is: memory
that grows by more than 5 % (medians of five runs after the first ten, and of the last five), descriptors or threads that
are more at the end than after the first ten, a run that does not complete, a process that is left over, a file that stays in
the temporary folder. About 15 seconds a run.
"""

import gc
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common import (
    PIPELINE,
    Broken,
    Trial,
    campaign,
    check_no_process,
    environment,
    options,
    require,
    work_folder,
)

_WARM, _ENDS, _LIMIT = 10, 5, 1.05
_WORKER = "import sys; import soak; soak.{way}(sys.argv[1], int(sys.argv[2]))"
_RATE = "learning_rate: 0.005"


def in_one_process(folder: str, runs: int) -> None:
    """Worker: run after run by the engine; prints a line of what was noted after each."""
    from core.document import pipeline as documents
    from core.engine.engine import Engine
    from core.engine.options import Options
    from core.runs.home import Home
    from core.runs.new_run import create_run

    def run(text: str) -> str:
        home = Home(Path(folder) / "home")
        made = create_run(documents.loads(text), Path(folder), home)
        return Engine(made, home, Options("cpu", 1)).run().status

    _noted_after_each(run, runs)


def through_the_run_process(folder: str, runs: int) -> None:
    """Worker: each run in a process of its own, which is followed."""
    from core.common.control import RunControl
    from core.document import pipeline as documents
    from core.engine.options import Options
    from core.engine.run_follower import start_run
    from core.runs.home import Home
    from core.runs.new_run import create_run

    def run(text: str) -> str:
        home, events = Home(Path(folder) / "home"), []
        made = create_run(documents.loads(text), Path(folder), home)
        done = start_run(made, home, Options("cpu", 1), stay=True).follow(RunControl(), events.append)
        require(events, "a run without events")
        return done.status if done is not None else "left"

    _noted_after_each(run, runs)


def _noted_after_each(run: Callable[[str], str], runs: int) -> None:
    import psutil

    process = psutil.Process()
    for number in range(runs):
        status = run(PIPELINE.replace(_RATE, f"learning_rate: {0.001 + number * 1e-5:.5f}"))
        gc.collect()
        noted = {
            "status": status, "memory": process.memory_info().rss, "threads": process.num_threads(),
            "descriptors": process.num_fds() if os.name == "posix" else process.num_handles(),
            "children": len(process.children(recursive=True)),
        }  # fmt: skip
        print(json.dumps(noted), flush=True)


def soak(way: str, runs: int) -> Callable[[Path, random.Random], str]:
    """The work of a trial: so many runs one way."""

    def work(folder: Path, _draw: random.Random) -> str:
        home, temporary = folder / "home", folder / "temporary"
        temporary.mkdir()
        own = environment(home, TMPDIR=str(temporary), TEMP=str(temporary))
        own["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), own["PYTHONPATH"]))
        worker = subprocess.run(
            [sys.executable, "-c", _WORKER.format(way=way), str(folder), str(runs)],
            env=own, stdout=subprocess.PIPE, text=True, check=False, cwd=folder,
        )  # fmt: skip
        require(worker.returncode == 0, f"the program ended with {worker.returncode}")
        check_no_process(home)
        noted = [json.loads(line) for line in worker.stdout.splitlines() if line.startswith('{"status"')]
        require(len(noted) == runs, f"{len(noted)} of {runs} runs were done")
        left = sorted(each.name for each in temporary.iterdir() if not each.name.startswith("torchinductor_"))
        require(not left, f"left in the temporary folder: {', '.join(left[:5])} ({len(left)})")
        return _judged(noted)

    return work


def _judged(noted: list[dict[str, int]]) -> str:
    """The figures in words.

    Raises:
        Broken: when something grew.
    """
    ends = {each["status"] for each in noted}
    require(ends == {"completed"}, f"runs ended as {ends}")
    settled = noted[min(_WARM, len(noted) // 2) :]
    begin, end = settled[:_ENDS], settled[-_ENDS:]
    before, after = (statistics.median(each["memory"] for each in some) for some in (begin, end))
    words = f"{before / 1e6:.0f} to {after / 1e6:.0f} MB ({100 * (after / before - 1):+.1f} %)"
    for name in ("descriptors", "threads", "children"):
        first, last = max(each[name] for each in begin), min(each[name] for each in end)
        words += f", {name} {first} to {last}"
        require(last <= first, f"{name} grew: {words}")
    if after > _LIMIT * before:
        raise Broken(f"memory grew: {words}")
    return words


if __name__ == "__main__":
    chosen = options(__doc__ or "", 100)
    trials = [
        Trial(f"{way.replace('_', ' ')}, {chosen.trials} runs", soak(way, chosen.trials))
        for way in ("in_one_process", "through_the_run_process")
    ]
    raise SystemExit(campaign(chosen, work_folder(chosen), trials))
