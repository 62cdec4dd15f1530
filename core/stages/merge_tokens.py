"""Token merging: a vision transformer merges its most alike tokens from block to block, and so computes less.

Source: Bolya et al. 2023 (ToMe), arXiv 2210.09461; what it merges and where we depart is in `core.models.token_merging`. The network keeps its
weights, and no training is needed; a little fine-tuning gives back part of what is lost. A fixed number of tokens goes behind every block but the
last (behind which there is nothing to save), so that the exported graph has fixed shapes. Networks of timm's class `VisionTransformer` can take it:
those whose tokens lie on a grid that later layers need (Swin), or that turn them by their places in every block (EVA), cannot.

What it does badly: small images have a handful of tokens, each of which says something the others do not, so that accuracy goes. Merging takes time itself:
latency falls less than MACs.
"""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from core.common.errors import EspalierError, Problem
from core.common.keys import make_key
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import ForecastContext, network_of
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

_KINDS = ("VisionTransformer", "VisionTransformerDistilled")  # of timm, whose tokens are a plain row
_BLOCK = "Block"  # class name of their blocks


class MergeTokensParams(Params):
    removed: int = param(
        8,
        "Tokens",
        "So many tokens go behind every block but the last; fewer where fewer than twice as many are left. ViT at 224 px has 196 in 12 blocks: 8 leaves 108.",
        unit="tokens",
        ge=1,
        le=1000,
    )
    training: TrainingSettings = param(
        TrainingSettings(),
        "Fine-tuning",
        "How the network is trained afterwards; 0 epochs leave its weights.",
    )


class MergeTokens(ModelStage[MergeTokensParams]):
    id = "merge-tokens"
    title = "Merge tokens"
    group = "Pruning"
    icon = "prune"
    effect = "structure"
    help = "Merges a vision transformer's most alike tokens behind its blocks: fewer computations with the same weights."
    Settings = MergeTokensParams

    def epochs(self, settings: MergeTokensParams) -> float:
        return settings.training.epochs

    def check(self, settings: MergeTokensParams, facts: NetworkFacts) -> list[Problem]:
        structure = facts.structure()
        if structure is None or _BLOCK in structure[1]:
            return []
        return [
            Problem(
                f"{structure[0]} has no tokens that could be merged.",
                "Choose a vision transformer, or prune channels.",
            )
        ]

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("tokens", "Token merging", {"removed": 1}),)

    def forecast(
        self,
        settings: MergeTokensParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """The same weights, used for fewer tokens."""
        from core.surgery.meta_copy import count

        shape = network_of(previous)
        model = copy.deepcopy(shape.model)
        before, after = merge(model, settings.removed, shape.size)
        remark = f"{before} tokens become {after}; parameters stay as they are."
        forecast = replace(unchanged, macs=count(model, shape.size).macs, remark=remark)
        key = make_key({"before": previous.key, "merged": settings.removed})
        merged = replace(shape, model=model, weights=None)
        return StageForecast(forecast, key, False, lambda: merged)

    def run(self, model: "nn.Module", settings: MergeTokensParams, context: StageContext) -> StageResult:
        context.phase("merge", "Placing token merging behind the blocks")
        before, after = merge(model, settings.removed, context.preprocess.size)
        result = StageResult(model, facts={"tokens": before, "tokens_left": after})
        result.notes.append(f"{before} tokens become {after}; parameters stay as they are.")
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result


def merge(model: "nn.Module", removed: int, size: int) -> tuple[int, int]:
    """Place token merging behind every block but the last, in place; the tokens at first and at the end.

    Where it is there already, its number is changed.

    Args:
        size: side of the images in pixels.

    Raises:
        EspalierError: when the network has no tokens that can be merged.
    """
    from torch import nn

    from core.models.token_merging import TokenMerging, removable

    network = next((module for module in model.modules() if type(module).__name__ in _KINDS), None)
    blocks = getattr(network, "blocks", None)
    if network is None or not isinstance(blocks, nn.Sequential):
        raise EspalierError(
            f"Expected a vision transformer of timm ({' or '.join(_KINDS)}), received a network without one.",
            "Choose a ViT or DeiT, or prune channels instead.",
        )
    prefix = int(network.num_prefix_tokens)
    first = tokens = int(network.patch_embed.num_patches) + prefix
    children = [
        (name, child) for name, child in blocks._modules.items() if not isinstance(child, TokenMerging)
    ]
    blocks._modules.clear()
    for place, (name, child) in enumerate(children):
        blocks._modules[name] = child
        if place < len(children) - 1:
            blocks._modules[f"merge{name}"] = TokenMerging(prefix, removed)
            tokens -= removable(tokens, prefix, removed)
    return first, tokens
