"""A full disk is told in words, whoever noticed it."""

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.common.full_disk import file_system_of, full_disk, over_the_network


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_systems_own_error(number):
    problem = full_disk(OSError(number, "whatever", "/home/ann/model.onnx"))
    assert problem is not None
    assert problem.message == "The disk or your quota on it is full while writing /home/ann/model.onnx."
    assert "go on with the run" in problem.advice


def test_a_librarys_error_with_the_systems_words():
    problem = full_disk(
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    )
    assert problem is not None and problem.message == "The disk or your quota on it is full."
    assert "os error 28" in problem.details


@pytest.mark.parametrize(
    "error",
    [
        OSError("200000 requested and 76768 written"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 832 vs 726"),
    ],
    ids=["NumPy", "PyTorch"],
)
def test_a_write_that_came_short(error):
    assert full_disk(error) is not None


def test_an_error_that_was_caused_by_a_full_disk():
    try:
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError as error:
            raise ValueError("the export failed") from error
    except ValueError as error:
        assert full_disk(error) is not None


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("shape"), KeyError()]
)
def test_other_errors_are_none_of_its_business(error):
    assert full_disk(error) is None


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX'")
def test_a_real_limit_is_recognised(tmp_path):
    """A process that may write one kilobyte, as under a quota, writes two."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    program = (
        "from pathlib import Path; from core.common.full_disk import full_disk\n"
        "try: Path('two').write_bytes(bytes(2048))\n"
        "except OSError as error: print(full_disk(error))"
    )
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}, preexec_fn=limit, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("The disk or your quota on it is full."), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_kind_of_file_system(tmp_path):
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(tmp_path) not in ("", "unknown", "proc")
    assert over_the_network("nfs4") and not over_the_network("ext4")
