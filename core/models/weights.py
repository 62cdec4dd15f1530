"""Weights from files into a network, strictly, with every misfit named. Runs no code from a file."""

import importlib.util
import pickle
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.common.regular_files import open_regular
from core.common.stand_ins import refuse_stand_in
from core.machine.site_policy import site_policy
from core.models.backbone import Backbone
from core.models.catalogue import own_name
from core.models.efficientnet_names import is_port, timm_names

_MISFITS_SHOWN = 6
_HUB_FILE = "model.safetensors"


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.safetensors` or torch file, without `module.` prefixes.

    Raises:
        EspalierError: when the file is missing, unreadable, holds code, or no state dict.
    """
    if not path.is_file():
        raise EspalierError(f"Expected a weights file, found none at {path}.", "Pick the file again.")
    refuse_stand_in(path, "a weights file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            _check_form(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except EspalierError:
        raise
    except pickle.UnpicklingError as error:
        raise EspalierError(
            f"{path.name} holds more than weights, and opening it could run code, so it was not opened.",
            "Save the model's state_dict() by itself, or as .safetensors, and pick that file.",
            str(error),
        ) from error
    except Exception as error:
        raise EspalierError(
            f"{path.name} cannot be read as a weights file: it is cut off, damaged, or of another kind than its ending says.",
            "Copy or download it again, or pick another file.",
            repr(error),
        ) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not all(isinstance(v, Tensor) for v in content.values())
        or not content
    ):
        raise EspalierError(
            f"Expected a state dict (names and tensors) in {path.name}, received {type(content).__name__}.",
            "Save the model's state_dict() and pick that file.",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


_FORMS = (b"PK\x03\x04", b"\x80", b"\x8a\x0a")
"""How torch files begin: a zip archive since 1.6, before that a pickle; very old ones with its magic number."""


def _check_form(path: Path) -> None:
    with open_regular(path) as file:
        start = file.read(8)
    if not start.startswith(_FORMS):
        raise EspalierError(
            f"Expected a weights file, but {path.name} is none: it begins with neither of the forms that torch writes.",
            "Pick the file that torch.save or safetensors wrote.",
        )


def own_names(state: dict[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Published names (`conv1.weight`, `fc.weight`) as this project's (`body.…`, `head.…`)."""
    if any(name.startswith("body.") for name in state):
        return state
    if is_port(state):
        state = timm_names(state)
    return {own_name(name, backbone.names): tensor for name, tensor in state.items()}


def load_weights(
    model: nn.Module, state: dict[str, Tensor], backbone: Backbone, origin: str, fresh_head: bool
) -> list[str]:
    """Copy `state` into `model`, strictly; the FEM, which published weights lack, may start fresh.

    Args:
        origin: what to call the weights in messages.
        fresh_head: leave the file's classifier out.

    Returns:
        Sentences about what was not taken from the weights.

    Raises:
        EspalierError: naming missing and unexpected tensors, and shapes that do not fit.
    """
    state = dict(own_names(state, backbone))
    notes = fit_positions(model, state)
    if fresh_head:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(backbone.classifier)}
        notes.append("The classifier starts fresh.")
    expected = model.state_dict()
    optional = tuple(
        prefix for prefix in ("fem.", "map_fem.") if not any(name.startswith(prefix) for name in state)
    ) + ((backbone.classifier,) if fresh_head else ())
    missing = [
        n
        for n in expected
        if n not in state and not n.startswith(optional) and not n.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state if name not in expected]
    shapes = [
        f"{name}: the network has {tuple(expected[name].shape)}, the file {tuple(tensor.shape)}"
        for name, tensor in state.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    problems = (
        shapes
        + [f"{n}: missing in the file" for n in missing]
        + [f"{n}: not in the network" for n in unexpected]
    )
    if problems:
        raise EspalierError(
            f"{origin} do not fit {backbone.title}: " + "; ".join(problems[:_MISFITS_SHOWN])
            + (f"; and {len(problems) - _MISFITS_SHOWN} more." if len(problems) > _MISFITS_SHOWN else "."),
            "Switch on 'Fresh classifier' to leave the file's classifier out."
            if all(p.startswith("head.") for p in problems)
            else "Choose the backbone that the file was made for, or another file.",
            "\n".join(problems),
        )  # fmt: skip
    model.load_state_dict(state, strict=False)
    if any(name.startswith(("fem.", "map_fem.")) for name in expected) and "fem." in optional:
        notes.append("The Feature Enhancement Module starts fresh; published weights have none.")
    return notes


def fit_positions(model: nn.Module, state: dict[str, Tensor]) -> list[str]:
    """Resample the position embeddings of a vision transformer in `state` to the network's grid of patches.

    Returns:
        A sentence where that was needed.
    """
    notes = []
    for name, parameter in model.named_parameters():
        stored = state.get(name)
        if not name.endswith("pos_embed") or stored is None or stored.shape == parameter.shape:
            continue
        network = model.get_submodule(name.rpartition(".")[0])
        if (
            stored.ndim != parameter.ndim
            or stored.shape[-1] != parameter.shape[-1]
            or not hasattr(network, "patch_embed")
        ):
            continue
        from timm.layers import resample_abs_pos_embed

        grid = network.patch_embed.grid_size
        prefix = parameter.shape[1] - grid[0] * grid[1]
        state[name] = resample_abs_pos_embed(stored, list(grid), num_prefix_tokens=prefix)
        notes.append(
            f"The position embeddings were resampled from {stored.shape[1]} to {parameter.shape[1]} tokens, "
            "because the images have another size than those the weights were made with."
        )
    return notes


def imagenet_file(backbone: Backbone) -> Path:
    """Where the ImageNet weights of this backbone lie, if they are on this machine.

    That is an installed package that holds them, or the place of torch's downloads.

    Raises:
        EspalierError: when there are none for this backbone.
    """
    if not backbone.imagenet:
        raise EspalierError(f"{backbone.title} has no ImageNet weights.", "Choose random weights or a file.")
    package, _, inside = backbone.package.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / inside
    name = backbone.imagenet.split("/")[1] + ".safetensors" if _on_hub(backbone) else imagenet_url(backbone)
    return Path(torch.hub.get_dir()) / "checkpoints" / name.rsplit("/", 1)[-1]


def imagenet_url(backbone: Backbone) -> str:
    """The address of the ImageNet weights: torchvision's file, or timm's repository on Hugging Face."""
    if _on_hub(backbone):
        return f"https://huggingface.co/{backbone.imagenet}/resolve/main/{_HUB_FILE}"
    from core.models.torchvision_shim import import_torchvision

    enum, member = backbone.imagenet.split(".")
    return str(getattr(import_torchvision().models, enum)[member].url)


def download_imagenet(backbone: Backbone) -> Path:
    """Fetch the ImageNet weights; only ever called because a person asked for it.

    Raises:
        EspalierError: when there are none, the download fails or its hash does not match.
    """
    target = imagenet_file(backbone)
    if target.is_file():
        return target
    site_policy().allow_download(f"the weights of {backbone.title}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        (_from_hub if _on_hub(backbone) else _from_torchvision)(backbone, target)
    except Exception as error:
        raise EspalierError(
            f"The ImageNet weights of {backbone.title} could not be downloaded.",
            f"Check the connection, or download {imagenet_url(backbone)} elsewhere and choose 'file'.",
            repr(error),
        ) from error
    return target


def _on_hub(backbone: Backbone) -> bool:
    return "/" in backbone.imagenet


def _from_torchvision(backbone: Backbone, target: Path) -> None:
    digest = target.stem.rsplit("-", 1)[-1]
    torch.hub.download_url_to_file(imagenet_url(backbone), str(target), hash_prefix=digest, progress=False)


def _from_hub(backbone: Backbone, target: Path) -> None:
    """The library checks the file's hash."""
    from huggingface_hub import hf_hub_download

    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        Path(hf_hub_download(backbone.imagenet, _HUB_FILE, local_dir=folder)).replace(target)
