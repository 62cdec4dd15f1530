"""`espalier search FILE` begins a run of the file on this machine."""

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_runs import TINY

from core.commands.main import main
from core.runs.finding import find_runs
from core.runs.home import Home

SEARCH = """\
search:
  free:
    stages.pruned.ratio: {low: 0.2, high: 0.8, step: 0.1}
  objectives: [top1, size_mb]
"""


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


def test_a_file_that_searches_is_run(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []

    def start_run(run: Any, home: Home, machine: Any, stay: bool, known: int) -> Any:
        started.append((run.folder, stay))
        return SimpleNamespace(run=run, follow=lambda control, on_event: None)  # as if it was left to itself

    monkeypatch.setattr("core.engine.run_follower.start_run", start_run)
    file = tmp_path / "p.yaml"
    file.write_text(TINY + SEARCH, encoding="utf-8")
    assert main(["search", str(file)]) == 0
    (run,) = find_runs(Home(own_home))
    assert started == [(run.folder, False)]
    assert f"The run goes on. Follow it again with: espalier attach {run.name}" in capsys.readouterr().err


def test_a_file_without_a_search_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TINY, encoding="utf-8")
    assert main(["search", str(file)]) == 2
    assert "Expected a pipeline with a section 'search'" in capsys.readouterr().err
