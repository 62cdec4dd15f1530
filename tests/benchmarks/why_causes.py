"""Whether a run finds why its files are slow or inaccurate, and whether its proposals help.

Claim: six causes are planted on purpose; each is named in the report of its stage, the change of settings
that the report proposes is applied as the editor applies it, and the run after it names the cause no more
and measures the gain:

- channel counts that are no multiples of 8: the latency falls;
- signed activations (S8) in INT8, on a processor where VNNI makes unsigned ones faster: the latency falls;
- one scale for all channels of depthwise layers: the logits come closer to the float network's;
- layers of an INT8 file that compute in float: the latency falls;
- a mask that was never cut, zeros in layers of full size: the latency falls;
- one thread more than there are cores: the latency falls with the number of threads that is proposed.

ResNet-18 at 64 px with random weights (times do not depend on them) and MobileNetV2, trained for three epochs.
The first is shown on processors with VNNI only.

    python tests/benchmarks/why_causes.py

About 6 minutes on two cores.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from claims import Verdict, change, finished, parser, report, value

from core.analysis.why import Evidence
from core.analysis.why.threads import too_many_threads
from core.child import Child
from core.pipeline import Pipeline
from core.profiling.machine import fingerprint, usable_cores
from core.profiling.protocol import Bench, Budget, measure
from core.reports import Cause, StageReport
from core.runs import RunFolder
from gui.editor.fixes import fix_for_cause

STILL = {"epochs": 0}
PIPELINE = {
    "espalier": 1,
    "name": "Planted causes",
    "data": {
        "source": "fashion-mnist-sample", "image_size": 64, "train_images": 1500, "validation_images": 200,
        "test_images": 200,
    },
    "sources": [
        {"id": "residual", "settings": {"backbone": "resnet18"}},
        {"id": "mobile", "settings": {"backbone": "mobilenet-v2"}},
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
            "settings": {"training": {"epochs": 3, "patience": 0, "learning_rate": 0.005}},
        },
        {
            "id": "odd", "kind": "prune-channels", "name": "Odd channels", "from": "mobile32",
            "settings": {"ratio": 0.3, "round_to": 1, "scope": "whole-groups", "training": STILL},
        },
        {
            "id": "coarse", "kind": "quantize-static", "name": "Scales per tensor", "from": "mobile32",
            "settings": {"images": 64, "scales": "tensor"},
        },
    ],
    "baseline": "plain",
    "final": "coarse",
}  # fmt: skip
PLANTED = {  # stage → the cause, and the figure that falls without it
    "odd": ("odd-channels", "latency_ms"),
    "mask": ("mask-not-cut", "latency_ms"),
    "signed": ("signed-activations", "latency_ms"),
    "fallback": ("float-fallback", "latency_ms"),
    "coarse": ("per-tensor-depthwise", "max_logit_difference"),
}
FALLS = 0.97


def cause_of(stage: StageReport, id: str) -> Cause | None:
    """The cause with this id that a report names."""
    assert stage.why is not None
    return next((cause for cause in stage.why.causes if cause.id == id), None)


def figure_of(stage: StageReport, figure: str) -> float:
    """A figure of the stage's file; of the latency that which was measured in turns with the baseline."""
    return change(stage, figure).value or 0.0 if figure == "latency_ms" else value(stage, figure)


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
        bench = Bench(child, run.folder / plain.main.path, budget=replace(Budget(), seconds=8.0))
        timed = {
            count: 1e3 * measure(bench.blocks(count, 1), False, bench.budget).interval.value
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
            1e3 * measure(bench.blocks(count, 1), False, bench.budget).interval.value
            for count in (cores + 1, best, best, cores + 1)
        ]
    ratio = (again[1] + again[2]) / (again[0] + again[3])
    verdict.claim(f"{cause.sentence} Measured again: {ratio:.2f} of the time with {best}", ratio < FALLS)


def main() -> int:
    arguments = parser(__doc__).parse_args()
    verdict, pipeline = Verdict(arguments), Pipeline.parse(PIPELINE)
    instructions = set(fingerprint()["instructions"])
    if not instructions & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        PLANTED.pop("signed")
        print("No VNNI here: signed activations are not shown.")
    before = finished(pipeline, arguments)
    after = finished(mended(pipeline, before, verdict), arguments)
    for id, (wanted, figure) in PLANTED.items():
        planted, helped = report(before, id), report(after, id)
        ratio = figure_of(helped, figure) / figure_of(planted, figure)
        gone = cause_of(helped, wanted) is None
        verdict.claim(
            f"'{planted.name}' without {wanted}: {figure} is {ratio:.2f} of what it was, "
            f"and the cause is {'not named any more' if gone else 'still named'}",
            gone and ratio < FALLS,
        )
    threads(before, verdict)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
