"""What is known of how much each layer of a network matters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from core.deploy.quantization.sensitivity import UNITS
from core.runs.stage_files import StageFile
from gui.base.translation import tr
from gui.inspect.work import PruneScan, Scan


@dataclass(frozen=True)
class Sensitivity:
    """A figure of each layer.

    Attributes:
        values: by the layer's path. falling: whether low values are the sensitive ones (dB).
        source: where it comes from, for the tooltip.
    """

    values: Mapping[str, float]
    unit: str
    falling: bool
    source: str

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The most sensitive layer's value, and one that counts as harmless: nothing lost, or in dB that of a quarter of the layers."""
        if not self.falling:
            return max(0.0, *self.values.values()), 0.0
        order = sorted(self.values.values())
        return order[0], order[3 * len(order) // 4]

    def share(self, value: float) -> float:
        """The length of a value's bar: long is sensitive."""
        worst, harmless = self._ends
        if worst == harmless:
            return float(self.falling)
        return max(0.0, (harmless - value) / (harmless - worst))


def of_scan(scan: Scan) -> Sensitivity:
    """What a scan found."""
    if isinstance(scan, PruneScan):
        shares = sorted({share for layer in scan.layers for share in layer.top1})
        share = shares[len(shares) // 2]
        values = {layer.path: layer.loss(share, scan.top1) for layer in scan.layers}
        source = tr(
            "Points of validation accuracy lost with {share:.0f} % of its channels at zero", share=100 * share
        )
        return Sensitivity(values, "points", False, source)
    source = tr("Signal to noise of the logits when only this layer computes with integers")
    return Sensitivity(dict(scan.ranking), scan.unit, scan.measure != "divergence", source)


def ranked_by_stage(model: StageFile) -> Sensitivity | None:
    """The ranking that quantization by sensitivity left in the stage's facts."""
    ranking = model.report.facts.get("ranking")
    if not ranking:
        return None
    measure = str(getattr(model.pipeline.stage(model.report.id).parameters, "measure", "sqnr"))
    values = {str(name): float(value) for name, value in ranking}
    source = tr("What this stage ranked its layers by; the most sensitive stayed float")
    return Sensitivity(values, UNITS.get(measure, ""), measure != "divergence", source)
