"""The stores, the run folders and their index: nothing half written, nothing lost."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.common.content_hashes import MANIFEST, unsealed
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.keys import make_key
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_keys
from core.records.events import Note
from core.records.reports import Artefact, Metric, StageReport
from core.runs.cache import CacheUser, Measurements, Store
from core.runs.event_log import EventTail
from core.runs.finding import find_runs, unfinished_run
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.library import add_entry, find_run
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

TEXT = """
espalier: 1
name: Small one!
sources: [{id: network}]
stages:
  - {id: fp32, kind: train}
  - {id: mixed, kind: train-mixed, enabled: false}
  - {id: pruned, kind: prune-channels}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def pipeline() -> Pipeline:
    return documents.loads(TEXT)


@pytest.fixture
def run(pipeline: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    return create_run(pipeline, tmp_path, home)


def note(text: str) -> Note:
    return Note("fp32", "info", text)


# Cache

PARTS = {"stage": "train", "version": 1, "settings": {"epochs": 2, "rate": 5e-5}, "seed": 1, "data": "f"}


def test_equal_parts_give_an_equal_key_in_any_order():
    assert make_key(PARTS) == make_key(dict(reversed(PARTS.items())))
    assert len(make_key(PARTS)) == 64


@pytest.mark.parametrize(
    "change",
    [{"stage": "distil"}, {"version": 2}, {"settings": {"epochs": 3, "rate": 5e-5}},
     {"settings": {"epochs": 2, "rate": 5.000001e-5}}, {"seed": 2}, {"seed": "1"}, {"data": "g"}, {"new": None}],
    ids=str,
)  # fmt: skip
def test_every_changed_part_gives_another_key(change):
    assert make_key(PARTS | change) != make_key(PARTS)


def made(folder: Path, text: str = "weights") -> Path:
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "w.bin").write_text(text)
    (folder / "result.json").write_text("{}")
    return folder


def files(folder: Path) -> dict[str, str]:
    inside = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {str(p.relative_to(folder)): p.read_text() for p in inside}


def test_what_was_put_is_got_and_copied(tmp_path):
    store, source = Store(tmp_path / "store"), made(tmp_path / "made")
    key, other = make_key({"a": 1}), make_key({"a": 2})
    assert store.get(key) is None and not store.copy_to(key, tmp_path / "copy")
    store.put(key, source)
    assert store.get(other) is None
    assert store.copy_to(key, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(source) == {"checkpoint/w.bin": "weights", "result.json": "{}"}
    (tmp_path / "copy" / "result.json").write_text("changed")
    assert (store.get(key) / "result.json").read_text() == "{}"  # a copy, not a link


def test_an_entry_that_is_there_stays(tmp_path):
    store, key = Store(tmp_path / "store"), make_key({})
    store.put(key, made(tmp_path / "one", "first"))
    store.put(key, made(tmp_path / "two", "second"))
    assert (store.get(key) / "checkpoint/w.bin").read_text() == "first"
    assert [path.name for path in store.get(key).parent.iterdir()] == [key]  # no leftovers


def test_a_half_written_entry_is_none_and_is_replaced(tmp_path):
    store, key = Store(tmp_path / "store"), make_key({})
    store.put(key, made(tmp_path / "one", "half"))
    (store.get(key) / "complete").unlink()
    assert store.get(key) is None
    store.put(key, made(tmp_path / "two", "whole"))
    assert (store.get(key) / "checkpoint/w.bin").read_text() == "whole"


def test_a_copy_is_whole_or_not_there(tmp_path):
    said: list[str] = []
    store, key = Store(tmp_path / "store", CacheUser(say=said.append)), make_key({})
    store.put(key, made(tmp_path / "made"))
    weights = store.get(key) / "checkpoint" / "w.bin"
    weights.unlink()
    weights.symlink_to(tmp_path / "gone")  # cannot be read, when the file before it is copied already
    for _ in range(2):
        assert not store.copy_to(key, tmp_path / "run" / "copy")
    assert list((tmp_path / "run").iterdir()) == []
    assert said == [
        f"The cache in {tmp_path} cannot be read (No such file or directory): what is in it is made again."
    ]


def test_a_copy_takes_the_place_of_a_half_one(tmp_path):
    store, key = Store(tmp_path / "store"), make_key({})
    store.put(key, made(tmp_path / "made"))
    half = tmp_path / "run" / "copy"
    (half / "deployed").mkdir(parents=True)
    assert store.copy_to(key, half)
    assert files(half) == files(tmp_path / "made") and list(half.parent.iterdir()) == [half]


def test_a_cache_that_takes_nothing_is_gone_without(tmp_path):
    said: list[str] = []
    (tmp_path / "home").write_text("a file where the folder was to be")
    user = CacheUser(RunControl(), said.append)
    store = Store(tmp_path / "home" / "models", user)
    with store.making(make_key({})):
        store.put(make_key({}), made(tmp_path / "made"))
    assert not store.copy_to(make_key({}), tmp_path / "copy")
    memory = Measurements(tmp_path / "home" / "measurements", user)
    assert memory.get_or_measure({"file": "a"}, lambda: {"ms": 1}) == ({"ms": 1}, False)
    assert len(said) == 1 and said[0].startswith(f"The cache in {tmp_path / 'home'} takes nothing (Not a dir")


def test_an_entry_that_is_cleared_away_meanwhile_is_none_without_a_word(tmp_path, monkeypatch):
    said: list[str] = []
    store, key = Store(tmp_path / "store", CacheUser(say=said.append)), make_key({})
    store.put(key, made(tmp_path / "made"))
    entry = store.get(key)
    monkeypatch.setattr(store, "_entry", lambda key: shutil.rmtree(tmp_path / "store") or entry)
    assert not store.copy_to(key, tmp_path / "copy") and said == []


HOLD = """
import sys, time
from pathlib import Path
from core.common.control import RunControl
from core.runs.cache import CacheUser, Store
with Store(Path(sys.argv[1]), CacheUser(RunControl())).making(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_makes_an_entry_and_the_next_takes_it(tmp_path):
    key, begun, waited = make_key({}), threading.Event(), threading.Event()

    def first() -> None:
        store = Store(tmp_path / "store", CacheUser(RunControl()))
        with store.making(key):
            begun.set()
            assert waited.wait(10)
            store.put(key, made(tmp_path / "made"))

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    store = Store(tmp_path / "store", CacheUser(RunControl(), on_wait=waited.set))
    with store.making(key):
        assert store.get(key) is not None
    thread.join()
    assert [path.name for path in (tmp_path / "store" / key[:2]).iterdir()] == [key]  # and no lock


def test_who_waits_takes_over_after_a_kill_and_can_be_stopped(tmp_path):
    key, control = make_key({}), RunControl()
    command = [sys.executable, "-c", HOLD, str(tmp_path), key]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(Stopped),
            Store(tmp_path, CacheUser(control, on_wait=control.stop)).making(key),
        ):
            raise AssertionError("made at the same time as another process")
        with Store(tmp_path, CacheUser(RunControl(), on_wait=holder.kill)).making(key):
            assert Store(tmp_path).get(key) is None
    finally:
        holder.kill()
        holder.communicate()


DAMAGE = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "bit": lambda content: content[:-1] + bytes([content[-1] ^ 4]),
    "removed": None,
}


def hurt(file: Path, damage: str) -> None:
    change = DAMAGE[damage]
    file.unlink() if change is None else file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["checkpoint/w.bin", "result.json", MANIFEST])
def test_a_damaged_entry_is_set_aside_said_and_replaced(tmp_path, file, damage):
    said: list[str] = []
    store, key = Store(tmp_path / "store", CacheUser(say=said.append)), make_key({})
    store.put(key, made(tmp_path / "made"))
    entry = store.get(key)
    hurt(entry / file, damage)
    if (file, damage) == (MANIFEST, "removed"):  # as of a version before
        assert store.get(key) == entry and (entry / MANIFEST).is_file() and not said
        return
    assert not store.copy_to(key, tmp_path / "copy") and not (tmp_path / "copy").exists()
    assert len(said) == 1 and file in said[0] and f"set aside as {entry.name}.damaged" in said[0]
    assert store.get(key) is None and entry.with_name(f"{entry.name}.damaged").is_dir()
    store.put(key, tmp_path / "made")
    assert (store.get(key) / "checkpoint/w.bin").read_text() == "weights"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_measurement_is_taken_again(tmp_path, damage):
    measurements = Measurements(tmp_path / "measurements")
    assert measurements.get_or_measure({"file": "a"}, lambda: {"latency": 1.25}) == ({"latency": 1.25}, False)
    (file,) = (tmp_path / "measurements").rglob("measurement.json")
    hurt(file, damage)
    assert measurements.get_or_measure({"file": "a"}, lambda: {"latency": 2.5}) == ({"latency": 2.5}, False)
    assert measurements.get({"file": "a"}) == {"latency": 2.5}


def test_an_entry_of_a_version_before_is_adopted_once_its_files_have_their_form(tmp_path):
    store, key = Store(tmp_path / "store"), make_key({})
    store.put(key, made(tmp_path / "made"))
    entry = store.get(key)
    (entry / MANIFEST).unlink()
    assert store.get(key) == entry
    hurt(entry / "checkpoint/w.bin", "bit")
    assert store.get(key) is None  # the manifest that it got vouches for the file
    store.put(key, tmp_path / "made")
    (entry / MANIFEST).unlink()
    hurt(entry / "result.json", "cut")
    assert store.get(key) is None


# Run folders


def test_changes_of_one_file_at_once_are_all_kept(run, home, tmp_path):
    """As the window names a run while its process writes how it ended; each with a `RunFolder` of its own."""
    together = threading.Barrier(4)

    def change(names: dict[str, Any]) -> None:
        together.wait()
        for _ in range(10):
            RunFolder(run.folder).update_info(**names)
            add_entry(home, tmp_path / next(iter(names)), {"name": "x"})

    changes: list[dict[str, Any]] = [{"name": "n"}, {"seconds": 2.0}, {"notes": "t"}, {"message": "m"}]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(change, changes))
    info = run.info
    assert (info.name, info.seconds, info.notes, info.message) == ("n", 2.0, "t", "m")
    assert len(json.loads((home.folder / "elsewhere.json").read_text())) == 4


def test_a_damaged_list_of_runs_from_elsewhere_is_set_aside(home, tmp_path):
    home.folder.mkdir(parents=True)
    (home.folder / "elsewhere.json").write_text('{"a": ')
    add_entry(home, tmp_path, {"name": "x"})
    assert (home.folder / "elsewhere.json.damaged").read_text() == '{"a": '


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_json_is_made_again_from_its_copy(run, home, damage):
    run.update_info(status="stopped", notes="mine")
    hurt(run.folder / "run.json", damage)
    again = RunFolder.open(run.folder)
    assert (again.info.status, again.info.notes) == ("stopped", "mine")
    assert [found.folder for found in find_runs(home)] == [run.folder]
    again.update_info(status="running")
    assert len(again.restored) == 1 and "run.json" in again.restored[0]
    assert json.loads((run.folder / "run.json").read_text())["status"] == "running"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pipeline_is_read_from_run_json_and_written_again(run, pipeline, damage):
    hurt(run.folder / "pipeline.yaml", damage)
    assert run.pipeline == pipeline.resolved()
    try:
        documents.load(run.pipeline_file)
    except EspalierError:
        run.restore_pipeline()
        assert run.pipeline_is_untouched and run.pipeline == pipeline.resolved()
        assert len(run.restored) == 1


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_made_anew(run, pipeline, home, tmp_path, damage):
    index_run(home, run)
    rows = index_rows(home, "runs")
    content = bytearray(home.index.read_bytes())
    if damage == "bit":
        content[2000] ^= 64  # somewhere in the first page
        home.index.write_bytes(
            bytes(byte ^ 85 if 100 < at < 4000 else byte for at, byte in enumerate(content))
        )
    else:
        hurt(home.index, damage)
    index_run(home, run)
    assert index_rows(home, "runs") == rows


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"number": 2}'[:9], b"\xff\xfe", b'{"number": 2, "sha256": "0000000000000000"}', b""]
)
def test_a_damaged_early_line_of_the_events_hides_nothing_behind_it(run, line):
    for text in "abcd":
        run.record(note(text))
    run.close()
    path = run.folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    assert [event["text"] for event in run.events()] == ["a", "c", "d"]
    again = RunFolder.open(run.folder)
    assert again.last_event_number == 4 and again.damaged_events == (1 if line else 0)
    again.record(note("e"))
    assert [event["text"] for event in EventTail(path).read()] == ["a", "c", "d", "e"]
    assert again.last_event_number == 5


def test_a_changed_figure_in_an_event_is_passed_over(run):
    run.record(note("top-1 91 %"))
    path = run.folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"91", b"97"))
    assert list(run.events()) == [] == EventTail(path).read()


def test_a_fresh_run_holds_the_document_twice(run, pipeline, home, tmp_path):
    assert run.folder.parent == home.runs and run.name.endswith("-small-one")
    assert run.pipeline == pipeline.resolved()
    assert documents.loads(run.info.document) == pipeline
    assert run.base == tmp_path.resolve() and run.info.status == "new"
    assert stage_keys(pipeline) == ["fp32", "pruned"]  # the disabled one does not run
    several = documents.loads(TEXT + "axes: {seed: [1, 2]}\n")
    assert stage_keys(several) == ["fp32@1", "pruned@1", "fp32@2", "pruned@2"]


def test_two_runs_in_one_second_have_their_own_folders(pipeline, home, tmp_path):
    one, two, three = (create_run(pipeline, tmp_path, home) for _ in range(3))
    assert len({one.folder, two.folder, three.folder}) == 3
    assert len(find_runs(home)) == 3


def test_runs_started_at_once_have_their_own_folders(pipeline, home, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *_: "20261128-120000")
    together = threading.Barrier(8)

    def create(number: int) -> Path:
        together.wait()
        own = pipeline.model_copy(update={"about": f"number {number}"})
        run = create_run(own, tmp_path, home)
        assert run.pipeline.about == f"number {number}"
        return run.folder

    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(create, range(8)))
    assert len(folders) == 8 and set(home.runs.iterdir()) == folders


def test_a_folder_left_half_made_is_taken(pipeline, home, tmp_path):
    folder = tmp_path / "mine"
    for name in ("stages", "sources", "inputs", "scratch"):
        (folder / name).mkdir(parents=True)
    (folder / ".pipeline.1.part.yaml").touch()
    (folder / "pipeline.yaml").write_text("espa")
    assert create_run(pipeline, tmp_path, home, folder).pipeline == pipeline.resolved()


def test_a_persons_own_file_is_no_half_made_run(pipeline, home, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("espalier: 1")
    with pytest.raises(EspalierError, match="holds files already"):
        create_run(pipeline, tmp_path, home, tmp_path)
    assert (tmp_path / "pipeline.yaml").read_text() == "espalier: 1"


def test_a_folder_with_files_is_refused(pipeline, home, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("")
    with pytest.raises(EspalierError) as caught:
        create_run(pipeline, tmp_path, home, folder)
    assert caught.value.message == (
        f"Expected an empty or new folder for the run, {folder} holds files already."
    )


def test_a_second_process_is_refused_while_the_first_writes(run):
    code = (
        "import sys; from pathlib import Path; from core.common.errors import EspalierError; from core.runs.run_folder import RunFolder\n"
        "try:\n"
        "    with RunFolder(Path(sys.argv[1])).locked(): print('locked')\n"
        "except EspalierError as error: print(error.message)\n"
    )

    def second() -> str:
        command = [sys.executable, "-c", code, str(run.folder)]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, cwd=Path(__file__).parents[3]
        ).stdout.strip()

    with run.locked():
        assert second() == f"The run in {run.folder} is being written by another process."
    assert second() == "locked"


def test_events_are_numbered_over_reopening(run):
    for text in ("a", "b"):
        run.record(note(text))
    run.close()
    again = RunFolder.open(run.folder)
    again.record(note("c"))
    again.close()
    found = list(again.events())
    assert [(event["number"], event["text"]) for event in found] == [(1, "a"), (2, "b"), (3, "c")]
    assert found[0]["event"] == "Note" and found[0]["stage"] == "fp32"


@pytest.mark.parametrize("cut", ['{"number": 3, "ti', '{"number": 3}', "\x00\x00\n", '{"number": 3, "ti\n'])
def test_a_line_that_a_kill_cut_is_mended(run, cut):
    for text in ("a", "b"):
        run.record(note(text))
    run.close()
    path = run.folder / "events.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(cut)
    whole = 3 if cut == '{"number": 3}' else 2  # whole but for its line end
    assert len(list(run.events())) == whole
    again = RunFolder.open(run.folder)
    again.record(note("c"))
    again.record(note("d"))
    again.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(1, whole + 3))
    assert [line["text"] for line in lines[-2:]] == ["c", "d"]
    assert list(again.events()) == [unsealed(line, path) for line in lines]


def test_newer_runs_and_other_folders_are_refused(run, tmp_path):
    run.update_info(format=2)
    with pytest.raises(EspalierError, match="has format 2; this version of Espalier reads format 1"):
        RunFolder.open(run.folder)
    with pytest.raises(EspalierError, match=r"^Expected a run folder \(with run\.json\)"):
        RunFolder.open(tmp_path)


def report(key: str, top1: float) -> StageReport:
    metrics = {"top1": Metric(value=top1, unit="%", low=80.0, high=95.0), "memory_mb": Metric(value=None)}
    file = Artefact(
        id="fp32", label="float32", precision="float32", path="m", sha256="0", bytes=1, metrics=metrics
    )
    return StageReport(
        key=key, id=key, source="network", seed=42, name=key, kind="train", headline="fp32", artefacts=[file]
    )


def test_reports_survive_and_stand_in_the_pipelines_order(run):
    run.stage_folder("pruned").path.mkdir()
    run.stage_folder("fp32").path.mkdir()
    assert run.report("fp32") is None
    run.write_report(report("pruned", 88.5))
    run.write_report(report("fp32", 90.25))
    assert run.reports() == [report("fp32", 90.25), report("pruned", 88.5)]


def index_rows(home: Home, table: str) -> list[tuple]:
    with closing(sqlite3.connect(home.index)) as database:
        return sorted(database.execute(f"SELECT * FROM {table}"), key=repr)


def test_the_index_can_be_deleted_and_made_anew(run, pipeline, home, tmp_path):
    run.stage_folder("fp32").path.mkdir()
    run.write_report(report("fp32", 90.25))
    other = create_run(pipeline, tmp_path, home)
    for folder in (run, other, run):  # the second time replaces the first
        index_run(home, folder)
    runs, metrics = index_rows(home, "runs"), index_rows(home, "metrics")
    assert len(runs) == 2
    place = str(run.folder.resolve())
    assert metrics == [
        (place, "fp32", 42, "fp32", "memory_mb", None, ""),
        (place, "fp32", 42, "fp32", "top1", 90.25, "%"),
    ]
    broken = create_run(pipeline, tmp_path, home)
    for name in ("run.json", "run.copy.json"):
        (broken.folder / name).write_text("{")
    home.index.unlink()
    index_run(home, other)
    assert (index_rows(home, "runs"), index_rows(home, "metrics")) == (runs, metrics)


def test_the_unfinished_run_of_this_very_document_is_found(run, pipeline, home, tmp_path):
    damaged = create_run(pipeline, tmp_path, home)
    for name in ("run.json", "run.copy.json"):
        (damaged.folder / name).write_text('{"form')
    assert unfinished_run(home, pipeline).folder == run.folder  # the other blocks nobody
    assert unfinished_run(home, pipeline.with_settings("pruned", {"ratio": 0.4})) is None
    run.update_info(status="completed")
    assert unfinished_run(home, pipeline) is None


def test_runs_are_found_by_folder_name_and_beginning(run, pipeline, home, tmp_path):
    run.update_info(name="Best so far")
    assert find_run(home, str(run.folder)).folder == run.folder
    assert find_run(home, run.name[:10]).folder == run.folder
    assert find_run(home, "Best so far").folder == run.folder
    with pytest.raises(EspalierError, match=r"^Expected one run of the list, found none for 'x'\."):
        find_run(home, "x")
    create_run(pipeline, tmp_path, home)
    with pytest.raises(EspalierError, match="found several for '20'"):
        find_run(home, "20")
    longer = shutil.copytree(run.folder, home.runs / f"{run.name}-longer")
    assert (find_run(home, run.name).folder, find_run(home, longer.name).folder) == (run.folder, longer)


def test_the_home_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "elsewhere"))
    assert Home.default().runs == tmp_path / "elsewhere" / "runs"


def test_measurements_are_made_once_on_a_machine(tmp_path: Path) -> None:
    memory, made = Measurements(tmp_path), []

    def measure() -> dict[str, Any]:
        made.append(1)
        return {"ms": [1.5, None]}

    assert memory.get({"file": "a"}) is None
    assert memory.get_or_measure({"file": "a"}, measure) == ({"ms": [1.5, None]}, False)
    assert Measurements(tmp_path).get_or_measure({"file": "a"}, measure) == ({"ms": [1.5, None]}, True)
    assert memory.get({"file": "a"}) == {"ms": [1.5, None]} and memory.get({"file": "b"}) is None
    assert len(made) == 1
