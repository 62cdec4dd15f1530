"""What a network of any form gives, seen by running it on images of noise (imports torch).

`b` images, `k` classes, `s` pixels a side.
"""

import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.logs import in_a_line

_LOGIT_NAMES = (
    "logits",
    "out",
    "output",
    "main",
    "pred",
    "prediction",
    "y",
)  # of dictionaries with several candidates
Ending = Literal["", "softmax", "sigmoid"]
Place = str | int | None  # of the logits among a network's outputs; None: they are the only one


@dataclass(frozen=True, slots=True)
class Seen:
    """The logits that a network gave, where they stood, and the calls of its modules: (path, arguments, result).

    Attributes:
        writes: it wrote into its images. grey: they had one channel.
    """

    place: Place
    logits: Tensor
    calls: list[tuple[str, tuple[object, ...], object]]
    writes: bool = False
    grey: bool = False

    def as_given(self, images: Tensor) -> Tensor:
        """Images [b, 3, s, s] as the network takes them."""
        return images.mean(1, keepdim=True) if self.grey else images

    def giver(self, network: nn.Module, kind: type[nn.Module]) -> str:
        """Path of the layer of a kind, called once on [b, c], whose result the logits are; "" where none is."""
        found = [path for path, given, result in self.calls if result is self.logits and _is_flat(given)]
        return next(
            (
                path
                for path in found
                if isinstance(network.get_submodule(path), kind)
                and [called for called, *_ in self.calls].count(path) == 1
                and not _is_tied(network, path)
            ),
            "",
        )

    def last(self, network: nn.Module) -> str:
        """Path of the last module called that has weights of its own."""
        own = [
            path
            for path, *_ in self.calls
            if any(True for _ in network.get_submodule(path).parameters(False))
        ]
        return own[-1] if own else ""


def _is_flat(given: tuple[object, ...]) -> bool:
    return len(given) > 0 and isinstance(given[0], Tensor) and given[0].ndim == 2


def _is_tied(network: nn.Module, path: str) -> bool:
    """Whether a layer's weights are also those of another layer, or it stands in two places."""
    own = {id(parameter) for parameter in network.get_submodule(path).parameters()}
    names = [name for name, p in network.named_parameters(remove_duplicate=False) if id(p) in own]
    return len(names) > len(own)


@torch.no_grad()
def watch(network: nn.Module, images: Tensor, classes: int, title: str) -> Seen:
    calls: list[tuple[str, tuple[object, ...], object]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, given, result, path=path: calls.append((path, given, result))
        )
        for path, module in network.named_modules()
        if path
    ]
    given = images.clone()
    network.eval()
    try:
        outputs = network(given)
    except Exception as error:
        raise _stopped(error, title, images.shape[-1]) from error
    finally:
        for hook in hooks:
            hook.remove()
    return Seen(*logits_of(outputs, classes, title), calls, writes=not torch.equal(given, images))


def _stopped(error: Exception, title: str, size: int) -> EspalierError:
    wanted = re.search(r"expected input\[.*\] to have (\d+) channels", str(error))
    if wanted is not None and wanted[1] not in ("1", "3"):
        return EspalierError(
            f"{title} takes images of {wanted[1]} channels; those of a data set have 3 (red, green, blue), or 1 (grey).",
            "Make its first layer take 3 channels.",
            traceback.format_exc(),
        )
    return EspalierError(
        f"{title} stopped on two images of {size} px: {in_a_line(error)}.",
        "Correct the network, or choose another image size.",
        traceback.format_exc(),
    )


def at(outputs: object, place: Place) -> Tensor:
    if place is None:
        assert isinstance(outputs, Tensor)
        return outputs
    chosen: Tensor = outputs[place]  # type: ignore[index]
    return chosen


def logits_of(outputs: object, classes: int, title: str, likely: Place = None) -> tuple[Place, Tensor]:
    """Where the logits stand among a network's outputs, and they themselves.

    Args:
        likely: taken where it fits.

    Raises:
        EspalierError: when none of them is one number for every class, or several are and nothing tells which.
    """
    candidates: dict[Place, Tensor] = {}
    if isinstance(outputs, Tensor):
        candidates = {None: outputs}
    elif isinstance(outputs, Mapping):
        candidates = {name: value for name, value in outputs.items() if isinstance(value, Tensor)}
    elif isinstance(outputs, (tuple, list)):
        candidates = {index: value for index, value in enumerate(outputs) if isinstance(value, Tensor)}
    fitting = {place: value for place, value in candidates.items() if _fits(value, classes)}
    if likely in fitting:
        fitting = {likely: fitting[likely]}
    elif len(fitting) > 1 and isinstance(outputs, Mapping):
        fitting = {name: fitting[name] for name in _LOGIT_NAMES if name in fitting}
        if not fitting:
            raise EspalierError(
                f"{title} gives several outputs of one number for every class ({', '.join(map(str, candidates))}), "
                "and none of them is called 'logits'.",
                "Call the main output 'logits', or return it alone.",
            )
    if not fitting:
        received = ", ".join(_spelled(value, place) for place, value in candidates.items())
        raise EspalierError(
            f"{title} gave {received or type(outputs).__name__} for two images, expected logits of shape (2, {classes}).",
            "Return the logits, one for every class.",
        )
    place = next(iter(fitting))
    return place, fitting[place]


def _fits(value: Tensor, classes: int) -> bool:
    return tuple(value.shape) in ((2, classes), (2, classes, 1, 1))


def _spelled(value: Tensor, place: Place) -> str:
    return f"{tuple(value.shape)}" if place is None else f"{place}: {tuple(value.shape)}"


def ending_of(network: nn.Module, images: Tensor, seen: Seen) -> Ending:
    """What computes the probabilities that a network gives; "" where it gives logits."""
    flat = seen.logits.flatten(1)
    if flat.shape[1] < 2 or not bool(((flat >= 0) & (flat <= 1)).all()):
        return ""
    if torch.allclose(flat.sum(1), torch.ones(2), atol=1e-4):
        return "softmax"
    if seen.giver(network, nn.Sigmoid):
        return "sigmoid"
    # Logits near 0 may lie in 0…1 by chance, and those behind a ReLU often; a sigmoid's do however bright the images are.
    given = seen.as_given(images)
    with torch.no_grad():
        others = [at(network(factor * given), seen.place).flatten(1) for factor in (1e4, -1e4, 0.1)]
    inside = all(bool(((one >= 0) & (one <= 1)).all()) for one in others)
    return "sigmoid" if inside and float(torch.cat([flat, *others]).std(0).max()) > 1e-4 else ""


def first_seen(network: nn.Module, images: Tensor, classes: int, title: str, notes: list[str]) -> "Seen":
    """The logits of a network as it is; else in float32, or for grey images, where it runs so.

    Raises:
        EspalierError: when it does neither; what it said first.
    """
    try:
        return watch(network, images, classes, title)
    except EspalierError as error:
        refusal = error
    kinds = {tensor.dtype for tensor in network.state_dict().values() if tensor.is_floating_point()}
    if kinds - {torch.float32}:
        network.float()
        name = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32}))
        notes.append(f"Its weights are {name}, with which it does not run here; they became float32.")
        try:
            return watch(network, images, classes, title)
        except EspalierError as error:
            refusal = error
    try:
        seen = replace(watch(network, images.mean(1, keepdim=True), classes, title), grey=True)
    except EspalierError:
        raise refusal from None
    notes.append("It takes grey images: of colours, the mean over the normalised channels is given to it.")
    return seen
