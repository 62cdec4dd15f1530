"""What is known after a stage, from what is known before it. The stage itself answers (`Stage.forecast`)."""

from dataclasses import replace

from core.common.errors import EspalierError
from core.common.keys import make_key
from core.document.pipeline import StageNode
from core.models.forecast import Forecast, RecentCache, StageForecast
from core.stages.base import DeploymentStage
from core.stages.forecast import ForecastContext
from core.surgery.prunable_groups import Milliseconds
from core.whatif.latency import Latencies


class Stages:
    """Answers for stages."""

    def __init__(self, recent: RecentCache, latencies: Latencies):
        self._recent, self._latencies = recent, latencies

    def known(self, node: StageNode, given: StageForecast) -> StageForecast:
        """What a stage would leave of what is known before it."""
        before = given.forecast
        if before.params is None:
            remark = before.remark if not before.impossible else "Known when the stage before it is."
            macs = before.macs if node.stage.keeps_shape else None
            return StageForecast(
                Forecast(node.id, before.id, None, macs, None, before.sure if macs else "unknown", remark)
            )
        on_file = isinstance(node.stage, DeploymentStage)
        if given.network is None and not on_file:
            return StageForecast(Forecast(node.id, before.id, remark="Known after the run."))
        try:
            answer = self._answer(node, given) if on_file else self._remembered(node, given)
        except EspalierError as error:
            words = f"{error.message} {error.advice}".strip()
            return StageForecast(Forecast(node.id, before.id, remark=words, impossible=True))
        told = self._latencies.told(answer.forecast, given.build, answer.layers)
        return replace(answer, forecast=replace(told, id=node.id, before=before.id), build=given.build)

    def _remembered(self, node: StageNode, given: StageForecast) -> StageForecast:
        """The answer of a stage on the network, kept by everything that it depends on."""
        before = given.forecast
        asked = {
            "before": given.key, "fresh": given.fresh, "sure": before.sure, "bytes": before.bytes,
            "kind": node.kind, "settings": node.parameters.model_dump(mode="json"),
            "timed": self._latencies.table(given.build) is not None,
        }  # fmt: skip
        answer: StageForecast = self._recent.get(
            f"stage {make_key(asked)}", lambda: self._answer(node, given)
        )
        return answer

    def _answer(self, node: StageNode, given: StageForecast) -> StageForecast:
        same = replace(
            given.forecast, id=node.id, before=given.forecast.id, remark="", impossible=False,
            latency_ms=None, latency_error=0.0, measuring=False,
        )  # fmt: skip

        def layer_times() -> Milliseconds | None:
            table = self._latencies.table(given.build)
            return table.milliseconds if table is not None else None

        return node.stage.forecast(node.parameters, same, given, ForecastContext(self._recent, layer_times))
