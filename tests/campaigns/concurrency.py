"""Ten runs at once in one home: of one file, of one name, with caches cleared beside them.

    python tests/campaigns/concurrency.py [--trials N] [--only TEXT] [--state FILE] [--minutes M]

All complete, each in a folder of its own with its own pipeline; what several need is made once; the files are those of a run
alone. Ten runs need about ten gigabytes of memory and some minutes a trial on two cores.
"""

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import (
    Answer,
    Prepared,
    Trial,
    campaign,
    check_no_process,
    environment,
    espalier,
    made_files,
    options,
    prepare,
    require,
    work_folder,
)
from kill import PIPELINE

CLEAR = """
import shutil, sys, time
from pathlib import Path
from core.common.errors import EspalierError
from core.runs.home import Home
from core.runs.storage import clear, tidy
home = Home(Path(sys.argv[1]))
while True:
    tidy(home)
    for name in ("models", "artefacts"):  # not what was measured: a busy machine measures for many minutes
        shutil.rmtree(home.cache / name, ignore_errors=True)
    for kind in ("data", "trash"):
        try:
            clear(home, kind)
        except EspalierError:
            pass
    time.sleep(3)
"""
LIMIT = 1200  # seconds for all of them


def together(home: Path, commands: list[tuple[object, ...]]) -> list[Answer]:
    """The answers to commands that are started at the same moment."""
    answers: list[Answer | None] = [None] * len(commands)
    gate = threading.Barrier(len(commands))

    def work(index: int) -> None:
        gate.wait()
        answers[index] = espalier(home, *commands[index], limit=LIMIT)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(commands))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer.check(0) for answer in answers if answer is not None]


def nothing_made(base: Path, folder: Path) -> tuple[Prepared, Path]:
    """What was prepared, and a home without stages; what was measured is kept, for a busy machine measures for many minutes."""
    prepared, home = prepare(base, PIPELINE), folder / "home"
    shutil.copytree(prepared.home / "cache" / "measurements", home / "cache" / "measurements")
    return prepared, home


def same_pipeline(base: Path, runs: int, folder: Path, draw: random.Random) -> str:
    """One file, started so often at once, with nothing in the cache: every stage is made once."""
    prepared, home = nothing_made(base, folder)
    answers = together(home, [("run", prepared.pipeline, "--threads", 1, "--json")] * runs)
    folders = {answer.results["run"] for answer in answers}
    require(len(folders) == runs, f"{runs} runs share {len(folders)} folders")
    expected = made_files(prepared.run)
    require(all(made_files(Path(run)) == expected for run in folders), "not the files of a run alone")
    log = (home / "logs" / "espalier.log").read_text(encoding="utf-8")
    for stage in ("fp32", "int8"):
        made = log.count(f"Stage {stage} is not in the cache")
        require(made == 1, f"the stage {stage} was made {made} times")
    return f"{runs} runs, every stage made once"


def same_name(base: Path, runs: int, folder: Path, draw: random.Random) -> str:
    """Pipelines of one name with the same stages, and each with a text of its own: each runs its own document."""
    prepared, home = nothing_made(base, folder)
    commands: list[tuple[object, ...]] = []
    for number in range(runs):
        file = folder / f"{number}.yaml"
        file.write_text(f"{PIPELINE}about: The text of {number}.\n", encoding="utf-8")
        commands.append(("run", file, "--threads", 1, "--json"))
    for number, answer in enumerate(together(home, commands)):
        run = Path(answer.results["run"])
        text = (run / "pipeline.yaml").read_text(encoding="utf-8")
        require(f"The text of {number}." in text, f"the run {number} has another's pipeline")
        require(made_files(run) == made_files(prepared.run), "not the files of a run alone")
    return f"{runs} pipelines of one name"


def cleared_beside(base: Path, runs: int, folder: Path, draw: random.Random) -> str:
    """Runs with folders elsewhere, while somebody clears the home's caches again and again."""
    prepared = prepare(base, PIPELINE).copy(folder / "prepared")
    shutil.rmtree(prepared.home / "runs")
    commands = [("run", prepared.pipeline, "--threads", 1, "--json", "--out", folder / f"run-{n}") for n in range(runs)]  # fmt: skip
    cleaner = subprocess.Popen(
        [sys.executable, "-c", CLEAR, str(prepared.home)], env=environment(folder / "other home")
    )
    try:
        together(prepared.home, [tuple(command) for command in commands])
    finally:
        cleaner.kill()
        cleaner.wait()
    expected = made_files(prepare(base, PIPELINE).run)
    for number in range(runs):
        require(made_files(folder / f"run-{number}") == expected, "not the files of a run alone")
    check_no_process(prepared.home)
    return f"{runs} runs beside a clean-up"


KINDS: dict[str, Callable[..., str]] = {
    "same pipeline": same_pipeline,
    "same name": same_name,
    "cleared beside": cleared_beside,
}


if __name__ == "__main__":
    chosen = options(str(__doc__), 3)
    folder = work_folder(chosen)
    several = [
        Trial(f"{number}: {name}", partial(KINDS[name], folder / "base", 10))
        for number in range(1, chosen.trials + 1)
        for name in [list(KINDS)[(number - 1) % len(KINDS)]]
    ]
    code = campaign(chosen, folder, several)
    if code == 0 and chosen.work is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)
