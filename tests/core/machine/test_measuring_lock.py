"""A machine is measured by one at a time, whoever asks."""

import os
import subprocess
import sys
import threading

import pytest

from core.common.control import RunControl
from core.common.errors import Stopped
from core.machine import measuring_lock
from core.machine.measuring_lock import measuring_alone, saying_waits

HOLD = """
import sys
from pathlib import Path
from core.machine import measuring_lock
measuring_lock.FOLDER = Path(sys.argv[1])
with measuring_lock.measuring_alone():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring_lock, "FOLDER", tmp_path)
    monkeypatch.setattr(measuring_lock, "_vain_waits", [])
    return tmp_path


@pytest.fixture
def other(folder):
    """Another process that measures until its input closes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as process:
        assert process.stdout.readline() == b"held\n" or os.name == "nt"
        yield process
        process.kill()


def test_a_second_process_waits_and_says_so(other, monkeypatch):
    monkeypatch.setattr(measuring_lock, "_SAID", 0.0)
    told = []

    def tell(fraction, text):
        told.append(text)
        other.stdin.close()

    with measuring_alone(None, tell):
        assert other.wait(10) == 0
    assert told == ["Waiting: another measurement is under way on this machine"]


def test_waiting_is_said_when_it_begins_and_when_it_ends():
    said, parts = [], []
    progress = saying_waits(said.append, parts.append)
    for part, text in ((0.0, "Waiting: x"), (0.0, "Waiting: x"), (0.1, "Measuring"), (0.2, "Measuring more")):
        progress(part, text)
    assert said == ["Waiting: x", "Measuring"] and parts == [0.0, 0.0, 0.1, 0.2]


def test_the_wait_is_bounded_and_can_be_stopped(other, monkeypatch):
    with measuring_alone(longest=0.0):
        assert other.poll() is None
    monkeypatch.setattr(measuring_lock, "_BRIEFLY", 0.0)
    with measuring_alone(longest=60.0):  # it was in vain a moment ago
        assert other.poll() is None
    monkeypatch.setattr(measuring_lock, "_vain_waits", [])
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped), measuring_alone(control):
        pass


def test_a_process_that_dies_lets_go(other):
    other.kill()
    with measuring_alone(longest=10.0):
        pass


def test_a_measurement_inside_a_measurement_does_not_wait_for_itself(folder):
    with measuring_alone(), measuring_alone(longest=60.0):
        pass
    entered = threading.Event()

    def measure():
        with measuring_alone(longest=30.0):
            entered.set()

    with measuring_alone():
        thread = threading.Thread(target=measure)
        thread.start()
        assert not entered.wait(0.5)
    thread.join(10)
    assert entered.is_set()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of files are others there")
def test_everybody_may_use_the_file_whatever_the_mask(folder):
    before = os.umask(0o077)
    try:
        with measuring_alone():
            pass
    finally:
        os.umask(before)
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o666


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_in_its_place_is_not_followed(folder):
    target = folder / "somebody's file"
    target.write_text("as it was")
    (folder / "espalier-measuring.lock").symlink_to(target)
    with measuring_alone():
        own = [path.name for path in folder.iterdir() if path.name.startswith("espalier-measuring-")]
    assert own == [f"espalier-measuring-{os.getuid()}.lock"] and target.read_text() == "as it was"
