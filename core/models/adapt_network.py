"""How a network of any form becomes an `ImageClassifier`: where its logits are, and which layer gives them (imports torch).

All of it is seen by running the network on two images of noise, not read off names:

- *Outputs.* Of a tuple, a list or a dictionary the logits are taken, in training as in evaluation; layers that only
  serve auxiliary outputs are taken out, and the notes name them.
- *Head.* Where one linear layer, used once, gives the logits, it becomes the head, and all before it the body. A network
  that ends otherwise (a convolution with pooling behind, a cosine classifier, an average of two classifiers) stays whole:
  its logits pass the pooling as maps of one position, and the head is the identity.
- *Probabilities.* A softmax at the end would be applied twice by every loss. It is cut where a person agrees: the module, or,
  where a function computed it, its logarithm is taken, whose softmax are the same probabilities. Likewise a sigmoid, whose
  inverse is taken.
- *Images.* Where it takes grey images, the mean over the colours is given to it; where it writes into its images, a copy.
- *Numbers.* Weights of another floating-point type become float32 where the network does not run otherwise.
"""

import copy
import logging
import traceback
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.models.classifier import ImageClassifier
from core.models.network_outputs import Ending, Place, Seen, at, ending_of, first_seen, logits_of, watch
from core.models.plain_network import plain_network, some
from core.models.settings import FemSettings

_log = logging.getLogger(__name__)

_SEED = 41
_TINY = float(torch.finfo(torch.float32).tiny)
_NEAREST = 1e-7  # to 0 and to 1 that the inverse of a sigmoid is taken
_ALONE = 1e-3  # of the largest logit: how far logits may lie apart by rounding


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a person agreed to.

    Attributes:
        cut_softmax: a softmax or sigmoid at the end is cut.
        refusal: what to do where that is needed and was not agreed to.
    """

    cut_softmax: bool = False
    refusal: str = "Return the logits, without it."


class NetworkBody(nn.Module):
    """A network without its last linear layer, or all of it.

    Attributes:
        classifier: path of the layer that gives the logits; it was taken out where `whole` is false.
        output, training_output: where the logits stand among the outputs.
        probabilities: what computes the probabilities that it gives, whose inverse is taken.
        grey: it takes images of one channel. writes: it writes into its images.
        dropped: paths of the layers that only served auxiliary outputs.
        stops: what it says when it is run in training on images of noise; empty where it runs.
        notes: sentences about all of this for the report.
    """

    def __init__(self, network: nn.Module, classifier: str, whole: bool):
        super().__init__()
        self.network = network
        self.classifier, self.whole = classifier, whole
        self.output: Place = None
        self.training_output: Place = None
        self.probabilities: Ending = ""
        self.grey = self.writes = False
        self.dropped: tuple[str, ...] = ()
        self.stops = ""
        self.notes: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """[b, 3, s, s] → [b, c, 1, 1]: features, or logits where the network stayed whole."""
        place = self.training_output if self.training else self.output
        features = at(self.network(self.given(images)), place).flatten(1)
        if self.probabilities == "softmax":
            features = features.clamp_min(_TINY).log()
        elif self.probabilities == "sigmoid":
            features = features.logit(_NEAREST)
        return features[:, :, None, None]

    def given(self, images: Tensor) -> Tensor:
        """Images [b, 3, s, s] as the network takes them."""
        if self.grey:
            return images.mean(1, keepdim=True)
        return images.clone() if self.writes else images


def take_apart(
    network: nn.Module, title: str, classes: int, image_size: int, agreed: Agreed = Agreed()
) -> ImageClassifier:
    """The network as body and head; its notes are those of `NetworkBody`.

    Raises:
        EspalierError: when it stops, gives no logits, or gives some that are not numbers.
    """
    images = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(_SEED))
    network, notes = plain_network(network, title)
    seen = first_seen(network, images, classes, title, notes)
    if not seen.logits.isfinite().all():
        raise EspalierError(
            f"{title} gives logits that are no finite numbers (NaN or infinite) for images of noise.",
            "Correct the network or its weights.",
        )
    ending = ending_of(network, images, seen)
    if ending:
        ending = _cut(network, ending, seen, agreed, title, notes)
        seen = replace(watch(network, seen.as_given(images), classes, title), grey=seen.grey)
    path = "" if ending else seen.giver(network, nn.Linear)
    model = (_split(network, path, images, seen) if path else None) or _whole(
        network, images, seen, ending, title
    )
    body = model.body
    assert isinstance(body, NetworkBody)
    _check_alone(model, images, title)
    _settle_training(body, classes if body.whole else int(model.head.in_features), images, notes, seen)
    body.notes = tuple(notes)
    return model.train()


def _cut(
    network: nn.Module, ending: Ending, seen: "Seen", agreed: Agreed, title: str, notes: list[str]
) -> Ending:
    """Take the module that computes probabilities at the end away; what a function computes stays.

    Raises:
        EspalierError: when a person did not agree.
    """
    if not agreed.cut_softmax:
        raise EspalierError(
            f"{title} ends in a {ending}: it gives probabilities, where losses and files expect logits.",
            agreed.refusal,
        )
    path = seen.giver(network, nn.Softmax if ending == "softmax" else nn.Sigmoid)
    if not path:
        inverse = "a logarithm" if ending == "softmax" else "its inverse"
        notes.append(f"The {ending} at the end is followed by {inverse}: files give logits.")
        return ending
    network.set_submodule(path, nn.Identity())
    notes.append(f"The {ending} {path} at the end was cut: files give logits.")
    return ""


def _split(network: nn.Module, path: str, images: Tensor, seen: "Seen") -> ImageClassifier | None:
    """The network with the linear layer at `path` as its head; None, and nothing changed, where it then answers otherwise."""
    head = network.get_submodule(path)
    assert isinstance(head, nn.Linear)
    network.set_submodule(path, nn.Identity())
    body = NetworkBody(network, path, whole=False)
    body.output, body.grey, body.writes = seen.place, seen.grey, seen.writes
    model = ImageClassifier(body, head.in_features, head, FemSettings())
    try:
        if _same(_run(model, images), seen.logits):
            return model
    except Exception as error:  # it uses the layer for something else too
        _log.info("A network stays whole: %s", in_a_line(error))
    network.set_submodule(path, head)
    return None


def _whole(network: nn.Module, images: Tensor, seen: "Seen", ending: Ending, title: str) -> ImageClassifier:
    """The network as a body that gives the logits.

    Raises:
        EspalierError: when it answers otherwise the second time.
    """
    body = NetworkBody(network, seen.last(network), whole=True)
    body.output, body.grey, body.writes, body.probabilities = seen.place, seen.grey, seen.writes, ending
    model = ImageClassifier(body, seen.logits.shape[1], nn.Identity(), FemSettings())
    again = _run(model, images)
    if not _same({"softmax": again.softmax(1), "sigmoid": again.sigmoid()}.get(ending, again), seen.logits):
        raise EspalierError(
            f"{title} gives other logits for the same images when it is run again.",
            "Draw nothing at random in evaluation, and keep nothing from one call to the next.",
        )
    return model


def _check_alone(model: nn.Module, images: Tensor, title: str) -> None:
    """See that an image gets the same logits alone as beside another: figures are of one image in a call, and of many.

    Raises:
        EspalierError: when it does not.
    """
    together = _run(model, images)
    try:
        alone = _run(model, images[:1])
    except Exception as error:
        raise EspalierError(
            f"{title} stops on one image alone: {in_a_line(error)}.",
            "Keep the axis of the images: squeeze() without an axis takes that of one image away.",
            traceback.format_exc(),
        ) from error
    if not torch.allclose(alone, together[:1], rtol=_ALONE, atol=_ALONE * float(together.abs().max())):
        raise EspalierError(
            f"{title} gives an image other logits when another one is beside it.",
            "Compute nothing over the images of a call in evaluation; nn.BatchNorm2d needs track_running_stats=True.",
        )


@torch.no_grad()
def _run(model: nn.Module, images: Tensor) -> Tensor:
    model.eval()
    logits: Tensor = model(images)
    return logits


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other.flatten(1), rtol=1e-4, atol=1e-5)


# Training: where the logits stand then, and layers that only serve auxiliary outputs


def _settle_training(body: NetworkBody, width: int, images: Tensor, notes: list[str], seen: Seen) -> None:
    """Find the logits in training, take out what only auxiliary outputs need, and say what gets no gradient.

    Args:
        width: of what the body gives.
    """
    body.training_output = body.output
    try:
        trial = copy.deepcopy(body.network)
        place, main = _trained_output(trial, body, images, width)
    except Exception as error:  # whatever a network says that was never trained on so few images
        _log.info("A network could not be tried in training: %s", in_a_line(error))
        body.stops = in_a_line(error)[:200]
        notes.append(
            f"In training the network stops on two images: {body.stops}. It can be exported and quantized as it is."
        )
        return
    body.training_output = place
    unused = _unused(trial, main)
    if place is None and body.output is None:
        called = {path for path, *_ in seen.calls}
        if still := [path for path in unused if any(f"{one}.".startswith(f"{path}.") for one in called)]:
            notes.append(
                f"In training, no gradient reaches {len(still)} layers that the network uses ({some(still)}): they stay as they are."
            )
        return
    dropped = _dropped(body, images, width, unused)
    body.dropped = tuple(dropped)
    known = place if place is not None else body.output
    name = f"number {known + 1}" if isinstance(known, int) else f"'{known}'"
    rest = f"; layers that only serve others ({some(dropped)}) were taken out" if dropped else ""
    notes.append(f"The network gives several outputs, of which {name} is taken as the logits{rest}.")


def _trained_output(
    network: nn.Module, body: NetworkBody, images: Tensor, width: int
) -> tuple[Place, Tensor]:
    """Where a copy of the body's network has its logits in training, and they themselves."""
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    network.train()
    with torch.enable_grad():
        outputs = network(body.given(images))
    return logits_of(outputs, width, "The network", body.output)


def _unused(trial: nn.Module, main: Tensor) -> list[str]:
    """Paths of the outermost modules none of whose weights the logits depend on."""
    if main.requires_grad:
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
    """Those of the unused modules that could be taken out; the network answers without them as before.

    A layer that no gradient reaches may serve the logits all the same, behind detach() or no_grad().
    """
    expected, dropped = _answer(body.network, body, images, width), []
    for path in unused:
        if _serves(path, body, images, width, expected):
            continue
        module = body.network.get_submodule(path)
        body.network.set_submodule(path, nn.Identity())
        try:
            place, _ = _trained_output(copy.deepcopy(body.network), body, images, width)
            answer = _answer(body.network, body, images, width)
            if place != body.training_output or not _same(answer, expected):
                raise ValueError("the logits are others without it")
        except Exception as error:  # it is needed after all
            _log.debug("The layer %s stays: %s", path, in_a_line(error))
            body.network.set_submodule(path, module)
        else:
            dropped.append(path)
    return dropped


def _serves(path: str, body: NetworkBody, images: Tensor, width: int, expected: Tensor) -> bool:
    """Whether the logits of a body's network are others where the weights of a module are."""
    changed = copy.deepcopy(body.network)
    module = changed.get_submodule(path)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.5).add_(0.25)
    return not _same(_answer(changed, body, images, width), expected)


@torch.no_grad()
def _answer(network: nn.Module, body: NetworkBody, images: Tensor, width: int) -> Tensor:
    """What a body's network, or a copy of it, gives in evaluation where its logits or features stand: [b, width]."""
    network.eval()
    return logits_of(network(body.given(images)), width, "The network", body.output)[1].flatten(1)
