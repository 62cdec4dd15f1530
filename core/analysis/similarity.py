"""How alike two networks represent the same images: linear CKA and channel correlation, layer by layer.

Every layer's output is averaged over its positions, so that an image becomes one value a channel; the features that the
classifier reads come first. Two figures compare the two networks' values on the same validation images:

- *CKA*, centred kernel alignment with a linear kernel (Kornblith et al. 2019, arXiv 1905.00414): 1 where one is a rotation and
  scaling of the other, 0 where they have nothing in common; the widths may differ. Taken with the unbiased estimator of the
  Hilbert-Schmidt independence criterion (Song et al. 2012, JMLR 13, eq. 5): the plain one is high for *any* two networks
  whose layers have more channels than there are images.
- *Channel correlation*: Pearson's, channel by channel, its mean over the channels. Only where both have the same number of
  channels; where some were pruned, which is which is not known.

What they do badly: neither says whether an answer changed. CKA is ruled by the few directions of largest variance and
hardly sees the others; a network that differs in them alone looks the same. Few images make both uncertain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.machine.jobs import ProgressCallback

if TYPE_CHECKING:
    import onnx

IMAGES = 500
FEWEST = 4  # images that the unbiased estimator needs
POOLED = "pooled features"
"""Stands for the layer whose values the classifier reads."""


@dataclass(frozen=True, slots=True)
class LayerSimilarity:
    """One layer of two networks.

    Attributes:
        layer: its path, or `POOLED`. channels: of the first and of the second network.
        cka: at most 1; None where a network gives the same for every image.
        correlation: -1…1; None where the numbers of channels differ, or no channel varies in both.
    """

    layer: str
    channels: tuple[int, int]
    cka: float | None
    correlation: float | None


def linear_cka(first: np.ndarray, second: np.ndarray) -> float | None:
    """Linear CKA of features [n, p] and [n, q] of the same images, unbiased; None where it is not defined."""
    grams = [_gram(np.asarray(each, np.float64)) for each in (first, second)]
    with_each_other = _hsic(*grams)
    alone = [_hsic(gram, gram) for gram in grams]
    if min(alone) <= 0:
        return None
    return float(with_each_other / np.sqrt(alone[0] * alone[1]))


def _gram(features: np.ndarray) -> np.ndarray:
    """Scalar products of every two images' features, with zeros on the diagonal: [n, n]."""
    features = features - features.mean(0)
    largest = float(np.abs(features).max(initial=0.0))
    features = features / largest if largest > 0 else features
    gram = features @ features.T
    np.fill_diagonal(gram, 0.0)
    return np.asarray(gram)


def _hsic(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased Hilbert-Schmidt independence criterion of two kernels [n, n] without their diagonals (Song et al., eq. 5)."""
    n = len(first)
    whole = (first * second).sum() + first.sum() * second.sum() / ((n - 1) * (n - 2))
    return float((whole - 2 / (n - 2) * (first.sum(0) @ second.sum(0))) / (n * (n - 3)))


def channel_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Mean over the channels of Pearson's correlation of [n, c] with [n, c]; None where it is not defined."""
    if first.shape != second.shape:
        return None
    centred = [
        each - each.mean(0) for each in (np.asarray(first, np.float64), np.asarray(second, np.float64))
    ]
    norms = [np.sqrt((each**2).sum(0)) for each in centred]
    varying = (norms[0] > 0) & (norms[1] > 0)
    if not varying.any():
        return None
    products = (centred[0] * centred[1]).sum(0)[varying]
    return float((products / (norms[0] * norms[1])[varying]).mean())


def of_files(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: similarity of two exported files on the same validation images.

    Args (as plain data):
        files: two .onnx files. count: of images at most.
        data, data_cache, base: of `DataAccess.as_plain`.

    Returns: layers (as `LayerSimilarity`, `POOLED` first, then those that both have); images; missing: layers that only one
    of them has, or whose output is integers.

    Raises:
        EspalierError: when a file cannot be run, or there are fewer than four images.
    """
    features = []
    for number, path in enumerate(arguments["files"]):
        progress(number / 2, "Features of the validation images")
        features.append(features_of(path, arguments))
    first, second = features
    images = len(first[POOLED])
    if images < FEWEST:
        raise EspalierError(
            f"Expected at least {FEWEST} validation images to compare two networks, found {images}.",
            "Use more images.",
        )
    layers = [_compared(name, first[name], second[name]) for name in first if name in second]
    return {
        "layers": [asdict(layer) for layer in layers], "images": images,
        "missing": len(set(first) ^ set(second)),
    }  # fmt: skip


def read(result: Mapping[str, Any]) -> list[LayerSimilarity]:
    """The layers of what `of_files` returned."""
    return [LayerSimilarity(**{**layer, "channels": tuple(layer["channels"])}) for layer in result["layers"]]


def _compared(name: str, first: np.ndarray, second: np.ndarray) -> LayerSimilarity:
    channels = (first.shape[1], second.shape[1])
    return LayerSimilarity(name, channels, linear_cka(first, second), channel_correlation(first, second))


def features_of(path: str, arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What every layer of a file gives on validation images, averaged over positions: float64 [n, channels], `POOLED` first.

    Raises:
        EspalierError: when the file cannot be run.
    """
    import onnx

    from core.analysis.histograms import weighted_nodes
    from core.deploy.quantization.calibration import draw
    from core.onnx_graph.shared_weights import expand

    model = onnx.load(path)
    expand(model)
    nodes = {
        names[0] or names[1]: node
        for names, node, _ in weighted_nodes(model)
        if "Integer" not in node.op_type
    }
    if not nodes:
        raise EspalierError(
            "The exported file has no layers with weights to compare.", "Choose another stage."
        )
    last = list(nodes.values())[-1]
    wanted = {POOLED: last.input[0]} | {name: node.output[0] for name, node in nodes.items()}
    channels_first = {name: node.op_type.endswith("Conv") for name, node in {POOLED: last, **nodes}.items()}
    sample = draw(model, arguments, "validation", int(arguments["count"]), 0)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for block in _run(model, list(dict.fromkeys(wanted.values())), sample.blocks()):
        for name, value in wanted.items():
            parts[name].append(_pooled(block[value], channels_first[name]))
    return {name: np.concatenate(each) for name, each in parts.items()}


def _run(
    model: "onnx.ModelProto", values: Sequence[str], blocks: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Values of a graph by their names, block by block."""
    import onnx
    import onnxruntime as ort

    known = {entry.name for entry in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name
        for block in blocks:
            yield dict(zip(values, session.run(list(values), {entry: block}), strict=True))
    except Exception as error:
        raise EspalierError(
            "What the layers of an exported file give could not be read.", "Choose another stage.", str(error)
        ) from error


def _pooled(value: np.ndarray, channels_first: bool) -> np.ndarray:
    """One value a channel: float64 [n, channels] of [n, channels, …] or [n, …, channels]."""
    value = np.asarray(value, np.float64)
    if value.ndim <= 2:
        return value.reshape(len(value), -1)
    return value.mean(tuple(range(2, value.ndim)) if channels_first else tuple(range(1, value.ndim - 1)))
