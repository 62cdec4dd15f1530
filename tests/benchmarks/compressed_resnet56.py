"""Claim: ResNet-56 on CIFAR-10, compressed end to end, is 3.5 times faster at a sixth of the size.

The pipeline is docs/examples/cifar10-resnet56-compressed.yaml: published weights are adapted to the JPEG images,
10 of the 27 residual blocks and a quarter of the inner channels go, the adapted network teaches what is left,
and the result becomes INT8. On all 10 000 test images, against the adapted network's float32 file:

- at least 3.5 times faster (ONNX Runtime, batch 1, one thread, alternating sessions: the interval's lower end);
- the file is at most 17 % of the size;
- the 95 % interval of the change in top-1, on the same images, stays above −2 points.

    python tests/benchmarks/compressed_resnet56.py --data cifar10-jpeg.zip --weights resnet56-4bfd9763.th [--quick]

About 35 minutes on two cores; a minute once the stages are in the cache.
"""

import sys
from pathlib import Path

from claims import Verdict, change, finished, high, interval, low, parser, report, value, with_files

from core.document import pipeline as documents

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/examples/cifar10-resnet56-compressed.yaml"


def main() -> int:
    arguments = parser(__doc__, data=True, weights="weights of ResNet-56 for CIFAR-10 (.th)").parse_args()
    verdict = Verdict(arguments)
    run = finished(with_files(documents.load(DOCUMENT).as_dict(), arguments), arguments)
    adapted, int8 = report(run, "adapted"), report(run, "int8")
    accuracy, latency = change(int8, "top1"), change(int8, "latency_ms")
    size = value(int8, "size_mb") / value(adapted, "size_mb")
    fewest = 1 / high(latency)
    print(f"Latency is {interval(latency, 3)} of the adapted network's.")
    verdict.claim(f"at least {fewest:.2f} times faster, 3.5 is claimed", fewest >= 3.5)
    verdict.claim(f"the file is {size:.1%} of the size, at most 17 %", size <= 0.17)
    verdict.claim(f"top-1 changes by {interval(accuracy)} points, at most 2 are lost", low(accuracy) >= -2)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
