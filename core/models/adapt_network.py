"""How a network of any form becomes an `ImageClassifier`: where its logits are, and which layer gives them (imports torch).

All of it is seen by running the network on two images of noise, not read off names:

- *Outputs.* Of a tuple, a list or a dictionary the logits are taken, in training as in evaluation; layers that only
  serve auxiliary outputs are taken out, and the notes name them.
- *Head.* Where one linear layer, used once, gives the logits, it becomes the head, and all before it the body. A network
  that ends otherwise (a convolution with pooling behind, a cosine classifier, an average of two classifiers) stays whole:
  its logits pass the pooling as maps of one position, and the head is the identity.
- *Probabilities.* A softmax at the end would be applied twice by every loss. It is cut where a person agrees: the module, or,
  where a function computed it, its logarithm is taken, whose softmax are the same probabilities.
- *Parametrisations* (weight norm and the like) become plain weights: surgery changes weights, and not what computes them.
"""

import copy
import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings

_log = logging.getLogger(__name__)

_SEED = 41
_TINY = float(torch.finfo(torch.float32).tiny)
_LOGIT_NAMES = (
    "logits",
    "out",
    "output",
    "main",
    "pred",
    "prediction",
    "y",
)  # of dictionaries with several candidates
Place = str | int | None  # of the logits among a network's outputs; None: they are the only one


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a person agreed to.

    Attributes:
        cut_softmax: a softmax at the end is cut.
        refusal: what to do where that is needed and was not agreed to.
    """

    cut_softmax: bool = False
    refusal: str = "Return the logits, without the softmax."


class NetworkBody(nn.Module):
    """A network without its last linear layer, or all of it.

    Attributes:
        classifier: path of the layer that gives the logits; it was taken out where `whole` is false.
        output, training_output: where the logits stand among the outputs.
        probabilities: it gives probabilities, whose logarithm is taken.
        dropped: paths of the layers that only served auxiliary outputs.
        notes: sentences about all of this for the report.
    """

    def __init__(self, network: nn.Module, classifier: str, whole: bool):
        super().__init__()
        self.network = network
        self.classifier, self.whole = classifier, whole
        self.output: Place = None
        self.training_output: Place = None
        self.probabilities = False
        self.dropped: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """[b, 3, s, s] → [b, c, 1, 1]: features, or logits where the network stayed whole."""
        features = _at(self.network(images), self.training_output if self.training else self.output).flatten(
            1
        )
        if self.probabilities:
            features = features.clamp_min(_TINY).log()
        return features[:, :, None, None]


def take_apart(
    network: nn.Module, title: str, classes: int, image_size: int, agreed: Agreed = Agreed()
) -> ImageClassifier:
    """The network as body and head; its notes are those of `NetworkBody`.

    Raises:
        EspalierError: when it stops, gives no logits, or gives some that are not numbers.
    """
    images = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(_SEED))
    notes = plain_weights(network)
    seen = _watch(network, images, classes, title)
    if not seen.logits.isfinite().all():
        raise EspalierError(
            f"{title} gives logits that are no finite numbers (NaN or infinite) for images of noise.",
            "Correct the network or its weights.",
        )
    probabilities = _are_probabilities(seen.logits)
    if probabilities:
        probabilities = not _cut_softmax(network, seen, agreed, title, notes)
        seen = _watch(network, images, classes, title)
    path = "" if probabilities else seen.giver(network, nn.Linear)
    model = (_split(network, path, images, seen) if path else None) or _whole(
        network, images, seen, probabilities, title
    )
    body = model.body
    assert isinstance(body, NetworkBody)
    _settle_training(body, classes if body.whole else int(model.head.in_features), images, notes)
    body.notes = tuple(notes)
    return model.train()


def _cut_softmax(network: nn.Module, seen: "_Seen", agreed: Agreed, title: str, notes: list[str]) -> bool:
    """Take the module that computes a softmax at the end away; False where a function computes it.

    Raises:
        EspalierError: when a person did not agree.
    """
    if not agreed.cut_softmax:
        raise EspalierError(
            f"{title} ends in a softmax: it gives probabilities, where losses and files expect logits.",
            agreed.refusal,
        )
    path = seen.giver(network, nn.Softmax)
    if not path:
        notes.append("The softmax at the end is followed by a logarithm: files give logits.")
        return False
    network.set_submodule(path, nn.Identity())
    notes.append(f"The softmax {path} at the end was cut: files give logits.")
    return True


def _split(network: nn.Module, path: str, images: Tensor, seen: "_Seen") -> ImageClassifier | None:
    """The network with the linear layer at `path` as its head; None, and nothing changed, where it then answers otherwise."""
    head = network.get_submodule(path)
    assert isinstance(head, nn.Linear)
    network.set_submodule(path, nn.Identity())
    body = NetworkBody(network, path, whole=False)
    body.output = seen.place
    model = ImageClassifier(body, head.in_features, head, FemSettings())
    try:
        if _same(_run(model, images), seen.logits):
            return model
    except Exception as error:  # it uses the layer for something else too
        _log.info("A network stays whole: %s", in_a_line(error))
    network.set_submodule(path, head)
    return None


def _whole(
    network: nn.Module, images: Tensor, seen: "_Seen", probabilities: bool, title: str
) -> ImageClassifier:
    """The network as a body that gives the logits.

    Raises:
        EspalierError: when it answers otherwise the second time.
    """
    body = NetworkBody(network, seen.last(network), whole=True)
    body.output, body.probabilities = seen.place, probabilities
    model = ImageClassifier(body, seen.logits.shape[1], nn.Identity(), FemSettings())
    again = _run(model, images)
    if not _same(again.softmax(1) if probabilities else again, seen.logits):
        raise EspalierError(
            f"{title} gives other logits for the same images when it is run again.",
            "Draw nothing at random in evaluation, and keep nothing from one call to the next.",
        )
    return model


@torch.no_grad()
def _run(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model.eval()(images)
    return logits


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other.flatten(1), rtol=1e-4, atol=1e-5)


def plain_weights(network: nn.Module) -> list[str]:
    """Make plain weights of parametrised ones, in place; a sentence where there were some."""
    folded: list[str] = []
    for path, module in network.named_modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
            folded.append(path)
        for key, hook in list(module._forward_pre_hooks.items()):  # of torch.nn.utils, pruning masks too
            name = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(name, str) and callable(getattr(hook, "remove", None)):
                with torch.no_grad():
                    hook(module, ())
                hook.remove(module)
                del module._forward_pre_hooks[key]
                folded.append(path)
    if not folded:
        return []
    return [f"The parametrisations of {len(folded)} layers ({_some(folded)}) became plain weights."]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The logits that a network gave, where they stood, and the calls of its modules: (path, arguments, result)."""

    place: Place
    logits: Tensor
    calls: list[tuple[str, tuple[object, ...], object]]

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
def _watch(network: nn.Module, images: Tensor, classes: int, title: str) -> _Seen:
    calls: list[tuple[str, tuple[object, ...], object]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, given, result, path=path: calls.append((path, given, result))
        )
        for path, module in network.named_modules()
        if path
    ]
    try:
        outputs = network.eval()(images)
    except Exception as error:
        raise EspalierError(
            f"{title} stopped on two images of {images.shape[-1]} px: {in_a_line(error)}.",
            "Correct the network, or choose another image size.",
            traceback.format_exc(),
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return _Seen(*_logits(outputs, classes, title), calls)


def _at(outputs: object, place: Place) -> Tensor:
    if place is None:
        assert isinstance(outputs, Tensor)
        return outputs
    chosen: Tensor = outputs[place]  # type: ignore[index]
    return chosen


def _logits(outputs: object, classes: int, title: str, likely: Place = None) -> tuple[Place, Tensor]:
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


def _are_probabilities(logits: Tensor) -> bool:
    flat = logits.flatten(1)
    return (
        flat.shape[1] > 1
        and bool((flat >= 0).all())
        and bool(torch.allclose(flat.sum(1), torch.ones(2), atol=1e-4))
    )


# Training: where the logits stand then, and layers that only serve auxiliary outputs


def _settle_training(body: NetworkBody, width: int, images: Tensor, notes: list[str]) -> None:
    """Find the logits in training, and take out what only auxiliary outputs need.

    Args:
        width: of what the body gives.
    """
    body.training_output = body.output
    try:
        trial = copy.deepcopy(body.network)
        place, main = _trained_output(trial, images, width, body.output)
    except Exception as error:  # whatever a network says that was never trained on so few images
        _log.info("A network could not be tried in training: %s", in_a_line(error))
        notes.append(
            "In training the network stops on two images: "
            f"{in_a_line(error)[:200]}. It can be exported and quantized as it is."
        )
        return
    body.training_output = place
    if place is None and body.output is None:
        return
    unused = _unused(trial, main)
    dropped = _dropped(body, images, width, unused)
    body.dropped = tuple(dropped)
    known = place if place is not None else body.output
    name = f"number {known + 1}" if isinstance(known, int) else f"'{known}'"
    rest = f"; layers that only serve others ({_some(dropped)}) were taken out" if dropped else ""
    notes.append(f"The network gives several outputs, of which {name} is taken as the logits{rest}.")


def _trained_output(network: nn.Module, images: Tensor, width: int, likely: Place) -> tuple[Place, Tensor]:
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    with torch.enable_grad():
        outputs = network.train()(images)
    return _logits(outputs, width, "The network", likely)


def _unused(trial: nn.Module, main: Tensor) -> list[str]:
    """Paths of the outermost modules none of whose weights the logits depend on."""
    with torch.enable_grad():
        main.float().square().sum().backward()
    unused: list[str] = []
    for path, module in trial.named_modules():
        weights = list(module.parameters())
        inside = any(path.startswith(f"{outer}.") for outer in unused)
        if path and weights and not inside and all(weight.grad is None for weight in weights):
            unused.append(path)
    return unused


def _dropped(body: NetworkBody, images: Tensor, width: int, unused: list[str]) -> list[str]:
    """Those of the unused modules that could be taken out; the network runs without them as before."""
    dropped = []
    for path in unused:
        module = body.network.get_submodule(path)
        body.network.set_submodule(path, nn.Identity())
        try:
            place, _ = _trained_output(copy.deepcopy(body.network), images, width, body.output)
            with torch.no_grad():
                _logits(body.network.eval()(images), width, "The network", body.output)
            if place != body.training_output:
                raise ValueError("the logits are elsewhere without it")
        except Exception as error:  # it is needed after all
            _log.debug("The layer %s stays: %s", path, in_a_line(error))
            body.network.set_submodule(path, module)
        else:
            dropped.append(path)
    return dropped


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (" and more" if len(paths) > 3 else "")
