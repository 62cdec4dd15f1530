"""Every job that is given to a child process as text names a function that is there."""

import re
from pathlib import Path

import pytest

import core
from core.machine.child_server import _resolve

ROOT = Path(core.__file__).resolve().parents[1]
JOB = re.compile(r"[\"'](core(?:\.\w+)+:\w+)[\"']")


def jobs() -> list[str]:
    texts = (
        path.read_text(encoding="utf-8") for name in ("core", "gui") for path in (ROOT / name).rglob("*.py")
    )
    return sorted({job for text in texts for job in JOB.findall(text)})


def test_there_are_jobs():
    assert len(jobs()) > 15


@pytest.mark.parametrize("job", jobs())
def test_a_job_given_as_text_resolves(job: str):
    assert callable(_resolve(job))
