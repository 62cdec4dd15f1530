"""Scheduler, three workers with homes of their own, two clients, TLS, and a worker that is killed: the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_each_stage_is_made_once_whoever_asks_and_whoever_dies(tmp_path):
    pytest.importorskip("distributed")
    pytest.importorskip("cryptography")
    done = subprocess.run(
        [sys.executable, "tests/benchmarks/cluster.py", "--quick"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    from core.commands.main import main

    monkeypatch.setattr("core.machine.optional_packages.find_spec", lambda module: None)
    for command in (
        ["cluster", "init", str(tmp_path / "tls")],
        ["worker", "127.0.0.1:8786"],
        ["cluster", "start"],
    ):
        assert main(command) == 2
        assert 'pip install "espalier[cluster]"' in " ".join(capsys.readouterr().err.split())
