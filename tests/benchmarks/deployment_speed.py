"""Claim: pruned and quantized, large networks are several times faster in ONNX Runtime, at an eighth of the size.

Speed only: the weights are random, so no accuracy is shown or claimed. 224×224, batch 1, two threads; at most
55 % of the MACs are removed (channels in whole groups, the counts that stay rounded to multiples of 16). Times are
the median of the ratios of alternating pairs of sessions with its 99 % interval (order statistics: a neighbour that takes a core
for a while moves single pairs by half), whose worse end has to keep the claim:

| | against | claim |
|---|---|---|
| ResNet-50, pruned + INT8 | PyTorch eager float32, unpruned | 8 times faster |
| ResNet-50, pruned + INT8 | ONNX Runtime float32, unpruned | 5 times faster, file at most 15 % |
| EfficientNet-Lite0, pruned + INT8 | ONNX Runtime float32, unpruned | 2.5 times faster |
| MobileNetV3-Large, its faster file, float32 or INT8 | ONNX Runtime float32, unpruned | 1.8 times faster |

    python tests/benchmarks/deployment_speed.py [--only resnet50] [--quick]

About 8 minutes on two cores; 3 once the files are in the cache. Nothing else may run on the machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Literal

import torch
from claims import Verdict, finished, parser, report, value

from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.models.checkpoint import load_checkpoint
from core.profiling.latency import make_sample
from core.profiling.protocol import Block, Budget, measure
from core.profiling.session import time_block, timed
from core.profiling.statistics import Interval, median_interval
from core.runs.run_folder import RunFolder

SIZE, THREADS, ROUND_TO = 224, 2, 16
LEFT = 0.452  # a little more than 45 %: a budget is met within a few thousandths
BUDGET = Budget(blocks=24, most_blocks=48, seconds=40.0, block_seconds=0.3)
CLAIMS = {"resnet50": 5.0, "efficientnet-lite0": 2.5, "mobilenet-v3-large": 1.8}
EAGER = {"resnet50": 8.0}
SIZES = {"resnet50": 0.15}
BEST = ("mobilenet-v3-large",)  # the pruned float32 file may be the faster one


def document(backbone: str) -> Pipeline:
    """The network as it is, pruned, and quantized; nothing is trained."""
    pruning = {
        "target": "macs", "budget": LEFT, "scope": "whole-groups", "round_to": ROUND_TO, "batch_norm_batches": 1,
        "training": {"epochs": 0},
    }  # fmt: skip
    return Pipeline.parse({
        "espalier": 1, "name": f"Speed of {backbone}",
        "data": {"source": "fashion-mnist-sample", "image_size": SIZE, "train_images": 256,
                 "validation_images": 32, "test_images": 32},
        "sources": [{"id": "network", "settings": {"backbone": backbone, "norm_momentum": 1.0}}],
        "stages": [
            {"id": "float", "kind": "train", "name": "Float", "settings": {"training": {"epochs": 0}}},
            {"id": "pruned", "kind": "prune-channels", "name": "Pruned", "settings": pruning},
            {"id": "int8", "kind": "quantize-static", "name": "Pruned + INT8", "settings": {"images": 64}},
        ],
        "baseline": "float", "final": "int8",
    })  # fmt: skip


def file_of(run: RunFolder, stage: str) -> Path:
    found = report(run, stage).main
    assert found is not None
    return run.folder / found.path


def ratio(run: RunFolder, stage: str, against: Literal["eager", "float"], budget: Budget) -> Interval:
    """Time of a stage's file as a share of the unpruned network's, in PyTorch or in ONNX Runtime."""
    model = load_checkpoint(run.stage_folder("float").checkpoint).model.eval()
    image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    files = {"baseline": file_of(run, "float"), "candidate": file_of(run, stage)}
    with tempfile.TemporaryDirectory() as folder, Child("measure", Path(folder) / "log") as child:
        sample = Path(folder) / "sample.npy"
        make_sample(sample, SIZE)
        lasting = {"runs": budget.runs, "seconds": budget.block_seconds, "limit": budget.block_limit}

        def block(which: Literal["baseline", "candidate"]) -> Block:
            if which == "baseline" and against == "eager":
                with torch.inference_mode():
                    return Block.from_answer(timed(lambda: model(image), lasting))
            asked = {
                "model": str(files[which]),
                "sample": str(sample),
                "threads": THREADS,
                "batch": 1,
                **lasting,
            }
            return Block.from_answer(child.call(time_block, asked))

        found = measure(block, True, budget)
    return median_interval(
        [after.median / before.median for before, after in zip(found.baseline, found.candidate, strict=True)]
    )


def faster(found: Interval, times: float) -> tuple[str, bool]:
    """A ratio of times in words, and whether its worse end keeps the claim."""
    assert found.low is not None and found.high is not None
    bounds = f"99 % interval {1 / found.high:.2f} to {1 / found.low:.2f}"
    return f"{1 / found.value:.2f} times faster ({bounds}), {times:g} claimed", found.high <= 1 / times


def judge(backbone: str, arguments: argparse.Namespace, verdict: Verdict) -> None:
    """Make the files of one network, time them, and say its claims."""
    budget = Budget(blocks=4, most_blocks=4, seconds=1.0) if arguments.quick else BUDGET
    run = finished(document(backbone), arguments)
    before, after = (value(report(run, stage), "macs") for stage in ("float", "pruned"))
    verdict.claim(
        f"{backbone}: {1 - after / before:.1%} of the MACs removed, at most 55 %", after >= 0.45 * before
    )
    size = value(report(run, "int8"), "size_mb") / value(report(run, "float"), "size_mb")
    found = {"int8": ratio(run, "int8", "float", budget)}
    if backbone in BEST:
        found["pruned"] = ratio(run, "pruned", "float", budget)
    best = min(found, key=lambda stage: found[stage].value)
    for stage, each in found.items():
        print(f"{backbone}, {stage}: {faster(each, CLAIMS[backbone])[0]}")
    said, holds = faster(found[best], CLAIMS[backbone])
    verdict.claim(f"{backbone}, {best}, against ONNX Runtime float32: {said}", holds)
    if backbone in EAGER:
        said, holds = faster(ratio(run, "int8", "eager", budget), EAGER[backbone])
        verdict.claim(f"{backbone}, int8, against PyTorch eager: {said}", holds)
    if backbone in SIZES:
        verdict.claim(f"{backbone}: file {size:.1%}, at most {SIZES[backbone]:.0%}", size <= SIZES[backbone])


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--only", choices=tuple(CLAIMS), help="one network alone")
    arguments = made.parse_args()
    verdict = Verdict(arguments)
    torch.set_num_threads(THREADS)
    print(
        f"{SIZE}×{SIZE}, batch 1, {THREADS} threads, channels in multiples of {ROUND_TO}; weights are random."
    )
    for backbone in (arguments.only,) if arguments.only else CLAIMS:
        judge(backbone, arguments, verdict)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
