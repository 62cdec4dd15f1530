"""Every test has its own home for runs and caches."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`ESPALIER_HOME` below the test's folder: nothing of the person's is read or written."""
    home = tmp_path / "espalier-home"
    monkeypatch.setenv("ESPALIER_HOME", str(home))
    return home
