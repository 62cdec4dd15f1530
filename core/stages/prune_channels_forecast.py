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
    settings: Any, same: Forecast, given: StageForecast, context: ForecastContext
) -> StageForecast:
    """As `Stage.forecast`. Exact where the plan does not depend on weights that nobody knows yet."""
    exact = _exact(settings, given)
    prunable, asked = _prunable_groups(settings, given, context, exact)
    latency: Cost | None = None
    if settings.target == "latency":
        milliseconds = context.layer_times()
        if milliseconds is None:
            return StageForecast(
                Forecast(same.id, same.before, measuring=given.build is not None, remark=_MEASURING)
            )
        latency = prunable.latency_share(milliseconds)
    prunable, plan = _planned(settings, prunable, latency)
    besides = (same.bytes or 0) - 4 * (same.params or 0)
    known = replace(
        same, params=plan.params, macs=plan.macs, bytes=4 * plan.params + besides,
        sure=same.sure if exact else "about", remark="" if exact else _why_about(settings),
    )  # fmt: skip
    return _after(settings, known, given, context, (prunable, plan, asked))


def _exact(settings: Any, given: StageForecast) -> bool:
    """Whether the plan will be the run's: it follows from the settings alone, or from weights that are there."""
    return _even(settings) or _reads_weights(settings, given)


def _even(settings: Any) -> bool:
    return bool(settings.ranking == "uniform" and settings.target == "ratio")


def _reads_weights(settings: Any, given: StageForecast) -> bool:
    """Whether the weights that the run will rank by can be read now."""
    on_images = settings.importance in (*_ON_IMAGES, "feature-map-rank", "random")
    if _even(settings) or on_images or settings.steps > 1 or not given.fresh:
        return False
    return network_of(given).weights is not None


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
    known: Forecast,
    given: StageForecast,
    context: ForecastContext,
    chosen: "tuple[PrunableGroups, Plan, str]",
) -> StageForecast:
    """The forecast, and the network that later stages would receive."""
    from core.surgery.groups import Counts

    prunable, plan, asked = chosen
    kept = plan.kept_channels
    key = make_key({"before": given.key, "kept": kept})

    def make() -> Network:
        from core.surgery.shapes import cut

        old = network_of(given)
        model = cut(old.model, old.size, old.blocks, settings.scope, settings.prune_fem, kept)
        return replace(old, model=model, weights=None)

    after = replace(_narrower(prunable, plan), start=OriginalSize(Counts(plan.params, plan.macs), kept))
    return StageForecast(
        known, key, False, lambda: context.recent.get(f"network {key}", make), {asked: after},
        layers=lambda: prunable.costs.layers(kept),
    )  # fmt: skip


def _prunable_groups(
    settings: Any, given: StageForecast, context: ForecastContext, exact: bool
) -> tuple[PrunableGroups, str]:
    """What can go, and what was asked: found once for a network, a scope and an importance."""
    from core.surgery.shapes import blank_images, even_scores, zeroed

    weights = network_of(given).weights if exact and not _even(settings) else None
    importance = "l1" if settings.importance in _ON_IMAGES else settings.importance
    alike = importance if weights or importance in _PARTIAL else "l1"
    asked = make_key({"scope": settings.scope, "fem": settings.prune_fem, "importance": alike})
    if asked in given.widths:
        return cast("PrunableGroups", given.widths[asked]), asked

    def find() -> PrunableGroups:
        shape = network_of(given)
        model = weights() if weights else zeroed(shape.model)
        wanted = settings.model_copy(update={"importance": alike})
        found = find_prunable_groups(
            model, shape.size, wanted, shape.blocks, batches=blank_images(shape.size)
        )
        model.to("meta")  # groups name parameters; nobody asks for their numbers again
        return found if weights else replace(found, scores=even_scores(found.groups))

    key = make_key({"network": given.key, "asked": asked, "weights": weights is not None})
    return cast("PrunableGroups", context.recent.get(f"prospect {key}", find)), asked


def _narrower(prunable: PrunableGroups, plan: "Plan") -> PrunableGroups:
    """What can go after a pruning; costs still count from the first network."""
    from core.surgery.shapes import even_scores

    groups = [replace(group, channels=plan.kept_channels[group.path]) for group in prunable.groups]
    return replace(prunable, groups=groups, scores=even_scores(groups))


def _why_about(settings: Any) -> str:
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
