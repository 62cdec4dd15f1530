"""Stored documents and folders: what does not hold what was written is noticed."""

import json
import os
from pathlib import Path

import pytest

from core.common.content_hashes import (
    MANIFEST,
    DamagedError,
    check_folder,
    digest_of,
    intact,
    read_sealed,
    seal_folder,
    sealed,
    set_aside,
    unsealed,
    write_sealed,
)

CONTENT = {"top1": 91.5, "notes": ["ä", "b"], "none": None, "deep": {"z": 1, "a": [1e-9, 2**60]}}


def test_a_sealed_document_comes_back_whatever_its_layout(tmp_path):
    path = tmp_path / "report.json"
    write_sealed(path, CONTENT)
    assert read_sealed(path) == CONTENT
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True), encoding="utf-8")
    assert read_sealed(path) == CONTENT
    assert (
        unsealed(sealed(CONTENT, 16), path) == unsealed(CONTENT, path) == CONTENT
    )  # short, and of a version before


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "[" * 100_000, "\x00" * 50, '{"sha256": 5}', '{"a": 1, "sha256": ""}']
)
def test_a_document_that_is_none_is_damaged(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DamagedError, match=r"a\.json is damaged"):
        read_sealed(tmp_path / "a.json")


def test_any_changed_byte_of_a_document_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "a.json"
    write_sealed(path, CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            told = read_sealed(path)
        except DamagedError:
            continue
        assert {name: told[name] for name in CONTENT} == CONTENT  # the seal's own name was hit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    (folder / "deployed").mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    (folder / "deployed" / "int8.onnx").write_bytes(b"weights")
    seal_folder(folder, made_from="x")
    return folder


def test_a_sealed_folder_fits_and_may_hold_more(folder):
    assert check_folder(folder)
    (folder / "report.json").write_text("later")
    assert check_folder(folder)
    for name in ("result.json", "deployed/int8.onnx", "report.json"):
        assert intact(folder / name) == folder / name
    (folder / MANIFEST).unlink()
    assert not check_folder(folder)


@pytest.mark.parametrize("content", [b"", b"weight", b"weightz", None])
def test_a_changed_file_is_noticed(folder, content):
    file = folder / "deployed" / "int8.onnx"
    file.unlink() if content is None else file.write_bytes(content)
    for look in (lambda: check_folder(folder), lambda: intact(file)):
        with pytest.raises(DamagedError) as caught:
            look()
        assert caught.value.path == file
    assert intact(folder / "result.json")


def test_a_damaged_manifest_vouches_for_nothing(folder):
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(DamagedError, match=MANIFEST):
        intact(folder / "result.json")


def test_a_file_of_the_same_size_and_time_is_not_taken_for_the_one_before(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    for path, text in ((file, "one"), (other, "two")):
        path.write_text(text)
        os.utime(path, (1e9, 1e9))
    before = digest_of(file)
    other.replace(file)
    assert digest_of(file) != before
    file.write_text("six")
    os.utime(file, (1e9, 1e9))
    assert digest_of(file) != before


def test_what_is_set_aside_keeps_its_content_beside(folder):
    assert (set_aside(folder) / "result.json").is_file() and not folder.exists()
    folder.mkdir()
    assert list(set_aside(folder).iterdir()) == []
