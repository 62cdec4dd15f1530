"""What is known after a stage, from what is known before it."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from core.common.errors import EspalierError
from core.common.keys import make_key
from core.document.pipeline import StageNode
from core.models.forecast import Forecast, Network, Recent, StageForecast
from core.stages.base import DeploymentStage, ModelStage
from core.stages.factorise import FactoriseParams
from core.stages.only_train_once import OnlyTrainOnceParams
from core.stages.prune_channels import PruneChannelsParams
from core.stages.prune_layers import PruneLayersParams
from core.stages.prune_weights import PruneWeightsParams
from core.stages.scale_down import ScaleDownParams
from core.stages.share_weights import ShareWeightsParams
from core.surgery.prospect import Prospect, Start, look
from core.whatif.latency import Latencies
from core.whatif.remarks import rank_words, shared_words, why_about, zero_words

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.surgery.budget import Plan

_SAME_SHAPE = ("weights", "as-given", "zeros", "codebook", "file", "quantized")
_ON_IMAGES = ("taylor", "hessian")  # they have a number for every group, so any other stands for them
_PARTIAL = ("batch-norm", "feature-map-rank")  # they have none for some groups
_STORED = {  # bytes that a convolution's and a linear layer's weight take in the file of a stage
    "quantize-static": (1, 1),
    "quantize-dynamic": (1, 1),
    "train-quantized": (1, 1),
    "half-precision": (2, 2),
}
_OTHER_TIMES = (*_STORED, "share-weights")  # their files do not compute with plain float32 weights
_MEASURING = "Which widths meet a latency is known once this machine has been measured."


class Stages:
    """Answers for stages."""

    def __init__(self, recent: Recent, latencies: Latencies):
        self._recent, self._latencies = recent, latencies

    def known(self, node: StageNode, given: StageForecast) -> StageForecast:
        """What a stage would leave of what is known before it."""
        before = given.forecast
        forecast = replace(
            before, id=node.id, before=before.id, remark="", impossible=False,
            latency_ms=None, latency_error=0.0, measuring=False,
        )  # fmt: skip
        if before.params is None:
            remark = before.remark if not before.impossible else "Known when the stage before it is."
            macs = before.macs if node.stage.effect in _SAME_SHAPE else None
            return StageForecast(
                Forecast(node.id, before.id, None, macs, None, before.sure if macs else "unknown", remark)
            )
        if isinstance(node.stage, DeploymentStage):
            as_given = node.stage.effect == "as-given"
            layers = given.layers if as_given else None
            told = self._latencies.told(_deployed(node, forecast, given), given.build, layers)
            return StageForecast(told, given.key, build=given.build, layers=layers)
        if given.network is None:
            return StageForecast(Forecast(node.id, before.id, remark="Known after the run."))
        network = given.network
        asked = {
            "before": given.key, "fresh": given.fresh, "sure": before.sure, "bytes": before.bytes,
            "kind": node.kind, "settings": node.parameters.model_dump(mode="json"),
            "timed": self._latencies.table(given.build) is not None,
        }  # fmt: skip
        try:
            answer: StageForecast = self._recent.get(
                f"stage {make_key(asked)}", lambda: self._changed(node, forecast, given, network)
            )
            layers = None if node.kind in _OTHER_TIMES else answer.layers
            told = self._latencies.told(answer.forecast, given.build, layers)
            return replace(
                answer, forecast=replace(told, id=node.id, before=before.id), build=given.build, layers=layers
            )
        except EspalierError as error:
            return StageForecast(
                Forecast(
                    node.id, before.id, remark=f"{error.message} {error.advice}".strip(), impossible=True
                )
            )

    def _changed(
        self, node: StageNode, same: Forecast, given: StageForecast, network: Callable[[], Network]
    ) -> StageForecast:
        """After a stage that works on the network."""
        match node.parameters:
            case PruneChannelsParams() as settings:
                return self._prune_channels(same, settings, given, network)
            case PruneLayersParams() as settings:
                return self._prune_layers(same, settings, given, network)
            case PruneWeightsParams() as settings:
                return _trained(replace(same, remark=zero_words(network().model, settings)), given)
            case ShareWeightsParams() as settings:
                shared, remark = shared_words(network().model, settings)
                return _trained(replace(same, bytes=shared, remark=remark), given)
            case ScaleDownParams() as settings:
                macs = round(settings.budget * (same.macs or 0))
                remark = (
                    "The budget of MACs is met within about 1 %; the parameters depend on which blocks go."
                )
                return StageForecast(Forecast(node.id, same.before, None, macs, None, "about", remark))
            case FactoriseParams() as settings:
                return StageForecast(Forecast(node.id, same.before, remark=rank_words(settings)))
            case OnlyTrainOnceParams() as settings if settings.training.epochs:
                share = f"{settings.target_group_sparsity:.0%}"
                remark = f"About {share} of the channels go; which layers lose them, training decides."
                return StageForecast(Forecast(node.id, same.before, remark=remark))
        if isinstance(node.stage, ModelStage) and node.stage.half_artefact:
            same = replace(same, remark="A float16 file of half the size comes beside it.")
        if node.kind in _STORED:
            same = _deployed(node, same, given)
        trains = node.stage.epochs(node.parameters) > 0
        return _trained(same, given) if trains else replace(given, forecast=same)

    def _prune_channels(
        self,
        same: Forecast,
        settings: PruneChannelsParams,
        given: StageForecast,
        network: Callable[[], Network],
    ) -> StageForecast:
        from core.surgery.groups import Counts

        even = settings.ranking == "uniform" and settings.target == "ratio"
        on_images = settings.importance in (*_ON_IMAGES, "feature-map-rank", "random")
        weights = None if even or on_images or settings.steps > 1 or not given.fresh else network().weights
        prospect, asked = self._prospect(given, network, settings, weights)
        plan, latency, steps = None, None, settings.steps
        if settings.target == "latency":  # settled for all steps at once
            table, steps = self._latencies.table(given.build), 1
            if table is None:
                return StageForecast(
                    Forecast(same.id, same.before, measuring=given.build is not None, remark=_MEASURING)
                )
            latency = prospect.latency_share(table.milliseconds)
        for step in range(1, steps + 1):
            if plan is not None:
                prospect = _narrower(prospect, plan)
            plan = prospect.plan(settings, step / steps, latency)
        assert plan is not None
        kept, exact = plan.kept, even or weights is not None
        besides = (same.bytes or 0) - 4 * (same.params or 0)
        forecast = replace(
            same, params=plan.params, macs=plan.macs, bytes=4 * plan.params + besides,
            sure=same.sure if exact else "about", remark="" if exact else why_about(settings),
        )  # fmt: skip
        key = make_key({"before": given.key, "kept": kept})

        def make() -> Network:
            from core.surgery.shapes import cut

            old = network()
            model = cut(old.model, old.size, old.blocks, settings.scope, settings.prune_fem, kept)
            return replace(old, model=model, weights=None)

        after = replace(_narrower(prospect, plan), start=Start(Counts(plan.params, plan.macs), kept))
        return StageForecast(
            forecast, key, False, lambda: self._recent.get(f"network {key}", make), {asked: after},
            layers=lambda: prospect.costs.layers(kept),
        )  # fmt: skip

    def _prospect(
        self,
        given: StageForecast,
        network: Callable[[], Network],
        settings: PruneChannelsParams,
        weights: "Callable[[], ImageClassifier] | None",
    ) -> tuple[Prospect, str]:
        """What can go, and what was asked: found once for a network, a scope and an importance."""
        from core.surgery.shapes import blank_images, even_scores, zeroed

        importance = "l1" if settings.importance in _ON_IMAGES else settings.importance
        alike = importance if weights or importance in _PARTIAL else "l1"
        asked = make_key({"scope": settings.scope, "fem": settings.prune_fem, "importance": alike})
        if asked in given.widths:
            return given.widths[asked], asked

        def find() -> Prospect:
            shape = network()
            model = weights() if weights else zeroed(shape.model)
            wanted = settings.model_copy(update={"importance": alike})
            found = look(model, shape.size, wanted, shape.blocks, batches=blank_images(shape.size))
            model.to("meta")  # groups name parameters; nobody asks for their numbers again
            return found if weights else replace(found, scores=even_scores(found.groups))

        key = make_key({"network": given.key, "asked": asked, "weights": weights is not None})
        return cast("Prospect", self._recent.get(f"prospect {key}", find)), asked

    def _prune_layers(
        self,
        same: Forecast,
        settings: PruneLayersParams,
        given: StageForecast,
        network: Callable[[], Network],
    ) -> StageForecast:
        """Blocks of one stage of the network are often alike: then the counts are known beforehand."""
        from core.stages.prune_layers import PruneLayers
        from core.surgery.blocks import drop_blocks, find_blocks, removal_order
        from core.surgery.budget import layer_shapes
        from core.surgery.groups import count
        from core.surgery.shapes import filled, float32_bytes

        shape = network()
        blocks = self._recent.get(
            f"blocks {given.key}", lambda: find_blocks(filled(shape.model), shape.blocks, shape.size)
        )
        sizes = {
            block.path: float(sum(p.numel() for p in shape.model.get_submodule(block.path).parameters()))
            for block in blocks
        }
        smallest = removal_order(blocks, sizes, settings.keep_one)
        largest = removal_order(blocks, {path: -size for path, size in sizes.items()}, settings.keep_one)
        dropped = PruneLayers().dropped(settings, blocks, smallest)
        found = []
        for order in (smallest, largest):
            model = copy.deepcopy(shape.model)
            drop_blocks(model, order[:dropped])
            found.append((count(model, shape.size), model))
        (most, model), (least, _) = found
        words = f"{dropped} of {len(blocks)} residual blocks go"
        if most != least:
            remark = f"{words}; which ones, training decides: {least.params:,} to {most.params:,} parameters are left."
            return StageForecast(Forecast(same.id, same.before, remark=remark))
        key = make_key({"before": given.key, "dropped": smallest[:dropped]})
        forecast = replace(
            same, params=most.params, macs=most.macs, bytes=float32_bytes(model), remark=f"{words}."
        )
        after = replace(shape, model=model, weights=None)
        return StageForecast(forecast, key, False, lambda: after, layers=lambda: layer_shapes(model))


def _trained(forecast: Forecast, given: StageForecast) -> StageForecast:
    """After training: the same network, with weights that nobody knows yet."""
    network = given.network
    assert network is not None
    return StageForecast(
        forecast, given.key, False, lambda: replace(network(), weights=None), given.widths,
        layers=given.layers,
    )  # fmt: skip


def _deployed(node: StageNode, same: Forecast, given: StageForecast) -> Forecast:
    """After a stage on the exported file: the same network, stored otherwise."""
    from core.surgery.shapes import weights_in

    stored = _STORED.get(node.kind)
    if node.stage.effect == "as-given":
        return same
    if stored is None or same.bytes is None or given.network is None:
        return replace(same, bytes=None, remark="The file's size is known after the run.")
    if getattr(node.parameters, "scope", "all") == "linear":
        stored = (4, stored[1])
    convolutions, linear = weights_in(given.network().model)
    saved = (4 - stored[0]) * convolutions + (4 - stored[1]) * linear
    return replace(same, bytes=same.bytes - saved)


def _narrower(prospect: Prospect, plan: "Plan") -> Prospect:
    """What can go after a pruning; costs still count from the first network."""
    from core.surgery.shapes import even_scores

    groups = [replace(group, channels=plan.kept[group.path]) for group in prospect.groups]
    return replace(prospect, groups=groups, scores=even_scores(groups))
