"""Causes in the integer arithmetic of a file."""

from core.analysis.why.stage_figures import VNNI, Evidence
from core.common.numbers import percent
from core.records.reports import Cause

_FALLBACK_TIME = 0.05  # of the time: less is not reported
_FAINT_SHARE = 0.05  # of the channels
_NAMED = 4


def signed_activations(evidence: Evidence) -> Cause | None:
    """Signed activations where the processor multiplies unsigned by signed bytes."""
    if evidence.graph["activations"] != "int8" or not evidence.instructions & VNNI:
        return None
    latency = evidence.ratio("latency_ms")
    figures = {"latency_ratio": latency, "activations": "int8"}
    return Cause(
        id="signed-activations",
        sentence=(
            "The activations are signed bytes (S8), and this processor's 8-bit instructions (VNNI) multiply "
            "unsigned by signed ones: every product takes extra steps."
        ),
        advice="Use unsigned activations (U8).",
        evidence=figures,
        fix=evidence.fix("signed-activations", figures),
    )


def no_integer_instructions(evidence: Evidence) -> Cause | None:
    """Integers on an x86 processor that has no instructions for their products."""
    has = evidence.instructions
    if not evidence.quantized or has & VNNI or not has & {"avx2", "sse4_2", "avx512f"}:
        return None
    latency = evidence.ratio("latency_ms")
    return Cause(
        id="no-vnni",
        sentence="This machine has no instructions for 8-bit products (no VNNI); integers gain little in time here.",
        advice="The file is smaller all the same; measure it on the machine that it is meant for.",
        evidence={"latency_ratio": latency},
    )


def scales_per_tensor(evidence: Evidence) -> Cause | None:
    """One scale for all channels of depthwise layers, where it leaves many channels few bits."""
    depthwise = [
        layer for layer in evidence.graph["layers"] if layer["kind"] == "depthwise" and layer["scales"]
    ]
    coarse = [layer for layer in depthwise if layer["scales"] == "tensor"]
    channels, faint = (sum(layer[name] for layer in coarse) for name in ("made", "faint"))
    if not coarse or faint < _FAINT_SHARE * channels:
        return None
    top1 = evidence.change("top1")
    figures = {
        "per_tensor": len(coarse), "depthwise": len(depthwise), "faint_channels": faint, "channels": channels,
        "top1_difference": top1.value if top1 is not None else None,
    }  # fmt: skip
    return Cause(
        id="per-tensor-depthwise",
        sentence=(
            f"{len(coarse)} of {len(depthwise)} depthwise layers have one scale for all their channels, which leaves "
            f"{percent(faint / channels)} of these channels at most 4 of 8 bits: small weights are rounded away."
        ),
        advice="Use a scale for every channel.",
        evidence=figures,
        fix=evidence.fix("per-tensor-depthwise", figures),
    )


def float_fallback(evidence: Evidence) -> Cause | None:
    """Operations that compute in float although the rest is integers, and what converting costs."""
    rows, total = evidence.graph["rows"], max(evidence.graph["total_ms"] or 0.0, 1e-9)
    fallbacks = [row for row in rows if row["fallback"]]
    time = sum(row["ms"] or 0.0 for row in fallbacks)
    if not evidence.quantized or time < _FALLBACK_TIME * total:
        return None
    weighted = [row for row in fallbacks if row["macs"]]
    computing = [row for row in rows if row["macs"]]
    share = 1 - len(weighted) / max(len(computing), 1)
    names = [
        row["layer"] if row["macs"] else row["kernels"][0]
        for row in sorted(fallbacks, key=lambda r: -(r["ms"] or 0))
    ]
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _NAMED} others" if len(names) > _NAMED else ""
    verb = "run" if len(names) > 1 else "runs"
    figures = {
        "fallback_layers": len(weighted), "fallback_operations": len(fallbacks) - len(weighted),
        "share_of_time": time / total, "integer_share": share,
    }  # fmt: skip
    return Cause(
        id="float-fallback",
        sentence=(
            f"{percent(share)} of the layers compute with integers, but {', '.join(names[:_NAMED])}{more} {verb} in float "
            f"and take {percent(time / total)} of the time."
        ),
        advice=(
            "Quantize these layers too, unless the accuracy needs them in float."
            if weighted
            else "These operations have no integer form here; a network without them gains more from INT8."
        ),
        evidence=figures,
        fix=evidence.fix("float-fallback", figures),
    )
