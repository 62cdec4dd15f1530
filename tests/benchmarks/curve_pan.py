"""Claim: a curve of 1 000 000 points pans at 30 frames a second in the monitor's plot.

    python tests/benchmarks/curve_pan.py [POINTS]

The monitor's own plot, 1000 × 400 pixels, with smoothing on: the curve, and the raw one behind it, each
of so many points. After three frames to warm up, 120 frames: the view moves by a hundredth of its width,
y fits what is visible, and the picture is drawn whole before the next frame. Once over the whole
run and once over a tenth of it. Reported are the times of single frames, and the processor's time of
one: on a machine that others use too, that is what an idle one would need. The claim holds where the median
frame takes less than 33 ms in both. Needs no display (offscreen); threads: 1.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np

from gui.app import make_application
from gui.base.theme import Theme
from gui.monitor.smoothing import smoothed
from gui.widgets.curve_plot import CurvePlot, CurveStyle

_FRAMES, _WARM, _LIMIT_MS = 120, 3, 1000 / 30


def main() -> int:
    app = make_application()
    theme = Theme(app)
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    plot = CurvePlot("bench", "Loss")
    plot.resize(1000, 400)
    plot.show()
    x = np.arange(points, dtype=float)
    noise = np.random.default_rng(0).normal(0, 0.2, points)
    raw = 2.0 * np.exp(-x / points * 3) + 0.3 + noise
    began = time.perf_counter()
    average = smoothed(raw, 0.9)
    print(f"{points} points; smoothing them took {(time.perf_counter() - began) * 1000:.0f} ms")
    plot.show_curve("loss", CurveStyle("training", 0), x, average, raw)
    app.processEvents()
    good = True
    for words, share in (("the whole run", 1.0), ("a tenth of it", 0.1)):
        before = time.process_time()
        frames = sorted(pan(app, plot, points, share))
        own = (time.process_time() - before) * 1000 / (_FRAMES + _WARM)
        median, p95 = frames[len(frames) // 2], frames[int(len(frames) * 0.95)]
        good &= median < _LIMIT_MS
        print(
            f"{words:14} median {median:6.1f} ms ({1000 / median:.0f} frames a second), p95 {p95:6.1f} ms, processor {own:.1f} ms"
        )
    print(f"limit {_LIMIT_MS:.1f} ms: {'holds' if good else 'DOES NOT HOLD'}")
    plot.close()
    del theme
    return 0 if good else 1


def pan(app: object, plot: CurvePlot, points: int, share: float) -> list[float]:
    """Milliseconds of every frame while the view moves to and fro."""
    width = points * share
    start = (points - width) / 2
    plot.box.setXRange(start, start + width, padding=0)
    taken = []
    for frame in range(_WARM + _FRAMES):
        direction = 1 if frame % 60 < 30 else -1
        began = time.perf_counter()
        plot.box.translateBy(x=direction * width / 100, y=None)
        app.processEvents()  # type: ignore[attr-defined]  # draws the window
        if frame >= _WARM:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


if __name__ == "__main__":
    raise SystemExit(main())
