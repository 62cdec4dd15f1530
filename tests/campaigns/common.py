"""What the campaigns share: trials drawn from a seed, worked in pieces; the program as a person starts it; what is a fault.

A campaign is a script: `python tests/campaigns/NAME.py [--trials N] [--seed S] [--only TEXT] [--state FILE] [--minutes M]`.
It prints a line per trial, at the end `trials N, survived N, faults N`, and exits 1 on faults. With `--state`, finished trials
are noted in a file and not repeated: what was ended, or ran out of `--minutes`, goes on with the same command.
Each trial has a folder of its own, which stays where it is a fault.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UNFINISHED = 3  # exit status: no faults so far, and trials are left over
TIME_LIMIT = 300  # seconds that one command may take
PIPELINE = """
espalier: 1
name: Campaign
data: {source: fashion-mnist-sample, image_size: 32, train_images: 200, validation_images: 100, test_images: 100,
  augmentation: {rotation: 0, brightness: 0, contrast: 0, saturation: 0}}
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.005, batch_size: 32, patience: 0}}}
  - {id: int8, kind: quantize-static, settings: {images: 32}}
"""
"""Trains a tiny network for a second and quantizes it."""

_LIBRARY_WORDS = re.compile(
    r"Traceback \(most recent call last\)|Something unexpected|Segmentation fault|core dumped|\[Errno \d+\]"
    r"|\b(?!EspalierError)[A-Z]\w*(?:Error|Exception)\b(?:\(|: )|\bInvalidProtobuf\b|Error deserializing"
)


class Broken(AssertionError):
    """What went wrong in a trial, in a sentence."""


def require(condition: object, sentence: str) -> None:
    """Raise `Broken` unless the condition holds."""
    if not condition:
        raise Broken(sentence)


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        name: unique; `--only` and `--state` go by it.
        work: does it in a folder of its own, with draws of its own; returns what happened in a few words.

    `work` raises `Broken` where it found a fault; any other exception counts as one too.
    """

    name: str
    work: Callable[[Path, random.Random], str]


@dataclass(frozen=True)
class Answer:
    """What the program answered. `status` is None where it was ended because it took too long."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        return " ".join((self.err + " " + self.out).split())

    @property
    def results(self) -> dict[str, Any]:
        """The results of `--json`."""
        try:
            return dict(json.loads(self.out))
        except ValueError as error:
            raise Broken(f"--json answered no JSON: {self.out[:200]!r}") from error

    def check(self, *statuses: int) -> "Answer":
        """This answer, unless it hung, ended otherwise, or put a library's words before a person."""
        require(self.status is not None, f"no end after {self.seconds:.0f} s: {self.said[-200:]}")
        if found := _LIBRARY_WORDS.search(self.err + "\n" + self.out):
            near = (self.err + "\n" + self.out)[max(0, found.start() - 100) : found.end() + 200]
            raise Broken(f"a library's words: … {' '.join(near.split())}")
        require(not statuses or self.status in statuses, f"exit {self.status}: {self.said[-300:]}")
        require(self.status == 0 or self.said, f"exit {self.status} without a word")
        return self


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a program that works in `home`, on one thread, and does not wait for a quiet machine."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "ESPALIER_HOME": str(home), "OMP_NUM_THREADS": "1", "ESPALIER_PATIENCE": "0"}
    return {**os.environ, **own, **more}


def start(home: Path, *arguments: object, **more: str) -> subprocess.Popen[bytes]:
    """Start `espalier ARGUMENTS` as the leader of a process group of its own; its output is read from pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "core.commands.main", *map(str, arguments)],
        env=environment(home, **more), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def espalier(home: Path, *arguments: object, limit: float = TIME_LIMIT, **more: str) -> Answer:
    """The answer of `espalier ARGUMENTS` in `home`."""
    started = time.monotonic()
    process = start(home, *arguments, **more)
    try:
        out, err = process.communicate(timeout=limit)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        end_group(process)
        out, err = process.communicate()
        status = None
    return Answer(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), time.monotonic() - started)  # fmt: skip


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that `start` started, with all in its group."""
    if os.name != "posix":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):  # all have ended
        os.killpg(process.pid, signal.SIGKILL)


def processes_of(home: Path) -> list[int]:
    """The processes that work in a home, by their environment; empty where the system does not tell."""
    wanted, found = f"ESPALIER_HOME={home}".encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environ.read_bytes().split(b"\0") and int(environ.parent.name) != os.getpid():
                found.append(int(environ.parent.name))
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


def check_no_process(home: Path, seconds: float = 15) -> None:
    """Nothing works in the home any more, within some seconds; what does is ended."""
    until = time.monotonic() + seconds
    while (left := processes_of(home)) and time.monotonic() < until:
        time.sleep(0.2)
    for number in left:
        os.kill(number, signal.SIGKILL)
    require(not left, f"{len(left)} processes were left over")


def figures(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Every figure of `run --json`, by stage; what depends on how long this run took is left out."""
    return {
        stage["id"]: {name: value for name, value in stage["metrics"].items() if name != "training_seconds"}
        for stage in results["stages"]
    }


def made_files(run: Path) -> dict[str, str]:
    """SHA-256 of every network, exported file and answer in a run's stages, by its place; equal for equal runs."""
    return {
        file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((run / "stages").rglob("*"))
        if file.suffix in (".safetensors", ".onnx", ".npy")
    }


@dataclass(frozen=True)
class Prepared:
    """A home with everything cached, and a completed run in it; made once, then copied for each trial.

    Attributes:
        results: what `run --json` said of it.
    """

    folder: Path
    results: dict[str, Any]

    def copy(self, work: Path) -> "Prepared":
        """The same below another folder."""
        shutil.copytree(self.folder, work, symlinks=True, dirs_exist_ok=True)
        return Prepared(work, self.results)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def run(self) -> Path:
        return self.home / "runs" / "prepared"

    @property
    def pipeline(self) -> Path:
        return self.folder / "pipeline.yaml"


def prepare(folder: Path, pipeline: str = PIPELINE) -> Prepared:
    """The prepared home in `folder`; made where it is not there whole."""
    done = folder / "results.json"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(pipeline, encoding="utf-8")
        new = Prepared(folder, {})
        first = espalier(
            new.home, "run", new.pipeline, "--threads", 1, "--out", new.run, "--json", limit=1800
        )
        done.write_text(json.dumps(first.check(0).results), encoding="utf-8")
    return Prepared(folder, json.loads(done.read_text(encoding="utf-8")))


def options(about: str, trials: int) -> argparse.Namespace:
    """The options that every campaign has.

    Args:
        about: the campaign's docstring. trials: how many it does unless told otherwise.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=trials, help=f"how many trials ({trials})")
    parser.add_argument("--seed", type=int, default=1, help="what the trials are drawn from (1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="trials whose name contains TEXT")
    parser.add_argument("--state", type=Path, help="file that finished trials are noted in")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial after so many")
    parser.add_argument("--work", type=Path, help="folder to work in (a temporary one)")
    return parser.parse_args()


def work_folder(chosen: argparse.Namespace) -> Path:
    """The folder that the campaign works in."""
    folder = chosen.work or Path(tempfile.mkdtemp(prefix="espalier-campaign-"))
    folder.mkdir(parents=True, exist_ok=True)
    return Path(folder).resolve()


def campaign(chosen: argparse.Namespace, work: Path, trials: Sequence[Trial]) -> int:
    """Do the trials one after the other and print what came of them; the exit status.

    Args:
        work: the folder of `work_folder`.
    """
    wanted = [trial for trial in trials if chosen.only in trial.name]
    outcomes = _noted(chosen.state)
    until = time.monotonic() + 60 * chosen.minutes
    for number, trial in enumerate(wanted, start=1):
        if trial.name in outcomes or time.monotonic() > until:
            continue
        outcomes[trial.name] = fault = _do(trial, number, len(wanted), chosen.seed, work)
        if chosen.state:
            with chosen.state.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"trial": trial.name, "fault": fault}) + "\n")
    done = {trial.name: outcomes[trial.name] for trial in wanted if trial.name in outcomes}
    faults = {name: fault for name, fault in done.items() if fault}
    for name, fault in faults.items():
        print(f"FAULT {name}: {fault}")
    left = len(wanted) - len(done)
    print(f"trials {len(done)}, survived {len(done) - len(faults)}, faults {len(faults)}" + (f", left {left}" if left else ""))  # fmt: skip
    if not faults and not left and chosen.work is None:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if faults else UNFINISHED if left else 0


def _do(trial: Trial, number: int, total: int, seed: int, work: Path) -> str:
    """The trial's fault, "" where it has none."""
    folder = work / re.sub(r"[^\w.@+-]+", "_", trial.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    try:
        happened, fault = trial.work(folder, random.Random(f"{seed}/{trial.name}")), ""
    except Exception as error:
        fault = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
        happened = f"FAULT: {fault} [{folder}]"
    print(f"{number:4}/{total}  {trial.name}: {happened} ({time.monotonic() - started:.0f} s)", flush=True)
    if not fault:
        shutil.rmtree(folder, ignore_errors=True)
    return fault


def _noted(state: Path | None) -> dict[str, str]:
    """The outcomes of an earlier piece; a line that was cut short does not count."""
    outcomes = {}
    for line in state.read_text(encoding="utf-8").splitlines() if state and state.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        outcomes[entry["trial"]] = entry["fault"]
    return outcomes
