"""The verification ladder: from the PyTorch network down to the file that leaves, step by step.

Each rung is the same test images answered by the next thing in the chain: the network in PyTorch,
its float export, the quantized file, the exported file opened in a fresh process. Beside each stands
how far it is from the rung before and from PyTorch. NumPy only; `n` images, `k` classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.accuracy import accuracy_metrics
from core.common import text_tables as tables
from core.deploy.agreement import HALF_AGREEMENT, HALF_RELATIVE_LIMIT, compare_logits
from core.records.reports import Metric, Verification

_FLOAT = ("float32", "given")


@dataclass(frozen=True, slots=True)
class Step:
    """What climbs the ladder: a network or file and its answers, float32 [n, k].

    Attributes:
        precision: "float32", "float16", "given", or another name for a quantized file.
        runtime: what answered, in words.
        rounding: of the network that a float32 file stands for, as of `Verification`.
    """

    id: str
    label: str
    precision: str
    runtime: str
    logits: NDArray[np.float32]
    rounding: float = 0.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder.

    Attributes:
        id: "pytorch", then stage and precision ("pruned/float32"); the last one is "exported".
        label: for tables. runtime: what answered, in words.
        top1: percent, with a 95 % interval. images: how many were answered.
        before: how it agrees with the rung before, and whether that keeps the rule for this step;
            None for the first.
        network: how it agrees with the first rung, by the rule for its precision; None for the first.
    """

    id: str
    label: str
    runtime: str
    precision: str
    top1: Metric
    images: int
    before: Verification | None = None
    network: Verification | None = None

    @property
    def good(self) -> bool:
        """Whether it keeps the limits on the way from the rung before, and from PyTorch."""
        return all(each is None or each.good for each in (self.before, self.network))

    @property
    def sentence(self) -> str:
        """What is wrong with it, or how it agrees with the network, in words."""
        if self.before is None or self.network is None:
            return "What all others are held against."
        return self.network.sentence if self.before.good else self.before.sentence


def ladder(steps: Sequence[Step], labels: NDArray[np.int64]) -> list[Rung]:
    """The rungs for these steps, the network first; `labels` [n] say what is right."""
    rungs: list[Rung] = []
    rounding = max((step.rounding for step in steps), default=0.0)
    for index, step in enumerate(steps):
        top1 = accuracy_metrics(step.logits, labels, step.runtime)["top1"]
        before = network = None
        if index:
            before = _step(steps[index - 1], step, rounding)
            network = compare_logits(
                steps[0].logits, step.logits, precision=step.precision, rounding=rounding
            )
        rungs.append(
            Rung(step.id, step.label, step.runtime, step.precision, top1, len(labels), before, network)
        )
    return rungs


def _step(before: Step, step: Step, rounding: float) -> Verification:
    """How a step agrees with the one before.

    A copy of a quantized or half precision file, in the same precision, has to answer like that
    file, by the rule for half precision: other kernels may round it otherwise.
    """
    verification = compare_logits(before.logits, step.logits, precision=step.precision, rounding=rounding)
    if before.precision != step.precision or step.precision in _FLOAT or not verification.good:
        return verification
    limit = HALF_RELATIVE_LIMIT * float(np.abs(before.logits).max())
    good = verification.agreement >= HALF_AGREEMENT or verification.max_logit_difference <= limit
    sentence = (
        f"{'Answers' if good else 'Does not answer'} like {before.label}: {verification.agreement:.2f} % of "
        f"{verification.images} images keep their class, largest logit difference {verification.max_logit_difference:.2g} "
        f"(the rule asks for {HALF_AGREEMENT:g} % or differences up to {limit:.2g})."
    )
    return verification.model_copy(update={"limit": limit, "good": good, "sentence": sentence})


_HEAD = (
    "Rung", "Top-1 [%]", "Agrees with the rung before [%]", "with PyTorch [%]",
    "Largest logit difference to PyTorch", "Images", "Verdict",
)  # fmt: skip


def as_lines(rungs: Sequence[Rung]) -> list[list[str]]:
    """The ladder as a table of texts, its head first."""
    lines = [list(_HEAD)]
    for rung in rungs:
        before, network = rung.before, rung.network
        lines.append([
            rung.label,
            "—" if rung.top1.value is None else f"{rung.top1.value:.2f}",
            f"{before.agreement:.2f}" if before else "—",
            f"{network.agreement:.2f}" if network else "—",
            f"{network.max_logit_difference:.2g}" if network else "—",
            str(rung.images),
            ("good" if rung.good else "refused") if network else "reference",
        ])  # fmt: skip
    return lines


def as_text(rungs: Sequence[Rung]) -> str:
    """The ladder for a terminal."""
    head, *rows = as_lines(rungs)
    return tables.aligned(head, rows)


def as_markdown(rungs: Sequence[Rung]) -> str:
    """The ladder as a table in Markdown."""
    head, *rows = as_lines(rungs)
    return tables.markdown(head, rows)
