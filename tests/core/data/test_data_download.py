"""Downloads from this machine: what arrives is checked, and nothing half-done stays."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data import download as module
from core.data.catalogue import SOURCES
from core.data.download import CHUNK, download
from core.data.public_sets import PUBLIC_SETS, PublicFile, PublicSet

CONTENT = np.random.default_rng(0).integers(0, 256, 2 * CHUNK + 100, np.uint8).tobytes()


class Answers(BaseHTTPRequestHandler):
    """/whole, /cut (less than announced), /endless, /slow, and 404 for anything else."""

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        kind = self.path.strip("/")
        if kind not in ("whole", "cut", "endless"):
            self.send_error(404)
            return
        self.send_response(200)
        if kind != "endless":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        try:
            self.wfile.write(CONTENT if kind != "cut" else CONTENT[:CHUNK])
            while kind == "endless":
                self.wfile.write(bytes(CHUNK))
        except ConnectionError:
            return  # who asked has heard enough

    def log_message(self, *_: object) -> None:
        """Nobody wants to hear of it."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.asked = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> object:
    """Puts a set of files at these addresses among the public ones, as "test"."""
    monkeypatch.setenv("no_proxy", "*")

    def offered(*addresses: str, content: bytes = CONTENT, folder: str = "") -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        files = tuple(PublicFile(address, len(content), sha256) for address in addresses)
        monkeypatch.setitem(PUBLIC_SETS, "test", PublicSet("test", "Test", "cifar", files, "None.", folder))

    return offered


def at(server: HTTPServer, kind: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{kind}"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_over_http(server, offer, tmp_path):
    offer(at(server, "whole"))
    told: list[tuple[float, str]] = []
    path = download("test", tmp_path / "new" / "data", on_progress=lambda *each: told.append(each))
    assert path == tmp_path / "new" / "data" / "whole" and path.read_bytes() == CONTENT
    assert left(tmp_path) == ["whole"]
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1
    assert shares[0] == pytest.approx(CHUNK / len(CONTENT))
    assert told[-1][1] == "Downloading Test: 100 % of 0.5 MB"


def test_several_files_into_a_folder_of_their_own(offer, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(CONTENT)
    offer((tmp_path / "a").as_uri(), (tmp_path / "b").as_uri(), folder="set")
    told: list[float] = []
    assert (
        download("test", tmp_path / "out", on_progress=lambda share, _: told.append(share))
        == tmp_path / "out" / "set"
    )
    assert left(tmp_path / "out") == ["a", "b"]
    assert told == sorted(told) and 0.5 in told and told[-1] == 1


def test_what_is_there_already_is_checked_and_not_fetched(server, offer, tmp_path):
    offer(at(server, "whole"))
    (tmp_path / "whole").write_bytes(CONTENT)
    told: list[float] = []
    download("test", tmp_path, on_progress=lambda share, _: told.append(share))
    assert server.asked == 0 and told == [1]


def test_another_file_of_that_name_is_left_alone(server, offer, tmp_path):
    offer(at(server, "whole"))
    (tmp_path / "whole").write_bytes(b"mine")
    with pytest.raises(EspalierError) as caught:
        download("test", tmp_path)
    assert (
        caught.value.message
        == f"Expected no file or the published one at {tmp_path / 'whole'}, received another."
    )
    assert (tmp_path / "whole").read_bytes() == b"mine" and server.asked == 0


@pytest.mark.parametrize(("kind", "message"), [
    ("cut", r"(/cut, but that failed: IncompleteRead|of cut as published, received 262144; the file was thrown away\.)"),
    ("endless", r"^Expected the 524388 bytes of endless as published, received \d+ or more; the file was thrown away\."),
    ("none", r"^Expected to download http://.*/none, but that failed: HTTP Error 404: Not Found\."),
])  # fmt: skip
def test_what_does_not_arrive_as_published_is_thrown_away(kind, message, server, offer, tmp_path):
    offer(at(server, kind))
    with pytest.raises(EspalierError, match=message):
        download("test", tmp_path / "out")
    assert left(tmp_path) == []


def test_other_content_of_the_same_size_is_thrown_away(server, offer, tmp_path):
    offer(at(server, "whole"), content=bytes(len(CONTENT)))
    with pytest.raises(EspalierError) as caught:
        download("test", tmp_path)
    assert caught.value.message == (
        "Expected the 524388 bytes of whole as published, received other content; the file was thrown away."
    )
    assert left(tmp_path) == []


def test_a_server_that_is_not_there(offer, tmp_path, server):
    offer("http://127.0.0.1:1/whole")
    with pytest.raises(
        EspalierError, match=r"Expected to download http://127\.0\.0\.1:1/whole, but that failed: "
    ):
        download("test", tmp_path)
    assert left(tmp_path) == []


def test_stopping_leaves_nothing(server, offer, tmp_path):
    offer(at(server, "endless"))
    control = RunControl()
    seen: list[list[str]] = []

    def stop(share: float, _: str) -> None:
        seen.append(left(tmp_path))
        control.stop()

    with pytest.raises(Stopped):
        download("test", tmp_path, control, stop)
    [[part]] = seen
    assert part.startswith(".endless.part-") and left(tmp_path) == []


def test_a_folder_that_cannot_be_written(offer, tmp_path, server):
    (tmp_path / "file").touch()
    offer(at(server, "whole"))
    with pytest.raises(EspalierError, match=r"Expected to write .*, but that failed: "):
        download("test", tmp_path / "file")
    assert server.asked == 0


def test_a_full_disk_is_said_before(server, offer, tmp_path, monkeypatch):
    offer(at(server, "whole"))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("", (), {"free": 300_000}))
    with pytest.raises(EspalierError, match=r"^Expected 0\.5 MB of free space in .*, received 0\.3 MB\."):
        download("test", tmp_path)
    assert server.asked == 0


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(EspalierError) as caught:
        download("imagenet", tmp_path)
    assert caught.value.message == (
        "Expected one of the public data sets cifar-10, cifar-100, fashion-mnist, received 'imagenet'."
    )


def test_the_public_sets_say_what_they_are():
    for name, each in PUBLIC_SETS.items():
        assert each.id == name and each.source in SOURCES and each.terms.endswith(".") and each.size > 1e6
        for file in each.files:
            assert file.address.startswith("https://") and len(bytes.fromhex(file.sha256)) == 32
    assert PUBLIC_SETS["cifar-10"].path(Path("x")) == Path("x/cifar-10-python.tar.gz")
    assert PUBLIC_SETS["fashion-mnist"].path(Path("x")) == Path("x/fashion-mnist")


def test_nothing_fetches_by_itself():
    """Importing all of the data layer brings no downloader along."""
    code = "import sys, core.data.store, core.data.catalogue; sys.exit('core.data.download' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode
        == 0
    )
