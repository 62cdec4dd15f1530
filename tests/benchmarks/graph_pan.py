"""Claim: a network of 1 000 operations is laid out in under a second and panned at 30 frames a second.

    python tests/benchmarks/graph_pan.py [OPERATIONS]

Two networks: a chain of residual blocks with squeeze-and-excitation in every fourth, and one of blocks with four
branches of different depth. Each is laid out once, all unfolded, as the Inspector's process does it, and shown in the
Inspector's own canvas, 1100 × 560 pixels. After three frames to warm up, 120 frames: the view moves by eleven pixels
across and down and is drawn whole. Once at full size, once zoomed out so that the whole network is to be seen. Reported
are single frames, and the processor's time of one: on a machine that others use too, that is what an idle one would
need. Needs no display (offscreen); threads: 1.
"""

import os
import sys
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from PySide6.QtWidgets import QApplication

from core.analysis.graph_blocks import Shown, lay_out
from gui.app import make_application
from gui.base.theme import Theme
from gui.inspect.graph_canvas import GraphCanvas

_FRAMES, _WARM, _FRAME_MS, _LAYOUT_S, _STEP = 120, 3, 1000 / 30, 1.0, 11
Edges = list[tuple[str, str]]


def residual(count: int) -> tuple[list[str], Edges]:
    names, edges, last = ["in"], [], "in"
    for block in range(count // 8):
        inner = [f"{block}.{n}" for n in range(7)]
        edges += [(last, inner[0]), *pairwise(inner), (last, inner[6])]
        names += inner
        if block % 4 == 3:
            side = [f"{block}.se{n}" for n in range(4)]
            edges += [(inner[2], side[0]), *pairwise(side), (side[3], inner[4])]
            names += side
        last = inner[6]
    return names, edges


def branched(count: int) -> tuple[list[str], Edges]:
    names, edges, last = ["in"], [], "in"
    for block in range(count // 11):
        end = f"{block}.cat"
        for branch in range(4):
            chain = [f"{block}.{branch}.{n}" for n in range(1 + branch)]
            names += chain
            edges += [(last, chain[0]), *pairwise(chain), (chain[-1], end)]
        names.append(end)
        last = end
    return names, edges


def main() -> int:
    app = make_application()
    theme = Theme(app)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    good = True
    for words, make in (("residual", residual), ("branched", branched)):
        names, edges = make(count)
        nodes = [Shown(name, "Conv 3×3", f"{name} · 64 → 64", False, (name,)) for name in names]
        began, before = time.perf_counter(), time.process_time()
        picture = lay_out(nodes, edges)
        took, own = time.perf_counter() - began, time.process_time() - before
        good &= took < _LAYOUT_S
        print(
            f"{words}: {len(names)} nodes, {len(edges)} lines, laid out in {took:.2f} s (processor {own:.2f} s)"
        )
        canvas = GraphCanvas("bench", "Graph")
        canvas.resize(1100, 560)
        canvas.show()
        canvas.show_picture(picture, keep=False)
        canvas.colour(lambda _m: 0.5, lambda _m: "", lambda _m: "narrower")
        for zoom in ("full size", "whole network"):
            if zoom == "whole network":
                canvas.show_all()
                canvas.zoom(2.0)  # a little closer than all of it: else there would be nothing to pan
            good &= pan(app, canvas, zoom)
        canvas.close()
    print("holds" if good else "DOES NOT HOLD")
    del theme
    return 0 if good else 1


def pan(app: QApplication, canvas: GraphCanvas, words: str) -> bool:
    """Frames of one zoom, and whether their median is quick enough."""
    frames = []
    before = time.process_time()
    down, across = canvas.verticalScrollBar(), canvas.horizontalScrollBar()
    for number in range(_FRAMES + _WARM):
        began = time.perf_counter()
        step = _STEP if number % 40 < 20 else -_STEP
        down.setValue(down.value() + step)
        across.setValue(across.value() + step)
        canvas.viewport().repaint()
        app.processEvents()
        if number >= _WARM:
            frames.append((time.perf_counter() - began) * 1000)
    own = (time.process_time() - before) * 1000 / (_FRAMES + _WARM)
    frames.sort()
    median, p95 = frames[len(frames) // 2], frames[int(len(frames) * 0.95)]
    print(
        f"  {words:14} median {median:5.1f} ms ({1000 / median:.0f} a second), p95 {p95:5.1f} ms, processor {own:.1f} ms"
    )
    return median < _FRAME_MS


if __name__ == "__main__":
    raise SystemExit(main())
