"""The log file: shared by processes, bounded, raised and lowered, and never in anybody's way."""

import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.commands.main import main
from core.common import logs
from core.common.logs import LEVEL_VARIABLE, LOG_NAME, SharedFile, end_logging, passed_over, start_logging

_log = logging.getLogger("core.tests")
_WRITER = """
import logging, sys
from pathlib import Path
from core.common import logs
logs._MOST_BYTES = 20_000
logs._LOCK_SECONDS = 5
logs.start_logging("command", Path(sys.argv[1]))
for number in range(200):
    logging.getLogger("core.writer").info("%s-%d", sys.argv[2], number)
"""


@pytest.fixture(autouse=True)
def silent_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    yield
    end_logging()


def lines(folder: Path) -> list[str]:
    return (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()


def test_a_line_says_when_how_bad_who_and_what(tmp_path: Path) -> None:
    start_logging("window", tmp_path / "logs")
    _log.info("Something began.")
    _log.debug("not at this level")
    (line,) = lines(tmp_path / "logs")
    assert line.endswith(f" INFO    window {os.getpid()} core.tests: Something began.")


def test_the_level_counts_here_and_in_processes_that_are_started(tmp_path: Path) -> None:
    start_logging("window", tmp_path, "warning")
    _log.info("not told")
    logs.set_level("debug")
    _log.debug("told")
    assert [line.rpartition(": ")[2] for line in lines(tmp_path)] == ["told"]
    assert os.environ[LEVEL_VARIABLE] == "debug"
    start_logging("run", tmp_path)  # as a process does that inherits the variable
    assert logging.getLogger("core").level == logging.DEBUG


def test_started_twice_writes_once(tmp_path: Path) -> None:
    start_logging("command", tmp_path / "first")
    start_logging("command", tmp_path / "second")
    _log.info("once")
    assert len(lines(tmp_path / "second")) == 1 and not (tmp_path / "first" / LOG_NAME).exists()


def test_the_file_is_bounded_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MOST_BYTES", 1000)
    start_logging("command", tmp_path)
    for number in range(200):
        _log.info("line %d of many", number)
    files = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
    assert files == [LOG_NAME, *(f"{LOG_NAME}.{number}" for number in (1, 2, 3))]
    assert all((tmp_path / name).stat().st_size < 1200 for name in files)
    assert lines(tmp_path)[-1].endswith("line 199 of many")


def test_several_processes_write_whole_lines_into_one_file(tmp_path: Path) -> None:
    """None is lost either: what was renamed by one process is found again, up to the oldest that went."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], cwd=Path(logs.__file__).parents[2]) for name in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    messages = [
        line
        for path in tmp_path.glob(f"{LOG_NAME}*")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    words = Counter(line.rpartition(": ")[2] for line in messages)
    assert words == Counter({f"{name}-{number}": 1 for name in "abc" for number in range(200)})


def test_what_finds_the_file_held_is_written_with_the_next_line(tmp_path: Path) -> None:
    from filelock import FileLock

    start_logging("command", tmp_path)
    _log.info("first")
    with FileLock(tmp_path / f".{LOG_NAME}.lock"):
        _log.info("held")
    assert len(lines(tmp_path)) == 1
    _log.info("last")
    assert [line.rpartition(": ")[2] for line in lines(tmp_path)] == ["first", "held", "last"]


def test_a_home_that_cannot_be_written_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file, where a folder was expected")
    start_logging("command", tmp_path / "home" / "logs")
    _log.warning("goes nowhere")
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "home").read_text().startswith("a file")


def test_passed_over_goes_on_and_notes_it_down(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), passed_over(_log, "The file is not there", OSError):
        raise FileNotFoundError("no\nsuch file")
    assert caplog.messages == ["The file is not there: FileNotFoundError: no such file"]
    with pytest.raises(ValueError), passed_over(_log, "The file is not there", OSError):
        raise ValueError


def test_verbose_tells_on_standard_error_too(
    own_home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--verbose", "check", str(tmp_path / "none.yaml")]) == 2
    assert "WARNING core.commands.main: The command ended by an error" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none.yaml"), "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err
    os.environ.pop(LEVEL_VARIABLE)
    assert main(["check", str(tmp_path / "none.yaml")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sum("ended by an error" in line for line in lines(own_home / "logs")) == 3


def test_processes_for_jobs_write_to_their_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.log_to_standard_error()
    _log.info("in the file that was made of it")
    assert capsys.readouterr().err == "INFO    core.tests: in the file that was made of it\n"
    assert not any(isinstance(each, SharedFile) for each in logging.getLogger("core").handlers)


def test_the_doctor_names_the_file(own_home: Path) -> None:
    from core.doctor.checks import _log_file

    assert str(own_home / "logs" / LOG_NAME) in _log_file().found
