"""The worker's contract: one terminal signal on every path, the last word never lost."""

import gc
import sys
import threading
import time
from typing import Any

import numpy as np
import psutil
import pytest

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.engine.run_follower import TimedEvent
from core.records import events
from gui.base.worker import Failure, Say, Worker
from gui.runs.run_state import merged


class Heard:
    """Collects everything that a worker says."""

    def __init__(self, worker: Worker):
        self.items: list[Any] = []
        self.batches = 0
        self.ends: list[tuple[str, Any]] = []
        worker.happened.connect(self._batch)
        worker.completed.connect(lambda value: self.ends.append(("completed", value)))
        worker.failed.connect(lambda failure: self.ends.append(("failed", failure)))
        worker.stopped.connect(lambda: self.ends.append(("stopped", None)))

    def _batch(self, items: list[Any]) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.batches += 1
        self.items += items


@pytest.fixture
def worker(qtbot: Any) -> Worker:
    return Worker()


def run(qtbot: Any, worker: Worker, job: Any) -> Heard:
    heard = Heard(worker)
    with qtbot.waitSignal(worker.ended, timeout=10_000):
        worker.start("a test", job)
    qtbot.wait(30)
    assert len(heard.ends) == 1
    assert not worker.running
    return heard


def test_completed_comes_after_everything_that_was_said(qtbot: Any, worker: Worker) -> None:
    def job(control: RunControl, say: Say) -> str:
        for number in range(20_000):
            say(number)
        return "result"

    heard = run(qtbot, worker, job)
    assert heard.items == list(range(20_000))
    assert heard.ends == [("completed", "result")]
    assert heard.batches < 400


def test_events_come_while_the_job_goes_on(qtbot: Any, worker: Worker) -> None:
    seen = threading.Event()

    def job(control: RunControl, say: Say) -> bool:
        say("first")
        return seen.wait(5)

    worker.happened.connect(lambda _items: seen.set())
    assert run(qtbot, worker, job).ends == [("completed", True)]


@pytest.mark.parametrize("error", [RuntimeError("broken"), ValueError("wrong"), KeyError("x"), SystemExit(3)])
def test_whatever_is_raised_arrives_as_a_failure(qtbot: Any, worker: Worker, error: BaseException) -> None:
    def job(control: RunControl, say: Say) -> None:
        raise error

    ((kind, failure),) = run(qtbot, worker, job).ends
    assert kind == "failed" and isinstance(failure, Failure)
    assert not failure.expected
    assert type(error).__name__ in failure.details and "Traceback" in failure.details


def test_an_expected_failure_keeps_its_sentence_and_advice(qtbot: Any, worker: Worker) -> None:
    def job(control: RunControl, say: Say) -> None:
        raise EspalierError("The folder is empty.", "Pick another one.")

    ((kind, failure),) = run(qtbot, worker, job).ends
    assert kind == "failed" and failure.expected
    assert (failure.message, failure.advice) == ("The folder is empty.", "Pick another one.")


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried to allocate"), MemoryError()])
def test_out_of_memory_has_its_own_advice(qtbot: Any, worker: Worker, error: BaseException) -> None:
    def job(control: RunControl, say: Say) -> None:
        raise error

    ((_kind, failure),) = run(qtbot, worker, job).ends
    assert "memory" in failure.message and "batch size" in failure.advice


def test_stop_ends_with_stopped(qtbot: Any, worker: Worker) -> None:
    def job(control: RunControl, say: Say) -> None:
        say("running")
        while True:
            control.checkpoint()
            time.sleep(0.005)

    worker.happened.connect(lambda _items: worker.stop())
    assert run(qtbot, worker, job).ends == [("stopped", None)]


def test_garbage_of_any_thread_is_collected_in_the_windows(qtbot: Any, worker: Worker) -> None:
    """Where a worker's thread deleted a widget, both threads would wait for each other."""
    threads: list[threading.Thread] = []

    def job(control: RunControl, say: Say) -> None:
        for _ in range(3000):  # more than makes Python collect by itself
            cycle: list[Any] = []
            cycle.append(cycle)

    def collected(phase: str, _about: Any) -> None:
        threads.append(threading.current_thread())

    gc.callbacks.append(collected)
    try:
        run(qtbot, worker, job)
        qtbot.waitUntil(lambda: bool(threads), timeout=5000)
    finally:
        gc.callbacks.remove(collected)
    assert set(threads) == {threading.main_thread()}


def test_closing_stops_waits_and_says_whether_it_ended(qtbot: Any, worker: Worker) -> None:
    heard, release = Heard(worker), threading.Event()
    worker.start("stubborn work", lambda control, say: release.wait(10))
    assert not worker.close(0.05)
    assert worker.running and worker.title == "stubborn work"
    release.set()
    assert worker.close(5)
    qtbot.wait(30)
    assert [kind for kind, _value in heard.ends] == ["completed"]


def test_a_second_job_is_refused_while_one_runs_and_welcome_afterwards(qtbot: Any, worker: Worker) -> None:
    release = threading.Event()
    worker.start("first", lambda control, say: release.wait(10))
    with pytest.raises(RuntimeError, match="first"):
        worker.start("second", lambda control, say: None)
    release.set()
    assert worker.close(5)
    seen = threading.Event()  # the next job must not be taken for ended by the first one's signal
    worker.happened.connect(lambda _items: seen.set())
    ends = run(qtbot, worker, lambda control, say: (say("alive"), seen.wait(5))[1]).ends
    assert ends == [("completed", True)]


def test_merging_keeps_the_last_progress_and_everything_else() -> None:
    progress = [TimedEvent(events.Progress("a", n / 10, n / 20, None, None), n) for n in range(5)]
    step = TimedEvent(events.StepDone("a", 1, 3, {"loss": 1.0}, 10.0), 1.5)
    assert merged([progress[0], step, progress[1], progress[2]]) == [step, progress[2]]
    assert merged([step]) == [step]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' memory is given back by their libraries")
def test_what_a_job_freed_goes_back_to_the_system(qtbot: Any, worker: Worker) -> None:
    def resident() -> float:
        return psutil.Process().memory_info().rss / 1e6

    def job(_control: RunControl, say: Say) -> Any:
        blocks = [np.ones(1000, np.uint8) for _ in range(150_000)]
        say(resident())
        return blocks[::1000]  # scattered through the heap, as caches are

    before = resident()
    heard = run(qtbot, worker, job)
    assert heard.ends[0][0] == "completed" and heard.items[0] - before > 120
    assert resident() - before < 60
