"""Makes `home-0.1.0.zip`: a home as the version 0.1.0 (commit 69c187e, before the engine was divided into packages) left it.

    git worktree add OLD 69c187e
    python tests/compatibility/make_home.py OLD tests/compatibility/home-0.1.0.zip

with the Python that has the version's libraries. It runs that version's own command line and window
code on small drawn images, and packs what they leave. The zip holds `made.json` (the folder it was
made in, the fingerprint of the machine, the threads), `work/` (pipeline files, images, the network
that they start from), `home/` (runs, trash, caches, index) and `settings/` (the window's file).

The archive is not made again: a home that a later version makes is another home and belongs into
a zip of its own beside it.
"""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

START = """
espalier: 1
name: Start
data: {source: idx, path: shapes, image_size: 32}
sources: [{id: network, settings: {backbone: plain-cnn-tiny}}]
stages:
  - {id: small, kind: prune-channels, settings: {ratio: 0.85, scope: whole-groups, training: {epochs: 1, batch_size: 32}}}
"""
_HEAD = """
espalier: 1
name: NAME
data: {source: idx, path: shapes, image_size: 32, augmentation: {flip: false}}
sources: [{id: network, kind: checkpoint, settings: {path: start}}]
"""
WHOLE = (
    _HEAD.replace("NAME", "Whole")
    + """baseline: fp32
stages:
  - {id: fp32, kind: train, name: Baseline, settings: {training: {epochs: 3, learning_rate: 0.01, batch_size: 32, precision: float32}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, scope: whole-groups, round_to: 2, training: {epochs: 2, learning_rate: 0.005, batch_size: 32}}}
  - {id: distilled, kind: distil, settings: {teacher: fp32, training: {epochs: 2, learning_rate: 0.005, batch_size: 32}}}
  - {id: int8, kind: quantize-static, settings: {images: 48}}
axes:
  grid: {stage: pruned, images: 16, settings: {ratio: [0.25, 0.75]}}
"""
)
SEEDS = (
    _HEAD.replace("NAME", "Two seeds")
    + """stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 1, learning_rate: 0.01, batch_size: 32}}}
axes: {seed: [0, 1]}
"""
)
STOPPED = (
    _HEAD.replace("NAME", "Stopped")
    + """stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 3, learning_rate: 0.01, batch_size: 32, precision: float32}}}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5, scope: whole-groups, round_to: 2, training: {epochs: 60, learning_rate: 0.005, batch_size: 32}}}
"""
)
_WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
QApplication.setOrganizationName("Espalier")
QApplication.setApplicationName("Espalier")
QSettings.setDefaultFormat(QSettings.Format.IniFormat)
QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, sys.argv[1])
application = QApplication([])
from core.runs import Home
from gui.settings.store import Settings
from gui.start import library, trash
from gui.theme import Theme
home = Home.default()
lines = {line.folder.name: line for line in library.list_runs(home)}
library.annotate(home, lines["whole"], "The whole way", ["kept", "paper"], "All four stages.")
trash.delete(home, [lines["deleted"]])
settings = Settings()
for name, value in (("compute/device", "cpu"), ("compute/threads", 1), ("compute/core_watts", 7.5), ("run/notify", False), ("theme", "dark"), ("monitor/axis", "epoch"), ("monitor/smoothing", 30), ("check-before-run", "false")):
    settings.set(name, value)
QSettings().sync()
"""
_FACTS = "import json, core; from core.profiling.machine import fingerprint; print(json.dumps([core.__version__, fingerprint()]))"


def main(old: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="espalier-before-") as place:
        folder = Path(place)
        work, home = folder / "work", folder / "home"
        work.mkdir()
        _draw_images(work / "shapes")
        for name, text in (("whole", WHOLE), ("seeds", SEEDS), ("stopped", STOPPED)):
            (work / f"{name}.yaml").write_text(text)
        (folder / "start.yaml").write_text(START.replace("path: shapes", f"path: {work / 'shapes'}"))
        _run(old, folder / "elsewhere", folder / "start.yaml", folder / "start")
        (folder / "start" / "stages" / "small" / "checkpoint").rename(work / "start")
        for name, file in (("whole", "whole"), ("seeds", "seeds"), ("deleted", "seeds")):
            _run(old, home, work / f"{file}.yaml", home / "runs" / name)
        _stop(old, home, work / "stopped.yaml", home / "runs" / "stopped")
        _python(old, home, "-c", _WINDOW, str(folder / "settings"))
        version, machine = json.loads(_python(old, home, "-c", _FACTS))
        made = {"version": version, "folder": place, "machine": machine, "threads": 1}
        (folder / "made.json").write_text(json.dumps(made, indent=1))
        _pack(folder, target)


def _draw_images(folder: Path) -> None:
    """96 training and 48 test images of 32 px: a bright square in one of three corners, and a little noise."""
    folder.mkdir()
    draw = np.random.default_rng(16)
    for part, count in (("train", 96), ("t10k", 48)):
        labels = np.arange(count, dtype=np.uint8) % 3
        images = draw.integers(0, 4, (count, 32, 32), dtype=np.uint8) * 16
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 2)
            image[row * 16 : row * 16 + 12, column * 16 : column * 16 + 12] += 120
        head = struct.pack(">4I", 2051, *images.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())


def _environment(home: Path) -> dict[str, str]:
    return {
        **os.environ, "ESPALIER_HOME": str(home), "OMP_NUM_THREADS": "1", "QT_QPA_PLATFORM": "offscreen",
    }  # fmt: skip


def _python(old: Path, home: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=old, env=_environment(home), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _command(file: Path, out: Path) -> list[str]:
    return ["-m", "core.cli", "run", str(file), "--out", str(out), "--device", "cpu", "--threads", "1"]


def _run(old: Path, home: Path, file: Path, out: Path) -> None:
    _python(old, home, *_command(file, out))


def _stop(old: Path, home: Path, file: Path, out: Path) -> None:
    """Start a run and stop it when the second stage has trained a few epochs."""
    process = subprocess.Popen([sys.executable, *_command(file, out)], cwd=old, env=_environment(home))
    while process.poll() is None and _epochs(out / "events.jsonl") < 6:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, "the run ended before it was stopped"


def _epochs(events: Path) -> int:
    """Epochs of the stage `pruned` that are written down."""
    if not events.is_file():
        return 0
    told = [json.loads(line) for line in events.read_text().splitlines()[:-1]]
    return sum(event.get("event") == "EpochDone" and event.get("stage") == "pruned" for event in told)


def _pack(folder: Path, target: Path) -> None:
    """The folder without what only this machine's next second needs: locks, empty logs, the start's own run."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for part in ("made.json", "work", "home", "settings"):
            for path in sorted([folder / part, *(folder / part).rglob("*")]):
                if path.is_file() and path.suffix != ".log" and path.name != ".lock":
                    archive.write(path, path.relative_to(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
