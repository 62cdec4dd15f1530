"""Forecasts that several stages share, each made from the forecast before the stage.

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
    """What a stage's forecast can use.

    Attributes:
        recent: a cache of recent results, by key.
        layer_times: gives the function that predicts the milliseconds of one image from the shapes of layers;
            None where this machine has not timed the layers of this network.
    """

    recent: RecentCache
    layer_times: "Callable[[], Milliseconds | None]"


def network_of(previous: StageForecast) -> Network:
    """The network before a stage. Forecasts are made only where it is known."""
    assert previous.network is not None
    return previous.network()


def unknown(unchanged: Forecast, remark: str = "Known after the run.") -> StageForecast:
    """No figures until the run."""
    return StageForecast(Forecast(unchanged.id, unchanged.before, remark=remark))


def trained(unchanged: Forecast, previous: StageForecast) -> StageForecast:
    """The same network with other weights, unknown until the run."""
    return StageForecast(
        unchanged, previous.key, False, lambda: replace(network_of(previous), weights=None), previous.widths,
        layers=previous.layers,
    )  # fmt: skip


def stored(
    unchanged: Forecast, previous: StageForecast, bytes_per_weight: tuple[int, int] | None
) -> Forecast:
    """The same network in a file whose weights take other bytes.

    Args:
        bytes_per_weight: of a convolution and of a linear layer; None where unknown until the run.
    """
    if bytes_per_weight is None or unchanged.bytes is None or previous.network is None:
        return replace(unchanged, bytes=None, remark="The file's size is known after the run.")
    from core.surgery.shapes import weights_in

    convolutions, linear = weights_in(previous.network().model)
    saved = (4 - bytes_per_weight[0]) * convolutions + (4 - bytes_per_weight[1]) * linear
    return replace(unchanged, bytes=unchanged.bytes - saved)
