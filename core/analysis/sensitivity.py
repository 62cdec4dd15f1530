"""How much each layer matters: its accuracy without some of its channels, or with integers.

*Pruning*: a share of one group's channels (the least important by L1, as `prune-channels` chooses them) is set to
zero in every layer that writes, scales or reads them, which computes what the network without them would; nothing
else changes, nothing is trained, and validation images are answered (Li et al. 2017, arXiv 1608.08710, section
3.2). Batch norms are not estimated again, so real pruning costs less than is shown here.

*Quantization*: one layer at a time becomes INT8 (`core.deploy.quantization.sensitivity`).

Both are jobs of the tool child; test images are never seen. Ratios are shares of a group's channels. Every figure has
a 95 % interval (what other images would have given), and takes as many images as an interval of the wanted width
needs: a layer that hardly matters needs fewer than one whose loss varies. After each layer a job sends its answer so far.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.machine.answer_so_far import Extent
from core.machine.jobs import JobContext

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor, nn

    from core.models.checkpoint import Checkpoint
    from core.surgery.channel_group import ChannelGroup

SHARES = (0.25, 0.5, 0.75)
_BATCH = 128
_MOST_BYTES = 1_000_000_000  # of prepared images that are kept
_LEAST = 128  # images, below which an interval is not to be relied on
_RANGES = 256  # training images that give the ranges of activations
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known of a figure besides its value: a 95 % interval, and on how many images."""

    low: float
    high: float
    images: int


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """One group of channels.

    Attributes:
        top1: by share of the channels that was set to zero, validation accuracy in percent.
        members: paths of all layers that the channels stand in.
        spreads: by share, of the loss in points; empty where it is not known.
    """

    path: str
    channels: int
    members: tuple[str, ...]
    top1: Mapping[float, float]
    spreads: Mapping[float, Spread] = field(default_factory=dict)

    def loss(self, share: float, baseline: float) -> float:
        """Points of accuracy that a share costs."""
        return baseline - self.top1[share]


def prune_scan(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: validation accuracy with a share of each group's channels at zero.

    Args (as plain data):
        checkpoint: folder. scope: "block-internal" or "whole-groups". prune_fem: the FEM's widths too.
        data, data_cache, base, threads: of `DataAccess.as_plain`.
        count: at most so many validation images. within: half the interval of each loss that is enough, in points;
            0 takes all images. shares: of the channels, each in 0…1.
        threads: 0 leaves it to the library.

    Returns: top1 (of the whole network, percent), images, layers: {path, channels, members, top1: list of
        [share, percent, low, high, images], the interval of the loss in points}, skipped: [path, reason]; extent: layers
        that were scanned.

    Raises:
        EspalierError: when checkpoint and data do not fit, or no channels can go.
    """
    import torch

    from core.models.catalogue import backbone
    from core.models.checkpoint import load_checkpoint
    from core.surgery.groups import channel_groups
    from core.surgery.importance import importances

    if int(arguments.get("threads", 0)):
        torch.set_num_threads(int(arguments["threads"]))
    context(0.0, "Reading the network")
    loaded = load_checkpoint(Path(arguments["checkpoint"]))
    batches = _validation(loaded, arguments)
    blocks = backbone(loaded.network.backbone).blocks
    groups, skipped = channel_groups(
        loaded.model, loaded.preprocess.size, blocks, arguments["scope"], bool(arguments.get("prune_fem"))
    )
    scores, _ = importances(loaded.model, groups, "l1")
    if not groups:
        raise EspalierError(
            "None of this network's channels can go in this scope.",
            "Choose whole groups.",
            "\n".join(f"{path}: {reason}" for path, reason in skipped),
        )
    judge = _Judge(loaded.model, batches, float(arguments.get("within", 0.0)))
    shares = [float(share) for share in arguments.get("shares", SHARES)]
    told: dict[str, Any] = {
        "top1": judge.baseline,
        "images": judge.images,
        "layers": [],
        "skipped": [[path, reason] for path, reason in skipped],
    }
    steps = len(groups) * len(shares)
    for number, group in enumerate(groups):
        accuracies = []
        for position, share in enumerate(shares):
            done = number * len(shares) + position
            context(0.05 + 0.95 * done / steps, f"{group.path}: {number + 1} of {len(groups)} layers")
            removed = least_important(scores[group.path], share)
            with zeroed_units(loaded.model, group, removed):
                loss, spread = judge.loss()
            accuracies.append([share, judge.baseline - loss, *_plain(spread)])
        layer = {
            "path": group.path, "channels": group.channels, "members": list(group.members), "top1": accuracies,
        }  # fmt: skip
        told["layers"].append(layer)
        told["extent"] = asdict(Extent(number + 1, len(groups)))
        context.send_part(told)
    context(1.0, "Scanned")
    return told


def quantize_scan(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: what it costs when one layer of a float32 file computes with integers.

    Args (as plain data):
        file: .onnx. data, data_cache, base, threads as for `prune_scan`. count: at most so many validation
            images. ranges: training images that give the ranges. within: half the interval of each figure that is
            enough, in dB; 0 takes all images.

    Returns: ranking: [layer, value, low, high, images], the most sensitive first; measure, unit; images; extent: layers
        that were scanned.

    Raises:
        EspalierError: when the file is quantized already or the data do not fit.
    """
    from core.deploy.quantization.calibration import collect_ranges, draw
    from core.deploy.quantization.graph import layers_of, prepare
    from core.deploy.quantization.qdq import OP_TYPES, NumberFormat, resolve_activations
    from core.deploy.quantization.sensitivity import UNITS, quantized_alone, ranked
    from core.deploy.quantization.sessions import run

    context(0.0, "Preparing the graph")
    source, measure = Path(arguments["file"]), "sqnr"
    threads, within = int(arguments.get("threads", 0)), float(arguments.get("within", 0.0))
    prepared = prepare(source)
    layers = layers_of(prepared)
    sample = draw(prepared, arguments, "train", int(arguments.get("ranges", _RANGES)), 0)
    ranges = collect_ranges(
        prepared, sample, OP_TYPES, "minmax", 100.0, lambda done, text: context(0.3 * done, text)
    )
    blocks = list(draw(prepared, arguments, "validation", int(arguments["count"]), 0).blocks())
    numbers = NumberFormat(resolve_activations("auto"), False)
    reference = [run(prepared, [block], threads) for block in blocks]
    values, spreads = [], {}
    told: dict[str, Any] = {
        "measure": measure, "unit": UNITS[measure], "images": sum(len(block) for block in blocks),
        "ranking": [], "extent": asdict(Extent()),
    }  # fmt: skip
    for index, layer in enumerate(layers):
        context(0.3 + 0.7 * index / len(layers), f"{layer.name}: {index + 1} of {len(layers)} layers")
        variant = quantized_alone(prepared, layers, ranges, numbers, layer.name)
        value, spreads[layer.name] = _noise(variant, blocks, reference, within, threads)
        values.append((layer.name, value))
        ranking = ranked(values, "alone", measure)
        told["ranking"] = [[name, value, *_plain(spreads[name])] for name, value in ranking]
        told["extent"] = asdict(Extent(index + 1, len(layers)))
        context.send_part(told)
    context(1.0, "Scanned")
    return told


def _plain(spread: Spread) -> list[float]:
    return [spread.low, spread.high, spread.images]


def _noise(
    variant: "onnx.ModelProto",
    blocks: "list[np.ndarray]",
    reference: "list[np.ndarray]",
    within: float,
    threads: int,
) -> tuple[float, Spread]:
    """Signal to noise of a variant's logits in dB, on as many blocks of images as `within` dB need.

    The interval is the delta method's for the logarithm of a ratio of sums over images.
    """
    import numpy as np

    from core.deploy.quantization.sessions import open_model

    session = open_model(variant, threads)
    entry, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    signal, noise = np.zeros(0), np.zeros(0)
    for block, wanted in zip(blocks, reference, strict=True):
        given = session.run([output], {entry: block})[0]
        signal = np.append(signal, np.square(wanted.astype(np.float64)).sum(1))
        noise = np.append(noise, np.square(wanted.astype(np.float64) - given).sum(1))
        if noise.sum() == 0:
            continue
        parts = signal / signal.mean() - noise / noise.mean()
        half = 10 / math.log(10) * _Z95 * float(parts.std()) / math.sqrt(len(parts))
        if within and len(parts) >= _LEAST and half <= within:
            break
    if noise.sum() == 0:
        return math.inf, Spread(math.inf, math.inf, len(signal))
    value = 10.0 * math.log10(signal.sum() / noise.sum())
    return value, Spread(value - half, value + half, len(signal))


# From a scan to settings


def read_scan(result: Mapping[str, Any]) -> list[LayerSensitivity]:
    """The layers of `prune_scan`'s result, in the network's order."""
    return [
        LayerSensitivity(
            layer["path"],
            int(layer["channels"]),
            tuple(layer["members"]),
            {float(share): float(top1) for share, top1, *_ in layer["top1"]},
            {float(share): Spread(low, high, int(images)) for share, _, low, high, images in layer["top1"]},
        )
        for layer in result["layers"]
    ]


def suggested_ratios(
    layers: Iterable[LayerSensitivity], baseline: float, most_loss: float
) -> dict[str, float]:
    """For each layer the largest share whose loss alone stays within `most_loss` points.

    Between two shares that were measured the loss is taken to grow evenly; 0 protects the layer.
    """
    return {layer.path: _largest(layer, baseline, most_loss) for layer in layers}


def _largest(layer: LayerSensitivity, baseline: float, most_loss: float) -> float:
    before, loss_before = 0.0, 0.0
    for share in sorted(layer.top1):
        loss = layer.loss(share, baseline)
        if loss > most_loss:
            part = (most_loss - loss_before) / (loss - loss_before) if loss > loss_before else 0.0
            return math.floor(100 * (before + part * (share - before))) / 100
        before, loss_before = share, max(loss, 0.0)
    return before


def ratios_text(ratios: Mapping[str, float]) -> str:
    """Ratios as the setting "own ratios" of `prune-channels` takes them."""
    return ", ".join(f"{path}={ratio:g}" for path, ratio in ratios.items())


def most_sensitive(names: Iterable[str], count: int) -> str:
    """The first layers of a ranking, as the setting "keep in float" of the quantizations takes them."""
    return ", ".join(list(names)[:count])


# Channels at zero


def least_important(scores: "Tensor", share: float) -> list[int]:
    """The units with the lowest scores; at least one unit stays."""
    count = min(len(scores) - 1, max(0, round(share * len(scores))))
    return [int(unit) for unit in scores.argsort(stable=True)[:count]]


@contextmanager
def zeroed_units(model: "nn.Module", group: "ChannelGroup", units: list[int]) -> Iterator[None]:
    """The network with these units of a group at zero; as it was afterwards."""
    import torch

    zeroed = torch.tensor(units, dtype=torch.int64)
    originals: dict[str, Tensor] = {}
    with torch.no_grad():
        for part in group.slices:
            parameter = model.get_parameter(part.name)
            originals.setdefault(part.name, parameter.detach().clone())
            places = part.positions[torch.isin(part.channels, zeroed)]
            parameter.index_fill_(part.axis, places.to(parameter.device), 0.0)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, original in originals.items():
                model.get_parameter(name).copy_(original)


def _validation(loaded: "Checkpoint", arguments: Mapping[str, Any]) -> list[tuple["Tensor", "Tensor"]]:
    """Prepared validation images and their labels in the network's order of classes, in batches.

    Raises:
        EspalierError: when network and data set have different classes.
    """
    import numpy as np
    import torch

    from core.data.access import DataAccess
    from core.data.randomness import derive_seed
    from core.data.splits import limit

    data = DataAccess.from_plain(arguments).open()
    if sorted(data.classes) != sorted(loaded.classes):
        strange = sorted(set(data.classes) ^ set(loaded.classes))
        raise EspalierError(
            f"The network and the data set have different classes, among them {', '.join(strange[:4])}.",
            "Choose the data set that the network was made for.",
        )
    order = np.array([loaded.classes.index(name) for name in data.classes])
    seed, most = derive_seed(0, "scan"), max(1, _MOST_BYTES // (4 * 3 * loaded.preprocess.size**2))
    rows: np.ndarray = limit(data.split("validation"), data.labels, min(most, int(arguments["count"])), seed)
    rows = np.random.default_rng(seed).permutation(rows)  # the first of them are a sample of all
    return [
        (loaded.preprocess(np.asarray(data.images[part])), torch.from_numpy(order[data.labels[part]]))
        for part in (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    ]


class _Judge:
    """What a change of a network costs on validation images: no more of them than the interval needs."""

    def __init__(self, model: "nn.Module", batches: list[tuple["Tensor", "Tensor"]], within: float):
        """The network as it is now is what changes are held against; `within` in points, 0 for all images."""
        self._model, self._batches, self._within = model, batches, within
        self._right = [self._answered(batch) for batch in batches]

    @property
    def images(self) -> int:
        return sum(len(right) for right in self._right)

    @property
    def baseline(self) -> float:
        """Accuracy of the whole network in percent."""
        return 100.0 * sum(int(right.sum()) for right in self._right) / max(1, self.images)

    def loss(self) -> tuple[float, Spread]:
        """Points that the network has lost as it is now."""
        import numpy as np

        from core.analysis.accuracy import paired_change

        now: list[np.ndarray] = []
        loss, spread = 0.0, Spread(0.0, 0.0, 0)
        for number, batch in enumerate(self._batches, 1):
            now.append(self._answered(batch))
            change = paired_change(np.concatenate(self._right[:number]), np.concatenate(now))
            low, high = change.low or 0.0, change.high or 0.0
            loss, spread = -(change.value or 0.0), Spread(-high, -low, change.n or 0)
            if (high - low) / 2 <= self._within and spread.images >= _LEAST:
                break
        return loss, spread

    def _answered(self, batch: tuple["Tensor", "Tensor"]) -> "np.ndarray":
        import torch

        images, labels = batch
        with torch.inference_mode():
            return (self._model(images).argmax(1) == labels).numpy()
