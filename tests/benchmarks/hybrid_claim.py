"""Question: does the hybrid (distil → prune 0.5 → INT8) beat each of its parts, as Musa et al. say?

Runs the recipe r3-claim on the bundled sample: two classes, few and uneven training images, three seeds. For the
hybrid against the large network and against each single method (distilled, pruned, quantized) it prints balanced
accuracy and top-1 as means ± deviation over the seeds, with the 95 % t interval of the paired differences, and
says who wins and whether the data can tell. (The sample's test images are balanced, so the two accuracies agree;
on your own images they would not.) Whatever the answer is, it is the answer: the exit status is 0 once everything
was measured.

    python tests/benchmarks/hybrid_claim.py [--quick]

50 minutes on one core beside other work; seconds once the stages are in the cache.
"""

import sys

from claims import finished, parser, print_machine, report, value

from core.analysis.seeds import mean_of
from core.document import pipeline as documents
from core.document.recipes import FOLDER
from core.document.stage_keys import stage_key
from core.records.reports import Metric
from core.runs.run_folder import RunFolder

HYBRID = "hybrid"
OTHERS = ("teacher", "distilled", "pruned", "quantized")
SHOWN = {"balanced_accuracy": "balanced accuracy", "top1": "top-1"}


def over_seeds(run: RunFolder, stage: str, metric: str) -> list[float]:
    """A stage's figure, one a seed."""
    pipeline = run.pipeline
    return [value(report(run, stage_key(pipeline, stage, seed)), metric) for seed in pipeline.axes.seed]


def row(run: RunFolder, stage: str) -> str:
    """A stage's accuracies and what is left of the network."""
    name, cells = run.pipeline.stage(stage).title, []
    for metric in (*SHOWN, "params", "size_mb"):
        mean = mean_of([Metric(value=each) for each in over_seeds(run, stage, metric)])
        spread = f" ± {mean.deviation:.2f}" if metric in SHOWN and mean.deviation is not None else ""
        cells.append(f"{mean.value:,.2f}{spread}" if metric != "params" else f"{mean.value:,.0f}")
    return f"| {name} | {' | '.join(cells)} |"


def compared(run: RunFolder, other: str, metric: str) -> str:
    """The hybrid against another stage, seed by seed, in words."""
    pairs = zip(over_seeds(run, HYBRID, metric), over_seeds(run, other, metric), strict=True)
    apart = mean_of([Metric(value=mine - theirs) for mine, theirs in pairs])
    if apart.low is None or apart.high is None:
        return f"{SHOWN[metric]} {apart.value:+.2f} points (one seed: no interval)"
    answer = (
        "the hybrid wins"
        if apart.low > 0
        else "the hybrid loses"
        if apart.high < 0
        else "the data cannot tell"
    )
    return f"{SHOWN[metric]} {apart.value:+.2f} points ({apart.low:+.2f} to {apart.high:+.2f}): {answer}"


def main() -> int:
    arguments = parser(__doc__).parse_args()
    print_machine()
    run = finished(documents.load(FOLDER / "r3-claim.yaml"), arguments)
    print("| | Balanced accuracy % | Top-1 % | Parameters | Size MB |\n|---|---|---|---|---|")
    for stage in (*OTHERS, HYBRID):
        print(row(run, stage))
    best = max((*OTHERS, HYBRID), key=lambda stage: sum(over_seeds(run, stage, "balanced_accuracy")))
    print(f"\nHighest balanced accuracy in the mean: {run.pipeline.stage(best).title}.")
    for other in OTHERS:
        said = "; ".join(compared(run, other, metric) for metric in SHOWN)
        print(f"Hybrid against {run.pipeline.stage(other).title}: {said}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
