"""Causes in the number of threads."""

from core.analysis.why.stage_figures import Evidence
from core.records.reports import Cause

_GAIN = 0.97  # a further thread has to save at least this much
_SLOWER = 1.1  # and too many threads are clearly slower than fewer


def too_many_threads(evidence: Evidence) -> Cause | None:
    """The most threads that were tried are slower than fewer."""
    if len(evidence.threads) < 2:
        return None
    most = max(evidence.threads)
    fastest = min(evidence.threads.values())
    best = min(count for count, took in evidence.threads.items() if took * _GAIN <= fastest)
    slow, fast = evidence.threads[most], evidence.threads[best]
    if slow < _SLOWER * fast:
        return None
    few = f"{best} thread{'s' if best > 1 else ''}"
    return Cause(
        id="too-many-threads",
        sentence=(
            f"{most} threads take {slow:.3g} ms an image, {few} {fast:.3g} ms: one image is too little work to share, "
            "or there are fewer free cores than threads."
        ),
        advice=f"Open the file with {few} (intra_op_num_threads={best}).",
        evidence={"threads": most, "best_threads": best, "milliseconds": slow, "best_milliseconds": fast},
    )
