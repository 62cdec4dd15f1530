"""Claim: INT8 costs ResNet-56 nothing that matters on CIFAR-10, at less than half the time.

Published weights are adapted to the JPEG images (3 epochs on 20 000 of them) and quantized after training.
On all 10 000 test images, against the float32 file:

- the 95 % interval of the change in top-1, on the same images, stays above −0.5 points;
- at least 97 % of the images keep their class;
- latency (ONNX Runtime, batch 1, one thread, alternating sessions) is at most 50 %: the interval's upper end;
- the file is at most 33 % of the size.

Beside it, quantization-aware training from the same checkpoint: the calibrated network before any epoch is a
candidate, the validation images choose, both test figures are shown; it must not be measurably worse.

    python tests/benchmarks/int8_resnet56.py --data cifar10-jpeg.zip --weights resnet56-4bfd9763.th [--quick]

About 12 minutes on two cores; a minute once the stages are in the cache.
"""

import sys

from claims import Verdict, change, finished, high, interval, low, paired, parser, report, value, with_files

TRAINING = {"learning_rate": 0.001, "patience": 0, "precision": "mixed"}
PIPELINE = {
    "espalier": 1,
    "name": "INT8 of ResNet-56 on CIFAR-10",
    "data": {
        "train_images": 20_000, "validation_images": 2000,
        "augmentation": {"rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0, "shift": 4},
    },
    "sources": [{"id": "network", "settings": {"backbone": "resnet56", "weights": "file"}}],
    "stages": [
        {"id": "adapted", "kind": "train", "name": "Adapted", "settings": {"training": {"epochs": 3, **TRAINING}}},
        {"id": "static", "kind": "quantize-static", "name": "Static INT8", "settings": {"images": 512}},
        {
            "id": "aware", "kind": "train-quantized", "name": "Quantization-aware", "from": "adapted",
            "settings": {
                "images": 512,
                "training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.0002, "patience": 0},
            },
        },
    ],
    "baseline": "adapted",
    "final": "static",
}  # fmt: skip


def main() -> int:
    arguments = parser(__doc__, data=True, weights="weights of ResNet-56 for CIFAR-10 (.th)").parse_args()
    verdict = Verdict(arguments)
    run = finished(with_files(PIPELINE, arguments), arguments)
    adapted, static, aware = (report(run, key) for key in ("adapted", "static", "aware"))
    accuracy, latency = change(static, "top1"), change(static, "latency_ms")
    agreement, size = value(static, "agreement"), value(static, "size_mb") / value(adapted, "size_mb")
    verdict.claim(
        f"top-1 changes by {interval(accuracy)} points, at most 0.5 are lost", low(accuracy) >= -0.5
    )
    verdict.claim(f"{agreement:.2f} % keep their class, at least 97", agreement >= 97)
    verdict.claim(f"latency is {interval(latency, 3)} of float32's, at most 0.50", high(latency) <= 0.50)
    verdict.claim(f"the file is {size:.1%} of float32's, at most 33 %", size <= 0.33)
    facts, apart = aware.facts, paired(run, "static", "aware")
    print(
        f"Quantization-aware training: epoch {facts['best_epoch']} was chosen, validation top-1 "
        f"{facts['calibrated_val_top1']:.2f} % before and {facts['best_val_top1']:.2f} % after. Test top-1: static "
        f"{value(static, 'top1'):.2f} %, quantization-aware {value(aware, 'top1'):.2f} %."
    )
    verdict.claim(
        f"quantization-aware against static: {interval(apart)} points, not below it", high(apart) >= 0
    )
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
