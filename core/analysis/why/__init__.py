"""Why a stage's file is as fast and as accurate as it is: causes, each with the figures that it rests on.

A cause is a function from the evidence to a `Cause` or None, one in a file of its kind, registered in
`CAUSES`. Where a change of the settings removes it, the cause carries that change.
"""

from collections.abc import Callable

from core.analysis.interval_support import measurable, wide
from core.analysis.why import channels, integers, threads, zeros
from core.analysis.why.stage_figures import ChainStage, Evidence
from core.analysis.wording import format_change
from core.common.numbers import signed_percent
from core.records.reports import Cause, Why

__all__ = ["CAUSES", "ChainStage", "Evidence", "explain"]

CAUSES: tuple[Callable[[Evidence], Cause | None], ...] = (
    channels.odd_channels,
    zeros.mask_not_cut,
    zeros.same_in_float32,
    integers.signed_activations,
    integers.no_integer_instructions,
    integers.float_fallback,
    integers.scales_per_tensor,
    channels.depthwise_bound,
    threads.too_many_threads,
)


def explain(evidence: Evidence) -> Why:
    """The figures against the stage before, and every cause that the evidence supports."""
    causes = (cause(evidence) for cause in CAUSES)
    return Why(headline=_headline(evidence), causes=tuple(cause for cause in causes if cause is not None))


def _headline(evidence: Evidence) -> str:
    if evidence.before is None:
        return ""
    parts = []
    for name, word in (("params", "parameters"), ("macs", "MACs"), ("size_mb", "file")):
        ratio = evidence.ratio(name)
        if ratio is not None and abs(ratio - 1) >= 0.005:
            parts.append(f"{word} {signed_percent(ratio - 1)}")
    latency = _latency(evidence)
    parts += [latency] if latency else []
    top1 = evidence.change("top1")
    if top1 is not None:
        parts.append(f"top-1 {format_change(top1)}" if measurable(top1) else "no measurable change of top-1")
    return f"Against '{evidence.before.name}': {', '.join(parts)}." if parts else ""


def _latency(evidence: Evidence) -> str:
    """What the measurements support of the latency's change; "" where they support nothing."""
    change = evidence.latency
    if change is None:
        return ""
    if not measurable(change):
        return (
            "whether the latency changed cannot be told"
            if wide(change)
            else "no measurable change of latency"
        )
    return (
        f"latency {format_change(change)}"
        if wide(change)
        else f"latency {signed_percent((change.value or 0) / 100)}"
    )
