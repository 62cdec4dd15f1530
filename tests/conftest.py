"""Every test has its own home for runs and caches, and computes on one thread.

Tests run side by side; threads that wait for each other make small networks many times slower.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.common.logs import LEVEL_VARIABLE, end_logging
from core.machine import measuring_lock
from core.machine.measuring_lock import PATIENCE_VARIABLE

os.environ["OMP_NUM_THREADS"] = "1"
os.environ[PATIENCE_VARIABLE] = "1"  # other tests keep the machine busy all the time


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`ESPALIER_HOME` below the test's folder: nothing of the person's is read or written."""
    home = tmp_path / "espalier-home"
    monkeypatch.setenv("ESPALIER_HOME", str(home))
    monkeypatch.setenv(LEVEL_VARIABLE, "info")
    monkeypatch.setattr(measuring_lock, "FOLDER", tmp_path)  # tests side by side do not wait for each other
    yield home
    end_logging()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The few long tests first, so that no worker is left with them at the end."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)
