"""Weight sharing: each layer's weights take few values, found by k-means, then fine-tuning.

Source: Han, Mao, Dally 2016, "Deep Compression", arXiv 1510.00149, section 3: k-means per layer,
started linearly between the smallest and the largest weight; 8 bits for convolutions and 5 for
linear layers kept ImageNet's accuracy. The gradient of a shared value is in
`core.models.constraints`, the small file in `core.onnx_graph.shared_weights`.

Where we depart: the first layer is left alone unless asked for, and the file that runs holds indices of 4 or 8
bits. Their third step, Huffman coding (section 4), is the file's stored form (`core.onnx_graph.stored_form`): tables give its size
as *Stored*, and the export format `huffman` writes it.

Bits are bits of an index into a layer's values: b bits are 2^b values.

What it does badly: ONNX Runtime writes the values out when it opens the file, so that neither latency nor memory changes. Fine-tuning moves values
together, which can give back less than free weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.common.numbers import grouped
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import ForecastContext, network_of, trained
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

_ROUNDS = 300  # of k-means, at most; it stops where no value moves


class ShareWeightsParams(Params):
    linear_bits: int = param(
        5,
        "Linear layers",
        "Each linear layer's weights take 2 to the power of this many values. Up to 4 bits, a file index takes half a byte.",
        unit="bits",
        ge=2,
        le=8,
    )
    convolution_bits: int = param(
        8, "Convolutions", "The same for convolutions, which tolerate less.", unit="bits", ge=2, le=8
    )
    first_layer: bool = param(
        False,
        "First layer too",
        "Also share the weights of the layer that sees the image; it has few, and all others depend on it.",
    )
    protected: str = param(
        "",
        "Protected layers",
        "Names of layers that stay as they are, between commas; * stands for any text, as in 'head, body.layer1.*'.",
        advanced=True,
    )
    training: TrainingSettings = param(
        TrainingSettings(), "Fine-tuning", "How the shared values are trained afterwards."
    )


class ShareWeights(ModelStage[ShareWeightsParams]):
    id = "share-weights"
    title = "Share weights"
    group = "Low rank and sharing"
    icon = "factor"
    effect = "codebook"
    keeps_shape = True
    help = "Lets each layer's weights take few values only, so that the file stores small indices in their place."
    Settings = ShareWeightsParams

    def epochs(self, settings: ShareWeightsParams) -> float:
        return settings.training.epochs

    def forecast(
        self,
        settings: ShareWeightsParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        """The file holds indices in place of weights; its runtime writes them out, so no latency is predicted."""
        from core.surgery.layers import weight_layers
        from core.surgery.shapes import float32_bytes, shared_bytes

        model = network_of(previous).model
        layers, _ = weight_layers(model, settings.protected, settings.first_layer)
        saved, sharing = shared_bytes(layers.values(), settings.convolution_bits, settings.linear_bits)
        remark = (
            f"{grouped(sharing)} weights are stored as small indices; parameters and MACs stay as they are."
        )
        shared = replace(unchanged, bytes=float32_bytes(model) - saved, remark=remark)
        return replace(trained(shared, previous), layers=None)

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("sharing", "Weight sharing", saves="bytes"),)

    def run(self, model: "nn.Module", settings: ShareWeightsParams, context: StageContext) -> StageResult:
        from core.models.constraints import constrain
        from core.surgery.layers import weight_layers

        context.phase("share", "Finding shared values")
        layers, skipped = weight_layers(model, settings.protected, settings.first_layer)
        rows, few = share_layers(model.cpu(), layers, settings, context)
        constrain(model, (f"{row['path']}.weight" for row in rows), "shared")
        weights = sum(row["weights"] for row in rows)
        result = StageResult(model, skipped=skipped + few, facts={"layers": rows})
        result.notes += [
            f"{weights} weights in {len(rows)} layers take {sum(row['values'] for row in rows)} values.",
            "The exported file stores them as indices. The runtime writes the weights out when it opens "
            "the file: latency stays as it is, and memory gets no smaller.",
            "'Stored' is the size with the indices Huffman-coded; the export format 'huffman' writes that form.",
        ]
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result


def share_layers(
    model: "nn.Module", layers: Mapping[str, "nn.Module"], settings: ShareWeightsParams, context: StageContext
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Give the layers' weights shared values, in place. Zeros of constrained weights stay zero.

    Returns:
        Layers done: path, `weights`, `values`, `zeros` kept, `error`: the squared change of the
        weights over their squares. And layers left alone with the reason.
    """
    import torch
    from torch import nn

    rows, skipped = [], []
    for path, layer in layers.items():
        context.control.checkpoint()
        weight = layer.weight
        size = 2 ** (settings.linear_bits if isinstance(layer, nn.Linear) else settings.convolution_bits)
        if weight.numel() <= size:
            skipped.append((path, f"{weight.numel()} weights, no more than the {size} values to share"))
            continue
        with torch.no_grad():
            before = weight.detach().clone()
            zeros = before == 0 if f"{path}.weight" in model.constraints else torch.zeros_like(before).bool()
            zero_count = int(zeros.sum())
            weight[~zeros] = shared_values(before[~zeros], size - (zero_count > 0))
            error = (weight - before).double().square().sum() / before.double().square().sum().clamp(
                min=1e-300
            )
        values = len(weight.detach().unique())
        rows.append(
            {
                "path": path,
                "weights": weight.numel(),
                "values": values,
                "zeros": zero_count,
                "error": float(error),
            }
        )
    return rows, skipped


def shared_values(weights: "Tensor", size: int) -> "Tensor":
    """`weights` [n], each replaced by the nearest of at most `size` values that k-means finds.

    Lloyd's algorithm in one dimension: a value's members are a stretch of the sorted weights, whose
    mean is read off running sums. A value that nothing is near stays where it is.
    """
    import torch

    if not len(weights):
        return weights
    ordered, order = weights.double().sort(stable=True)
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    values = torch.linspace(float(ordered[0]), float(ordered[-1]), size, dtype=ordered.dtype)
    for _ in range(_ROUNDS):
        edges = _edges(ordered, values)
        members = edges.diff()
        means = torch.where(members > 0, sums[edges].diff() / members.clamp(min=1), values)
        if torch.equal(means, values):
            break
        values = means
    shared = torch.empty_like(weights)
    shared[order] = values.to(weights.dtype).repeat_interleave(_edges(ordered, values).diff())
    return shared


def _edges(ordered: "Tensor", values: "Tensor") -> "Tensor":
    """Where each value's stretch of the sorted weights begins, and the end: int64 [size + 1]."""
    import torch

    between = torch.searchsorted(ordered, (values[1:] + values[:-1]) / 2)
    return torch.cat([between.new_zeros(1), between, between.new_full((1,), len(ordered))])
