"""Forecasts for a document: what every source and stage would give."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.keys import make_key
from core.data.image_data import ImageData
from core.data.store import open_data
from core.document.data_axis import per_data_set
from core.document.expansion import expanded
from core.document.pipeline import Pipeline
from core.models.forecast import Forecast, RecentCache, StageForecast
from core.runs.cache import Measurements
from core.runs.home import Home
from core.whatif.latency import Latencies, Unmeasured
from core.whatif.sources import SourceForecasts
from core.whatif.stages import StageForecasts

_PATIENCE = (
    3.0  # seconds of decoding, after which the counts wait until pre-flight or a run has read the data
)


class WhatIf:
    """Forecasts for one window or command; remembers recent ones. One thread at a time."""

    def __init__(self, home: Home):
        self._home = home
        self._recent = RecentCache()
        self._latencies = Latencies(Measurements(home.cache / "measurements"))
        self._source_forecasts = SourceForecasts(self._recent, self._latencies)
        self._stage_forecasts = StageForecasts(self._recent, self._latencies)

    @property
    def unmeasured(self) -> list[Unmeasured]:
        """What this machine would have to measure for the last answers to name a latency."""
        return list(self._latencies.missing.values())

    def forecasts(
        self, pipeline: Pipeline, base: Path, control: RunControl | None = None
    ) -> Iterator[Forecast]:
        """Of every source and active stage, in the order of the file, then of further backbones; each as soon as it is known.

        Of several data sets on the first.

        Args:
            pipeline: without broken rules.

        Raises:
            Stopped: newer forecasts were requested.
        """
        from core.machine.torch_rng import isolated_rng

        control, pipeline = control or RunControl(), expanded(per_data_set(pipeline)[0])
        self._latencies.missing.clear()
        forecasts: dict[str, StageForecast] = {}
        data = self._data(pipeline, base)
        for source in pipeline.sources:
            control.checkpoint()
            with isolated_rng():  # new layers draw weights, perhaps beside a run that trains
                forecasts[source.id] = self._source_forecasts.forecast(source, pipeline, base, data)
            yield _with_images(forecasts[source.id].forecast, data)
        for node in pipeline.active:
            control.checkpoint()
            with isolated_rng():
                forecasts[node.id] = self._stage_forecasts.forecast(node, forecasts[pipeline.parent(node)])
            yield _with_images(forecasts[node.id].forecast, data)

    def _data(self, pipeline: Pipeline, base: Path) -> ImageData | str:
        """The data set, or why the number of classes is not known yet."""
        settings = pipeline.data
        key = make_key({"data": settings.model_dump(mode="json"), "base": str(base)})
        started = time.monotonic()

        def progress(fraction: float, text: str) -> None:
            if time.monotonic() - started > _PATIENCE and fraction < 1:
                raise _TakesLong

        def opened() -> ImageData:
            return open_data(settings, self._home.data, base, None, progress, lambda _share, _text: None)

        try:
            return cast("ImageData", self._recent.get(key, opened))
        except _TakesLong:
            return "Known after the data set has been read for the first time: Pre-flight and Run read it."
        except EspalierError as error:
            return error.message


def _with_images(forecast: Forecast, data: ImageData | str) -> Forecast:
    """The forecast, with how many images there are to calibrate and to judge on."""
    if isinstance(data, str):
        return forecast
    counts = (len(data.split("train")), len(data.split("validation")))
    return replace(forecast, train_images=counts[0], validation_images=counts[1])


class _TakesLong(Exception):
    """Reading the data set would keep a person waiting."""
