"""A cluster whose scheduler, worker or client is killed by -9 in the middle: nothing is made twice, at most one epoch is
repeated, whoever attaches sees it, and the files are those of one machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from core.common.files import sha256_of
from core.machine.processes import environment
from core.runs.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")]
STAGES = ("base", "cut", "narrow")
PIPELINE = """
espalier: 1
name: Cluster
data: {source: fashion-mnist-sample, train_images: 1500, validation_images: 200, test_images: 200}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, name: Base, settings: {training: {epochs: 5, learning_rate: 0.005, batch_size: 64}}}
  - {id: cut, kind: prune-channels, name: Cut, from: base, settings: {ratio: 0.5, training: {epochs: 1, batch_size: 64}}}
  - {id: narrow, kind: prune-channels, name: Narrow, from: base, settings: {ratio: 0.6, training: {epochs: 1, batch_size: 64}}}
"""


class Machines:
    """A scheduler, two workers and a client, each with a home of its own and in a group of processes of its own."""

    def __init__(self, folder: Path, stack: ExitStack):
        self.folder, self._stack = folder, stack
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        (folder / "file.yaml").write_text(PIPELINE)
        self.scheduler = self.start_scheduler()
        self.workers = {
            name: self.start(name, "worker", self.address, "--name", name) for name in ("left", "right")
        }

    def start(self, home: str, *command: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{home}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.commands.main", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(1, {"ESPALIER_HOME": str(self.folder / home)}), start_new_session=True,
            )  # fmt: skip
        self._stack.callback(kill, process)
        return process

    def start_scheduler(self) -> "subprocess.Popen[bytes]":
        return self.start("scheduler", "cluster", "start", "--port", self.address.rpartition(":")[2])

    def start_run(self, *more: str) -> "subprocess.Popen[bytes]":
        where = ("--cluster", self.address, "--device", "cpu", "--threads", "1")
        return self.start(
            "client", "run", str(self.folder / "file.yaml"), "--out", str(self.run.folder), *where, *more
        )

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder / "run")

    def events(self, kind: str, stage: str) -> list[dict[str, Any]]:
        if not self.run.folder.is_dir():
            return []
        found = [event for event in self.run.events() if event["event"] == kind]
        return [event for event in found if event["stage"] == stage]

    def log(self, home: str) -> str:
        return (self.folder / f"{home}.log").read_text()

    def begun(self) -> Counter[str]:
        """How often each stage was begun to be made, by its key in the cache."""
        lines = [log.read_text() for log in self.folder.glob("*/logs/espalier.log")]
        return Counter(re.findall(r"is not in the cache \((\w+)\)", "\n".join(lines)))

    def weights(self, run: str) -> list[str]:
        return [
            sha256_of(self.folder / run / "stages" / stage / "checkpoint" / "weights.safetensors")
            for stage in STAGES
        ]

    def check_like_alone(self) -> None:
        """The networks are those of a run without a cluster."""
        alone = self.start(
            "alone", "run", str(self.folder / "file.yaml"), "--out", str(self.folder / "alone-run"), "--device", "cpu",
            "--threads", "1",
        )  # fmt: skip
        assert alone.wait(600) == 0, self.log("alone")
        assert self.weights("run") == self.weights("alone-run")


def kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(until: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    pytest.importorskip("distributed")
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def test_a_scheduler_that_is_killed_and_started_again(machines: Machines) -> None:
    client = machines.start_run()
    wait(lambda: machines.events("EpochDone", "base"))
    watcher = machines.start("client", "attach", str(machines.run.folder), "--json")
    kill(machines.scheduler)
    time.sleep(2)
    machines.start_scheduler()
    assert client.wait(600) == 0 and watcher.wait(60) == 0, machines.log("client")
    assert [event["epoch"] for event in machines.events("TrainingStarted", "base")] == [1]
    assert set(machines.begun().values()) == {1} and len(machines.begun()) == len(STAGES)
    assert "does not answer" in machines.log("client") and "answers again" in machines.log("client")
    assert machines.log("client").count('"status": "completed"') == 1  # by the watcher
    machines.check_like_alone()


def test_a_worker_that_is_killed_while_it_trains(machines: Machines) -> None:
    client = machines.start_run()
    wait(lambda: len(machines.events("EpochDone", "base")) >= 3)
    maker = next(
        event["text"] for event in machines.events("Note", "base") if "makes it" in event["text"]
    ).split()[0]
    kill(machines.workers[maker])
    before = len(machines.events("EpochDone", "base"))
    assert client.wait(600) == 0, machines.log("client")
    first, again = [event["epoch"] for event in machines.events("TrainingStarted", "base")]
    assert first == 1 and again >= before, "more than one epoch was repeated"
    machines.check_like_alone()


def test_a_client_that_is_killed_and_comes_back(machines: Machines) -> None:
    client = machines.start_run()
    wait(lambda: machines.events("EpochDone", "base"))
    process = json.loads((machines.run.folder / "run.json").read_text())
    assert process["status"] == "running" and machines.run.active
    os.kill(machines.run.info.process["pid"], signal.SIGKILL)
    kill(client)
    wait(lambda: not machines.run.active)
    assert machines.start_run("--resume").wait(600) == 0, machines.log("client")
    assert set(machines.begun().values()) == {1} and len(machines.begun()) == len(STAGES)
    machines.check_like_alone()
