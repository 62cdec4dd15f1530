"""The cache of decoded images, and what `open_data` makes of an entry."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.content_hashes import DamagedError
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data import entry as entry_module
from core.data import store
from core.data.entry import Entry, pixel_sums, read_entry
from core.data.hashed_images import CheckedImages, block_hashes
from core.data.image_data import Opened
from core.data.settings import DataSettings
from core.data.store import changed_since, open_again, open_data, summary

ROOT = Path(__file__).parents[3]


@pytest.fixture
def decodings(monkeypatch) -> list[str]:
    """Grows by one each time that images are decoded."""
    made: list[str] = []
    original = store._decode

    def counted(*arguments: object) -> Entry:
        made.append("decoded")
        return original(*arguments)

    monkeypatch.setattr(store, "_decode", counted)
    return made


@pytest.fixture
def root(make_folder) -> Path:
    return make_folder({"a": 20, "b": 10}, colour=True)


def only_entry(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


def test_images_are_a_read_only_memory_map_with_sorted_splits(root, open_folder):
    data = open_folder(root)
    assert isinstance(data.images, np.memmap) and data.images.dtype == np.uint8
    assert data.labels.dtype == np.int64
    with pytest.raises(ValueError):
        data.images[0] = 0
    for rows in data.splits.values():
        assert rows.dtype == np.int64 and np.all(np.diff(rows) > 0)


def test_a_second_opening_takes_the_cache(root, open_folder, cache, decodings):
    first, second = open_folder(root), open_folder(root)
    assert decodings == ["decoded"]
    assert len(list(cache.iterdir())) == 1
    assert summary(first) == summary(second)


@pytest.mark.parametrize("change", ["touched", "added", "removed", "renamed"])
def test_a_changed_folder_is_decoded_again(root, open_folder, decodings, change):
    open_folder(root)
    file = root / "a" / "003.png"
    if change == "touched":
        os.utime(file, ns=(1, 1))
    elif change == "added":
        (root / "a" / "new.png").write_bytes(file.read_bytes())
    elif change == "removed":
        file.unlink()
    else:
        file.rename(root / "b" / "from-a.png")
    data = open_folder(root)
    assert decodings == ["decoded", "decoded"]
    assert len(data.images) == 30 + {"added": 1, "removed": -1}.get(change, 0)


@pytest.mark.parametrize("what", ["files", "folders"])
def test_images_exchanged_with_name_size_and_time_kept_are_noticed(root, open_folder, what):
    for name in ("a", "b"):
        for index, file in enumerate(sorted((root / name).iterdir())):
            Image.fromarray(np.full((28, 28), 10 * index + (name == "b"), np.uint8)).save(
                file.with_suffix(".bmp")
            )
            file.unlink()
            os.utime(file.with_suffix(".bmp"), ns=(1, 1))
    before = open_folder(root)
    one, other = (
        (root / "a", root / "b") if what == "folders" else (root / "a" / "000.bmp", root / "b" / "000.bmp")
    )
    one.rename(root / "aside")
    other.rename(one)
    (root / "aside").rename(other)
    assert open_folder(root).fingerprint != before.fingerprint


def test_images_that_change_while_they_are_read_are_read_again(root, open_folder, cache, monkeypatch):
    original = store.EntryWriter.append
    changes = [root / "a" / "000.png", root / "a" / "001.png"]

    def append(self: store.EntryWriter, block: object) -> None:
        if changes:
            changes.pop().unlink()
        original(self, block)

    monkeypatch.setattr(store.EntryWriter, "append", append)
    assert len(open_folder(root).images) == 28
    assert len(list(cache.iterdir())) == 1
    changes += sorted((root / "a").iterdir())[:5]
    with pytest.raises(EspalierError, match="changed each time while they were read"):
        (root / "b" / "new.png").write_bytes((root / "b" / "000.png").read_bytes())
        open_folder(root)


def test_what_was_opened_can_be_opened_again_after_the_files_have_changed(root, open_folder, cache):
    settings = DataSettings(source="folder", path=str(root))
    data = open_folder(root)
    assert not changed_since(settings, None, data.opened)
    (root / "a").rename(root / "c")
    assert changed_since(settings, None, data.opened)
    opened = Opened.from_plain(json.loads(json.dumps(data.opened.as_plain())))
    assert summary(open_again(settings, cache, opened)) == summary(data)
    shutil.rmtree(cache)
    with pytest.raises(
        EspalierError, match="no longer those that were opened: the class a gone; the class c new"
    ):
        open_again(settings, cache, opened)
    (root / "c").rename(root / "a")
    assert open_again(settings, cache, opened).fingerprint == data.fingerprint


def test_the_order_of_classes_is_a_setting(make_folder, open_folder, decodings):
    numbered = make_folder({str(number): 3 for number in range(12)})
    text, number = open_folder(numbered), open_folder(numbered, class_order="number")
    assert text.classes[:4] == ("0", "1", "10", "11") and number.classes[:4] == ("0", "1", "2", "3")
    assert decodings == ["decoded"] and text.fingerprint != number.fingerprint
    for data in (text, number):
        assert [data.classes[label] for label in data.labels] == [
            text.classes[label] for label in text.labels
        ]
    assert text.notes[-1] == (
        "The classes are ordered as text, as torchvision orders folders (0, 1, 10, 11, …); the setting Class order "
        "changes that."
    )


def test_numbers_below_zero_and_with_decimals_are_ordered_by_their_value(make_folder, open_folder):
    root = make_folder(dict.fromkeys(["10", "-1", "1.5", "2"], 3))
    assert open_folder(root, class_order="number").classes == ("-1", "1.5", "2", "10")
    assert open_folder(root).classes == ("-1", "1.5", "10", "2")


def test_a_class_without_a_training_image_is_refused_where_one_is_needed(root, open_folder):
    data = open_folder(root, train_images=2)
    data.check_training_classes()
    few = replace(data, splits={**data.splits, "train": data.splits["train"][:1]})
    with pytest.raises(
        EspalierError,
        match="at least one training image of every class, received 1 of 2 classes: none of 'b'",
    ):
        few.check_training_classes()


def test_splits_and_limits_are_drawn_without_decoding(root, open_folder, decodings):
    base = open_folder(root)
    others = [
        open_folder(root, split_seed=1),
        open_folder(root, test_fraction=0.3),
        open_folder(root, validation_fraction=0.3),
        open_folder(root, train_images=6),
    ]
    assert decodings == ["decoded"]
    assert len({data.fingerprint for data in (base, *others)}) == 5
    assert others[3].class_counts("train") == {"a": 3, "b": 3}
    assert others[3].mean == base.mean


def test_limits_of_each_split(sample_data, tmp_path):
    limits = DataSettings(train_images=25, validation_images=10, test_images=101)
    data = open_data(limits, tmp_path / "cache")
    counts = [list(data.class_counts(split).values()) for split in ("train", "validation", "test")]
    assert counts == [[3] * 5 + [2] * 5, [1] * 10, [11] + [10] * 9]
    assert data.fingerprint != sample_data.fingerprint


def test_mean_and_deviation_are_those_of_the_whole_training_split(root, open_folder):
    data = open_folder(root)
    pixels = data.images[data.splits["train"]].reshape(-1, 3) / 255
    assert data.mean == pytest.approx(pixels.mean(0), abs=1e-12)
    assert data.std == pytest.approx(pixels.std(0), abs=1e-12)


def test_pixel_sums_are_exact():
    images = np.full((2, 500, 400, 3), 255, np.uint8)
    images[0, 0, 0] = (0, 1, 2)
    whole = 500 * 400
    assert pixel_sums(images)[1].tolist() == [[whole * 255] * 3, [whole * 255**2] * 3]
    assert pixel_sums(images)[0].tolist() == [
        [(whole - 1) * 255 + value for value in (0, 1, 2)],
        [(whole - 1) * 255**2 + value**2 for value in (0, 1, 2)],
    ]


def test_the_fingerprint_follows_the_content_not_the_place(make_folder, open_folder):
    first, second = (make_folder({"a": 6, "b": 6}, name=name) for name in ("one", "two"))
    # make_folder goes on numbering from 0: both hold the same images.
    assert open_folder(first).fingerprint == open_folder(second).fingerprint
    (second / "a").rename(second / "c")
    assert open_folder(second).fingerprint != open_folder(first).fingerprint


def test_relative_paths_start_from_the_base(root, cache, monkeypatch):
    settings = DataSettings(source="folder", path="images")
    assert open_data(settings, cache, base=root.parent).title == "images"
    monkeypatch.chdir(root.parent)
    assert open_data(settings, cache).title == "images"
    with pytest.raises(EspalierError, match="received a path that does not exist"):
        open_data(settings, cache, base=root)


def test_what_can_be_fetched_is_named_where_it_is_missing(cache, tmp_path):
    for path, command in (
        ("cifar-10-batches-py", "espalier data cifar-10"),
        ("cifar-100-python", "espalier data cifar-100"),
        ("mine", ""),
    ):
        with pytest.raises(EspalierError, match="Wanted: the Python version") as caught:
            open_data(DataSettings(source="cifar", path=path), cache, base=tmp_path)
        assert caught.value.command == command


def flip_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(bytes(content))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def other_version(file: Path) -> None:
    sealed = json.loads(file.read_text())
    sealed["about"]["version"] += 1
    sealed["checksum"] = entry_module._seal(sealed["about"])
    file.write_text(json.dumps(sealed))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", flip_byte),
        ("images.npy", cut),
        ("images.npy", Path.unlink),
        ("rows.npz", flip_byte),
        ("rows.npz", Path.unlink),
        ("entry.json", flip_byte),
        ("entry.json", cut),
        ("entry.json", Path.unlink),
        ("entry.json", other_version),
    ],
)
def test_a_damaged_entry_is_rebuilt(root, open_folder, cache, decodings, name, damage):
    good = summary(open_folder(root))
    damage(only_entry(cache) / name)
    assert read_entry(only_entry(cache)) is None
    again = open_folder(root)
    assert summary(again) == good
    assert decodings == ["decoded", "decoded"]
    assert read_entry(only_entry(cache)) is not None


def test_very_large_files_are_checked_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(entry_module, "FULLY_CHECKED", 1000)
    monkeypatch.setattr(entry_module, "_SAMPLE_BYTES", 10)
    file = tmp_path / "large"
    file.write_bytes(bytes(5000))
    before = entry_module.checksum(file)
    for place in (0, 4999):
        content = bytearray(5000)
        content[place] = 1
        file.write_bytes(bytes(content))
        assert entry_module.checksum(file) != before
    file.write_bytes(bytes(5001))
    assert entry_module.checksum(file) != before


@pytest.mark.parametrize(
    "read", [lambda images: images[3], lambda images: images[2:5], lambda images: images[[0, 3]]]
)
def test_a_damaged_block_of_a_large_file_is_noticed_when_it_is_read(tmp_path, read):
    images = np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3)
    file = tmp_path / "entry" / "images.npy"
    file.parent.mkdir()
    np.save(file, images)
    blocks = {**block_hashes(images), "rows": 1}
    blocks["sha256"] = [block_hashes(images[row : row + 1])["sha256"][0] for row in range(6)]

    def opened() -> CheckedImages:
        return CheckedImages.of(np.load(file, mmap_mode="r"), blocks, file)

    assert (read(opened()) == read(images)).all() and type(read(opened())) is np.ndarray
    content = bytearray(file.read_bytes())
    content[-2 * 12 - 5] ^= 1  # in the fourth image
    file.write_bytes(content)
    assert (opened()[[0, 1, 2, -1]] == images[[0, 1, 2, -1]]).all()
    with pytest.raises(DamagedError, match=r"images\.npy is damaged"):
        read(opened())
    assert not file.parent.exists(), "the images are decoded again the next time"


def test_large_files_get_hashes_of_their_blocks(root, open_folder, cache, monkeypatch):
    plain = open_folder(root)
    monkeypatch.setattr(entry_module, "FULLY_CHECKED", 1000)
    monkeypatch.setattr(entry_module, "_SAMPLE_BYTES", 10)
    shutil.rmtree(cache)
    data = open_folder(root)
    assert isinstance(data.images, CheckedImages) and data.fingerprint == plain.fingerprint
    assert (data.images[:] == np.asarray(plain.images)).all()


def test_stopping_while_decoding_leaves_nothing_in_the_cache(root, cache):
    control = RunControl()
    settings = DataSettings(source="folder", path=str(root))

    def stop_soon(fraction: float, text: str) -> None:
        if fraction > 0:
            control.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.data.reader.LARGEST_BLOCK", 2)
        with pytest.raises(Stopped):
            open_data(settings, cache, control=control, progress=stop_soon)
    assert list(cache.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    assert len(open_data(settings, cache).images) == 30


def test_stopping_before_the_start(root, cache):
    control = RunControl()
    control.stop()
    for settings in (DataSettings(source="folder", path=str(root)), DataSettings()):
        with pytest.raises(Stopped):
            open_data(settings, cache, control=control)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_progress_rises_to_1_and_says_what_happens(root, cache, monkeypatch):
    monkeypatch.setattr("core.data.reader.LARGEST_BLOCK", 8)
    told: list[tuple[float, str]] = []
    settings = DataSettings(source="folder", path=str(root))
    open_data(settings, cache, progress=lambda fraction, text: told.append((fraction, text)))
    assert told[0] == (0.0, "Listing the images")
    assert told[1] == (8 / 30, "Decoding images: 8 of 30")
    assert told[-1] == (1.0, "Decoding images: 30 of 30")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)


def test_two_processes_at_once_share_one_entry(root, cache):
    code = (
        "import sys; from pathlib import Path; from core.data.store import open_data, DataSettings\n"
        f"print(open_data(DataSettings(source='folder', path={str(root)!r}), Path({str(cache)!r})).fingerprint)"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    answers = [run.communicate(timeout=60) for run in runs]
    assert [error for _, error in answers] == [b"", b""]
    assert answers[0][0] == answers[1][0] != b""
    assert read_entry(only_entry(cache)) is not None


def test_who_wants_what_another_decodes_waits_for_it(root, cache, monkeypatch):
    decoded, waited, decode = [], threading.Event(), store._decode

    def slow(*arguments):
        assert waited.wait(20)
        decoded.append(1)
        return decode(*arguments)

    def tell(done: float, text: str) -> None:
        if text.startswith("Another process decodes these images"):
            waited.set()

    monkeypatch.setattr(store, "_decode", slow)
    settings = DataSettings(source="folder", path=str(root))
    with ThreadPoolExecutor(2) as threads:
        opened = list(
            threads.map(lambda _: open_data(settings, cache, control=RunControl(), progress=tell), range(2))
        )
    assert len(decoded) == 1 and opened[0].fingerprint == opened[1].fingerprint


def test_an_entry_that_another_process_finished_meanwhile_is_taken(root, open_folder, cache, monkeypatch):
    first = open_folder(root)
    monkeypatch.setattr(store, "_find", lambda *_: None)
    again = open_folder(root)
    assert again.fingerprint == first.fingerprint
    assert read_entry(only_entry(cache)) is not None


def test_what_a_killed_process_left_is_removed_after_a_day(root, open_folder, cache):
    old, fresh = cache / ".old.partial", cache / ".fresh.partial"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "images.npy").write_bytes(b"x")
    past = time.time() - 25 * 3600
    for path in (old / "images.npy", old):
        os.utime(path, (past, past))
    open_folder(root)
    assert not old.exists() and fresh.exists()


def test_a_cache_that_cannot_be_written_is_refused(root, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EspalierError) as caught:
        open_data(DataSettings(source="folder", path=str(root)), tmp_path / "file" / "cache")
    assert str(caught.value) == (
        f"Expected to write decoded images to {tmp_path / 'file' / 'cache'}, but that failed: Not a directory. "
        "Check the free space and the permissions there, or choose another cache folder."
    )


@pytest.mark.parametrize("times", [1, 3])
def test_images_whose_cache_is_cleared_meanwhile_are_decoded_once_more(root, cache, times):
    cleared: list[str] = []

    def clear(_fraction: float, words: str) -> None:
        if words.startswith("Decoding") and len(cleared) < times:
            cleared.append(words)
            shutil.rmtree(cache)

    settings = DataSettings(source="folder", path=str(root))
    if times < 3:
        assert open_data(settings, cache, progress=clear).images.shape[0] > 0
    else:
        with pytest.raises(EspalierError, match="Expected to write decoded images"):
            open_data(settings, cache, progress=clear)
    assert len(cleared) == times


def test_a_full_disk_is_said_before_and_while_writing(root, open_folder, cache, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry_module.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(EspalierError) as caught:
            open_folder(root)
    assert str(caught.value) == (
        f"Expected 0.07 MB of free space for the decoded images in {cache}, received 0.00 MB. "
        "Set a smaller image size, or free some space."
    )

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(entry_module.np, "savez", full)
    with pytest.raises(
        EspalierError, match=r"but that failed: No space left on device. Check the free space"
    ):
        open_folder(root)
    assert list(cache.iterdir()) == []


def test_an_unknown_split_is_refused(sample_data):
    with pytest.raises(
        EspalierError, match="Expected one of the splits train, validation, test, received 'val'"
    ):
        sample_data.class_counts("val")


def test_the_summary_is_plain_data(root, open_folder):
    told = summary(open_folder(root))
    assert json.loads(json.dumps(told)) == told
    assert told["images"] == 30
    assert told["size"] == {"height": 28, "width": 28}
    assert told["splits"]["test"] == {"images": 6, "per_class": {"a": 4, "b": 2}}
    assert set(told) == {
        "title", "source", "classes", "size", "channels", "images", "splits", "mean", "std", "problems", "notes",
        "fingerprint",
    }  # fmt: skip
