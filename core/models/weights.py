"""Weights from files into a network, strictly, with every misfit named. Runs no code from a file."""

import importlib.util
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.machine.site_policy import site_policy
from core.models.backbone import Backbone
from core.models.catalogue import own_name
from core.models.efficientnet_names import is_port, timm_names
from core.models.weight_parts import join_parts

_MISFITS_SHOWN = 6
_DEEPEST, _MANY = 4, 3  # a prefix has at most so many parts, and every third name begins with it
_AVERAGE = {"ema", "averaged", "swa", "shadow"}
_HUB_FILE = "model.safetensors"


def own_names(state: dict[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Published names (`conv1.weight`, `fc.weight`) as this project's (`body.…`, `head.…`)."""
    if any(name.startswith("body.") for name in state):
        return state
    if is_port(state):
        state = timm_names(state)
    return {own_name(name, backbone.names): tensor for name, tensor in state.items()}


def own_state(
    state: Mapping[str, Tensor], backbone: Backbone, expected: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """A file's tensors under this project's names, without a prefix that all of the network's have in the file.

    Lightning writes `model.`, DataParallel `module.`; others whatever the network is called in theirs.

    Args:
        expected: names of the network's own tensors.

    Returns: the tensors, and a sentence where a prefix or tensors beside it were left out.

    Raises:
        EspalierError: when several networks in the file fit, and nothing tells which is meant.
    """

    def fitting(prefix: str) -> int:
        inside = {
            name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)
        }
        return sum(name in expected for name in own_names(inside, backbone))

    best = _alone({prefix: fitting(prefix) for prefix in _prefixes(state)}, state)
    inside = {name.removeprefix(best): tensor for name, tensor in state.items() if name.startswith(best)}
    notes = []
    if best not in ("", "module."):
        notes.append(f"The names in the file begin with '{best}', which was left out.")
    if outside := [name for name in state if not name.startswith(best)]:
        notes.append(
            f"{len(outside)} tensors of the file that are no part of the network were left out: {_some(outside)}."
        )
    return own_names(inside, backbone), notes


def _alone(fitting: Mapping[str, int], state: Collection[str]) -> str:
    """The prefix under which most names fit; of several networks that fit alike the one that is no average.

    Args:
        fitting: how many names fit, by prefix.

    Raises:
        EspalierError: when several are left.
    """
    most = max(fitting.values())
    best = [prefix for prefix, count in fitting.items() if count == most]
    if most == 0 or any(other.startswith(best[0]) for other in best[1:]):
        return best[0]
    plain = [prefix for prefix in best if not _AVERAGE & set(re.split(r"[._]", prefix.casefold()))] or best
    if len(plain) > 1:
        raise EspalierError(
            f"The weights file holds {len(plain)} networks that fit, under names that begin with "
            f"{' and '.join(repr(prefix) for prefix in plain[:3])}.",
            "Save the state_dict() of the one to start from by itself, and pick that file.",
        )
    return plain[0]


def _prefixes(state: Collection[str]) -> list[str]:
    """Beginnings, up to a dot, of many of the names; none at all first."""
    counts = Counter(
        name[: dot + 1] for name in state for dot, letter in enumerate(name) if letter == "." and name[:dot].count(".") < _DEEPEST
    )  # fmt: skip
    return ["", *(prefix for prefix, count in counts.items() if count * _MANY >= len(state))]


def has_classifier(model: nn.Module, state: Mapping[str, Tensor], backbone: Backbone) -> bool:
    """Whether a file's tensors hold the classifier that the network has, in its shapes."""
    expected = model.state_dict()
    own, _ = own_state(state, backbone, expected)
    names = [name for name in expected if name.startswith((backbone.classifier, "head.hidden."))]
    return all(name in own and own[name].shape == expected[name].shape for name in names)


def load_weights(
    model: nn.Module, state: Mapping[str, Tensor], backbone: Backbone, origin: str, fresh_head: bool
) -> list[str]:
    """Copy `state` into `model`, strictly; the FEM, which published weights lack, may start fresh.

    Args:
        origin: what to call the weights in messages.
        fresh_head: leave the file's classifier out.

    Returns:
        Sentences about what was not taken from the weights.

    Raises:
        EspalierError: naming missing and unexpected tensors, shapes that do not fit, and values that are no numbers.
    """
    expected = model.state_dict()
    own, notes = own_state(state, backbone, expected)
    notes += join_parts(own, expected)
    notes += fit_positions(model, own)
    if fresh_head:
        own = {name: tensor for name, tensor in own.items() if not name.startswith(backbone.classifier)}
        notes.append("The classifier starts fresh.")
    optional = tuple(
        prefix for prefix in ("fem.", "map_fem.") if not any(name.startswith(prefix) for name in own)
    ) + ((backbone.classifier, "head.hidden.") if fresh_head else ())
    _check_fit(expected, own, state, optional, backbone, origin)
    _check_numbers(own, origin)
    model.load_state_dict(own, strict=False)
    if any(name.startswith(("fem.", "map_fem.")) for name in expected) and "fem." in optional:
        notes.append("The Feature Enhancement Module starts fresh; published weights have none.")
    return notes


def _check_fit(
    expected: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    state: Collection[str],
    optional: tuple[str, ...],
    backbone: Backbone,
    origin: str,
) -> None:
    """See that the tensors are those of the network.

    Raises:
        EspalierError: naming those that are not.
    """
    missing = [
        n
        for n in expected
        if n not in own and not n.startswith(optional) and not n.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in own if name not in expected]
    shapes = [
        f"{name}: the network has {tuple(expected[name].shape)}, the file {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    shapes += [
        f"{name}: the network has {_kind(expected[name])}, the file {_kind(tensor)}"
        for name, tensor in own.items()
        if name in expected and expected[name].is_floating_point() and (not tensor.is_floating_point() or tensor.is_quantized)
    ]  # fmt: skip
    problems = (
        shapes
        + [f"{n}: missing in the file" for n in missing]
        + [f"{n}: not in the network" for n in unexpected]
    )
    if not problems:
        return
    message = (
        f"{origin} do not fit {backbone.title}: " + "; ".join(problems[:_MISFITS_SHOWN])
        + (f"; and {len(problems) - _MISFITS_SHOWN} more." if len(problems) > _MISFITS_SHOWN else ".")
    )  # fmt: skip
    if (
        len(missing) > len(expected) // 2
    ):  # of another network, or under other names: what the file has says more
        message += f" The file has {len(state)} tensors, such as {_some(state)}; expected are names such as {_some(missing)}."
    raise EspalierError(
        message,
        "Switch on 'Fresh classifier' to leave the file's classifier out."
        if all(p.startswith("head.") for p in problems)
        else "Choose the backbone that the file was made for, or another file.",
        "\n".join(problems),
    )


def _check_numbers(own: Mapping[str, Tensor], origin: str) -> None:
    """See that every value is a finite number, and no variance below zero.

    Raises:
        EspalierError: naming the tensors where one is not.
    """
    broken = []
    negative = [
        name
        for name, tensor in own.items()
        if name.endswith("running_var") and bool((tensor.float() < 0).any())
    ]
    if negative:
        raise EspalierError(
            f"{origin} hold variances below zero: {', '.join(negative[:3])}.",
            "The file was damaged, or changed by hand: copy or download it again.",
        )
    for name, tensor in own.items():
        if tensor.is_floating_point():
            count = int((~torch.isfinite(tensor.float())).sum())
            if count:
                broken.append(f"{name} ({count} of {tensor.numel()})")
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise EspalierError(
            f"{origin} hold values that are not finite numbers (NaN or infinite): {', '.join(broken[:3])}{more}.",
            "Their training diverged, or the file was damaged: pick weights of an earlier epoch.",
        )


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


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
