"""Networks on disk: architecture and weights as data, rebuilt exactly; loading runs no code.

A checkpoint is a folder with `architecture.json` and `weights.safetensors`. The architecture is
the backbone's name and settings, plus the modules that differ from what the backbone's factory
makes for that image size (`core.models.architecture`). It describes the result of surgery, not its
history. Every file is held against the folder's manifest (`core.common.content_hashes`), and the logits of a seeded
probe input, which are kept, against those of the loaded network. Only a checkpoint of a
person's own network holds code, which runs only while that person trusts it (`core.machine.trusted_files`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import core
from core.common.content_hashes import check_folder, intact, seal_folder
from core.common.errors import EspalierError
from core.common.files import folder_beside
from core.common.regular_files import regular
from core.common.validation_messages import in_words
from core.data.preprocess import Preprocess
from core.machine.torch_rng import isolated_rng
from core.machine.trusted_files import TrustList
from core.models.architecture import apply_difference, difference
from core.models.backbone import OWN
from core.models.catalogue import backbone
from core.models.checkpoint_description import FORMAT, read_architecture
from core.models.checkpoint_files import ARCHITECTURE, WEIGHTS
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings
from core.models.tied_tensors import distinct_tensors, load_distinct
from core.models.trusted_python import keep_copy, open_copy

_PROBE_SEED = 20_261_121
_PROBE_TOLERANCE = 1e-3  # of the largest logit: other machines and thread counts round differently


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network and what it needs to be used.

    Attributes:
        network: the settings that the backbone's factory made the network from.
        facts: plain data about how it came to be (stage, precision, key).
    """

    model: ImageClassifier
    network: BackboneSettings
    preprocess: Preprocess
    classes: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def input_size(self) -> int:
        """Side of the square images that the network takes, in pixels."""
        return self.preprocess.size


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the folder whole or not at all; an older one in its place is replaced."""
    model = checkpoint.model.eval()
    with folder_beside(folder) as part:
        save_file(distinct_tensors(model), part / WEIGHTS)
        architecture = {
            "format": FORMAT,
            "espalier": core.__version__,
            "network": checkpoint.network.described(),
            "classes": list(checkpoint.classes),
            "preprocess": checkpoint.preprocess.as_dict(),
            "diff": difference(
                _reference(checkpoint.network, len(checkpoint.classes), checkpoint.input_size), model
            ),
            "constraints": model.constraints,
            "facts": checkpoint.facts,
            "versions": {name: version(name) for name in ("torch", "torchvision", "timm", "torch-pruning")},
            "probe": probe(model, checkpoint.preprocess.size).tolist(),
        }
        (part / ARCHITECTURE).write_text(json.dumps(architecture, indent=1), encoding="utf-8")
        if checkpoint.network.backbone.startswith(OWN):
            keep_copy(checkpoint.network.backbone, part)
        seal_folder(part)


def load_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """The network of a checkpoint folder, in evaluation mode on `device`.

    Raises:
        EspalierError: when the folder is no checkpoint, was written by a newer version, was
            changed, gives other logits than when it was saved, or holds code that is not trusted.
    """
    architecture = read_architecture(folder)
    check_folder(folder)
    network = _network(architecture, folder)
    if network.backbone.startswith(OWN):
        open_copy(network.backbone, folder, TrustList.default())
    preprocess = Preprocess.from_dict(architecture["preprocess"])
    model = _reference(network, len(architecture["classes"]), preprocess.size)
    try:
        most = regular(folder / WEIGHTS).stat().st_size
        apply_difference(model, architecture["diff"], most)
        load_distinct(model, load_file(folder / WEIGHTS))
    except Exception as error:
        raise EspalierError(
            f"The checkpoint in {folder} does not fit together: its weights are not those of its architecture.",
            "It was changed or cut short after it was written; run its stage again.",
            str(error),
        ) from error
    model.eval()
    model.constraints = dict(architecture.get("constraints", {}))
    _check_probe(folder, probe(model, preprocess.size), torch.tensor(architecture["probe"]))
    return Checkpoint(
        model.to(device), network, preprocess, tuple(architecture["classes"]), architecture["facts"]
    )


def content_hash(folder: Path) -> str:
    """SHA-256 of what a checkpoint is: its weights file and its architecture (not its versions)."""
    architecture = read_architecture(folder)
    content = {name: architecture[name] for name in ("network", "classes", "preprocess", "diff")}
    if architecture.get("constraints"):
        content["constraints"] = architecture["constraints"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    digest.update(intact(folder / WEIGHTS).read_bytes())
    return digest.hexdigest()


def network_of(folder: Path) -> BackboneSettings:
    """The settings that a checkpoint's network was made from; reads no weights."""
    return _network(read_architecture(folder), folder)


def preprocess_of(folder: Path) -> Preprocess:
    """How images are prepared for a checkpoint's network; reads no weights."""
    return Preprocess.from_dict(read_architecture(folder)["preprocess"])


@torch.no_grad()
def probe(model: nn.Module, size: int) -> Tensor:
    """Logits [2, classes] of two seeded noise images [2, 3, size, size].

    Its tensors lie in memory as a file has them: in another order of the axes convolutions round otherwise, and where a
    network makes more of every difference, its checkpoint would not open.
    """
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(_PROBE_SEED))
    device = next(model.parameters()).device
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
    }
    logits: Tensor = torch.func.functional_call(model, tensors, (images.to(device),))
    return logits.float().cpu()


def _network(architecture: Mapping[str, Any], folder: Path) -> BackboneSettings:
    try:
        return BackboneSettings.model_validate(architecture["network"])
    except ValidationError as error:
        first = in_words(error)[0]
        raise EspalierError(
            f"{folder / ARCHITECTURE} was changed since it was written: network.{'.'.join(map(str, first.place))}: "
            f"{first.message}",
            "Put the former file back, or run its stage again.",
        ) from error


def _reference(network: BackboneSettings, classes: int, size: int) -> ImageClassifier:
    with isolated_rng():
        return backbone(network.backbone).build(network, classes, size)


def _check_probe(folder: Path, now: Tensor, then: Tensor) -> None:
    allowed = _PROBE_TOLERANCE * max(1.0, float(now.abs().max()))  # not of `then`, which the file says
    apart = float((now - then).abs().max()) if now.shape == then.shape else float("inf")
    if not apart <= allowed:
        raise EspalierError(
            f"The network in {folder} gives other answers than when it was saved (largest difference {apart:.2g}).",
            "Its files were changed, or a library computes differently; run its stage again.",
        )
