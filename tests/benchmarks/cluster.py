"""Claim: ten pipelines with a common beginning, asked for by two people at once of three workers that share no folder: each
stage is made exactly once; a worker killed by -9 while it trains costs no stage that was finished; the networks are those of
one machine, byte for byte.

    python tests/benchmarks/cluster.py [--quick]

Starts a scheduler and three workers on this machine, each with a home of its own, as a person does (`espalier cluster start`,
`espalier worker`), over TLS. The pipelines train one ResNet-20 and prune it to ten ratios. Then the same is made without
a cluster in a home of its own, and the networks are compared by their content. Needs the extra `espalier[cluster]`; takes
minutes. `--quick`: two ratios, fewer images.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from core.cluster.client import Heard, fill_caches
from core.cluster.plans import Plan, plans_of
from core.cluster.security import Cluster, make_certificates
from core.document.pipeline import Pipeline
from core.engine.engine import Engine
from core.engine.options import Options
from core.machine.processes import environment
from core.records.events import EpochDone, Event
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

OPTIONS = Options("cpu", 1)


def pipeline(ratio: float, quick: bool) -> Pipeline:
    few, epochs = (256, 2) if quick else (4000, 3)
    training = {"epochs": epochs, "learning_rate": 0.005, "batch_size": 64}
    return Pipeline.parse({
        "espalier": 1, "name": f"Cut by {ratio:g}",
        "data": {"source": "fashion-mnist-sample", "train_images": few, "validation_images": 128, "test_images": 128},
        "sources": [{"id": "network", "settings": {"backbone": "resnet20"}}],
        "stages": [
            {"id": "base", "kind": "train", "name": "Base", "settings": {"training": training}},
            {"id": "cut", "kind": "prune-channels", "name": f"Cut {ratio:g}",
             "settings": {"ratio": ratio, "training": {**training, "epochs": 1}}},
        ],
    })  # fmt: skip


@contextmanager
def program(home: Path, log: Path, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """The command line in a process of its own, with a home of its own."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.commands.main", *arguments], stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, env=environment(1, {"ESPALIER_HOME": str(home)}), start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


class Watched:
    """What the clients heard: who began which plan, and whom to kill."""

    def __init__(self, workers: dict[str, "subprocess.Popen[bytes]"]):
        self.workers, self.killed = workers, ""
        self.begun: Counter[str] = Counter()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def event(self, worker: str, plan: Plan, event: Event) -> None:
        """Kill the worker that trains first, after its first epoch."""
        with self._lock:
            if isinstance(event, EpochDone) and not self.killed:
                self.killed = worker
                print(f"  {worker} is killed in {plan.title} after epoch {event.epoch}", flush=True)
                os.killpg(self.workers[worker].pid, signal.SIGKILL)


def networks(home: Home) -> dict[str, str]:
    """The networks in a home's cache of stages: their weights, by the stage's key."""
    found = {}
    for manifest in (home.cache / "models").glob("*/*/manifest.json"):
        files = json.loads(manifest.read_text())["files"]
        found[manifest.parent.name] = files["checkpoint/weights.safetensors"]["sha256"]
    return found


def finished(folder: Path) -> Counter[str]:
    """How often each stage was made in the workers' homes: what is in their caches and was not brought there."""
    made: Counter[str] = Counter()
    for log in folder.glob("worker-*/logs/espalier.log"):
        for line in log.read_text().splitlines():
            if "is not in the cache (" in line:
                made[line.split("(")[1].split(")")[0]] += 1
    return made


def by_cluster(folder: Path, ratios: list[float], quick: bool) -> tuple[Home, Watched]:
    tls = folder / "tls"
    make_certificates(tls)
    with program(
        folder / "scheduler", folder / "scheduler.log", "cluster", "start", "--port", "0", "--tls", str(tls)
    ):
        address = listening(folder / "scheduler.log")
        names = [f"worker-{number}" for number in (1, 2, 3)]
        with ExitStack() as stack:
            workers = {
                name: stack.enter_context(
                    program(
                        folder / name,
                        folder / f"{name}.log",
                        "worker",
                        address,
                        "--tls",
                        str(tls),
                        "--name",
                        name,
                    )
                )
                for name in names
            }
            watched, home = Watched(workers), Home(folder / "client")
            runs = [create_run(pipeline(ratio, quick), folder, home) for ratio in ratios]
            errors: list[BaseException] = []

            def ask(mine: list[RunFolder]) -> None:
                try:
                    for run in mine:
                        fill_caches(
                            run, home, OPTIONS, Cluster(address, tls), Heard(watched.say, watched.event)
                        )
                except BaseException as error:
                    errors.append(error)

            people = [threading.Thread(target=ask, args=(runs[start::2],)) for start in (0, 1)]
            for person in people:
                person.start()
            for person in people:
                person.join()
            if errors:
                raise errors[0]
    return home, watched


def listening(log: Path) -> str:
    """The address that a scheduler says."""
    for _ in range(600):
        for word in log.read_text().split():
            if word.startswith("tls://"):
                return word.rstrip(".")
        time.sleep(0.1)
    raise RuntimeError(f"The scheduler did not start: {log.read_text()}")


def alone(folder: Path, ratios: list[float], quick: bool) -> Home:
    home = Home(folder / "alone")
    for ratio in ratios:
        run = create_run(pipeline(ratio, quick), folder, home)
        done = Engine(run, home, Options("cpu", 1, measures=False)).run()
        assert done.status == "completed", done.message
    return home


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    ratios = [0.3, 0.5] if quick else [0.1 + 0.08 * number for number in range(10)]
    folder = Path(tempfile.mkdtemp(prefix="espalier-cluster-"))
    started = time.perf_counter()
    home, watched = by_cluster(folder, ratios, quick)
    print(f"By three workers, one of them killed: {time.perf_counter() - started:.0f} s")
    plans = {plan.key for ratio in ratios for plan in plans_of(pipeline(ratio, quick), folder, OPTIONS)}
    theirs = networks(home)
    made = finished(folder)
    print(
        f"{len(plans)} plans, {len(theirs)} networks came; beginnings of stages on the workers: {dict(made)}"
    )
    started = time.perf_counter()
    ours = networks(alone(folder, ratios, quick))
    print(f"On this machine alone: {time.perf_counter() - started:.0f} s")
    again = sum(made.values()) - len(theirs)
    verdicts: dict[str, Any] = {
        "every stage came": len(theirs) == len(plans) == len(ratios) + 1,
        "no stage was begun twice but the one whose worker was killed": again <= 1 and bool(watched.killed),
        "the networks are the same": theirs == ours,
    }
    for words, holds in verdicts.items():
        print(f"{'yes' if holds else 'NO'}: {words}")
    if all(verdicts.values()):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"Look into {folder}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
