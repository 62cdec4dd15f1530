"""Channel pruning by torch-pruning's own pruner: the same stage, another hand. Readable without torch.

Everywhere here `settings` are `PruneChannelsParams`, which import this file.
"""

from typing import TYPE_CHECKING, Any

from core.common.errors import Problem
from core.common.numbers import percent
from core.stages.context import StageContext
from core.stages.fine_tune import run_training
from core.stages.result import StageResult

if TYPE_CHECKING:
    from core.surgery.meta_copy import Counts
    from core.surgery.pruner_of_torch_pruning import TheirRequest

_IMPORTANCES = ("l1", "l2", "lamp", "fpgm", "batch-norm", "taylor", "random")
_MB = 1e6
NAME = "torch-pruning"


def problems(settings: Any) -> list[Problem]:
    """Settings that torch-pruning's pruner has no counterpart for."""
    found = []
    if settings.scope != "whole-groups":
        found.append(Problem(
            f"torch-pruning's own pruner cuts whole groups of coupled layers, not only those of the scope {settings.scope!r}.",
            "Choose the scope 'whole-groups'.", ("scope",),
        ))  # fmt: skip
    if settings.importance not in _IMPORTANCES:
        found.append(Problem(
            f"torch-pruning's own pruner is not offered with the importance {settings.importance!r}.",
            f"Choose one of {', '.join(_IMPORTANCES)}.", ("importance",),
        ))  # fmt: skip
    if settings.target == "latency":
        found.append(Problem(
            "torch-pruning's own pruner knows no latency.", "Choose the target 'macs'.", ("target",)
        ))  # fmt: skip
    if settings.own_ratios:
        found.append(Problem(
            "Own ratios are for Espalier's pruner; torch-pruning's would pass over them.", "Leave them empty.", ("own_ratios",)
        ))  # fmt: skip
    return found


def run(model: Any, settings: Any, context: StageContext) -> StageResult:
    """As `Stage.run`, with the pruning by torch-pruning and everything else as ours."""
    from core.surgery.meta_copy import count

    result, size = StageResult(model), context.preprocess.size
    start, epochs = (
        count(model, size),
        max((settings.steps - 1) * settings.step_epochs + settings.training.epochs, 1),
    )
    between = settings.training.model_copy(update={"epochs": settings.step_epochs})
    share = settings.step_epochs / epochs
    widths: dict[str, tuple[int, int]] = {}
    for step in range(1, settings.steps + 1):
        cut = _prune(model, settings, context, step, start)
        widths = {path: (widths[path][0] if path in widths else before, after) for path, before, after in cut}
        last = step == settings.steps
        length = settings.training.epochs / epochs if last else share
        part = context.part((step - 1) * share, length)
        phase, training = ("fine-tune", settings.training) if last else (f"step-{step}", between)
        result.add_training(run_training(model, training, part, phase=phase))
        if result.cut_at is not None:  # a person wants the result now
            break
    _report(result, settings, widths, start, count(model, size))
    return result


def _prune(
    model: Any, settings: Any, context: StageContext, step: int, start: "Counts"
) -> list[tuple[str, int, int]]:
    from core.data.randomness import derive_seed
    from core.surgery.batch_norm import recalibrate
    from core.surgery.pruner_of_torch_pruning import prune
    from core.surgery.samples import training_batches

    context.phase("prune", "Pruning channels")
    model.to(context.device)
    batches = list(training_batches(
        context, f"importance-{step}", settings.importance_batches, settings.training.batch_size
    )) if settings.importance == "taylor" else []  # fmt: skip
    seed = derive_seed(context.seed, "torch-pruning", str(step))
    cut = prune(model, context.preprocess.size, _request(settings, step, start), batches, seed)
    recalibrate(model, context, settings.batch_norm_batches, settings.training.batch_size)
    return cut


def _request(settings: Any, step: int, start: "Counts") -> "TheirRequest":
    """What is asked of pruning `step`: shares are of the first network, and it sees what the one before left."""
    from core.surgery.meta_copy import Counts
    from core.surgery.pruner_of_torch_pruning import TheirRequest

    done, before = step / settings.steps, (step - 1) / settings.steps
    ratio = budget = None
    if settings.target == "ratio":
        ratio = 1 - (1 - settings.ratio * done) / (1 - settings.ratio * before)
    else:
        whole, final = {
            "macs": (start.macs, settings.budget * start.macs),
            "parameters": (start.params, settings.budget * start.params),
            "size": (start.params, settings.size_mb * _MB / 4),
        }[settings.target]
        allowed = int(whole - (whole - final) * done)
        of_macs = settings.target == "macs"
        budget = Counts(start.params if of_macs else allowed, allowed if of_macs else start.macs)
    return TheirRequest(
        settings.importance, settings.ranking, ratio, budget, settings.round_to, settings.largest_share, settings.prune_fem
    )  # fmt: skip


def _report(
    result: StageResult, settings: Any, widths: dict[str, tuple[int, int]], start: "Counts", now: "Counts"
) -> None:
    cut = [
        {"path": path, "before": before, "after": after, "importance_gone": None, "importance_left": None, "members": [path]}
        for path, (before, after) in widths.items()
        if after < before
    ]  # fmt: skip
    result.skipped = [
        (path, "keeps all channels") for path, (before, after) in widths.items() if after == before
    ]
    target = {"macs": settings.budget, "parameters": settings.budget}.get(settings.target)
    reached = now.macs / start.macs if settings.target == "macs" else now.params / start.params
    result.facts |= {
        "layers": cut, "importance": settings.importance, "pruner": NAME,
        "params_before": start.params, "params": now.params, "macs_before": start.macs, "macs": now.macs,
        "budget_missed_by": 0.0 if target is None else reached - target,
    }  # fmt: skip
    result.notes += [
        f"Pruned by torch-pruning's own pruner: {len(cut)} layers became narrower, {len(result.skipped)} keep their channels.",
        f"{percent(now.params / start.params, 1)} of the parameters and {percent(now.macs / start.macs, 1)} of the MACs are left.",
    ]
