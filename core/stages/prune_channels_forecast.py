"""What channel pruning would leave: the run's own plan, asked on a network without numbers.

Everywhere here `settings` are `PruneChannelsParams`, which import this file. Readable without torch.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from core.common.keys import make_key
from core.models.forecast import Forecast, Network, StageForecast
from core.stages.forecast import ForecastContext, network_of
from core.surgery.prunable_groups import Cost, OriginalSize, PrunableGroups, find_prunable_groups

if TYPE_CHECKING:
    from core.surgery.budget import Plan

_ON_IMAGES = ("taylor", "hessian")  # they have a number for every group, so any other stands for them
_PARTIAL = ("batch-norm", "feature-map-rank")  # they have none for some groups
_MEASURING = "Which widths meet a latency is known once this machine has been measured."


def forecast_pruning(
    settings: Any, unchanged: Forecast, previous: StageForecast, context: ForecastContext
) -> StageForecast:
    """As `Stage.forecast`. Exact where the plan does not depend on weights that are not trained yet."""
    exact = settings.pruner == "espalier" and _exact(settings, previous)
    prunable, ranking_key = _prunable_groups(settings, previous, context, exact)
    latency: Cost | None = None
    if settings.target == "latency":
        milliseconds = context.layer_times()
        if milliseconds is None:
            return StageForecast(
                Forecast(
                    unchanged.id, unchanged.before, measuring=previous.build is not None, remark=_MEASURING
                )
            )
        latency = prunable.latency_share(milliseconds)
    prunable, plan = _planned(settings, prunable, latency)
    other_bytes = (unchanged.bytes or 0) - 4 * (unchanged.params or 0)
    forecast = replace(
        unchanged, params=plan.params, macs=plan.macs, bytes=4 * plan.params + other_bytes,
        sure=unchanged.sure if exact else "about", remark="" if exact else _why_about(settings),
    )  # fmt: skip
    return _after(settings, forecast, previous, context, (prunable, plan, ranking_key))


def _exact(settings: Any, previous: StageForecast) -> bool:
    """Whether the run will make the same plan: it depends on the settings alone, or on weights that exist."""
    return _uniform_ratio(settings) or _reads_weights(settings, previous)


def _uniform_ratio(settings: Any) -> bool:
    return bool(settings.ranking == "uniform" and settings.target == "ratio")


def _reads_weights(settings: Any, previous: StageForecast) -> bool:
    """Whether the weights that the run will rank by can be read now."""
    on_images = settings.importance in (*_ON_IMAGES, "feature-map-rank", "random")
    if _uniform_ratio(settings) or on_images or settings.steps > 1 or not previous.fresh:
        return False
    return network_of(previous).weights is not None


def _planned(settings: Any, prunable: PrunableGroups, latency: Cost | None) -> "tuple[PrunableGroups, Plan]":
    """The last of all prunings, and what it chose from; a latency is settled for all of them at once."""
    steps = settings.steps if latency is None else 1
    plan = prunable.plan(settings, 1 / steps, latency)
    for step in range(2, steps + 1):
        prunable = _narrower(prunable, plan)
        plan = prunable.plan(settings, step / steps, latency)
    return prunable, plan


def _after(
    settings: Any,
    forecast: Forecast,
    previous: StageForecast,
    context: ForecastContext,
    plan_and_key: "tuple[PrunableGroups, Plan, str]",
) -> StageForecast:
    """The forecast, and the network that later stages would receive."""
    from core.surgery.meta_copy import Counts

    prunable, plan, ranking_key = plan_and_key
    kept = plan.kept_channels
    key = make_key({"before": previous.key, "kept": kept})

    def make() -> Network:
        from core.surgery.shapes import cut

        network = network_of(previous)
        model = cut(network.model, network.size, network.blocks, settings.scope, settings.prune_fem, kept)
        return replace(network, model=model, weights=None)

    after = replace(_narrower(prunable, plan), start=OriginalSize(Counts(plan.params, plan.macs), kept))
    return StageForecast(
        forecast, key, False, lambda: context.recent.get(f"network {key}", make), {ranking_key: after},
        layers=lambda: prunable.costs.layers(kept),
    )  # fmt: skip


def _prunable_groups(
    settings: Any, previous: StageForecast, context: ForecastContext, exact: bool
) -> tuple[PrunableGroups, str]:
    """The prunable channels and the key of their ranking; cached per network, scope and importance."""
    from core.surgery.shapes import blank_images, even_scores, zeroed

    weights = network_of(previous).weights if exact and not _uniform_ratio(settings) else None
    importance = "l1" if settings.importance in _ON_IMAGES else settings.importance
    importance_used = importance if weights or importance in _PARTIAL else "l1"
    ranking_key = make_key(
        {"scope": settings.scope, "fem": settings.prune_fem, "importance": importance_used}
    )
    if ranking_key in previous.widths:
        return cast("PrunableGroups", previous.widths[ranking_key]), ranking_key

    def find() -> PrunableGroups:
        shape = network_of(previous)
        model = weights() if weights else zeroed(shape.model)
        forecast_settings = settings.model_copy(update={"importance": importance_used})
        prunable = find_prunable_groups(
            model, shape.size, forecast_settings, shape.blocks, batches=blank_images(shape.size)
        )
        model.to("meta")  # groups hold parameters, whose values are no longer needed
        return prunable if weights else replace(prunable, scores=even_scores(prunable.groups))

    key = make_key({"network": previous.key, "asked": ranking_key, "weights": weights is not None})
    return cast("PrunableGroups", context.recent.get(f"prospect {key}", find)), ranking_key


def _narrower(prunable: PrunableGroups, plan: "Plan") -> PrunableGroups:
    """What can go after a pruning; costs still count from the first network."""
    from core.surgery.shapes import even_scores

    groups = [replace(group, channels=plan.kept_channels[group.path]) for group in prunable.groups]
    return replace(prunable, groups=groups, scores=even_scores(groups))


def _why_about(settings: Any) -> str:
    if settings.pruner != "espalier":
        return "What Espalier's pruner would leave; torch-pruning's chooses itself and ends at or below a budget."
    if settings.target == "latency":
        return (
            "Widths that the table of layer times predicts; the run measures and corrects them, within 5 %."
        )
    if settings.target in ("macs", "parameters", "size"):
        return (
            "The budget is met within about 1 %; which layers give how much depends on the trained weights."
        )
    return (
        f"With the ranking '{settings.ranking}', which layers lose how much depends on the trained weights."
    )
