"""How far the figures of a profile can be trusted.

Claims, for ResNet-20 at 32 × 32 px with random weights, one image on one thread, on a quiet machine: the same model
is profiled 20 times, against a copy of its file, and the reported 99 % interval is at most ±3 % wide and contains the
median of all 20 reported latencies at least 18 times (latencies are given at the machine's usual pace, see
core/profiling/pace.py; what it ran at is shown too); the copy is called "no measurable difference" at least 18
times; a network with one residual block more, which takes about 10 % longer, is called slower at least 18
times of 20. Every time is a whole measurement, as for a stage.

    python tests/benchmarks/repeatability.py [--times 20]
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from claims import high, low

from core.machine.fingerprint import fingerprint
from core.profiling import PROTOCOL_VERSION
from core.profiling.latency import make_sample, profile_artefact
from core.records.reports import Metric
from core.runs.cache import Measurements

BLOCK_CHANNELS = 64  # of the last stage, whose blocks take about a tenth of the network's time
WIDEST = 0.03
SIZE = 32
ENOUGH = 0.9


def make_models(folder: Path) -> tuple[Path, Path, Path]:
    """ResNet-20, a copy of its file, and ResNet-20 with one block more."""
    import torch

    from core.data.preprocess import Preprocess
    from core.deploy.export import export_module
    from core.models.catalogue import BACKBONES
    from core.models.cifar_resnet import BasicBlock
    from core.models.settings import BackboneSettings

    torch.manual_seed(0)
    network = BACKBONES["resnet20"].build(BackboneSettings(backbone="resnet20"), 10).eval()
    first, copy, slower = (folder / f"{name}.onnx" for name in ("first", "copy", "slower"))
    export_module(network, Preprocess(SIZE), first, {})
    shutil.copyfile(first, copy)
    network.body.layer3.append(BasicBlock(BLOCK_CHANNELS, BLOCK_CHANNELS, 1).eval())
    export_module(network, Preprocess(SIZE), slower, {})
    return first, copy, slower


def profiled(
    candidate: Path, baseline: Path, sample: Path, measurements: Measurements
) -> tuple[Metric, Metric]:
    """Latency and its ratio to the baseline's, measured as for a stage."""
    metrics, change = profile_artefact(candidate, baseline, sample, measurements=measurements)
    return metrics["latency_ms"], change["latency_ms"]


def differs(ratio: Metric) -> bool:
    return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high


def share(name: str, good: int, of: int) -> bool:
    held = good >= ENOUGH * of
    print(f"{'holds' if held else 'FAILS'}  {name}: {good} of {of}")
    return held


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    print(f"{fingerprint()['processor']}, {fingerprint()['system']}, protocol {PROTOCOL_VERSION}")
    same, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        first, copy, slower = make_models(Path(folder))
        sample = Path(folder) / "sample.npy"
        make_sample(sample, SIZE)
        measurements = Measurements(Path(folder) / "measurements")
        started = time.perf_counter()
        for _ in range(times):  # in turns, so that what the machine does meanwhile hits both
            same.append(profiled(copy, first, sample, measurements))
            slow.append(profiled(slower, first, sample, measurements))
        seconds = time.perf_counter() - started
    latencies = [latency for latency, _ in same]
    medians = [latency.value for latency in latencies]
    overall = statistics.median(medians)
    bounds = [(low(each), high(each)) for each in latencies]
    widths = [(upper - lower) / 2 / middle for (lower, upper), middle in zip(bounds, medians, strict=True)]
    ratios = [ratio.value for _, ratio in slow]
    print(
        f"{2 * times} measurements in {seconds:.0f} s. Latency {overall:.4f} ms (of {times}: {min(medians):.4f} to "
        f"{max(medians):.4f}); intervals ±{100 * statistics.median(widths):.1f} % (widest ±{100 * max(widths):.1f} %)"
    )
    print(
        f"One block more: {statistics.median(ratios):.3f} times the latency ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    held = [
        share(
            "the interval contains the overall median",
            sum(lower <= overall <= upper for lower, upper in bounds),
            times,
        ),
        share("the interval is at most ±3 % wide", sum(width <= WIDEST for width in widths), times),
        share(
            "two copies show no measurable difference", sum(not differs(ratio) for _, ratio in same), times
        ),
        share(
            "one block more is measurably slower",
            sum(differs(r) and r.value > 1 for _, r in slow),
            times,
        ),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
