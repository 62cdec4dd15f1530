"""How far the figures of a profile can be trusted, also while others use the machine.

Claims, for ResNet-20 at 32 × 32 px with random weights, one image on one thread. Twenty times each a copy of its file,
and a network with one residual block more, which takes about 10 % longer, are compared with it as a stage is with its
baseline: quietly, and beside 2 and 8 processes that compute without a pause.

- Quiet: the reported 99 % interval is at most ±3 % wide and contains the median of all 20 reported latencies at least
  18 times (latencies are given at the machine's usual pace, see core/profiling/pace.py).
- Always: the copy is called "no measurable difference" at least 19 times of 20, and the slower network is called slower
  at least 18 times, or "too busy" is said; neither is ever called the other way round.
- The median of all latencies beside others lies within 5 % of the quiet one.

    python tests/benchmarks/repeatability.py FOLDER [--busy 0 2 8] [--times 20] [--kind count|memory] [--seconds S]

What was measured is kept in FOLDER: with `--seconds` it ends in between, and goes on where it was the next time. The
machine's usual pace is taken the first time, which has to be quiet.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.machine.measuring_lock import measuring_alone
from core.profiling import PROTOCOL_VERSION
from core.profiling.latency import change, latency, make_sample
from core.profiling.pace import pace_of
from core.profiling.protocol import Benchmark, Budget, measure
from core.runs.cache import Measurements

BLOCK_CHANNELS = 64  # of the last stage, whose blocks take about a tenth of the network's time
WIDEST, CLOSE = 0.03, 0.05
SIZE = 32
BUSY = {
    "count": "while True: pass",
    "memory": "import numpy as np\na = np.ones(4_000_000, np.float32)\nb = a.copy()\nwhile True: b += a",
}


def make_models(folder: Path) -> None:
    """ResNet-20, a copy of its file, and ResNet-20 with one block more."""
    import torch

    from core.data.preprocess import Preprocess
    from core.deploy.onnx_export import export_module
    from core.models.catalogue import BACKBONES
    from core.models.cifar_resnet import BasicBlock
    from core.models.settings import BackboneSettings

    torch.manual_seed(0)
    network = BACKBONES["resnet20"].build(BackboneSettings(backbone="resnet20"), 10).eval()
    export_module(network, Preprocess(SIZE), folder / "first.onnx", {})
    shutil.copyfile(folder / "first.onnx", folder / "copy.onnx")
    network.body.layer3.append(BasicBlock(BLOCK_CHANNELS, BLOCK_CHANNELS, 1).eval())
    export_module(network, Preprocess(SIZE), folder / "slower.onnx", {})
    make_sample(folder / "sample.npy", SIZE)


@contextmanager
def beside(count: int, kind: str) -> Iterator[None]:
    """So many processes that compute without a pause."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    others = [subprocess.Popen([sys.executable, "-c", BUSY[kind]], env=env) for _ in range(count)]
    try:
        time.sleep(1.0 if count else 0.0)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def compared(folder: Path, which: str) -> dict[str, Any]:
    """The latency of a file and its ratio to the first's, measured as for a stage."""
    measurements, images = Measurements(folder / "measurements"), {"sample": str(folder / "sample.npy")}
    started = time.monotonic()
    with measuring_alone(), Child("measure") as child, tempfile.TemporaryDirectory() as scratch:
        pace = pace_of(measurements, Path(scratch), child)
        benchmark = Benchmark(
            child, folder / f"{which}.onnx", folder / "first.onnx", images, Budget(), pace=pace
        )
        timing = measure(benchmark.blocks(1, 1, fresh=True), True, benchmark.budget, wait=benchmark.wait)
    metric, ratio = latency(timing, benchmark.words(1)), change("latency_ms", timing)["latency_ms"]
    return {
        "busy": timing.busy, "interrupted": timing.interrupted, "pace": timing.pace, "wide": timing.wide,
        "rounds": len(timing.candidate), "seconds": time.monotonic() - started,
        "latency": metric.model_dump(), "ratio": ratio.model_dump(),
    }  # fmt: skip


def run(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is in the folder, with what was missing measured as far as the time allows."""
    file, ends = folder / "measured.jsonl", time.monotonic() + (options.seconds or float("inf"))
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    done = {(each["others"], each["kind"], each["which"], each["number"]) for each in known}
    for others in options.busy:
        missing = [
            (number, which)
            for number in range(options.times)  # in turns, so that what the machine does meanwhile hits both
            for which in ("copy", "slower")
            if (others, options.kind, which, number) not in done
        ]
        with beside(others if missing else 0, options.kind):
            for number, which in missing:
                if time.monotonic() >= ends:
                    return known
                found = compared(folder, which)
                known.append(
                    {"others": others, "kind": options.kind, "which": which, "number": number, **found}
                )
                with file.open("a") as lines:
                    lines.write(json.dumps(known[-1]) + "\n")
    return known


def direction(ratio: dict[str, Any]) -> int:
    """1 slower, -1 faster, 0 neither."""
    if ratio["value"] is None or ratio["low"] is None:
        return 0
    return 1 if ratio["low"] > 1 else -1 if ratio["high"] < 1 else 0


def share(name: str, good: int, of: int, least: float) -> bool:
    held = good >= least * of
    print(f"  {'holds' if held else 'FAILS'}  {name}: {good} of {of}")
    return held


def judged(others: int, found: list[dict[str, Any]], quiet: float | None) -> tuple[bool, float]:
    """Whether the claims hold at one level of load, and the median latency there."""
    copies, slower = ([each for each in found if each["which"] == which] for which in ("copy", "slower"))
    measured = [each["latency"] for each in copies if not each["busy"]]
    medians = [each["value"] for each in measured]
    overall = statistics.median(medians) if medians else float("nan")
    bounds = [(each["low"], each["high"]) for each in measured]
    widths = [(high - low) / 2 / value for (low, high), value in zip(bounds, medians, strict=True)]
    ratios = [each["ratio"]["value"] for each in slower if not each["busy"]]
    print(
        f"Beside {others}: {len(found)} measurements of {statistics.median(each['seconds'] for each in found):.1f} s, "
        f"{100 * statistics.median(each['interrupted'] for each in found):.0f} % of the runs set aside, "
        f"{sum(each['busy'] for each in found)} times too busy"
    )
    if medians:
        print(
            f"  latency {overall:.4f} ms ({min(medians):.4f} to {max(medians):.4f}), intervals ±"
            f"{100 * statistics.median(widths):.1f} % (widest ±{100 * max(widths):.1f} %), pace "
            f"{statistics.median(each['pace'] or 1 for each in found):.2f}"
        )
    if ratios:
        print(
            f"  one block more: {statistics.median(ratios):.3f} times ({min(ratios):.3f} to {max(ratios):.3f})"
        )
    same, found_slower = (
        [direction(each["ratio"]) for each in copies],
        [direction(each["ratio"]) for each in slower],
    )
    answered = sum(each["busy"] or one == 1 for each, one in zip(slower, found_slower, strict=True))
    held = [
        share("copies show no measurable difference", same.count(0), len(same), 0.95),
        share("one block more is measurably slower, or 'too busy' is said", answered, len(slower), 0.9),
        share(
            "nothing is called faster that is slower", len(slower) - found_slower.count(-1), len(slower), 1.0
        ),
    ]
    if not others:
        inside = sum(low <= overall <= high for low, high in bounds)
        held += [
            share("the interval contains the overall median", inside, len(bounds), 0.9),
            share(
                "the interval is at most ±3 % wide", sum(each <= WIDEST for each in widths), len(widths), 0.9
            ),
        ]
    elif quiet is not None and medians:
        off = overall / quiet - 1
        held.append(abs(off) <= CLOSE)
        print(
            f"  {'holds' if held[-1] else 'FAILS'}  the median lies within 5 % of the quiet one: {100 * off:+.1f} %"
        )
    return all(held), overall


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2, 8])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kind", choices=sorted(BUSY), default="count")
    parser.add_argument("--seconds", type=float, help="end after so long; call it again to go on")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "slower.onnx").is_file():
        make_models(options.folder)
    print(f"{fingerprint()['processor']}, {fingerprint()['system']}, protocol {PROTOCOL_VERSION}")
    found = [each for each in run(options.folder, options) if each["kind"] == options.kind]
    quiet, held = None, True
    for others in sorted({each["others"] for each in found}):
        good, overall = judged(others, [each for each in found if each["others"] == others], quiet)
        quiet, held = overall if not others else quiet, held and good
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
