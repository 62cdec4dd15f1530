"""Claims: the window's memory grows by less than 5 % over 50 runs; with its tool process and a run process it takes at most 1.1 GB.

    python tests/benchmarks/window_memory.py [RUNS]

The real window runs a tiny pipeline (a ResNet-20, trained and pruned, on 96 images of the bundled
sample) so many times (50 unless given), each time with another learning rate, so that nothing comes
from the cache: real training, exports, measurements and processes. After every run each place is
shown once and 20 edits are made and undone. Then the cyclic garbage is collected, and the resident memory
of the window's own process is read, without its children.

While runs work, the memory of the window, its tool process, the run process and the processes below it is added up
twice a second (what they share counts once, where the system tells); reported is the most without the processes that
export and measure, whose life is short, and the most with them.

Eight runs come before, in which imports, caches and the allocator settle. Compared are the medians of the
first five and the last five runs after them. Printed beside: the slope of a straight line through all,
and how many Python objects and widgets there are, which tells a leak from a fragmented heap. Needs no
display (offscreen); threads: 1; about 12 seconds a run.
"""

import contextlib
import gc
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np
import psutil
from PySide6.QtCore import QEventLoop, QSettings, QTimer
from PySide6.QtWidgets import QApplication

from core.document import edits
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from gui.app import make_application, make_window
from gui.base.worker import Worker
from gui.shell.main_window import MainWindow

_WARM, _ENDS, _LIMIT = 8, 5, 0.05
_TOGETHER_MB = 1100  # 703 MB took the window when runs were threads of it, and 400 MB more
_TINY = """
espalier: 1
name: Tiny
data: {source: fashion-mnist-sample, image_size: 16, train_images: 96, validation_images: 32, test_images: 64}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.5, training: {epochs: 1}}}
"""


def tiny(number: int) -> Pipeline:
    """The pipeline that no run before was of."""
    rate = round(0.001 + 0.0001 * number, 6)
    return edits.set_setting(documents.loads(_TINY), "fp32", ("training", "learning_rate"), rate)


@dataclass
class Together:
    """The most memory that the window and its processes took together, in MB."""

    lasting: float = 0.0
    all: float = 0.0

    def sample(self) -> None:
        """Add up what they take now; a process that ends meanwhile is left out."""
        window, sizes = psutil.Process(), []
        for process in (window, *window.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                lasting = process == window or process.parent() == window
                sizes.append((_size(process) / 1e6, lasting))
        self.lasting = max(self.lasting, sum(size for size, lasting in sizes if lasting))
        self.all = max(self.all, sum(size for size, _ in sizes))


def _size(process: psutil.Process) -> int:
    """Its memory, with its share of what several processes map."""
    if sys.platform == "linux":
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


def run(window: MainWindow, number: int, together: Together) -> None:
    """One run, from the document to the end."""
    window.document.apply(tiny(number), "Another learning rate")
    loop, ends = QEventLoop(), []
    window.session.run_ended.connect(ends.append)
    window.session.run_ended.connect(loop.quit)
    timer = QTimer()
    timer.timeout.connect(together.sample)
    timer.start(500)
    window.run_controller.start()
    loop.exec()
    timer.stop()
    window.session.run_ended.disconnect(ends.append)
    window.session.run_ended.disconnect(loop.quit)
    if ends != ["completed"]:
        raise SystemExit(f"run {number} was not completed: {window.session.state.done}")


def use(window: MainWindow) -> None:
    """Look at every place, edit a little, and let everything come to rest."""
    for place in window.places.views:
        window.go(place)
        rest(window)
    window.go("pipeline")
    for step in range(20):
        name = edits.set_key(window.document.pipeline, "about", f"Step {step}")
        window.document.apply(name, "Describe")
    for _ in range(20):
        window.document.undo_stack.undo()
    rest(window)


def rest(window: MainWindow) -> None:
    """Until no worker works, and a moment more."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.15:
        loop = QEventLoop()
        QTimer.singleShot(20, loop.quit)
        loop.exec()
        if any(worker.running for worker in window.findChildren(Worker)):
            quiet_since = time.monotonic()


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    process, memory, kinds, together = psutil.Process(), [], Counter[str](), Together()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESPALIER_HOME"] = folder
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        window = make_window(make_application())
        window.session.options = lambda: {"device": "cpu", "threads": 1}
        window.show()
        window.warm_up()
        for number in range(_WARM + runs):
            run(window, number, together)
            use(window)
            gc.collect()
            memory.append(process.memory_info().rss / 1e6)
            if number == _WARM:
                kinds = Counter(type(each).__name__ for each in gc.get_objects())
            widgets, objects = len(QApplication.allWidgets()), len(gc.get_objects())
            print(
                f"run {number + 1:3}  {memory[-1]:7.1f} MB  {objects} objects, {widgets} widgets", flush=True
            )
        more = Counter(type(each).__name__ for each in gc.get_objects())
        window.document.undo_stack.setClean()  # or closing asks whether to save
        window.close()
    print(f"together at most {together.lasting:.0f} MB (limit {_TOGETHER_MB}), with what exports and measures {together.all:.0f} MB")  # fmt: skip
    return report(memory[_WARM:], more - kinds) or int(together.lasting > _TOGETHER_MB)


def report(memory: list[float], more: Counter[str]) -> int:
    """Print the verdict; 0 when the claim holds."""
    first, last = statistics.median(memory[:_ENDS]), statistics.median(memory[-_ENDS:])
    slope = float(np.polyfit(range(len(memory)), memory, 1)[0]) if len(memory) > 1 else 0.0
    growth = last / first - 1
    print("objects that became more:", ", ".join(f"{name} +{count}" for name, count in more.most_common(12)))
    print(f"{first:.1f} MB (range {min(memory[:_ENDS]):.1f}–{max(memory[:_ENDS]):.1f}) after the first runs, {last:.1f} MB (range {min(memory[-_ENDS:]):.1f}–{max(memory[-_ENDS:]):.1f}) after the last of {len(memory)}")  # fmt: skip
    print(f"grows by {growth * 100:.1f} % (limit {_LIMIT * 100:.0f} %), {slope:.2f} MB a run: {'holds' if growth < _LIMIT else 'DOES NOT HOLD'}")  # fmt: skip
    return 0 if growth < _LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
