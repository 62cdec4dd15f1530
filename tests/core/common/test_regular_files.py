"""Only regular files are opened, and no more of them is read than is bearable."""

import io
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from core.common.regular_files import Bounded, in_words, open_regular, read_bounded

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither pipes nor devices among its files"
)


def refused(path: Path) -> str:
    with pytest.raises(OSError) as caught:
        open_regular(path)
    return in_words(caught.value)


def test_a_named_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "it is a named pipe, not a file"


def test_devices_folders_and_sockets_are_refused(tmp_path):
    assert refused(Path("/dev/zero")) == "it is a device, not a file"
    assert refused(tmp_path) == "it is a folder, not a file"
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{short}/s")
        assert refused(Path(short, "s")) == "it is a socket, not a file"


def test_a_link_to_a_device_is_refused_too(tmp_path):
    (tmp_path / "innocent.png").symlink_to("/dev/zero")
    assert refused(tmp_path / "innocent.png") == "it is a device, not a file"


def test_a_file_is_read_up_to_its_bound(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(1000))
    assert len(read_bounded(file, 1000)) == 1000
    with pytest.raises(OSError, match=r"it holds more than 0.000999 MB, which is the limit"):
        read_bounded(file, 999)


@pytest.mark.parametrize("piece", [-1, 1, 7])
def test_a_stream_ends_at_its_bound_however_it_is_read(piece):
    whole = Bounded(io.BytesIO(bytes(20)), 20)
    assert sum(len(part) for part in iter(lambda: whole.read(piece), b"")) == 20
    longer = Bounded(io.BytesIO(bytes(21)), 20)
    with pytest.raises(OSError, match="which is the limit"):
        while longer.read(piece):
            pass
