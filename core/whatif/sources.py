"""Forecasts for the networks and files that a pipeline starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.document.pipeline import Pipeline, SourceNode
from core.models.forecast import Forecast, Network, RecentCache, StageForecast, TimedNetwork
from core.sources.base import ForecastContext
from core.whatif.latency import Latencies, build_of

if TYPE_CHECKING:
    from core.surgery.meta_copy import Counts


class SourceForecasts:
    """Forecasts for sources."""

    def __init__(self, recent: RecentCache, latencies: Latencies):
        self._recent, self._latencies = recent, latencies

    def forecast(
        self, node: SourceNode, pipeline: Pipeline, base: Path, data: ImageData | str
    ) -> StageForecast:
        """What a source of a pipeline would give."""

        def counted(
            key: str, network: Callable[[], Network], timed: Callable[[], TimedNetwork]
        ) -> StageForecast:
            return self._counted(node.id, key, network, timed)

        context = ForecastContext(
            node.id, base, data, pipeline.data, pipeline.axes.seed, self._recent, counted
        )
        try:
            return node.source.forecast(node.parameters, context)
        except EspalierError as error:
            return StageForecast(Forecast(node.id, "", remark=error.message, impossible=True))

    def _counted(
        self, id: str, key: str, network: Callable[[], Network], timed: Callable[[], TimedNetwork]
    ) -> StageForecast:
        """What is known of a network that is there; `timed` makes it with weights."""
        from core.surgery.budget import layer_shapes
        from core.surgery.meta_copy import count
        from core.surgery.shapes import float32_bytes

        def counted() -> "tuple[Counts, int]":
            built = network()
            return count(built.model, built.size), float32_bytes(built.model)

        counts, size = self._recent.get(f"counts {key}", counted)
        build = self._recent.get(f"build {key}", lambda: build_of(network().model, network().size, timed))
        layers = self._recent.get(f"layers {key}", lambda: layer_shapes(network().model))
        forecast = Forecast(id, "", counts.params, counts.macs, size, "exact")
        with_latency = self._latencies.with_latency(forecast, build, lambda: layers)
        return StageForecast(with_latency, key, True, network, build=build, layers=lambda: layers)
