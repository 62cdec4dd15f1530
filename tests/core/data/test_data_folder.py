"""Folders and zip files of real image files."""

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data import tree as tree_module
from core.data.catalogue import find_source
from core.data.place_contents import find_images
from core.data.source import Watch
from core.data.store import summary


def message(open_folder, path: Path) -> str:
    with pytest.raises(EspalierError) as caught:
        open_folder(path)
    return str(caught.value)


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return target


def test_a_folder_per_class(make_folder, open_folder, pictures):
    data = open_folder(make_folder({"cat": 10, "dog": 5}))
    assert (data.title, data.source, data.classes, data.channels) == ("images", "folder", ("cat", "dog"), 1)
    assert np.array_equal(data.images[..., 0], pictures[:15])
    assert data.labels.tolist() == [0] * 10 + [1] * 5
    # 20 % of 10 and 5 for the test, 10 % of the remaining 8 and 4 for validation, at least one.
    assert [data.class_counts(split) for split in ("train", "validation", "test")] == [
        {"cat": 7, "dog": 3},
        {"cat": 1, "dog": 1},
        {"cat": 2, "dog": 1},
    ]


LISTED = {
    "folder": lambda root, tmp_path: root,
    "zip": lambda root, tmp_path: zipped(root, tmp_path / "images.zip"),
    "csv": lambda root, tmp_path: listed_in(root),
    "shards": lambda root, tmp_path: tarred(root, tmp_path),
}


def listed_in(root: Path) -> Path:
    names = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    target = root / "list.csv"
    target.write_text("path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    return target


def tarred(root: Path, tmp_path: Path) -> Path:
    target = tmp_path / "images.tar"
    with tarfile.open(target, "w") as archive:
        for number, file in enumerate(sorted(root.rglob("*.png"))):
            label = file.with_name(f"{number}.cls")
            label.write_text(file.parent.name)
            archive.add(file, f"{number}.png")
            archive.add(label, f"{number}.cls")
    return target


@pytest.mark.parametrize("form", LISTED)
def test_listing_says_how_far_it_is_and_stops(form, make_folder, tmp_path, monkeypatch):
    place = LISTED[form](make_folder({"cat": 10, "dog": 5}), tmp_path)
    locate = find_source("folder" if form == "zip" else form).locate
    control, said = RunControl(), []

    def tell(part: float, words: str) -> None:
        said.append(words)
        if words.endswith(" 4 so far"):
            control.stop()

    monkeypatch.setattr(Watch, "_EVERY_SECONDS", 0.0)
    with pytest.raises(Stopped):
        locate(place, Watch(control, tell)).open()
    assert said[-1].endswith("4 so far") and len(said) <= 3 * 5
    data = locate(place, Watch(RunControl(), tell)).open()
    assert (data.classes, len(data.pictures.names)) == (("cat", "dog"), 15)


def test_what_lies_at_a_place_is_guessed_and_counted_until_it_is_stopped(make_folder, monkeypatch):
    root = make_folder({"cat": 10, "dog": 5})
    monkeypatch.setattr(Watch, "_EVERY_SECONDS", 0.0)
    for words in (
        "Looking for tar files",
        "Looking for Parquet files",
        "Listing the files",
        "Sorting the files",
    ):
        control = RunControl()

        def tell(part: float, said: str, control=control, words=words) -> None:
            if said.startswith(words):
                control.stop()

        with pytest.raises(Stopped):
            find_images(root, control, tell)


def test_own_splits(make_folder, open_folder):
    counts = {f"{split}/{name}": 3 for split in ("train", "val", "test") for name in ("a", "b")}
    data = open_folder(make_folder(counts))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 6, "validation": 6, "test": 6}
    assert data.notes == ()


def test_colour_jpegs_match_pillow(make_folder, open_folder):
    root = make_folder({"a": 3, "b": 3}, colour=True, ending=".jpg")
    data = open_folder(root)
    assert data.channels == 3
    for row, file in enumerate(sorted(root.rglob("*.jpg"))):
        assert np.array_equal(data.images[row], np.asarray(Image.open(file)))


@pytest.mark.parametrize("prefix", ["", "wrapped/"])
def test_a_zip_file_gives_the_same_images_without_unpacking(prefix, make_folder, open_folder, tmp_path):
    root = make_folder({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 2}, colour=True)
    archive = zipped(root, tmp_path / "set.zip", prefix)
    before = set(tmp_path.iterdir())
    data, plain = open_folder(archive), open_folder(root)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}
    assert data.title == "set"
    assert np.array_equal(data.images, plain.images)
    assert data.fingerprint == plain.fingerprint


def test_names_that_lead_out_of_the_zip_are_ignored_and_named(make_folder, open_folder, tmp_path, pictures):
    archive = zipped(make_folder({"a": 4, "b": 4}), tmp_path / "set.zip")
    names = ["../evil/1.png", "/etc/1.png", "C:/evil/1.png", "a/../../1.png", "..\\evil\\2.png"]
    content = next((tmp_path / "images").rglob("*.png")).read_bytes()
    with zipfile.ZipFile(archive, "a") as opened:
        for name in names:
            opened.writestr(name, content)
    data = open_folder(archive)
    assert len(data.images) == 8
    assert data.problems == tuple((name, "ignored: its name leads out of the zip file") for name in names)
    assert not (tmp_path / "evil").exists()


def test_a_zip_file_all_of_whose_names_lead_out_of_it_says_so(open_folder, tmp_path):
    archive = tmp_path / "absolute.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("/data/a/0.png", b"x")
    expected = "received none that can be used; the first: /data/a/0.png: ignored: its name leads out of the zip file."
    assert expected in message(open_folder, archive)


def test_zip_names_with_backslashes_are_folders(make_folder, open_folder, tmp_path):
    root = make_folder({"a": 4, "b": 4})
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.writestr(f"{file.parent.name}\\{file.name}", file.read_bytes())
    assert open_folder(tmp_path / "windows.zip").classes == ("a", "b")


def test_zip_names_in_utf_8_are_read_although_the_file_does_not_say_so(
    make_folder, open_folder, tmp_path, monkeypatch
):
    root = make_folder({"cafe": 4, "thé": 4, "日本": 4})
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda info: (info.filename.encode(), 0))
    archive = zipped(root, tmp_path / "unsaid.zip")
    monkeypatch.undo()
    assert open_folder(archive).classes == ("cafe", "thé", "日本")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_twice_in_a_zip_file_is_said(make_folder, open_folder, tmp_path):
    root = make_folder({"a": 4, "b": 4})
    archive = zipped(root, tmp_path / "twice.zip")
    name = next(file for file in sorted(root.rglob("*.png"))).relative_to(root).as_posix()
    with zipfile.ZipFile(archive, "a") as opened:
        opened.write(root / name, f"./{name}")
    data = open_folder(archive)
    assert data.problems == ((name, "is there twice; the last counts, as where the file is unpacked"),)
    assert len(data.images) == 8


def test_hidden_images_are_said_of_folders_and_zip_files(make_folder, open_folder, tmp_path):
    root = make_folder({"a": 4, "b": 4, ".net": 3})
    (root / "a" / ".DS_Store").write_bytes(b"x")
    expected = "3 images are hidden and left out: .net."
    assert expected in open_folder(root).notes
    assert expected in open_folder(zipped(root, tmp_path / "hidden.zip")).notes


def test_an_encrypted_or_oversized_zip_entry_is_named(make_folder, open_folder, tmp_path, monkeypatch):
    root = make_folder({"a": 4, "b": 4})
    (root / "a" / "000.png").write_bytes(b"x" * 10_000)
    archive = zipped(root, tmp_path / "set.zip")
    monkeypatch.setattr(tree_module, "LARGEST_FILE", 9_000)
    original = zipfile.ZipFile.infolist

    def infolist(self: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        for info in original(self):
            info.flag_bits |= info.filename == "b/000.png"
        return original(self)

    monkeypatch.setattr(zipfile.ZipFile, "infolist", infolist)
    assert open_folder(archive).problems == (
        ("a/000.png", "unpacks to 0 MB, more than the limit of 0 MB"),
        ("b/000.png", "encrypted in the zip file"),
    )


def test_an_encrypted_zip_file_is_refused(make_folder, open_folder, tmp_path, monkeypatch):
    archive = zipped(make_folder({"a": 4, "b": 4}), tmp_path / "set.zip")
    original = zipfile.ZipFile.infolist

    def infolist(self: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        for info in original(self):
            info.flag_bits |= 1
        return original(self)

    monkeypatch.setattr(zipfile.ZipFile, "infolist", infolist)
    assert message(open_folder, archive) == (
        "Expected a zip file that opens without a password, but set.zip is encrypted. "
        "Unpack it with its password, and choose the folder that it gives."
    )


def test_links_and_empty_folders_in_a_zip_file_are_said(make_folder, open_folder, tmp_path):
    archive = zipped(make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 2}), tmp_path / "set.zip")
    with zipfile.ZipFile(archive, "a") as opened:
        link = zipfile.ZipInfo("test")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "val")
        opened.mkdir("train/c")
    data = open_folder(archive)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 6, "validation": 2, "test": 4}
    assert data.notes[0] == "1 folder holds no images and is no class: train/c."
    assert data.notes[1].startswith("The folder test is a link to val, the same folder")


def test_a_damaged_zip_entry_is_named(make_folder, open_folder, tmp_path):
    archive = zipped(make_folder({"a": 4, "b": 4}), tmp_path / "set.zip")
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("a/001.png")
    content = bytearray(archive.read_bytes())
    content[info.header_offset + 100] ^= 0xFF
    archive.write_bytes(bytes(content))
    assert open_folder(archive).problems == (
        ("a/001.png", "cannot be read: Bad CRC-32 for file 'a/001.png'"),
    )


def test_damaged_images_are_counted_named_and_left_out(make_folder, open_folder):
    root = make_folder({"a": 5, "b": 5}, ending=".jpg")
    (root / "a" / "001.jpg").write_bytes(b"not an image")
    whole = (root / "b" / "002.jpg").read_bytes()
    (root / "b" / "002.jpg").write_bytes(whole[: len(whole) - 100])
    data = open_folder(root)
    assert len(data.images) == len(data.labels) == 8
    assert data.labels.tolist() == [0] * 4 + [1] * 4
    names, reasons = zip(*data.problems, strict=True)
    assert names == ("a/001.jpg", "b/002.jpg")
    assert reasons[0] == "not a known image format, or damaged at its beginning"
    assert reasons[1].startswith("damaged: image file is truncated")
    assert summary(data)["problems"][0] == {"path": "a/001.jpg", "reason": reasons[0]}


def test_images_of_several_sizes_become_squares(make_folder, open_folder):
    root = make_folder({"a": 4, "b": 4})
    make_folder({"a": 1}, size=(40, 30), ending=".bmp")
    assert open_folder(root).images.shape == (8 + 1, 224, 224, 1)
    assert open_folder(root, image_size=16).images.shape == (9, 16, 16, 1)
    cropped, stretched = (open_folder(root, image_size=16, resize=how).images for how in ("crop", "stretch"))
    wide = [file.name for file in sorted((root / "a").iterdir())].index("000.bmp")
    assert not np.array_equal(cropped[wide], stretched[wide])
    assert np.array_equal(cropped[wide + 1], stretched[wide + 1])


@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_images_of_very_different_sizes_and_shapes(resize, tmp_path, open_folder):
    """As in folders that a person photographed and downloaded together."""
    sizes = [(1, 1), (3, 700), (700, 3), (2500, 40), (31, 33), (640, 480), (480, 640), (16, 16)]
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        for index, size in enumerate(sizes):
            values = np.full((size[1], size[0]), level, np.uint8)
            values[: size[1] // 2] += 20
            Image.fromarray(values).save(tmp_path / "mixed" / name / f"{index}.png")
    data = open_folder(tmp_path / "mixed", image_size=16, resize=resize)
    assert data.images.shape == (16, 16, 16, 1) and data.problems == ()
    for image, label in zip(data.images, data.labels, strict=True):
        level = 200 if label else 40
        assert image.min() >= level and image.max() <= level + 20
    for row in range(1, 8):  # all but the single pixel: brighter above the middle
        assert (data.images[row, 0, 8, 0], data.images[row, 15, 8, 0]) == (60, 40)


def test_odd_images_are_read_or_named(make_folder, open_folder):
    root = make_folder({"a": 4, "b": 4}, colour=True)
    flat = Image.new("RGB", (28, 28), (10, 20, 30))
    flat.save(root / "a" / "animated.gif", save_all=True, append_images=[Image.new("RGB", (28, 28), "red")])
    flat.convert("CMYK").save(root / "a" / "cmyk.tif")
    flat.quantize(4).save(root / "a" / "palette.png")
    Image.new("RGBA", (28, 28), (0, 0, 0, 0)).save(root / "b" / "clear.png")
    Image.fromarray(np.full((28, 28), 51400, np.uint16)).save(root / "b" / "grey16.png")
    (root / "b" / "empty.jpg").touch()
    (root / "b" / "text.jpg").write_text("hello")
    data = open_folder(root)
    assert dict(data.problems) == {
        "b/empty.jpg": "empty: the file has 0 bytes",
        "b/text.jpg": "not a known image format, or damaged at its beginning",
    }
    assert data.notes[0] == ("1 image has several frames or pages; only the first is used: a/animated.gif.")
    # By name: 000 … 003, then these.
    assert data.images[4:7, 0, 0].tolist() == [[10, 20, 30]] * 3
    assert data.images[11:, 0, 0].tolist() == [[255] * 3, [200] * 3]


def test_many_animations_are_counted(make_folder, open_folder):
    root = make_folder({"a": 6, "b": 6}, ending=".gif")
    for path in root.rglob("*.gif"):
        first = Image.open(path)
        first.load()
        first.save(path, save_all=True, append_images=[Image.new("L", (28, 28), 7)])
    note = open_folder(root).notes[0]
    assert note.startswith(
        "12 images have several frames or pages; only the first is used: a/000.gif, a/001.gif, "
    )
    assert note.endswith(", b/001.gif and 4 more.")


def test_images_of_one_size_stay_as_they_are_unless_larger_than_wanted(make_folder, open_folder):
    root = make_folder({"a": 4, "b": 4}, size=(40, 30))
    assert open_folder(root).size == (30, 40)
    assert open_folder(root, image_size=64).size == (30, 40)
    assert open_folder(root, image_size=16).size == (16, 16)


def test_what_is_stored_does_not_depend_on_what_is_cached(make_folder, open_folder, tmp_path):
    root = make_folder({"a": 4, "b": 4}, size=(40, 40))
    fresh = open_folder(root, image_size=16).fingerprint
    shutil.rmtree(tmp_path / "cache")
    open_folder(root)
    assert open_folder(root, image_size=16).fingerprint == fresh


def test_one_late_colour_image_or_size_changes_the_plan(make_folder, open_folder, monkeypatch):
    monkeypatch.setattr("core.data.reader.PROBES", 2)
    root = make_folder({"a": 6, "b": 6})
    make_folder({"a": 1}, colour=True, ending=".bmp")
    data = open_folder(root)
    assert data.images.shape == (13, 28, 28, 3)
    make_folder({"b": 1}, size=(20, 28), ending=".gif")
    data = open_folder(root, image_size=24)
    assert data.images.shape == (14, 24, 24, 3)
    assert data.problems == ()


def test_links_to_folders_are_followed_but_not_in_circles(make_folder, open_folder, tmp_path):
    root = make_folder({"a": 4, "b": 4})
    elsewhere = make_folder({"": 4}, name="elsewhere")
    try:
        (root / "c").symlink_to(elsewhere, target_is_directory=True)
        (root / "a" / "loop").symlink_to(root, target_is_directory=True)
        (root / "a" / "broken.png").symlink_to(tmp_path / "nothing.png")
    except OSError:
        pytest.skip("this system makes no links")
    data = open_folder(root)
    assert data.classes == ("a", "b", "c")
    assert len(data.images) == 12
    assert data.notes[0] == "The folder a/loop is a link to the folder that holds it: its images count once."
    assert data.problems == (("a/broken.png", "cannot be read: No such file or directory"),)


def test_a_split_that_is_a_link_to_another_loses_nothing(make_folder, open_folder):
    root = make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 2})
    try:
        (root / "test").symlink_to("val", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    data = open_folder(root)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 6, "validation": 2, "test": 4}
    assert data.notes[0].startswith(
        "The folder test is a link to val, the same folder: its images count once"
    )


def test_names_of_files_that_are_no_text_are_written_as_bytes(make_folder, open_folder):
    root = make_folder({"a": 4, "b": 4})
    try:
        (root / "a" / "000.png").rename(root / "a" / "caf\udce9.png")
        (root / "b" / "caf\udce9.png").write_bytes(b"nothing")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes text only")
    data = open_folder(root)
    assert len(data.images) == 8
    assert data.problems[0][0] == "b/caf\\xe9.png"
    json.dumps(summary(data)).encode()
    "".join(data.left_out()).encode()


def test_a_missing_path_is_refused(tmp_path, open_folder):
    assert message(open_folder, tmp_path / "gone") == (
        f"Expected a folder or a file at {tmp_path / 'gone'} for the data set 'Image folder or zip', received a path that does "
        "not exist. Set the data's path to where it is, or connect the drive that it is on; a relative path starts at the pipeline's file, that of a recipe in the folder that Espalier was started in. Wanted: a folder (or zip "
        "file) with a folder of images per class, or with train, validation and test folders that hold these."
    )


def test_an_unreadable_folder_is_refused_an_unreadable_part_is_named(make_folder, open_folder, monkeypatch):
    root = make_folder({"a": 4, "b": 4, "c": 4})
    scandir, closed = os.scandir, [root / "c"]

    def refuse(place: str):
        if Path(place) in closed:
            raise PermissionError(13, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(tree_module.os, "scandir", refuse)
    assert open_folder(root).problems == (("c", "cannot be read: Permission denied"),)
    closed.append(root)
    assert message(open_folder, root) == (
        f"Expected a readable folder or zip file, but {root} cannot be read: Permission denied. "
        "Check its permissions, or choose another."
    )


def test_a_file_that_is_no_zip_is_refused(make_folder, open_folder):
    file = next(make_folder({"a": 1}).rglob("*.png"))
    assert message(open_folder, file) == (
        "Expected a folder or a zip file of images, but 000.png cannot be read as a zip file: File is not a zip "
        "file. Choose a folder, or copy or download the zip file again."
    )


def test_no_images_and_one_class_are_refused(tmp_path, make_folder, open_folder):
    (tmp_path / "empty").mkdir()
    assert message(open_folder, tmp_path / "empty").startswith(
        f"Expected images in {tmp_path / 'empty'}, received no files."
    )
    root = make_folder({"cats": 3})
    assert message(open_folder, root).startswith(
        f"Expected at least two classes in {root}, received only one: 'cats'."
    )


def test_nothing_readable_and_an_unreadable_class_are_refused(make_folder, open_folder):
    root = make_folder({"a": 3, "b": 3})
    for file in (root / "b").iterdir():
        file.write_bytes(b"x")
    assert message(open_folder, root) == (
        "Expected a readable training image in every class, received none in 'b'. "
        "Repair or remove the images of that class."
    )
    for file in (root / "a").iterdir():
        file.write_bytes(b"x")
    assert message(open_folder, root) == (
        "Expected images, but none of the 6 image files can be decoded; the first is a/000.png. "
        "Check that the files are whole, and that they are images."
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_among_the_images_are_named_and_not_opened(make_folder, open_folder):
    root = make_folder({"a": 6, "b": 6})
    os.mkfifo(root / "a" / "pipe.png")
    (root / "b" / "endless.png").symlink_to("/dev/zero")
    data = open_folder(root)
    assert len(data.images) == 12
    assert dict(data.problems) == {
        "a/pipe.png": "cannot be read: it is a named pipe, not a file",
        "b/endless.png": "cannot be read: it is a device, not a file",
    }


def test_a_zip_file_that_unpacks_to_far_more_than_images_do_is_refused(
    make_folder, open_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(tree_module, "_LARGEST_UNPACKED", 100_000)
    archive = zipped(make_folder({"a": 3, "b": 3}), tmp_path / "small.zip")
    assert len(open_folder(archive).images) == 6
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/bomb.png", bytes(10_000_000))
    assert "unpacks to 0.01 GB" in message(open_folder, archive)
