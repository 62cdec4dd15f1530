"""Claim: the trial of precisions decides the same ten times of ten, whatever else the machine does.

    python tests/benchmarks/precision_trial.py [--busy 0 2 8] [--times 10] [--backbones resnet20 mobilenet-v3-small]

For each network a trial is begun anew, ten times quietly and ten times each beside 2 and 8 processes that compute without a pause: batches of 64
random images of 32 × 32, SGD. What is compared is the processor time of a training step on one thread, see
`core/training/precision.py`. Needs a processor with instructions for bfloat16; minutes.
"""

import argparse
import sys

import torch
from repeatability import beside

from core.common.control import RunControl
from core.machine.fingerprint import fingerprint
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.training.precision import try_precisions, undecided

BATCH, SIZE, CLASSES = 64, 32, 10


def trials(backbone: str, times: int) -> list[tuple[str, float]]:
    """What each trial chose, and how many times as long float32 takes."""
    torch.manual_seed(0)
    network = BACKBONES[backbone].build(BackboneSettings(backbone=backbone), CLASSES)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    found = []
    for _ in range(times):
        trial = try_precisions(
            network, images, labels, lambda each: torch.optim.SGD(each, lr=0.1), RunControl()
        )
        found.append((trial.chosen, trial.float32_seconds / trial.reduced_seconds))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2, 8])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--backbones", nargs="+", default=["resnet20", "mobilenet-v3-small"])
    options = parser.parse_args()
    if not undecided("cpu"):
        print("This processor has no instructions for bfloat16: there is nothing to decide.")
        return 0
    print(f"{fingerprint()['processor']}, PyTorch {torch.__version__}")
    held = True
    for backbone in options.backbones:
        chosen: list[str] = []
        for others in options.busy:
            with beside(others, "count"):
                found = trials(backbone, options.times)
            chosen += [choice for choice, _ in found]
            ratios = sorted(ratio for _, ratio in found)
            names = ", ".join(f"{chosen.count(name)} {name}" for name in ("mixed", "float32"))
            print(
                f"{backbone} beside {others}: float32 takes {ratios[0]:.2f} to {ratios[-1]:.2f} times as long; so far {names}"
            )
        alike = len(set(chosen)) == 1
        held = held and alike
        print(f"{'holds' if alike else 'FAILS'}  {backbone}: {len(chosen)} trials decide alike")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
