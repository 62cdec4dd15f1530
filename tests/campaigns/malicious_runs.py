"""The run folders of `malice.py`, as somebody else could send them, and what is done with them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _replaced(name: str) -> Callable[[Path, Path], None]:
    """A part of the run is a link to the victim."""

    def tamper(run: Path, victim: Path) -> None:
        place = run / name
        target = victim if place.is_dir() else victim / "keys"
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        place.symlink_to(target)

    return tamper


def _edited(name: str, change: Callable[[dict[str, Any], Path], None]) -> Callable[[Path, Path], None]:
    """A JSON file of the run says something else, without a seal."""

    def tamper(run: Path, victim: Path) -> None:
        for file in run.glob(name):
            content = json.loads(file.read_text())
            content.pop("sha256", None)
            change(content, victim)
            file.write_text(json.dumps(content))

    return tamper


def _leads_out(content: dict[str, Any], victim: Path) -> None:
    for artefact in content["artefacts"]:
        artefact["path"] = os.path.relpath(
            victim / "keys", victim.parent / "prepared" / "home" / "runs" / "prepared"
        )


def _named_pipe(run: Path, victim: Path) -> None:
    (run / "events.jsonl").unlink(missing_ok=True)
    os.mkfifo(run / "events.jsonl")


def _deep(run: Path, victim: Path) -> None:
    (run / "run.json").write_text('{"a": ' * 100_000)


RUNS: dict[str, Callable[[Path, Path], None]] = {
    "scratch is a link": _replaced("scratch"),
    "stages is a link": _replaced("stages"),
    "inputs is a link": _replaced("inputs"),
    "model.onnx is a link": _replaced("model.onnx"),
    "events.jsonl is a link": _replaced("events.jsonl"),
    "the lock is a link": _replaced(".lock"),
    "export.log is a link": _replaced("export.log"),
    "events.jsonl is a named pipe": _named_pipe,
    "run.json is without end": _deep,
    "a report names a file outside": _edited("stages/*/report.json", _leads_out),
    "a report has a key that leads out": _edited("stages/*/report.json", lambda content, victim: content.update(key="../../../victim")),
    "a record names a file outside": _edited("stages/*/artefacts/made.json", lambda content, victim: [one.update(path="../../../../../../victim/keys") for one in content["made"]] and None),
    "run.json names a process": _edited("run.json", lambda content, victim: content.update(status="running", process={"pid": 1, "host": "x"})),
    "run.json has names that are commands": _edited("run.json", lambda content, victim: content.update(name="\x1b]0;x\x07[/red]=1", notes="<script>")),
}  # fmt: skip
IN_EVERY_WAY = (
    "scratch is a link",
    "model.onnx is a link",
    "a report names a file outside",
    "the lock is a link",
    "run.json has names that are commands",
)
VERBS = {
    "export": "export {run} --stage fp32 --out {out} --no-latency",
    "go on": "run {run} --resume --threads 1",
    "compare": "compare {run} --format csv",
    "list": "runs",
    "delete": "runs delete {name}",
}
