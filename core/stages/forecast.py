"""Forecasts that several stages share: what is known after a stage from what is known before it.

Readable without torch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.models.forecast import Forecast, Network, RecentCache, StageForecast

if TYPE_CHECKING:
    from core.surgery.prunable_groups import Milliseconds

FLOAT32, FLOAT16, INT8 = (4, 4), (2, 2), (1, 1)  # bytes of a convolution's and a linear layer's weight


@dataclass(frozen=True, slots=True)
class ForecastContext:
    """What a stage's forecast may ask.

    Attributes:
        recent: what was found lately, by key.
        layer_times: what predicts the milliseconds of one image from the shapes of layers; None where this
            machine has not timed the layers of this network.
    """

    recent: RecentCache
    layer_times: "Callable[[], Milliseconds | None]"


def network_of(given: StageForecast) -> Network:
    """The network before a stage, which is known: otherwise no stage on it is asked."""
    assert given.network is not None
    return given.network()


def unknown(same: Forecast, remark: str = "Known after the run.") -> StageForecast:
    """Only the run can tell."""
    return StageForecast(Forecast(same.id, same.before, remark=remark))


def trained(same: Forecast, given: StageForecast) -> StageForecast:
    """The same network with weights that nobody knows yet."""
    return StageForecast(
        same, given.key, False, lambda: replace(network_of(given), weights=None), given.widths,
        layers=given.layers,
    )  # fmt: skip


def stored(same: Forecast, given: StageForecast, bytes_per_weight: tuple[int, int] | None) -> Forecast:
    """The same network in a file whose weights take other bytes.

    Args:
        bytes_per_weight: of a convolution and of a linear layer; None where only the run can tell.
    """
    if bytes_per_weight is None or same.bytes is None or given.network is None:
        return replace(same, bytes=None, remark="The file's size is known after the run.")
    from core.surgery.shapes import weights_in

    convolutions, linear = weights_in(given.network().model)
    saved = (4 - bytes_per_weight[0]) * convolutions + (4 - bytes_per_weight[1]) * linear
    return replace(same, bytes=same.bytes - saved)
