"""Workers of `local:N` end with who asked for them, and what workers do is told as the run's own events."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core.cluster.client import Begun, Made
from core.cluster.plans import plans_of
from core.cluster.run_process import Telling
from core.document import pipeline as documents
from core.engine.options import Options
from core.machine.processes import environment
from core.records.events import EpochDone, Event, Note, PhaseStarted, Progress, StageStarted

ASKS = """
import time
from pathlib import Path
from core.cluster.local import local_cluster
from core.runs.home import Home
with local_cluster("local:2", Home(Path({home!r})), print):
    print("ready", flush=True)
    time.sleep(60)
"""
TWO_SEEDS = """
espalier: 1
name: Two
data: {source: fashion-mnist-sample}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: base, kind: train, name: Base}
  - {id: cut, kind: prune-channels, name: Cut}
axes: {seed: [1, 2]}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_workers_end_with_a_client_that_is_killed(own_home):
    pytest.importorskip("distributed")
    client = subprocess.Popen(
        [sys.executable, "-c", ASKS.format(home=str(own_home))], env=environment(), stdout=subprocess.PIPE
    )
    try:
        while b"ready" not in client.stdout.readline():
            assert client.poll() is None
        workers = psutil.Process(client.pid).children(recursive=True)
        assert len(workers) == 2
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def told(text: str, *happened: tuple[str, int, Event]) -> list[Event]:
    """What a run tells when so much has happened at its stages: worker, number of the plan, event."""
    pipeline = documents.loads(text)
    plans = plans_of(pipeline, Path("/data"), Options("cpu", 1))
    heard: list[Event] = []
    telling = Telling(pipeline, heard.append)
    for worker, number, event in happened:
        telling.event(worker, plans[number], event)
    return heard


def test_what_workers_do_is_told_under_the_runs_own_stages():
    epoch = EpochDone("s1", 1, 2, 9, {"val_top1": 50.0}, True)
    heard = told(TWO_SEEDS, ("left", 3, Begun()), ("left", 3, epoch), ("left", 3, Note("", "info", "data")))
    assert heard[0] == StageStarted("cut@2", "Cut", "prune-channels", 3, 4)
    assert [event.stage for event in heard] == ["cut@2"] * 5
    assert PhaseStarted("cut@2", "elsewhere", "left makes it") in heard
    assert heard[3] == EpochDone("cut@2", 1, 2, 9, {"val_top1": 50.0}, True)


def test_a_run_that_comes_to_a_stage_under_way_still_says_that_it_has_begun():
    heard = told(TWO_SEEDS, ("left", 0, Note("s0", "info", "half way")))
    assert heard == [StageStarted("base@1", "Base", "train", 0, 4), Note("base@1", "info", "half way")]


def test_the_run_is_as_far_as_all_its_stages_together():
    half = Progress("s0", 0.5, 0.9, None, None)
    heard = told(TWO_SEEDS, ("left", 0, half), ("right", 2, half), ("left", 0, Made()), ("left", 0, half))
    fractions = [
        (event.stage, event.stage_fraction, event.run_fraction)
        for event in heard
        if isinstance(event, Progress)
    ]
    assert fractions == [
        ("base@1", 0.5, 0.125), ("base@2", 0.5, 0.25), ("base@1", 1.0, 0.375), ("base@1", 1.0, 0.375),
    ]  # fmt: skip
