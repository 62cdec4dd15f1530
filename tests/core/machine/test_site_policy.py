"""The site policy: what it allows, and what is said about a file that is wrong."""

import getpass
from pathlib import Path

import pytest

from core.common.errors import EspalierError
from core.machine.site_policy import Policy, read_policy


def policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path)


def test_without_a_file_there_are_no_rules(tmp_path):
    free = read_policy(tmp_path / "policy.yaml")
    assert free == Policy() and free.home() is None
    assert free.threads_for(0, 6) == 6 and free.threads_for(64, 6) == 64
    assert [free.device_for(device) for device in ("auto", "cpu", "cuda:3")] == ["auto", "cpu", "cuda:3"]
    free.allow_download("weights")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "policy: 1\n"])
def test_an_empty_file_sets_no_rules(tmp_path, text):
    assert policy(tmp_path, text) == Policy()


def test_storage_is_a_folder_for_each_person(tmp_path):
    rules = policy(tmp_path, f"storage: {tmp_path}/{{user}}/espalier\n")
    assert rules.home() == tmp_path / getpass.getuser() / "espalier"


def test_threads_are_limited(tmp_path):
    rules = policy(tmp_path, "threads: 4\n")
    assert [rules.threads_for(0, 8), rules.threads_for(0, 2), rules.threads_for(3, 8)] == [4, 2, 3]
    with pytest.raises(EspalierError, match="allows at most 4 threads, 5 were asked for"):
        rules.threads_for(5, 8)


@pytest.mark.parametrize(
    ("rule", "asked", "taken"),
    [
        ("cpu", "auto", "cpu"),
        ("cpu", "cpu", "cpu"),
        ("cuda:1", "auto", "cuda:1"),
        ("cuda:1", "cuda", "cuda:1"),
        ("cuda:1", "cpu", "cpu"),
        ("cuda:1", "cuda:1", "cuda:1"),
    ],
)
def test_the_device_that_is_taken(tmp_path, rule, asked, taken):
    assert policy(tmp_path, f"device: '{rule}'\n").device_for(asked) == taken


@pytest.mark.parametrize(("rule", "asked"), [("cpu", "cuda"), ("cpu", "cuda:0"), ("cuda:1", "cuda:0")])
def test_another_device_is_refused(tmp_path, rule, asked):
    with pytest.raises(EspalierError, match=f"allows the device '{rule}', '{asked}' was asked for"):
        policy(tmp_path, f"device: '{rule}'\n").device_for(asked)


def test_downloads_are_refused(tmp_path):
    with pytest.raises(EspalierError, match="allows no downloads, and ResNet-50's weights would be"):
        policy(tmp_path, "downloads: false\n").allow_download("ResNet-50's weights")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("downloads: no\n", r"'downloads' in line 1 of .*true or false; received 'no'"),
        ("threads: 2\nthreads: 3\n", r"The key 'threads' stands here twice"),
        ("# rules\nthreads: many\n", r"'threads' in line 2 of .*a whole number from 0; received 'many'"),
        ("threads: -1\n", r"a whole number from 0; received -1"),
        ("device: tpu\n", r"auto, cpu or cuda:N; received 'tpu'"),
        ("gpu: off\n", r"Expected one of policy, storage, downloads, threads, device, python in line 1 .* received 'gpu'"),
        ("policy: 2\n", r"Expected the format 1 .* received 2; a newer Espalier may read it"),
        ("storage: scratch\n", r"Expected an absolute folder for 'storage' .* received 'scratch'"),
        ("- a\n", r"Expected names and values .* received list"),
        ("a: [\n", r"Expected YAML, received something else"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_words(tmp_path, text, says):
    with pytest.raises(EspalierError, match=says) as caught:
        policy(tmp_path, text)
    assert "administrator" in caught.value.advice


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "policy.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EspalierError, match="cannot be read"):
        read_policy(tmp_path / "policy.yaml")


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(EspalierError, match=r"cannot be read: Is a directory"):
        read_policy(tmp_path)


def test_peoples_own_python_files_can_be_forbidden(tmp_path):
    policy(tmp_path, "python: true\n").allow_python(tmp_path / "net.py")
    with pytest.raises(EspalierError, match=r"runs nobody's own Python files, and .*net\.py is one"):
        policy(tmp_path, "python: false\n").allow_python(tmp_path / "net.py")
