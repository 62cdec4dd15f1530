"""The list of trusted files: by content, kept whole."""

import hashlib
import json

import pytest

from core.common.errors import EspalierError
from core.machine.trusted_files import TrustList


def test_a_file_is_trusted_as_it_is_and_no_longer_when_it_changes(tmp_path):
    trusted, file = TrustList(tmp_path / "config"), tmp_path / "net.py"
    file.write_text("a = 1")
    assert not trusted.knows(file.read_bytes())
    digest = trusted.trust(file)
    assert digest == hashlib.sha256(b"a = 1").hexdigest()
    assert trusted.knows(b"a = 1")
    file.write_text("a = 2")
    assert not trusted.knows(file.read_bytes())


def test_the_list_keeps_what_it_had_and_leaves_nothing_beside(tmp_path):
    first, second = tmp_path / "1.py", tmp_path / "2.py"
    for number, file in enumerate((first, second)):
        file.write_text(str(number))
        TrustList(tmp_path / "config").trust(file)
    trusted = TrustList(tmp_path / "config")
    assert trusted.knows(first.read_bytes()) and trusted.knows(second.read_bytes())
    assert [path.name for path in (tmp_path / "config").iterdir()] == ["trusted.json"]
    kept = json.loads((tmp_path / "config/trusted.json").read_text())["trusted"]
    assert [entry["file"] for entry in kept.values()] == ["1.py", "2.py"]


def test_a_copy_elsewhere_is_the_same_file(tmp_path):
    file, copy = tmp_path / "a.py", tmp_path / "b.py"
    file.write_text("x")
    copy.write_text("x")
    trusted = TrustList(tmp_path)
    trusted.trust(file)
    assert trusted.knows(copy.read_bytes())


def test_the_persons_own_list_is_in_the_applications_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    assert TrustList.default().path == tmp_path / "trusted.json"


def test_a_file_that_is_not_there_cannot_be_trusted(tmp_path):
    with pytest.raises(EspalierError, match=r"^Expected a file at .*net\.py, found none\."):
        TrustList(tmp_path).trust(tmp_path / "net.py")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"trusted": 5}'])
def test_a_broken_list_trusts_nothing_and_says_so(tmp_path, content):
    (tmp_path / "trusted.json").write_text(content)
    with pytest.raises(EspalierError) as caught:
        TrustList(tmp_path).knows(b"x")
    assert caught.value.message == f"The list of trusted files, {tmp_path / 'trusted.json'}, cannot be read."
