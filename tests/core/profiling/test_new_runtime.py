"""A runtime is one file and one line: one that a test adds is seen everywhere, with nothing else edited."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import onnx_files
import pytest
from additions import QUICK, register_in_children
from new_runtimes import UnoptimisedOnnx

import core.profiling.model_profile as profiles
from core.commands.main import main
from core.common.errors import EspalierError
from core.doctor import checks
from core.profiling.runtimes import RUNTIMES, runtime

IN_CHILDREN = """
from core.profiling.runtimes import RUNTIMES
from new_runtimes import UnoptimisedOnnx

RUNTIMES["onnxruntime-plain"] = UnoptimisedOnnx()
"""


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(RUNTIMES, UnoptimisedOnnx.id, UnoptimisedOnnx())  # the one line
    register_in_children(monkeypatch, tmp_path / "children", Path(__file__).parent, IN_CHILDREN)
    yield


def test_a_model_is_profiled_in_it_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = onnx_files.write(tmp_path / "small.onnx", width=4, size=8)
    monkeypatch.setattr(profiles, "Request", partial(profiles.Request, budget=QUICK))
    arguments = ["--threads", "1", "--batch", "1", "--json"]
    assert main(["profile", str(small), "--runtime", "onnxruntime-plain", *arguments]) == 0
    [found] = json.loads(capsys.readouterr().out)["runtimes"]
    latency = found["lines"][0]["metrics"]["latency_ms"]
    assert latency["value"] > 0
    assert latency["how"].startswith("ONNX Runtime, plain ") and "no optimisation" in latency["how"]


def test_help_and_messages_name_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main(["profile", "--help"])
    words = capsys.readouterr().out
    assert "onnxruntime (the default), onnxruntime-cuda" in words and "onnxruntime-plain, or all" in words
    with pytest.raises(EspalierError, match="onnxruntime-plain"):
        runtime("gone")


def test_the_doctor_loads_it() -> None:
    found = {check.name: check for check in checks._runtimes()}
    assert found["Runtime: ONNX Runtime, plain"].state == "good"
