"""Causes in weights that are zero."""

from core.analysis.why.stage_figures import Evidence
from core.common.numbers import percent
from core.records.reports import Cause

_ZEROS = 0.1  # smallest share of zeros that is reported


def mask_not_cut(evidence: Evidence) -> Cause | None:
    """Weights at zero in a network of the same shape: a dense kernel multiplies them like any other."""
    params, nonzero = evidence.value("params"), evidence.value("nonzero_params")
    macs, latency = evidence.ratio("macs"), evidence.ratio("latency_ms")
    if not params or nonzero is None or macs is None or macs < 0.99:
        return None
    share = 1 - nonzero / params
    total = sum(layer["made"] for layer in evidence.graph["layers"])
    zero_channels = sum(layer["zeros"] for layer in evidence.graph["layers"])
    if share < _ZEROS:
        return None
    figures = {"zeros": share, "latency_ratio": latency, "zero_channels": zero_channels, "channels": total}
    channels = (
        f" {zero_channels} of {total} channels are zero altogether and could be cut." if zero_channels else ""
    )
    return Cause(
        id="mask-not-cut",
        sentence=(
            f"{percent(share)} of the weights are zero, but the layers keep their shapes: the zeros are stored and "
            f"multiplied like any other number.{channels}"
        ),
        advice="Cut channels, so that the layers really get narrower; a compressed copy of the file is smaller already.",
        evidence=figures,
        fix=evidence.fix("mask-not-cut", figures),
    )


def same_in_float32(evidence: Evidence) -> Cause | None:
    """Training in mixed precision leaves a float32 network of the same shape."""
    if not evidence.can_cause("exported-as-float32") or evidence.quantized:
        return None
    return Cause(
        id="exported-as-float32",
        sentence="Exported as float32, the file cannot be smaller or faster than the one before: mixed precision saves time in training.",
        evidence={"latency_ratio": evidence.ratio("latency_ms")},
    )
