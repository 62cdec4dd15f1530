"""How long a person waits for the counts after moving a slider, in the real window.

Claim: under 300 ms from the change of a ratio to the figures on the screen, for ResNet-50 and
MobileNetV3 at 224 px, once the network has been looked at. Prints median and largest of n changes,
with the cost of the first look beside it.

    python tests/benchmarks/what_if.py [--changes 20]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QEventLoop, QSettings, QTimer

from core import pipeline as documents
from core.profiling.machine import fingerprint
from core.runs import Home
from gui.app import make_application
from gui.editor import edits
from gui.files import Opened
from gui.main_window import MainWindow
from gui.theme import Theme

DOCUMENT = """
espalier: 1
name: What if
data: {source: fashion-mnist-sample, image_size: 224}
sources: [{id: net, settings: {backbone: %s}}]
stages:
  - {id: fp32, kind: train}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.3}}
  - {id: taught, kind: distil, settings: {teacher: fp32}}
"""


def wait_until(window: MainWindow, shown: str) -> None:
    """Let the window work until the last card says something else than `shown`."""
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(
        lambda: loop.quit() if window.editor.model.cards[-1].facts not in ("", shown) else None
    )
    timer.start(1)
    loop.exec()


def measure(backbone: str, changes: int) -> None:
    opened = Opened(documents.loads(DOCUMENT % backbone), None, Path())
    window = MainWindow(opened, Home.default(), Theme(make_application()))
    window.show()
    window.go("pipeline")
    window.editor.select("stage", "pruned")
    started = time.perf_counter()
    window.outlook.start()
    wait_until(window, "")
    first = time.perf_counter() - started
    waits = []
    for number in range(changes):
        shown, ratio = window.editor.model.cards[-1].facts, 0.25 + 0.5 * ((number * 7) % changes) / changes
        started = time.perf_counter()
        window.document.apply(
            edits.set_setting(window.document.pipeline, "pruned", ("ratio",), ratio), "Change", "ratio"
        )
        wait_until(window, shown)
        waits.append(1000 * (time.perf_counter() - started))
    print(
        f"{backbone}: median {statistics.median(waits):.0f} ms, largest {max(waits):.0f} ms of {changes} changes; "
        f"first look {first:.1f} s"
    )
    window.document.undo_stack.setClean()
    assert window.outlook.worker.close(10)
    window.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESPALIER_HOME"] = folder
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        make_application()
        import torch

        from core.models.torchvision_shim import import_torchvision

        import_torchvision()  # the window does so when it is warm
        machine = fingerprint()
        print(f"{machine.get('cpu') or machine.get('processor')}, PyTorch {torch.__version__}")
        for backbone in ("resnet50", "mobilenet-v3-large"):
            measure(backbone, arguments.changes)


if __name__ == "__main__":
    main()
