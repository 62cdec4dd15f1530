"""The forecast for a stage, made from the one before it. The stage itself makes it (`Stage.forecast`)."""

from dataclasses import replace

from core.common.errors import EspalierError
from core.common.keys import make_key
from core.document.pipeline import StageNode
from core.models.forecast import Forecast, RecentCache, StageForecast
from core.stages.base import DeploymentStage
from core.stages.forecast import ForecastContext
from core.surgery.prunable_groups import Milliseconds
from core.whatif.latency import Latencies


class StageForecasts:
    """Forecasts for stages."""

    def __init__(self, recent: RecentCache, latencies: Latencies):
        self._recent, self._latencies = recent, latencies

    def forecast(self, node: StageNode, previous: StageForecast) -> StageForecast:
        """What a stage would give, from the forecast before it."""
        before = previous.forecast
        if before.params is None:
            remark = before.remark if not before.impossible else "Known when the stage before it is."
            macs = before.macs if node.stage.keeps_shape else None
            return StageForecast(
                Forecast(node.id, before.id, None, macs, None, before.sure if macs else "unknown", remark)
            )
        on_file = isinstance(node.stage, DeploymentStage)
        if previous.network is None and not on_file:
            return StageForecast(Forecast(node.id, before.id, remark="Known after the run."))
        try:
            answer = self._answer(node, previous) if on_file else self._remembered(node, previous)
        except EspalierError as error:
            words = f"{error.message} {error.advice}".strip()
            return StageForecast(Forecast(node.id, before.id, remark=words, impossible=True))
        with_latency = self._latencies.with_latency(answer.forecast, previous.build, answer.layers)
        return replace(
            answer, forecast=replace(with_latency, id=node.id, before=before.id), build=previous.build
        )

    def _remembered(self, node: StageNode, previous: StageForecast) -> StageForecast:
        """The forecast of a stage on the network, cached by everything that it depends on."""
        before = previous.forecast
        key_parts = {
            "before": previous.key, "fresh": previous.fresh, "sure": before.sure, "bytes": before.bytes,
            "kind": node.kind, "settings": node.parameters.model_dump(mode="json"),
            "timed": self._latencies.table(previous.build) is not None,
        }  # fmt: skip
        answer: StageForecast = self._recent.get(
            f"stage {make_key(key_parts)}", lambda: self._answer(node, previous)
        )
        return answer

    def _answer(self, node: StageNode, previous: StageForecast) -> StageForecast:
        unchanged = replace(
            previous.forecast, id=node.id, before=previous.forecast.id, remark="", impossible=False,
            latency_ms=None, latency_error=0.0, measuring=False,
        )  # fmt: skip

        def layer_times() -> Milliseconds | None:
            table = self._latencies.table(previous.build)
            return table.milliseconds if table is not None else None

        return node.stage.forecast(
            node.parameters, unchanged, previous, ForecastContext(self._recent, layer_times)
        )
