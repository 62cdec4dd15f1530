"""What a scheduler keeps for its workers, how it is asked, and how plans that outlive a scheduler are gone on with."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from core.cluster.packed_results import packed_state, put_state, settled_in
from core.cluster.scheduler_store import Keeper, Sender, Shelf
from core.cluster.task import Seat
from core.common.content_hashes import write_sealed
from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

KEY = "espalier-" + "0a" * 16
TINY = """
espalier: 1
name: Tiny
data: {source: fashion-mnist-sample}
sources: [{id: network, settings: {backbone: resnet20}}]
stages: [{id: s0, kind: train}]
"""


def kept(keeper: Keeper, key: str = KEY) -> dict[str, bytes]:
    return asyncio.run(keeper.kept(key))


def keep(keeper: Keeper, kind: str, content: bytes, key: str = KEY) -> bool:
    return asyncio.run(keeper.keep(kind, key, content))


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "kept").mkdir()
    return Keeper(tmp_path / "kept")


def test_the_newest_state_is_kept_until_there_is_a_result(keeper):
    assert kept(keeper) == {}
    keep(keeper, "state", b"after one epoch")
    keep(keeper, "state", b"after two")
    assert kept(keeper) == {"state": b"after two"}
    keep(keeper, "result", b"made")
    keep(keeper, "state", b"of a worker that was slower")
    assert kept(keeper) == {"result": b"made"}
    assert [file.name for file in keeper.folder.iterdir()] == [f"{KEY}.result"]


def test_where_workers_share_a_home_no_result_is_kept_twice(keeper):
    shared = Keeper(keeper.folder, results=False)
    keep(shared, "state", b"after one epoch")
    keep(shared, "result", b"made")
    assert kept(shared) == {} and not list(keeper.folder.iterdir())


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "espalier-0a/..", "espalier-" + "g" * 20])
def test_nothing_is_read_or_written_under_what_is_no_key(keeper, key):
    for ask in (lambda: kept(keeper, key), lambda: keep(keeper, "state", b"", key)):
        with pytest.raises(ValueError, match="plan's key"):
            ask()


def test_what_nobody_asked_for_in_a_week_goes(keeper):
    other = "espalier-" + "0b" * 16
    keep(keeper, "result", b"old", other)
    keep(keeper, "result", b"used")
    long_ago = time.time() - 8 * 24 * 3600
    for key in (KEY, other):
        os.utime(keeper.folder / f"{key}.result", (long_ago, long_ago))
    assert kept(keeper) == {"result": b"used"}  # asking counts
    keep(keeper, "state", b"", "espalier-" + "0c" * 16)
    assert kept(keeper) == {"result": b"used"} and kept(keeper, other) == {}


def test_a_worker_asks_its_scheduler_over_the_wire(keeper):
    distributed = pytest.importorskip("distributed")

    async def talk(serves: bool) -> list[object]:
        async with distributed.Scheduler(
            host="tcp://127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0"
        ) as scheduler:
            if serves:
                keeper.serve(scheduler)
            async with distributed.Worker(
                scheduler.address, nthreads=1, dashboard=False, dashboard_address="127.0.0.1:0"
            ) as worker:
                shelf = Shelf(lambda: worker)

                def work() -> list[object]:
                    content = bytes(range(256)) * 4096
                    answers: list[object] = [shelf.kept(KEY), shelf.keep("state", KEY, content)]
                    return [*answers, shelf.kept(KEY) == {"state": content}]

                return await asyncio.to_thread(work)

    assert asyncio.run(talk(True)) == [{}, True, True]
    assert asyncio.run(talk(False)) == [{}, False, False]  # a scheduler of another make


def test_without_a_scheduler_nothing_is_kept_and_nothing_fails():
    def nobody():
        raise OSError("No scheduler is there.")

    shelf = Shelf(nobody)
    assert shelf.kept(KEY) == {} and shelf.keep("state", KEY, b"") is False


def run_at(tmp_path: Path, name: str, epoch: bytes | None, at: float) -> RunFolder:
    run = create_run(documents.loads(TINY), tmp_path, Home(tmp_path / "home"), tmp_path / name)
    if epoch is not None:
        (run.scratch / "s0").mkdir()
        (run.scratch / "s0" / "train.resume").write_bytes(epoch)
        os.utime(run.scratch / "s0" / "train.resume", (at, at))
    return run


def test_a_state_goes_to_another_worker_with_what_was_settled(tmp_path):
    now = time.time()
    ours = run_at(tmp_path, "ours", b"epoch 3", now)
    write_sealed(ours.folder / "precision_trials.json", {"s0": {"chosen": "mixed"}})
    theirs = run_at(tmp_path, "theirs", b"epoch 1", now - 60)
    write_sealed(theirs.folder / "precision_trials.json", {"s0": {"chosen": "float32"}})
    assert put_state(theirs, "s0", packed_state(ours, "s0"))
    assert (theirs.scratch / "s0" / "train.resume").read_bytes() == b"epoch 3"
    assert settled_in(theirs) == {"precision_trials.json": {"s0": {"chosen": "mixed"}}}


def test_a_worker_that_has_come_further_goes_on_with_its_own(tmp_path):
    now = time.time()
    state = packed_state(run_at(tmp_path, "ours", b"epoch 3", now - 60), "s0")
    theirs = run_at(tmp_path, "theirs", b"epoch 4", now)
    assert not put_state(theirs, "s0", state)
    assert (theirs.scratch / "s0" / "train.resume").read_bytes() == b"epoch 4"
    assert packed_state(run_at(tmp_path, "fresh", None, now), "s0") is None


def test_a_damaged_state_is_refused(tmp_path):
    state = bytearray(packed_state(run_at(tmp_path, "ours", b"epoch" * 1000, time.time()), "s0"))
    state[state.index(b"epochepoch") + 70] ^= 1
    fresh = run_at(tmp_path, "fresh", None, 0.0)
    for bad in (bytes(state), b"no state"):
        with pytest.raises(EspalierError, match="damaged"):
            put_state(fresh, "s0", bad)
    assert not list(fresh.scratch.rglob("*.resume"))


def test_the_newest_state_is_sent_however_slow_the_way_is():
    sent: list[bytes] = []
    newest = [b"none"]
    busy = threading.Event()

    def send(state: bytes) -> None:
        busy.wait(5)
        sent.append(state)

    with Sender(lambda: newest[0], send) as sender:
        for epoch in range(5):
            newest[0] = b"%d" % epoch
            sender.due()
            time.sleep(0.02)
        busy.set()
        while sent[-1:] != [b"4"]:
            time.sleep(0.01)
    assert sent in ([b"0", b"4"], [b"4"])


def test_who_asks_again_gets_what_is_under_way():
    seat, going, delivered = Seat(), threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        going.wait(5)
        return b"weights"

    answers: list[bytes] = []
    askers = [
        threading.Thread(
            target=lambda: answers.append(seat.once("a", make, lambda result: delivered.wait(5)))
        )
        for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    while seat.under_way() != ["a"] or not made:
        time.sleep(0.01)
    going.set()
    for asker in askers:
        asker.join(5)
    assert answers == [b"weights"] * 2 and made == [1]
    assert seat.under_way() == ["a"]  # the scheduler does not keep it yet
    assert seat.once("a", make, lambda result: None) == b"weights" and made == [1]
    delivered.set()
    while seat.under_way():
        time.sleep(0.01)


def test_what_failed_is_made_again_when_it_is_asked_for_again():
    seat = Seat()

    def fail() -> bytes:
        raise EspalierError("It cannot be made.")

    for _ in range(2):
        with pytest.raises(EspalierError, match="cannot be made"):
            seat.once("a", fail, lambda result: None)
    assert seat.under_way() == []


def test_a_worker_makes_one_plan_at_a_time():
    seat, together = Seat(), []
    at_work: list[str] = []

    def make(name: str) -> bytes:
        at_work.append(name)
        together.append(len(at_work))
        time.sleep(0.05)
        at_work.remove(name)
        return b""

    threads = [
        threading.Thread(target=seat.once, args=(name, lambda name=name: make(name), lambda result: None))
        for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert together == [1, 1, 1]
