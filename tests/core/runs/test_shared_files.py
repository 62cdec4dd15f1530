"""Contents are kept once, in caches and runs, and damage or clean-up of one takes nothing from another."""

import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from core.common.content_hashes import DAMAGED, check_folder, seal_folder
from core.runs import shared_files, storage
from core.runs.cache import CacheUser, Store
from core.runs.home import Home

LARGE = bytes(range(256)) * 400


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(params=["links", "no links"])
def links(request, monkeypatch) -> bool:
    """With and without a file system that gives files several names."""
    if request.param == "no links":

        def refuse(*_arguments, **_named):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return request.param == "links"


def stage(home: Home, name: str, content: bytes = LARGE) -> Path:
    """What a stage made, in a run folder."""
    folder = home.runs / "a-run" / "stages" / name
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "weights").write_bytes(content)
    (folder / "result.json").write_text(json.dumps({"name": name}))
    seal_folder(folder)
    return folder


def store(home: Home, said: list[str] | None = None) -> Store:
    return Store(home.cache / "models", CacheUser(say=(said if said is not None else []).append))


def bytes_below(*folders: Path) -> int:
    files = {
        (about.st_dev, about.st_ino): about.st_size
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and (about := file.stat())
    }
    return sum(files.values())


def test_equal_stages_are_kept_once(home, links):
    for number in range(20):
        store(home).put(f"{number:02d}key", stage(home, f"s{number}"))
    assert bytes_below(home.cache) < 1.5 * len(LARGE)
    assert bytes_below(home.runs, home.cache) < (1.5 if links else 22) * len(LARGE)
    for number in range(20):
        taken = home.runs / "another" / f"s{number}"
        assert store(home).copy_to(f"{number:02d}key", taken)
        assert (taken / "checkpoint" / "weights").read_bytes() == LARGE and check_folder(taken)
    assert bytes_below(home.runs, home.cache) < (1.6 if links else 45) * len(LARGE)


def test_a_copied_run_folder_has_everything(home, links, tmp_path):
    store(home).put("01key", stage(home, "s"))
    shutil.copytree(home.runs / "a-run", tmp_path / "away")
    shutil.rmtree(home.folder)
    assert check_folder(tmp_path / "away" / "stages" / "s")


def test_damage_is_noticed_at_every_name_and_what_is_made_again_is_a_new_file(home, links):
    said: list[str] = []
    for name in ("a", "b"):
        store(home).put(f"{name}0key", stage(home, name))
    (kept,) = (path for path in (home.cache / "contents").glob("*/*"))
    with kept.open("r+b") as file:
        file.write(b"damage")
    hurt = home.runs / "a-run" / "stages" / "a" / "checkpoint" / "weights"
    assert (hurt.read_bytes() != LARGE) == links  # one file of several names is damaged at all of them
    assert not store(home, said).copy_to("a0key", home.runs / "other" / "a")
    assert len(said) == 1 and "damaged" in said[0] and not (home.runs / "other" / "a").exists()
    store(home).put("a0key", stage(home, "a-again"))
    for key in ("a0key", "b0key"):  # the second was not looked at while its content was damaged
        assert store(home).copy_to(key, home.runs / "other" / key)
        assert (home.runs / "other" / key / "checkpoint" / "weights").read_bytes() == LARGE
    assert (hurt.read_bytes() != LARGE) == links


def test_an_entry_has_all_its_files_where_there_are_links(home, links):
    store(home).put("01key", stage(home, "a"))
    entry = home.cache / "models" / "01" / "01key"
    assert (entry / "checkpoint" / "weights").exists() == links
    assert not links or check_folder(entry)


def test_a_content_that_is_gone_is_a_damaged_entry_unless_the_entry_has_it_too(home, links):
    said: list[str] = []
    store(home).put("01key", stage(home, "a"))
    shutil.rmtree(home.cache / "contents")
    assert (store(home, said).get("01key") is None) != links
    if links:
        return
    assert "missing" in said[0] and (home.cache / "models" / "01" / f"01key{DAMAGED}").is_dir()


def test_an_entry_of_before_has_its_files_in_it(home):
    entry = home.cache / "models" / "01" / "01key"
    shutil.copytree(stage(home, "a"), entry)
    (entry / "complete").touch()
    assert store(home).copy_to("01key", home.runs / "other")
    assert (home.runs / "other" / "checkpoint" / "weights").read_bytes() == LARGE


def test_what_is_shared_counts_once_and_clearing_says_what_becomes_free(home):
    store(home).put("01key", stage(home, "a"))
    store(home).put("02key", stage(home, "b", LARGE[::-1]))
    shutil.rmtree(home.runs / "a-run" / "stages" / "b")
    used = {use.kind.id: use.bytes for use in storage.used(home)}
    assert len(LARGE) < used["runs"] < 1.1 * len(LARGE) and len(LARGE) < used["cache"] < 1.1 * len(LARGE)
    freed = storage.clear(home, "cache")
    assert len(LARGE) < freed < 1.1 * len(LARGE)
    assert (home.runs / "a-run" / "stages" / "a" / "checkpoint" / "weights").read_bytes() == LARGE


def test_tidying_removes_contents_that_no_entry_names(home, monkeypatch):
    store(home).put("01key", stage(home, "a"))
    store(home).put("02key", stage(home, "b", LARGE[::-1]))
    store(home).remove("02key")
    tidied = lambda: shared_files.remove_unused(home.cache / "contents", home.cache)  # noqa: E731
    assert tidied() == 0  # somebody may be about to name it
    later = time.time() + 8 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert tidied() == 1 and tidied() == 0
    assert store(home).copy_to("01key", home.runs / "other")
    assert (home.runs / "a-run" / "stages" / "b" / "checkpoint" / "weights").read_bytes() == LARGE[::-1]
