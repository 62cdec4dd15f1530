"""Unstructured pruning: single weights become zero and stay zero, then fine-tuning.

Source: Han et al. 2015, arXiv 1506.02626 (magnitude); Zhu and Gupta 2017, arXiv 1710.01878 (the
cubic schedule, equation 1; they spare MobileNet's first layer as we do); Francy and Singh (arXiv 2409.02134) prune
ConvNeXt over a grid of amounts for linear layers and convolutions with `torch.nn.utils.prune`,
whose numbers these are: of n weights round(amount · n) become zero.

With n prunings the share of zeros after pruning t is amount · (1 − (1 − t/n)³).

Where we depart: an amount counts the zeros that a layer has already, so that pruning twice by a
half leaves a half, not a quarter. Zhu and Gupta prune every few steps, we prune between trainings.
Biases and batch normalisation are never pruned.

Of an N:M pattern (2:4, 4:8; Mishra et al. 2021, arXiv 2104.08378) N of every M neighbouring inputs of an output stay, in
`core.surgery.patterns`. It is faster only on GPUs with sparse tensor cores, by a runtime that is told of it; on processors and in
ONNX Runtime it is as fast as before. What stays can be corrected for what went (`core.surgery.weight_correction`);
batch norms keep their statistics, which fit answers that are nearly the old ones, unless they are to be estimated again.

Amounts are fractions of a layer's weights.

What it does badly: zeros are not faster. Dense kernels multiply them as any number; latency and file stay, only a compressed copy is smaller.
A pattern takes its share of every layer, sensitive ones too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.numbers import grouped, percent
from core.common.params import Params, param
from core.data.randomness import derive_seed
from core.models.forecast import Forecast, StageForecast
from core.models.memory_format import to_channels_last
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import ForecastContext, network_of, trained
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn


_BATCH = 64  # images at once for the correction


class PruneWeightsParams(Params):
    pattern: Literal["none", "2:4", "4:8"] = param(
        "none",
        "Pattern",
        "Where the zeros may be.",
        choices={
            "none": "Anywhere.",
            "2:4": "Two of every four neighbouring inputs: faster on GPUs with sparse tensor cores only. Half of the weights, whatever the amount.",
            "4:8": "Four of every eight: less accuracy is lost than by 2:4, and nothing computes it faster.",
        },
        added=True,
    )
    linear_amount: float = param(
        0.5,
        "Linear layers",
        "Share of each linear layer's weights that become zero. Under a pattern: half, or none where this is 0.",
        ge=0,
        lt=1,
        step=0.1,
    )
    convolution_amount: float = param(
        0.5,
        "Convolutions",
        "Share of each convolution's weights that become zero. Under a pattern: half, or none where this is 0.",
        ge=0,
        lt=1,
        step=0.1,
    )
    criterion: Literal["l1", "random"] = param(
        "l1",
        "Criterion",
        "Which weights go.",
        choices={
            "l1": "Those closest to zero.",
            "random": "Any, by chance: the bar that a criterion has to beat.",
        },
    )
    ranking: Literal["layer", "global"] = param(
        "layer",
        "Ranking",
        "Which weights are compared with each other.",
        choices={
            "layer": "Those of one layer: every layer loses the same share.",
            "global": "Those of all linear layers, and those of all convolutions: layers of small weights lose more.",
        },
        when="pattern=none",
    )
    steps: int = param(
        1,
        "Prunings",
        "1 prunes all at once; more reach the amounts along a cubic curve, most at first, with training after each.",
        ge=1,
        le=100,
        when="pattern=none",
    )
    correction_images: int = param(
        0,
        "Corrected by",
        "Training images by whose feature maps the remaining weights are corrected for those that went, without labels or training; 256 is a start, 0 corrects nothing.",
        unit="images",
        ge=0,
        le=10_000,
        step=64,
        added=True,
    )
    batch_norm_batches: int = param(
        0,
        "Batch norm batches",
        "Batches of training images on which batch norm statistics are estimated again after each pruning: helps where most weights go and little is trained afterwards. 0 leaves the old ones.",
        unit="batches",
        ge=0,
        le=10_000,
        advanced=True,
        added=True,
    )
    step_epochs: int = param(
        1,
        "Epochs between",
        "Training after each pruning but the last, which the fine-tuning follows.",
        unit="epochs",
        ge=1,
        le=1000,
        advanced=True,
        when="steps>1",
    )
    first_layer: bool = param(
        False,
        "First layer too",
        "Also prune the layer that sees the image. It has few weights and all others depend on it; Francy and Singh prune it.",
    )
    protected: str = param(
        "",
        "Protected layers",
        "Names of layers that stay whole, between commas; * stands for any text, as in 'head, body.layer1.*'.",
        advanced=True,
    )
    training: TrainingSettings = param(
        TrainingSettings(), "Fine-tuning", "How the remaining weights are trained afterwards."
    )


class PruneWeights(ModelStage[PruneWeightsParams]):
    id = "prune-weights"
    title = "Prune weights"
    group = "Pruning"
    icon = "prune"
    effect = "zeros"
    keeps_shape = True
    causes = ("mask-not-cut",)
    help = (
        "Sets the smallest weights to zero and keeps them there. The network keeps its shape and its speed."
    )
    Settings = PruneWeightsParams

    def epochs(self, settings: PruneWeightsParams) -> float:
        return (settings.steps - 1) * settings.step_epochs + settings.training.epochs

    def check(self, settings: PruneWeightsParams, facts: NetworkFacts) -> list[Problem]:
        if settings.linear_amount == settings.convolution_amount == 0:
            return [Problem(
                "Expected an amount above 0 for linear layers or convolutions, received 0 for both.",
                "Nothing would be pruned; raise one of them.", ("convolution_amount",),
            )]  # fmt: skip
        if settings.pattern != "none" and settings.steps > 1:
            return [Problem(
                f"Expected one pruning with a pattern, received {settings.steps}: a pattern is there at once.",
                "Set the prunings to 1.", ("steps",),
            )]  # fmt: skip
        return []

    def forecast(
        self,
        settings: PruneWeightsParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """How many weights become zero, as the run counts them."""
        from core.surgery.shapes import zeros_of

        layers, _ = _chosen(network_of(previous).model, settings)
        amounts = settings.convolution_amount, settings.linear_amount
        if settings.pattern != "none":
            amounts = 0.5 * bool(amounts[0]), 0.5 * bool(amounts[1])
        ranked_together = settings.pattern == "none" and settings.ranking == "global"
        zeros = zeros_of(layers.values(), *amounts, ranked_together)
        words = f"{grouped(zeros)} weights become zero. They are stored and computed like any other number."
        return trained(replace(unchanged, remark=words), previous)

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        """Channels in place of weights: as many as are zero altogether, else the same share."""
        zero_channels, channels = figures["zero_channels"], figures["channels"]
        share = zero_channels / channels if zero_channels > 0.05 * channels else figures["zeros"]
        new_settings = {
            "ratio": min(max(round(share, 2), 0.05), 0.9),
            "training": dict(settings["training"]),
        }
        return Fix(words="Cut channels instead", stage=id, kind="prune-channels", settings=new_settings)

    def coverage(self) -> tuple[CoverageCase, ...]:
        pattern = {"pattern": "2:4", "correction_images": 32}
        return (
            CoverageCase("weights", "Unstructured pruning", saves="nonzero_params"),
            CoverageCase("weights-pattern", "Pruning to 2:4, corrected", pattern, saves="nonzero_params"),
        )

    def run(self, model: "nn.Module", settings: PruneWeightsParams, context: StageContext) -> StageResult:
        from core.models.constraints import constrain
        from core.surgery.batch_norm import recalibrate

        layers, skipped = _chosen(model, settings)
        result = StageResult(model, skipped=skipped)
        done, total = 0.0, max(self.epochs(settings), 1)

        def prune(step: int) -> None:
            context.phase("prune", "Pruning weights")
            dense = {path: layer.weight.detach().cpu().clone() for path, layer in layers.items()}
            prune_layers(model, layers, settings, share_at(step, settings.steps), context)
            if settings.correction_images:
                _correct(result, layers, dense, settings.correction_images, context)
            recalibrate(model, context, settings.batch_norm_batches)
            constrain(model, (f"{path}.weight" for path in layers), "sparse")

        for step in range(1, settings.steps + 1):
            prune(step)
            training = _training_after(step, settings)
            part = context.part(done / total, training.epochs / total)
            phase = "fine-tune" if step == settings.steps else f"step-{step}"
            result.add_training(run_training(model, training, part, phase=phase))
            done += training.epochs
            if result.cut_at is not None and step < settings.steps:  # a person wants the result now
                prune(settings.steps)
                break
        result.facts["layers"] = rows = list(_rows(layers))
        corrected = _correction_notes(result.facts.get("corrected", []), settings.correction_images)
        result.notes = [
            *_notes(rows),
            *corrected,
            *dict.fromkeys(result.notes),
        ]  # each training says its precision
        if settings.pattern != "none":
            result.notes.append(
                f"The zeros lie in the pattern {settings.pattern}. It is faster on GPUs with sparse tensor cores only, by a runtime that "
                "is told of it; the exported file holds the zeros like other numbers."
            )
        return result


def _chosen(
    model: "nn.Module", settings: PruneWeightsParams
) -> "tuple[dict[str, nn.Conv2d | nn.Linear], list[tuple[str, str]]]":
    """The layers that are pruned, and the others with the reason.

    Raises:
        EspalierError: when the pattern fits none.
    """
    from core.surgery.layers import weight_layers
    from core.surgery.patterns import by_pattern

    layers, skipped = weight_layers(model, settings.protected, settings.first_layer)
    if settings.pattern == "none":
        return layers, skipped
    fitting, others = by_pattern(layers, settings.pattern)
    if not fitting:
        raise EspalierError(
            f"Expected a layer whose inputs can be grouped for the pattern {settings.pattern}; this network has none.",
            "Set the pattern to 'none'.",
        )
    return fitting, skipped + others


def _correct(
    result: StageResult,
    layers: "Mapping[str, nn.Conv2d | nn.Linear]",
    dense: "Mapping[str, Tensor]",
    images: int,
    context: StageContext,
) -> None:
    """Correct what stays of the network in `result` on so many training images, a layer at a time."""
    from core.surgery.samples import training_batches
    from core.surgery.weight_correction import correct

    context.phase("correct", "Correcting the remaining weights")
    size = min(max(images, 2), _BATCH)
    count = -(-images // size)
    to_channels_last(result.model, context.device).eval()
    rows, left = correct(
        result.model, layers, dense,
        lambda: (batch for batch, _ in training_batches(context, "correct", count, size)),
    )  # fmt: skip
    result.facts["corrected"] = rows
    result.skipped += [entry for entry in left if entry not in result.skipped]


def share_at(step: int, steps: int) -> float:
    """Share of the final amounts that is pruned after pruning `step` of `steps`."""
    return 1 - (1 - step / steps) ** 3


def prune_layers(
    model: "nn.Module",
    layers: Mapping[str, "nn.Module"],
    settings: PruneWeightsParams,
    share: float,
    context: StageContext,
) -> None:
    """Set `share` of the final amounts to zero, in place and on the CPU.

    Args:
        layers: convolutions and linear layers by path.
    """
    import torch
    from torch import nn

    from core.surgery.patterns import pattern_mask

    model.cpu()
    amounts = {nn.Linear: settings.linear_amount, nn.Conv2d: settings.convolution_amount}
    for kind, amount in amounts.items():
        scores = {
            path: _scores(layer.weight, settings.criterion, derive_seed(context.seed, context.key, path))
            for path, layer in layers.items()
            if isinstance(layer, kind)
        }
        if settings.pattern != "none":
            for path, ranked in scores.items() if amount else ():
                weight = layers[path].weight
                mask = pattern_mask(ranked.view(weight.shape), settings.pattern)
                with torch.no_grad():
                    weight.masked_fill_(mask, 0)
            continue
        compared = [list(scores)] if settings.ranking == "global" else [[path] for path in scores]
        for paths in compared:
            _zero_lowest([(layers[path].weight, scores[path]) for path in paths], share * amount)


def _scores(weight: "Tensor", criterion: str, seed: int) -> "Tensor":
    """What pruning ranks by, [n]: the lowest go first. Weights that are zero come before all others."""
    import torch

    flat = weight.detach().reshape(-1)
    if criterion == "l1":
        return flat.abs()
    draws = torch.rand(len(flat), generator=torch.Generator().manual_seed(seed))
    return draws.masked_fill(flat == 0, -1)


def _zero_lowest(ranked: list[tuple["Tensor", "Tensor"]], amount: float) -> None:
    """Of all these (weight, scores), set round(amount · n) entries with the lowest scores to zero."""
    import torch

    if not ranked:
        return
    scores = torch.cat([layer_scores for _, layer_scores in ranked])
    gone = torch.zeros(len(scores), dtype=torch.bool)
    gone[scores.argsort(stable=True)[: round(amount * len(scores))]] = True
    with torch.no_grad():
        for (weight, _), mask in zip(
            ranked, gone.split([len(layer_scores) for _, layer_scores in ranked]), strict=True
        ):
            weight.masked_fill_(mask.view(weight.shape), 0)


def _training_after(step: int, settings: PruneWeightsParams) -> TrainingSettings:
    if step == settings.steps:
        return settings.training
    return settings.training.model_copy(update={"epochs": settings.step_epochs})


def _rows(layers: Mapping[str, "nn.Module"]) -> Iterable[dict[str, Any]]:
    for path, layer in layers.items():
        weights = layer.weight.numel()
        yield {"path": path, "weights": weights, "zeros": weights - int(layer.weight.count_nonzero())}


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    zeros, weights = (sum(row[name] for row in rows) for name in ("zeros", "weights"))
    return [
        f"{zeros} of {weights} weights in {len(rows)} layers are zero ({percent(zeros / max(weights, 1), 1)}).",
    ]


def _correction_notes(rows: list[dict[str, Any]], images: int) -> list[str]:
    if not rows:
        return []
    before, after = (
        100 * sum(row[name] for row in rows) / len(rows) for name in ("uncorrected", "corrected")
    )
    return [
        f"The remaining weights of {len(rows)} layers were corrected on {images} images: what the zeros change in a layer's "
        f"answers fell from {before:.1f} to {after:.1f} % of their power in the mean.",
    ]
