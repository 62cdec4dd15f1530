"""What distillation needs besides a training loop: its losses, the layers to compare, a teacher's own input.

Sources: response-based, Hinton et al. 2015, arXiv 1503.02531; hints, Romero et al. 2015 (FitNets),
arXiv 1412.6550; attention transfer, Zagoruyko and Komodakis 2017, arXiv 1612.03928; relations
between images, Park et al. 2019 (RKD), arXiv 1904.05068. Losses compute in float32.

Shapes: `b` batch, `k` classes, `c` channels, `h, w` positions; teacher and student may differ in
all but `b` and `k`. Maps are [b, c, h, w], pooled features [b, c].
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.machine.torch_rng import isolated_rng

POOLED = "fem"
"""The layer of every `ImageClassifier` that gives the pooled features that its head sees."""


# Losses


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float, form: str) -> Tensor:
    """T² times the mean divergence of the softened outputs [b, k]; in nats."""
    log_student = functional.log_softmax(student.float() / temperature, 1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, 1)
    if form == "student-teacher":
        log_student, log_teacher = log_teacher, log_student
    divergence = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def hint_loss(student: Tensor, teacher: Tensor, adapter: nn.Module) -> Tensor:
    """Mean squared difference of the adapted student's map and the teacher's, at the coarser size.

    FitNets sums over a map and halves; the mean gives maps of every size the same weight.
    """
    size = _common_size(student, teacher)
    return functional.mse_loss(adapter(_pooled(student.float(), size)), _pooled(teacher.float(), size))


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the two maps' attention, as in the authors' published code.

    The paper prints β/2 times the norm of the difference; its code, from which the usual weight
    of 1000 comes, takes the mean of the squares.
    """
    size = _common_size(student, teacher)
    return functional.mse_loss(_attention(student, size), _attention(teacher, size))


def _attention(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Where a map is strong: mean over channels of the squares, as unit vectors [b, h·w]."""
    energy = maps.float().pow(2).mean(1, keepdim=True)
    return functional.normalize(_pooled(energy, size).flatten(1))


def _common_size(first: Tensor, second: Tensor) -> tuple[int, int]:
    return min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3])


def _pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Adaptive average pooling to `size`; where it divides evenly, the form whose gradient repeats on CUDA."""
    height, width = maps.shape[2:]
    if height % size[0] or width % size[1]:
        return functional.adaptive_avg_pool2d(maps, size)
    return functional.avg_pool2d(maps, (height // size[0], width // size[1]))


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-D: Huber loss between the distances of all pairs, each in units of its network's mean.

    Mean over all b² entries, as in the authors' code (the paper prints the sum).
    """
    return functional.smooth_l1_loss(_distances(student), _distances(teacher))


def _distances(features: Tensor) -> Tensor:
    """Euclidean distances of features [b, c] → [b, b], divided by their mean over pairs i ≠ j."""
    count = len(features)
    distances = _differences(features).norm(dim=2)
    mean = distances.sum() / max(count * (count - 1), 1)
    return distances / mean.clamp(min=1e-12)  # all alike: 0


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-A: Huber loss between the cosines of the angles that all triples make.

    Mean over all b³ entries, as in the authors' code. Holds some b²·(b + c) numbers per network.
    """
    return functional.smooth_l1_loss(_angles(student), _angles(teacher))


def _angles(features: Tensor) -> Tensor:
    """Cosine of the angle at image j between images i and k, [b, c] → [b (j), b (i), b (k)]."""
    directions = functional.normalize(_differences(features), dim=2)
    return directions @ directions.transpose(1, 2)


def _differences(features: Tensor) -> Tensor:
    """x_i − x_j of features [b, c] → [b (j), b (i), c]."""
    features = features.float()
    return features[None] - features[:, None]


# Layers to compare


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that gives one feature map.

    Attributes:
        path: its name in the network.
        size: h and w of its map, in positions, at the network's own image size.
        input_area: positions of the map that it takes.
    """

    path: str
    channels: int
    size: tuple[int, int]
    input_area: int

    @property
    def area(self) -> int:
        """Positions of its map."""
        return self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class FeaturePair:
    """A student's layer and the teacher's layer that it learns from."""

    student: Layer
    teacher: Layer

    @property
    def positions(self) -> int:
        """Positions at which the two are compared, at the coarser size."""
        return min(self.student.area, self.teacher.area)

    def __str__(self) -> str:
        return f"{self.student.path} ({_size(self.student)}) from {self.teacher.path} ({_size(self.teacher)})"


def _size(layer: Layer) -> str:
    return f"{layer.channels}×{layer.size[0]}×{layer.size[1]}"


def layer_pairs(
    student: nn.Module, teacher: nn.Module, images: Tensor, named: Sequence[tuple[str, str]] = ()
) -> list[FeaturePair]:
    """The layers whose maps are compared, from the images to the head.

    Without names: the last map before each change of resolution and the last map of all, in both
    networks, matched in order from the end.

    Args:
        student: `ImageClassifier` in evaluation mode.
        teacher: likewise, or one inside `Translated`.
        images: some of the student's input, [b, channels, s, s].
        named: paths (student, teacher) that a person wants compared instead.

    Raises:
        EspalierError: when a named layer is not there or gives no feature map of its own.
    """
    learns, teaches = feature_layers(student, images), feature_layers(teacher, images)
    if named:
        return [
            FeaturePair(_named(first, "student", learns), _named(second, "teacher", teaches))
            for first, second in named
        ]
    ends = zip(reversed(_trunk(learns)), reversed(_trunk(teaches)), strict=False)
    pairs = [FeaturePair(*layers) for layers in ends][::-1]
    if not pairs:
        raise EspalierError(
            "Expected feature maps in the bodies of student and teacher, found none in one of them.",
            "Set the weights of hints and attention to 0.",
        )
    return pairs


Layers = Mapping[str, Layer | None]
"""By path, in the order in which they finish: the layers that a pass used; None gives no one map."""


@torch.no_grad()
def feature_layers(network: nn.Module, images: Tensor) -> Layers:
    """The layers of a network, found by passing `images` through it.

    Images are square: what is not is no map, but tokens or a map with its channels last. A layer
    that is used several times in a pass has no one map.
    """
    layers: dict[str, Layer | None] = {}

    def see(path: str, inputs: tuple[object, ...], output: object) -> None:
        layer_input = inputs[0] if inputs else None
        if path in layers or not _is_map(output, len(images)) or not _is_map(layer_input, len(images)):
            layers[path] = None
        else:
            area = layer_input.shape[2] * layer_input.shape[3]
            layers[path] = Layer(path, output.shape[1], (output.shape[2], output.shape[3]), area)

    with _watched(dict(classifier_of(network).named_modules()), see):
        network(images)
    return layers


def _is_map(value: object, count: int) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and value.dim() == 4
        and value.shape[0] == count
        and value.shape[2] == value.shape[3]
    )


def _named(path: str, whose: str, layers: Layers) -> Layer:
    layer = layers.get(path)
    if layer is None:
        raise EspalierError(
            f"Expected a layer of the {whose} that gives one feature map, received {path!r}.",
            f"Layers before each change of resolution are: {', '.join(layer.path for layer in _trunk(layers))}.",
        )
    return layer


def _trunk(layers: Layers) -> list[Layer]:
    """The body's last map of each size; sizes only fall, so that side branches do not count."""
    last: dict[tuple[int, int], Layer] = {}
    for layer in (*_one_after_the_other(layers, "body"), layers.get("body")):
        if layer is not None:
            last.pop(layer.size, None)
            last[layer.size] = layer
    maps = list(last.values())
    return [
        layer
        for index, layer in enumerate(maps)
        if all(layer.area > later.area for later in maps[index + 1 :])
    ]


def _one_after_the_other(layers: Layers, path: str) -> Iterator[Layer]:
    """The layers that follow one another inside `path`.

    Looks inside a layer only where that hides a size between its input's and its output's: a whole
    stage is opened, a residual block is not, nor is what gives no map.
    """
    for name, layer in layers.items():
        if layer is None or _enclosing(name, layers, path) != path:
            continue
        inside = [
            inner for inner_path, inner in layers.items() if inner_path.startswith(f"{name}.") and inner
        ]
        if any(layer.area < inner.area < layer.input_area for inner in inside):
            yield from _one_after_the_other(layers, name)
        yield layer


def _enclosing(path: str, layers: Layers, top: str) -> str:
    """The innermost of the layers, or `top`, that `path` lies in; "" outside of all."""
    path = path.rpartition(".")[0]
    while path and path != top and path not in layers:
        path = path.rpartition(".")[0]
    return path


@contextmanager
def tapped(network: nn.Module, paths: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Keeps the outputs of the layers `paths`, by path, while the block runs the network.

    Afterwards the network is as it was, whatever happens inside.
    """
    outputs: dict[str, Tensor] = {}

    def keep(path: str, inputs: tuple[object, ...], output: Tensor) -> None:
        outputs[path] = output

    classifier = classifier_of(network)
    with _watched({path: classifier.get_submodule(path) for path in paths}, keep):
        yield outputs


@contextmanager
def _watched(
    modules: Mapping[str, nn.Module], see: Callable[[str, tuple[object, ...], Tensor], None]
) -> Iterator[None]:
    """Calls `see` with path, inputs and output after every use of a module, inside the block."""

    def hook(path: str) -> Callable[..., None]:
        return lambda module, inputs, output: see(path, inputs, output)

    handles = [module.register_forward_hook(hook(path)) for path, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def make_adapters(pairs: Sequence[FeaturePair], seed: int) -> nn.ModuleList:
    """For each pair, a 1×1 convolution from the student's channels to the teacher's.

    The same seed makes the same weights, and no other draw is disturbed. FitNets' regressor is a
    convolution as large as it takes to reach the teacher's size; here pooling does that.
    """
    with isolated_rng(seed):
        return nn.ModuleList(nn.Conv2d(pair.student.channels, pair.teacher.channels, 1) for pair in pairs)


# The teacher's own input


class Translated(nn.Module):
    """A teacher that was trained on another normalisation, image size or order of the same classes.

    It takes the student's images, brings them back to 0…1 and prepares them as it is used to.
    What the student's own size has lost stays lost.

    Args:
        teacher: the network, which takes what `to_preprocess` gives.
        from_preprocess: how the images that come in were prepared.
        order: for each of the student's classes, its place among the teacher's; None: the same.
    """

    def __init__(
        self,
        teacher: nn.Module,
        from_preprocess: Preprocess,
        to_preprocess: Preprocess,
        order: Sequence[int] | None = None,
    ):
        super().__init__()
        self.teacher = teacher
        self.to_preprocess = to_preprocess
        mean, std = (torch.tensor(values) for values in (from_preprocess.mean, from_preprocess.std))
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)
        self.register_buffer("order", None if order is None else torch.tensor(order), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The student's input [b, channels, s, s] → logits [b, classes] in the student's order."""
        unit = images.float() * self.std + self.mean
        size = (self.to_preprocess.size, self.to_preprocess.size)
        if tuple(unit.shape[2:]) != size:
            unit = functional.interpolate(unit, size, mode="bilinear", antialias=True, align_corners=False)
        logits = self.teacher(self.to_preprocess.normalise(unit))
        return logits if self.order is None else logits[:, self.order]


def classifier_of(network: nn.Module) -> nn.Module:
    """The network itself, without what translates for it; layers are named from there."""
    return network.teacher if isinstance(network, Translated) else network
