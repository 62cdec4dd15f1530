"""The examination of an installation: what it says when things are as they should be, and when not."""

import json
import socket
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

import core
from core.commands import main as cli
from core.common.errors import EspalierError
from core.doctor import checks as doctor
from core.doctor.checks import Check, Examination, examine
from core.machine.optional_packages import extra, reason_absent
from core.profiling.runtimes import RUNTIMES


def named(checks: list[Check], name: str) -> Check:
    (match,) = [check for check in checks if check.name == name]
    return match


def test_the_report_is_text_and_data():
    examination = Examination((
        Check("One", "good", "there"),
        Check("Second", "warning", "slow", "Wait."),
        Check("Third", "bad", "missing", "Install it."),
    ))  # fmt: skip
    assert not examination.good
    assert examination.as_text().splitlines() == [
        "good    One     there",
        "warning Second  slow",
        "                → Wait.",
        "bad     Third   missing",
        "                → Install it.",
        "",
        "3 checks, 1 bad, 1 with a warning.",
    ]
    assert examination.as_dict()["checks"][1] == {
        "name": "Second", "state": "warning", "found": "slow", "advice": "Wait.",
    }  # fmt: skip
    assert Examination(examination.checks[:2]).good


def test_what_a_check_raises_becomes_a_line():
    def expected() -> Check:
        raise EspalierError("The policy is wrong.", "Ask.", "line one\nthe last line")

    def unexpected() -> Check:
        raise ZeroDivisionError("by zero")

    assert doctor._guarded("Policy", expected) == [
        Check("Policy", "bad", "The policy is wrong. the last line", "Ask.")
    ]
    assert doctor._guarded("Sum", unexpected) == [
        Check("Sum", "bad", "could not be checked: ZeroDivisionError: by zero")
    ]


def test_the_measuring_process_is_started(own_home):
    checks = doctor._measuring()
    assert named(checks, "Measuring process").found.startswith("starts and loads its libraries in ")
    assert named(checks, "onnxruntime") == Check("onnxruntime", "good", doctor._version("onnxruntime"))


def test_a_library_that_does_not_load_is_named():
    answer = doctor.load_libraries({"names": ["numpy", "no_such_library"]}, lambda part, text: None)
    assert answer["libraries"]["numpy"]["error"] == ""
    check = doctor._library("no_such_library", answer["libraries"]["no_such_library"])
    assert check.state == "bad" and "ModuleNotFoundError" in check.found


def test_every_runtime_says_whether_it_works(own_home):
    checks = {check.name: check for check in doctor._runtimes()}
    assert list(checks) == [f"Runtime: {runtime.label}" for runtime in RUNTIMES.values()]
    assert checks["Runtime: ONNX Runtime"] == Check("Runtime: ONNX Runtime", "good", version("onnxruntime"))
    if not find_spec("openvino"):
        reason = 'OpenVINO is not installed (pip install "espalier[openvino]").'
        assert checks["Runtime: OpenVINO"] == Check("Runtime: OpenVINO", "absent", reason)


def test_a_runtime_that_is_there_and_does_not_load_is_a_warning(monkeypatch, tmp_path):
    (tmp_path / "openvino.py").write_text("raise OSError('libopenvino.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    answer = doctor.load_runtimes({"names": ["openvino"]}, lambda part, text: None)["runtimes"]["openvino"]
    check = doctor._runtime("OpenVINO", answer)
    assert (check.state, check.found) == ("warning", "does not load: OSError: libopenvino.so is missing")


def test_the_installed_program_says_that_it_carries_no_openvino(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    reason = reason_absent("OpenVINO", "no_such_module", extra("openvino"))
    assert reason == "OpenVINO is not part of the installed program; run Espalier from its sources."


@pytest.mark.skipif(sys.platform != "linux", reason="loads a Linux library")
def test_a_native_library_that_does_not_load_is_named(tmp_path):
    (tmp_path / "libqxcb.so").write_bytes(b"no library")
    assert (
        "libqxcb.so"
        in doctor.load_native({"path": str(tmp_path / "libqxcb.so")}, lambda part, text: None)["error"]
    )
    assert doctor.load_native({"path": "libc.so.6"}, lambda part, text: None)["error"] == ""


def test_storage_is_tried_and_left_clean(own_home):
    use, space = doctor._storage()
    assert use.state == "good" and use.found.endswith("can be written, locked and indexed")
    assert space.name == "Space for runs" and list(own_home.iterdir()) == []


def test_storage_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "file" / "home"))
    (check,) = doctor._guarded("Storage", doctor._storage)
    assert check.state == "bad" and "Not a directory" in check.found


@pytest.mark.parametrize(("free", "state"), [(1e8, "bad"), (2e9, "warning"), (1e11, "good")])
def test_free_space(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free})())
    assert doctor._space("Space", tmp_path).state == state


@pytest.mark.skipif(sys.platform != "linux", reason="looks for Linux displays")
def test_the_display_is_asked(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert doctor._display().state == "warning"
    monkeypatch.setenv("DISPLAY", ":9876")
    assert doctor._display().state == "bad" and "X11 :9876 does not answer" in doctor._display().found
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("wayland-9")
        server.listen()
        monkeypatch.setenv("XDG_RUNTIME_DIR", ".")
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-9")
        assert doctor._display() == Check("Display", "good", "Wayland wayland-9")


def test_the_policy_in_force_is_shown(tmp_path, monkeypatch):
    import core.machine.site_policy

    monkeypatch.setattr(core.machine.site_policy, "system_path", lambda: tmp_path / "policy.yaml")
    core.machine.site_policy.site_policy.cache_clear()
    assert doctor._policy().found == f"none ({tmp_path / 'policy.yaml'})"
    (tmp_path / "policy.yaml").write_text("threads: 4\ndownloads: false\n")
    core.machine.site_policy.site_policy.cache_clear()
    assert doctor._policy().found == f"{tmp_path / 'policy.yaml'}: downloads: False, threads: 4"
    core.machine.site_policy.site_policy.cache_clear()


def test_what_is_bundled_is_found():
    assert "quick-tour" in doctor._bundled().found and doctor._bundled().state == "good"


def test_the_command_line_prints_it(monkeypatch, capsys):
    checks = (("One", lambda: Check("One", "good", "there")), ("Two", lambda: Check("Two", "bad", "away")))
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    assert cli.main(["doctor"]) == 1
    assert "bad     Two  away" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["good"] is False
    monkeypatch.setattr(doctor, "_CHECKS", checks[:1])
    assert cli.main(["doctor"]) == 0


@pytest.mark.slow
def test_this_installation_is_good(own_home):
    examination = examine()
    assert examination.good, examination.as_text()
    assert named(list(examination.checks), "Espalier").found.startswith(core.__version__)
    assert Path(core.__file__).is_file()
