"""The process of a run and who follows it; the engine only speaks (`tests/fake_run.py`)."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.commands.main import main
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.engine import run_follower
from core.engine.options import Options
from core.engine.run_follower import RunFollower, send, start_run
from core.engine.run_process import CONTROL
from core.records.events import EpochDone, Note, RunDone, RunPaused, RunStarted
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

SCRIPT = Path(__file__).parents[2] / "fake_run.py"
TINY = """
espalier: 1
name: Tiny
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources: [{id: network, settings: {backbone: resnet20}}]
stages: [{id: fp32, kind: train, name: FP32}]
"""


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def run(home: Home, tmp_path: Path) -> RunFolder:
    return create_run(documents.loads(TINY), tmp_path, home, tmp_path / "run")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    monkeypatch.setattr(run_follower, "program", lambda: [sys.executable, str(SCRIPT)])
    yield lambda name: monkeypatch.setenv("ESPALIER_TEST_WORK", name)
    for process in psutil.process_iter(["cmdline"]):  # nothing is left of a test that failed
        if str(tmp_path) in " ".join(process.info["cmdline"] or ()):
            process.kill()


class FollowedRun:
    """Follows a run on a thread of its own and records its events."""

    def __init__(self, follower: RunFollower):
        self.follower, self.control = follower, RunControl()
        self.heard: list[object] = []
        self.done: RunDone | None = None
        self.error: EspalierError | None = None
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        try:
            self.done = self.follower.follow(
                self.control, lambda timed_event: self.heard.append(timed_event.event)
            )
        except EspalierError as error:
            self.error = error

    def end(self, seconds: float = 20) -> "FollowedRun":
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        return self

    def epochs(self) -> list[int]:
        return [event.epoch for event in self.heard if isinstance(event, EpochDone)]


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_events_come_back_and_the_end_with_them(run, home, work):
    work("nothing")
    watcher = FollowedRun(start_run(run, home, Options("cpu", 1), stay=False)).end()
    assert watcher.done == RunDone("completed", "All stages are done.")
    assert isinstance(watcher.heard[0], RunStarted) and watcher.heard[-1] == watcher.done
    assert run.status == "completed" and not (run.folder / CONTROL).exists()


def test_a_watcher_that_comes_later_hears_everything_from_the_beginning(run, home, work):
    work("forever")
    first = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(lambda: len(first.epochs()) == 2)
    second = FollowedRun(RunFollower(run))
    wait(lambda: len(second.epochs()) == 2)
    assert second.heard == first.heard
    second.follower.detach()
    assert second.end().done is None
    assert run.active and run.status == "running"
    first.control.stop()
    assert first.end().done.status == "stopped" and not run.active


@pytest.mark.skipif(sys.platform == "win32", reason="suspends by a signal")
def test_a_suspended_run_is_told_and_can_be_stopped(run, home, work, monkeypatch):
    monkeypatch.setattr(run_follower, "_SUSPENSION_SECONDS", 0.05)
    work("forever")
    first = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(first.epochs)
    second = FollowedRun(RunFollower(run))
    number = first.follower.process.pid
    os.kill(number, signal.SIGSTOP)
    text = f"The process of the run ({number}) is suspended and does nothing until somebody lets it go on."
    for watcher in (first, second):
        wait(lambda watcher=watcher: Note("", "warning", text) in watcher.heard)
    first.control.stop()
    assert first.end().done.status == second.end().done.status == "stopped"


def test_any_watcher_holds_the_run_and_all_know(run, home, work):
    work("forever")
    first = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(first.epochs)
    send(run, "pause")
    wait(lambda: first.control.paused)
    assert RunPaused(True) in first.heard and run.status == "paused"
    first.control.resume()
    wait(lambda: RunPaused(False) in first.heard)
    assert run.status == "running"
    send(run, "stop")
    assert first.end().done.status == "stopped"


def test_a_killed_process_is_interrupted_for_all_within_two_seconds(run, home, work):
    work("forever")
    first = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(first.epochs)
    second = FollowedRun(RunFollower(run))
    wait(second.epochs)
    os.kill(run.info.process["pid"], signal.SIGKILL)
    assert "SIGKILL" in first.end(2).error.message
    assert "it is gone" in second.end(2).error.message
    assert run.status == "interrupted"


def test_a_run_that_another_process_holds_says_so(run, home, work, monkeypatch):
    work("forever")
    first = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(first.epochs)
    second = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True, after=100)).end(30)
    assert second.done.status == "failed" and "being written by another process" in second.done.message
    assert run.active
    first.control.stop()
    first.end()


def test_commands_for_an_earlier_process_are_dropped(run, home, work):
    work("nothing")
    send(run, "stop")
    assert FollowedRun(start_run(run, home, Options("cpu", 1), stay=True)).end().done.status == "completed"


def test_a_stop_while_the_process_starts_is_heard(run, home, work):
    work("forever")
    send(run, "pause")  # for a process before this one
    watcher = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    watcher.control.stop()
    assert watcher.end().done.status == "stopped" and RunPaused(True) not in watcher.heard


def test_lines_that_mean_nothing_are_passed_over(run, home, work):
    work("forever")
    watcher = FollowedRun(start_run(run, home, Options("cpu", 1), stay=True))
    wait(watcher.epochs)
    with (run.folder / CONTROL).open("a") as file:
        file.write('nonsense\n[1]\n{"do": "dance"}\n{"do": ["stop"]}\n')
    send(run, "pause")
    wait(lambda: watcher.control.paused)
    watcher.control.stop()
    assert watcher.end().done.status == "stopped"


PARENT = """
import sys
from pathlib import Path
from core.engine import run_follower
from core.engine.options import Options
from core.runs.home import Home
from core.runs.run_folder import RunFolder
run_follower.program = lambda: [sys.executable, {script!r}]
run_follower.start_run(RunFolder(Path({run!r})), Home(Path({home!r})), Options("cpu", 1), stay={stay})
sys.stdin.read()
"""


@pytest.mark.parametrize("stay", [False, True])
def test_a_run_ends_with_its_parent_unless_it_stays(run, home, work, stay):
    work("forever")
    code = PARENT.format(script=str(SCRIPT), run=str(run.folder), home=str(home.folder), stay=stay)
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, env=run_follower.environment()
    )
    wait(lambda: any(event.get("event") == "EpochDone" for event in run.events()))
    parent.kill()
    parent.wait()
    assert parent.stdin is not None
    parent.stdin.close()
    if stay:
        time.sleep(1)
        assert run.active and run.status == "running"
        send(run, "stop")
    wait(lambda: not run.active)
    assert run.status == "stopped"


def test_attach_follows_a_run_to_its_end(run, home, work, capsys):
    work("until_told")
    FollowedRun(start_run(run, home, Options("cpu", 1), stay=True)).follower.detach()
    wait(lambda: any(event.get("event") == "EpochDone" for event in run.events()))
    assert main(["attach", str(run.folder), "--do", "pause"]) == 0
    wait(lambda: run.status == "paused")
    assert main(["attach", str(run.folder), "--do", "resume"]) == 0
    (run.folder / "enough").touch()
    assert main(["attach", str(run.folder), "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["status"] == "completed" and "epoch 2/9" in output.err


def test_attach_refuses_a_run_that_does_not_go_on(run, work, capsys):
    assert main(["attach", str(run.folder)]) == 2
    assert "Expected a run that goes on, run does not: it is new." in capsys.readouterr().err
