"""torch-pruning's own pruner, as its benchmarks use it, to be held beside ours.

Source: Fang et al. 2023, arXiv 2301.12900 (torch-pruning, `BasePruner`). It goes in many small steps, ranks anew at each, and
stops as soon as a budget is met; so its result lies at or below the budget, not next to it. What we keep from it are
the classifier's outputs, the parts of attention and, unless they may go, the Feature Enhancement Module's layers.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.models.fem import FeatureEnhancement
from core.surgery.groups import unfold_shortcuts
from core.surgery.meta_copy import Counts, count
from core.surgery.patched_torch_pruning import torch_pruning_patched

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.surgery.importance import Batch

IMPORTANCES = {
    "l1": ("GroupMagnitudeImportance", {"p": 1}),
    "l2": ("GroupMagnitudeImportance", {"p": 2}),
    "lamp": ("LAMPImportance", {}),
    "fpgm": ("FPGMImportance", {}),
    "batch-norm": ("BNScaleImportance", {}),
    "taylor": ("GroupTaylorImportance", {}),
    "random": ("RandomImportance", {}),
}
_STEPS = 100  # of a way to a budget
_MOST = 0.98  # of a layer's channels, at the end of that way


@dataclass(frozen=True, slots=True)
class TheirRequest:
    """What torch-pruning is to do.

    Attributes:
        importance: a key of `IMPORTANCES`. ranking: "uniform", "global" or "isomorphic".
        ratio: share of the channels that goes; or budget: counts that the network may keep at most.
        most: the largest share of one layer that goes. fem: whether the FEM's layers may go.
    """

    importance: str
    ranking: str
    ratio: float | None
    budget: Counts | None
    round_to: int
    most: float
    fem: bool


def prune(
    model: "ImageClassifier", size: int, asked: TheirRequest, batches: "Iterable[Batch]", seed: int
) -> list[tuple[str, int, int]]:
    """Prune the network in place.

    Args:
        batches: images and labels on the model's device, for "taylor". seed: of "random".

    Returns: by layer, how many channels it wrote before and writes now.

    Raises:
        EspalierError: when torch-pruning cannot, or not as far as asked.
    """
    unfold_shortcuts(model)
    before = _widths(model)
    model.eval()
    torch.manual_seed(seed)
    try:
        pruner = _pruner(model, size, asked)
        for _ in range(1 if asked.budget is None else _STEPS):
            if asked.importance == "taylor":
                _gradients(model, batches)
            pruner.step()
            if asked.budget is not None and _within(count(model, size), asked.budget):
                break
        reached = count(model, size)
    except Exception as error:  # whatever torch-pruning says about a structure that it does not know
        raise EspalierError(
            f"torch-pruning's own pruner cannot prune this network: {reason_of(error)}.",
            "Let Espalier prune it.",
            repr(error),
        ) from error
    finally:
        model.zero_grad(set_to_none=True)
    if asked.budget is not None and not _within(reached, asked.budget):
        raise EspalierError(
            f"torch-pruning's own pruner does not reach the budget with these settings; it ends at "
            f"{reached.params / 1e6:.3g} M parameters and {reached.macs / 1e6:.3g} M MACs.",
            "Ask for more, lower the rounding or raise the largest share.",
        )
    return [(path, width, now) for path, now in _widths(model).items() if (width := before[path])]


def _pruner(model: "ImageClassifier", size: int, asked: TheirRequest) -> Any:
    tp = torch_pruning_patched()
    kind, arguments = IMPORTANCES[asked.importance]
    image = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    with warnings.catch_warnings():  # of parameters outside of layers, which it is told not to touch
        warnings.simplefilter("ignore", UserWarning)
        return tp.pruner.BasePruner(
            model,
            image,
            importance=getattr(tp.importance, kind)(**arguments),
            global_pruning=asked.ranking != "uniform",
            isomorphic=asked.ranking == "isomorphic",
            pruning_ratio=_MOST if asked.ratio is None else asked.ratio,
            max_pruning_ratio=asked.most if asked.ranking != "uniform" else 1.0,
            iterative_steps=1 if asked.budget is None else _STEPS,
            ignored_layers=_kept(model, asked.fem),
            round_to=asked.round_to if asked.round_to > 1 else None,
        )


def _kept(model: nn.Module, fem: bool) -> list[Any]:
    """Layers and parameters that torch-pruning is not to touch."""
    layers = [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    heads = [path for path in layers if path.split(".")[0] == "head"] or layers
    kept: list[Any] = [model.get_submodule(heads[-1])]
    for module in model.modules():
        if "Attention" in type(module).__name__ or (isinstance(module, FeatureEnhancement) and not fem):
            kept.append(module)
        if isinstance(module, FeatureEnhancement):
            kept.append(module.fusion)
    return kept


def _within(counts: Counts, budget: Counts) -> bool:
    return counts.params <= budget.params and counts.macs <= budget.macs


def _widths(model: nn.Module) -> dict[str, int]:
    return {
        path: int(module.weight.shape[0])
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@torch.enable_grad()
def _gradients(model: nn.Module, batches: "Iterable[Batch]") -> None:
    """Of the mean loss, for the first-order importance."""
    model.zero_grad()
    for images, labels in batches:
        functional.cross_entropy(model(images), labels).backward()
