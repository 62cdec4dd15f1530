"""A home that an earlier version left, unpacked for each test and told where it lies now."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.runs.home import Home


@dataclass(frozen=True, slots=True)
class Before:
    """What `make_home.py` packed.

    Attributes:
        work: pipeline files, images, and the network that they start from.
        settings: the folder that Qt's settings are read from.
        machine: the fingerprint of the machine that made it. threads: that its stages were trained with.
    """

    folder: Path
    machine: dict[str, Any]
    threads: int

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def settings(self) -> Path:
        return self.folder / "settings"


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Before:
    """The home of version 0.1.0; absolute paths in its texts are those of the test's folder."""
    folder = tmp_path / "before"
    with zipfile.ZipFile(Path(__file__).parent / "home-0.1.0.zip") as archive:
        archive.extractall(folder)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    for path in (*folder.rglob("run.json"), *folder.rglob("events.jsonl")):
        told = path.read_text(encoding="utf-8")
        path.write_text(told.replace(made["folder"], folder.as_posix()), encoding="utf-8")
    monkeypatch.setenv("ESPALIER_HOME", str(folder / "home"))
    return Before(folder, made["machine"], made["threads"])


@pytest.fixture
def same_machine(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys as on the machine that made the home: its fingerprint, its libraries' versions, its precision."""
    import importlib.metadata

    import torch

    from core.machine import fingerprint

    found = importlib.metadata.distribution

    class AsThen:
        def __init__(self, name: str):
            self.version = before.machine["versions"][name]

    def distribution(name: str) -> Any:
        return AsThen(name) if name in before.machine["versions"] else found(name)

    monkeypatch.setattr(fingerprint, "_steady", lambda: before.machine)
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    monkeypatch.setattr(torch, "__version__", before.machine["versions"]["torch"])
    instructions = dict.fromkeys(before.machine["instructions"], True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
