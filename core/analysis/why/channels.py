"""Causes in the numbers of channels."""

from collections.abc import Mapping
from typing import Any

from core.analysis.why.stage_figures import Evidence
from core.common.numbers import percent
from core.records.reports import Cause

_MULTIPLE, _ALIGNED = 8, 4  # kernels compute blocks of 8 or 16; blocked convolutions take multiples of 4 in
_SHARE = 0.25  # of the convolutions: fewer explain little
_GAIN = 0.97  # rounded up, the network has to take at most this much of its time
_BEHIND = 1.1  # latency falls clearly less than MACs


def odd_channels(evidence: Evidence) -> Cause | None:
    """Channel counts that are no multiples of 8: kernels fill up to the next block, or leave the fast form.

    Named where the same network with all counts rounded up was measured to be faster; where that could not
    be tried, where the latency fell clearly less than the MACs.
    """
    convolutions, macs, latency = evidence.convolutions, evidence.ratio("macs"), evidence.ratio("latency_ms")
    odd = [layer for layer in convolutions if layer["made"] % _MULTIPLE or _outside(layer)]
    if not convolutions or len(odd) < _SHARE * len(convolutions):
        return None
    rounded = evidence.graph.get("rounded")
    if rounded is None:
        behind = macs is not None and latency is not None and macs <= 0.97 and latency >= _BEHIND * macs
        observation = "the latency fell less than the MACs" if behind else ""
    else:
        observation = (
            f"rounded up the same network takes {percent(rounded)} of the time" if rounded <= _GAIN else ""
        )
    if not observation:
        return None
    names = {layer["layer"] for layer in odd}
    time = sum(row["ms"] or 0.0 for row in evidence.graph["rows"] if row["layer"] in names)
    figures = {
        "odd": len(odd), "convolutions": len(convolutions), "macs_ratio": macs, "latency_ratio": latency,
        "rounded_ratio": rounded, "outside_fast_form": sum(map(_outside, convolutions)),
        "share_of_time": time / max(evidence.graph["total_ms"] or 0.0, 1e-9),
    }  # fmt: skip
    return Cause(
        id="odd-channels",
        sentence=(
            f"{len(odd)} of {len(convolutions)} convolutions have channel counts that are not multiples of {_MULTIPLE}, "
            f"and {observation}: their kernels compute whole blocks all the same, or leave the fast form."
        ),
        advice="Round the channels that stay to multiples of 8.",
        evidence=figures,
        fix=evidence.fix("odd-channels", figures),
    )


def _outside(layer: Mapping[str, Any]) -> bool:
    """Whether its channels in keep it from the blocked kernels; an image's few channels do not."""
    return bool(layer["given"] > _ALIGNED and layer["given"] % _ALIGNED)


def depthwise_bound(evidence: Evidence) -> Cause | None:
    """Depthwise convolutions: much time for few MACs, because memory and not arithmetic limits them."""
    kinds = {layer["layer"]: layer["kind"] for layer in evidence.graph["layers"]}
    rows = [row for row in evidence.graph["rows"] if kinds.get(row["layer"]) == "depthwise"]
    macs = sum(row["macs"] for row in rows) / max(sum(row["macs"] for row in evidence.graph["rows"]), 1)
    time = sum(row["ms"] or 0.0 for row in rows) / max(evidence.graph["total_ms"] or 0.0, 1e-9)
    if time < 0.2 or time < 2 * macs:
        return None
    return Cause(
        id="memory-bound",
        sentence=(
            f"{len(rows)} depthwise convolutions hold {percent(macs)} of the MACs and take {percent(time)} of the time: memory "
            "limits them, not arithmetic, so fewer MACs there save little."
        ),
        advice="Remove whole blocks, or channels of the blocks that surround them, rather than single weights.",
        evidence={"layers": len(rows), "share_of_macs": macs, "share_of_time": time},
    )
