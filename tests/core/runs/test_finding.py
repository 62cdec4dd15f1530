"""What a command line names a run by."""

from pathlib import Path

from core.document import pipeline as documents
from core.runs.finding import called
from core.runs.home import Home
from core.runs.library import find_run
from core.runs.new_run import create_run

TEXT = """\
espalier: 1
name: Named
sources: [{id: net, settings: {backbone: resnet20}}]
stages: [{id: base, kind: train}]
"""


def test_a_run_is_found_by_what_a_command_calls_it(tmp_path: Path) -> None:
    """A run outside the home was called by the last part of its path, which no command finds."""
    home, pipeline = Home(tmp_path / "home"), documents.loads(TEXT)
    own = create_run(pipeline, tmp_path, home)
    elsewhere = create_run(pipeline, tmp_path, home, tmp_path / "series" / "cifar-10")
    assert called(own, home) == own.name
    assert called(elsewhere, home) == str(elsewhere.folder)
    for run in (own, elsewhere):
        assert find_run(home, called(run, home)).folder.samefile(run.folder)
