"""Networks on disk: architecture and weights as data, rebuilt exactly; loading runs no code.

A checkpoint is a folder with `architecture.json` and `weights.safetensors`. The architecture is
the backbone's name and settings, plus, for every module that differs from what the backbone's
factory makes, its path, allow-listed type and constructor arguments. It describes the result of
surgery, not its history. The logits of a seeded probe input are kept and checked on load.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import core
from core.data.preprocess import Preprocess
from core.errors import EspalierError
from core.models.catalogue import backbone
from core.models.classifier import ImageClassifier
from core.models.settings import BackboneSettings

FORMAT = 1
_PROBE_SEED = 20_261_121
_PROBE_TOLERANCE = 1e-3  # of the largest logit: other machines and thread counts round differently

_Arguments = Callable[[Any], dict[str, Any]]


def _takes(*names: str) -> _Arguments:
    return lambda module: {name: getattr(module, name) for name in names}


def _convolution(module: nn.Conv2d) -> dict[str, Any]:
    names = (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
    )
    return {**_takes(*names)(module), "bias": module.bias is not None}


def _linear(module: nn.Linear) -> dict[str, Any]:
    return {
        "in_features": module.in_features,
        "out_features": module.out_features,
        "bias": module.bias is not None,
    }


_NORM = _takes("num_features", "eps", "momentum", "affine", "track_running_stats")

# What may stand in a checkpoint's diff: the type and how to read its constructor's arguments.
_TYPES: dict[str, tuple[type[nn.Module], _Arguments]] = {
    "Conv2d": (nn.Conv2d, _convolution),
    "Linear": (nn.Linear, _linear),
    "BatchNorm1d": (nn.BatchNorm1d, _NORM),
    "BatchNorm2d": (nn.BatchNorm2d, _NORM),
    "LayerNorm": (nn.LayerNorm, _takes("normalized_shape", "eps", "elementwise_affine")),
    "Identity": (nn.Identity, _takes()),
    "ReLU": (nn.ReLU, _takes("inplace")),
    "Sequential": (nn.Sequential, _takes()),
}


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
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, part / "weights.safetensors")
        architecture = {
            "format": FORMAT,
            "espalier": core.__version__,
            "network": checkpoint.network.model_dump(mode="json"),
            "classes": list(checkpoint.classes),
            "preprocess": checkpoint.preprocess.as_dict(),
            "diff": difference(_reference(checkpoint.network, len(checkpoint.classes)), model),
            "constraints": model.constraints,
            "facts": checkpoint.facts,
            "versions": {name: version(name) for name in ("torch", "torchvision", "torch-pruning")},
            "probe": probe(model, checkpoint.preprocess.size).tolist(),
        }
        (part / "architecture.json").write_text(json.dumps(architecture, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """The network of a checkpoint folder, in evaluation mode on `device`.

    Raises:
        EspalierError: when the folder is no checkpoint, was written by a newer version, was
            changed, or gives other logits than when it was saved.
    """
    architecture = _read_architecture(folder)
    network = BackboneSettings.model_validate(architecture["network"])
    model = _reference(network, len(architecture["classes"]))
    try:
        for path, spec in architecture["diff"].items():
            _place(model, path, _make(spec))
        model.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    except Exception as error:
        raise EspalierError(
            f"The checkpoint in {folder} does not fit together: its weights are not those of its architecture.",
            "It was changed or cut short after it was written; run its stage again.",
            str(error),
        ) from error
    model.eval()
    model.constraints = dict(architecture.get("constraints", {}))
    preprocess = Preprocess.from_dict(architecture["preprocess"])
    _check_probe(folder, probe(model, preprocess.size), torch.tensor(architecture["probe"]))
    return Checkpoint(
        model.to(device), network, preprocess, tuple(architecture["classes"]), architecture["facts"]
    )


def content_hash(folder: Path) -> str:
    """SHA-256 of what a checkpoint is: its weights file and its architecture (not its versions)."""
    architecture = _read_architecture(folder)
    kept = {name: architecture[name] for name in ("network", "classes", "preprocess", "diff")}
    if architecture.get("constraints"):
        kept["constraints"] = architecture["constraints"]
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    digest.update((folder / "weights.safetensors").read_bytes())
    return digest.hexdigest()


@torch.no_grad()
def probe(model: nn.Module, size: int) -> Tensor:
    """Logits [2, classes] of two seeded noise images [2, 3, size, size]."""
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(_PROBE_SEED))
    device = next(model.parameters()).device
    return model(images.to(device)).float().cpu()


def difference(reference: nn.Module, model: nn.Module) -> dict[str, Any]:
    """By path, the modules of `model` that its factory would not make.

    Raises:
        EspalierError: when a changed module is of a type that a checkpoint cannot describe.
    """
    found: dict[str, Any] = {}

    def walk(path: str, old: nn.Module, new: nn.Module) -> None:
        described = _describe(new)
        if type(old) is not type(new) or (described is not None and described != _describe(old)):
            found[path] = _required(path, new)
            return
        olds, news = dict(old.named_children()), dict(new.named_children())
        if olds.keys() != news.keys():
            found[path] = _required(path, new)
            return
        for name, child in news.items():
            walk(f"{path}.{name}" if path else name, olds[name], child)

    walk("", reference, model)
    return found


def _describe(module: nn.Module) -> dict[str, Any] | None:
    """Type and arguments of an allow-listed module as JSON data; None for all others."""
    name = type(module).__name__
    if name not in _TYPES or type(module) is not _TYPES[name][0]:
        return None
    return {"type": name, "arguments": json.loads(json.dumps(_TYPES[name][1](module)))}


def _required(path: str, module: nn.Module) -> dict[str, Any]:
    spec = _describe(module)
    if spec is None:
        raise EspalierError(
            f"A checkpoint cannot describe the changed module {path} of type {type(module).__name__}."
        )
    children = {name: _required(f"{path}.{name}", child) for name, child in module.named_children()}
    return {**spec, "children": children} if children else spec


def _make(spec: dict[str, Any]) -> nn.Module:
    kind, _ = _TYPES[spec["type"]]
    arguments = {
        name: tuple(value) if isinstance(value, list) else value for name, value in spec["arguments"].items()
    }
    module = kind(**arguments)
    for name, child in spec.get("children", {}).items():
        module.add_module(name, _make(child))
    return module


def _place(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).register_module(name, module)


def _reference(network: BackboneSettings, classes: int) -> ImageClassifier:
    with torch.random.fork_rng(devices=[]):
        return backbone(network.backbone).build(network, classes)


def _read_architecture(folder: Path) -> dict[str, Any]:
    try:
        architecture = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
        found = architecture["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EspalierError(
            f"Expected a checkpoint (architecture.json and weights.safetensors) in {folder}, found none that can be read.",
            "Pick a stage's checkpoint folder.",
            repr(error),
        ) from error
    if found != FORMAT:
        raise EspalierError(
            f"The checkpoint in {folder} has format {found}; this version of Espalier reads format {FORMAT}.",
            "Open it with the version that wrote it, or a newer one.",
        )
    return dict(architecture)


def _check_probe(folder: Path, now: Tensor, then: Tensor) -> None:
    allowed = _PROBE_TOLERANCE * max(1.0, float(then.abs().max()))
    apart = float((now - then).abs().max()) if now.shape == then.shape else float("inf")
    if not apart <= allowed:
        raise EspalierError(
            f"The network in {folder} gives other answers than when it was saved (largest difference {apart:.2g}).",
            "Its files were changed, or a library computes differently; run its stage again.",
        )
