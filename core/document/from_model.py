"""Pipelines that start from a model file, and guessing which backbone a weights file is of.

The pipeline takes a data set as argument, such as that of the open document.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.access import DataAccess
from core.data.settings import DataSettings
from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.machine.jobs import JobContext
from core.models.backbone import Backbone
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.stages.as_given import AsGiven
from core.stages.quantize_static import QuantizeStatic
from core.stages.train import Train

_FULLY = 0.999
_EXTRAS = (("map_fem.", "map"), ("fem.", "pooled"))


@dataclass(frozen=True, slots=True)
class OnnxDescription:
    """What an ONNX file says of itself.

    Attributes:
        described: whether it says how images are prepared, as Espalier's own files do.
        size: its input's side in pixels; None for any.
        quantized: whether it is so already, or in half precision.
        notes: sentences on what is unusual in it, and what a person has to choose.
    """

    described: bool
    size: int | None
    quantized: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """How well a weights file fits a backbone: the share of tensors of the right name and shape."""

    backbone: str
    share: float


@dataclass(frozen=True, slots=True)
class WeightsDescription:
    """The properties of a weights file.

    Attributes:
        matches: backbones, the best first.
        classes: outputs of its classifier; None where that is not found.
        data_classes: classes of the open document's data set; None where it could not be opened.
        fem: where it has a Feature Enhancement Module: "none", "pooled" or "map".
        notes: sentences on what else the file holds.
    """

    tensors: int
    matches: tuple[Match, ...]
    classes: int | None
    data_classes: int | None
    fem: str = "none"
    notes: tuple[str, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether every tensor fits the best match."""
        return bool(self.matches) and self.matches[0].share >= _FULLY

    @property
    def fresh_head(self) -> bool:
        """Whether the classifier has to start anew, as far as is known."""
        return (
            self.classes is not None and self.data_classes is not None and self.classes != self.data_classes
        )


def onnx_pipeline(
    path: Path, about: OnnxDescription, data: DataSettings, stages: list[dict[str, Any]] | None = None
) -> Pipeline:
    """These stages; without any, measure the file as it is, then quantize it, unless it is quantized already."""
    settings: dict[str, Any] = {"path": str(path)}
    if not about.described and about.size is not None:
        settings["image_size"] = about.size
    if stages is None:
        stages = [{"id": "given", "kind": AsGiven.id, "name": "As given"}]
        if not about.quantized:
            stages.append({"id": "int8", "kind": QuantizeStatic.id, "name": "INT8"})
    return from_file(path, {"id": "network", "kind": "onnx", "settings": settings}, stages, data)


def checkpoint_pipeline(path: Path, data: DataSettings) -> Pipeline:
    """Take the network as it is."""
    source = {"id": "network", "kind": "checkpoint", "settings": {"path": str(path)}}
    return from_file(path, source, [_as_given()], data)


def weights_pipeline(path: Path, backbone: str, fresh_head: bool, fem: str, data: DataSettings) -> Pipeline:
    """Take the network as it is, or train its new classifier first."""
    settings: dict[str, Any] = {"backbone": backbone, "weights": "file", "weights_file": str(path)}
    if fem != "none":
        settings["fem"] = {"place": fem}
    if fresh_head:
        settings["fresh_head"] = True
    trained = {
        "id": "trained",
        "kind": Train.id,
        "name": "Trained",
        "settings": {"training": {"epochs": 10, "learning_rate": 0.0005}},
    }
    source = {"id": "network", "kind": "backbone", "settings": settings}
    return from_file(path, source, [trained if fresh_head else _as_given()], data)


def _as_given() -> dict[str, Any]:
    return {"id": "given", "kind": Train.id, "name": "As given", "settings": {"training": {"epochs": 0}}}


def from_file(
    path: Path, source: dict[str, Any], stages: list[dict[str, Any]], data: DataSettings
) -> Pipeline:
    """A pipeline named after the model or the images that it was made for."""
    plain = data.model_dump(mode="json", exclude_unset=True)
    name = (path.name if path.is_dir() else path.stem)[:100] or "Model"
    return Pipeline.parse(
        {
            "espalier": 1,
            "name": name,
            **({"data": plain} if plain else {}),
            "sources": [source],
            "stages": stages,
        }
    )


def describe_onnx(path: Path) -> OnnxDescription:
    """Read an ONNX file's graph, without its weights.

    Raises:
        EspalierError: when it is none, or no image classifier.
    """
    from core.onnx_graph.classifier import answers_of, images_of
    from core.onnx_graph.float16 import check_float
    from core.onnx_graph.reading import read_onnx
    from core.onnx_graph.standard_form import standard_form

    model = read_onnx(path, weights=False)
    described = any(entry.key == "preprocess" for entry in model.metadata_props)
    images = images_of(model, path.name)
    quantized = False
    notes: list[str] = []
    try:
        check_float(model)
    except EspalierError as error:
        quantized = True
        notes.append(error.message)
    try:
        _, found = standard_form(model, images, answers_of(model, path.name))
        notes += found
    except EspalierError as error:  # the number of classes, or the person, may still decide it
        notes.append(str(error))
    return OnnxDescription(described, images.size, quantized, tuple(notes))


def describe_weights(
    path: Path, control: RunControl, say: Callable[[str], None], count_classes: Callable[[], int | None]
) -> WeightsDescription:
    """Compare the tensors' names and shapes with those of every backbone; imports torch.

    Args:
        count_classes: the number of classes of the data set.

    Raises:
        EspalierError: when the file is no weights file.
        Stopped: a person asked to stop.
    """
    from core.models.weight_files import read_weights

    say(f"Reading {path.name}")
    file = read_weights(path)
    state = file.tensors
    ranked: list[tuple[Match, int | None]] = []
    for chosen in BACKBONES.values():
        control.checkpoint()
        say(f"Comparing {path.name} with {chosen.title}")
        ranked.append(_compare(chosen, state))
    ranked.sort(key=lambda pair: -pair[0].share)
    names = [name for name in state if name.startswith(("fem.", "map_fem."))]
    fem = next((place for prefix, place in _EXTRAS if any(name.startswith(prefix) for name in names)), "none")
    matches = tuple(match for match, _ in ranked if match.share > 0)
    say("Opening the data set")
    return WeightsDescription(len(state), matches, ranked[0][1], count_classes(), fem, tuple(file.notes))


def weights_description(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job of the tool child: `describe_weights` as plain data.

    Args (as plain data): path of the weights file; those of `DataAccess.as_plain`.
    """
    access = DataAccess.from_plain(arguments)

    def count_classes() -> int | None:
        try:
            return len(access.open(context.control).classes)
        except EspalierError:
            return None

    path = Path(arguments["path"])
    return asdict(
        describe_weights(path, context.control, lambda words: context(0.0, words), count_classes)
    )  # fmt: skip


def described_by(
    tool: Child, path: Path, access: DataAccess, control: RunControl, say: Callable[[str], None]
) -> WeightsDescription:
    """What `describe_weights` gives, found by a tool process."""
    arguments = {**access.as_plain(), "path": str(path)}
    plain = tool.call(weights_description, arguments, control, lambda _done, words: say(words))
    matches = tuple(Match(**match) for match in plain["matches"])
    return WeightsDescription(**{**plain, "matches": matches, "notes": tuple(plain["notes"])})


def _compare(chosen: Backbone, state: dict[str, Any]) -> tuple[Match, int | None]:
    """The share of tensors that fit, the classifier's last layer apart; and that layer's outputs."""
    import torch

    from core.models.weights import own_state as named_as_own

    with torch.device("meta"):
        expected_state = chosen.build(BackboneSettings(backbone=chosen.id), 10).state_dict()
    own_state, _ = named_as_own(state, chosen, expected_state)
    expected = {name: tensor.shape for name, tensor in expected_state.items() if not _ignored(name, chosen)}
    received = {name: tensor.shape for name, tensor in own_state.items() if not _ignored(name, chosen)}
    fitting = sum(expected.get(name) == shape for name, shape in received.items())
    share = fitting / max(len(expected), len(received), 1)
    last = [
        tensor
        for name, tensor in own_state.items()
        if name.startswith(chosen.classifier) and name.endswith("bias")
    ]
    return Match(chosen.id, share), int(last[-1].shape[0]) if last else None


def _ignored(name: str, chosen: Backbone) -> bool:
    return name.startswith((chosen.classifier, "fem.", "map_fem.")) or name.endswith("num_batches_tracked")
