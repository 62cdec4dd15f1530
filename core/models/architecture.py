"""What surgery made of a network, as data: every module that its backbone's factory would not make so.

By path, an entry says one of:

- changed in place, the class being the same: `attributes` (plain values by name), `tensors` (shapes of
  the module's own parameters and buffers by name, null for one that went) and `order` (of children);
- another module: `type` from the list below, `arguments` of its constructor, `children`;
- gone: `removed`.

Only what differs is written. Putting a difference into a network runs no code from the file: types
come from the list, only attributes and tensors that the module already has are set, and an attribute
takes nothing but numbers, text, switches and sequences of these.
"""

import importlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from core.common.errors import EspalierError
from core.models.torchvision_shim import import_torchvision

_INTERNAL = frozenset(vars(nn.Module()))  # every module has them: hooks, tables of children, training

_CONVOLUTION = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias",
)  # fmt: skip
_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")
_LAYER_NORM = ("normalized_shape", "eps", "elementwise_affine")
_WINDOW = ("kernel_size", "stride", "padding", "ceil_mode")

# What may stand in the place of a module: where its class is, and what its constructor takes.
_TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Conv2d": ("torch.nn:Conv2d", (*_CONVOLUTION, "padding_mode")),
    "Linear": ("torch.nn:Linear", ("in_features", "out_features", "bias")),
    "BatchNorm1d": ("torch.nn:BatchNorm1d", _NORM),
    "BatchNorm2d": ("torch.nn:BatchNorm2d", _NORM),
    "LayerNorm": ("torch.nn:LayerNorm", (*_LAYER_NORM, "bias")),
    "Identity": ("torch.nn:Identity", ()),
    "Sequential": ("torch.nn:Sequential", ()),
    "ReLU": ("torch.nn:ReLU", ("inplace",)),
    "ReLU6": ("torch.nn:ReLU6", ("inplace",)),
    "LeakyReLU": ("torch.nn:LeakyReLU", ("negative_slope", "inplace")),
    "Hardswish": ("torch.nn:Hardswish", ("inplace",)),
    "Hardsigmoid": ("torch.nn:Hardsigmoid", ("inplace",)),
    "SiLU": ("torch.nn:SiLU", ("inplace",)),
    "GELU": ("torch.nn:GELU", ("approximate",)),
    "Sigmoid": ("torch.nn:Sigmoid", ()),
    "Dropout": ("torch.nn:Dropout", ("p", "inplace")),
    "Flatten": ("torch.nn:Flatten", ("start_dim", "end_dim")),
    "AdaptiveAvgPool2d": ("torch.nn:AdaptiveAvgPool2d", ("output_size",)),
    "AvgPool2d": ("torch.nn:AvgPool2d", (*_WINDOW, "count_include_pad")),
    "MaxPool2d": ("torch.nn:MaxPool2d", (*_WINDOW, "dilation")),
    "PadShortcut": ("core.models.cifar_resnet:PadShortcut", ("inputs", "outputs")),
    "TokenMerging": ("core.models.token_merging:TokenMerging", ("prefix", "removed")),
    "torchvision.LayerNorm2d": ("torchvision.models.convnext:LayerNorm2d", _LAYER_NORM),
    "timm.Conv2dSame": ("timm.layers:Conv2dSame", _CONVOLUTION),
}


def difference(reference: nn.Module, model: nn.Module) -> dict[str, Any]:
    """By path, how `model` differs from what its factory makes, as JSON data.

    Raises:
        EspalierError: when a change cannot be described.
    """
    changes: dict[str, Any] = {}
    _compare("", reference, model, changes)
    return changes


def apply_difference(model: nn.Module, diff: dict[str, Any], most: int = 1 << 40) -> None:
    """Make of a factory's network the one that `diff` describes; changed tensors are left unset.

    Args:
        most: numbers that its new tensors may have together: as many as the weights file can hold.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RuntimeError: when the difference is not
            one that `difference` writes for such a network.
    """
    if (wanted := _numbers_in(diff)) > most:
        raise ValueError(f"tensors of {wanted} numbers, and the weights file holds at most {most}")
    for path, entry in diff.items():
        if "type" in entry:
            _place(model, path, _make(entry))
        elif entry.get("removed") is True:
            parent, _, name = path.rpartition(".")
            del model.get_submodule(parent)._modules[name]
        else:
            _change(model.get_submodule(path), path, entry)
    for path, entry in diff.items():
        if "order" in entry:
            children = model.get_submodule(path)._modules
            if sorted(entry["order"]) != sorted(children):
                raise ValueError(f"the order of {path} is not that of its children")
            for name in entry["order"]:
                children[name] = children.pop(name)


# Describing


def _compare(path: str, old: nn.Module, new: nn.Module, changes: dict[str, Any]) -> None:
    if type(old) is not type(new) and not _are_one_graph(old, new):
        changes[path] = _described(path, new)
        return
    entry = {"attributes": _attributes(old, new), "tensors": _tensors(path, old, new), "order": []}
    olds, news = dict(old.named_children()), dict(new.named_children())
    natural = [name for name in olds if name in news] + [name for name in news if name not in olds]
    if natural != list(news):
        entry["order"] = list(news)
    if changed := {part: value for part, value in entry.items() if value}:
        changes[path] = changed
    for name in [*olds, *(name for name in news if name not in olds)]:
        inner = f"{path}.{name}" if path else name
        if name not in news:
            changes[inner] = {"removed": True}
        elif name not in olds:
            changes[inner] = _described(inner, news[name])
        else:
            _compare(inner, olds[name], news[name], changes)


def _are_one_graph(old: nn.Module, new: nn.Module) -> bool:
    """Whether both are the same graph of torch.fx, each of which has a class of its own."""
    both = isinstance(old, GraphModule) and isinstance(new, GraphModule)
    return both and str(old.code) == str(new.code)


def _attributes(old: nn.Module, new: nn.Module) -> dict[str, Any]:
    """The plain values that changed, encoded; what is not plain (functions, caches) is left alone."""
    changed = {}
    for name, before in vars(old).items():
        after = vars(new).get(name, before)
        after = after.item() if isinstance(after, np.generic) else after
        if name not in _INTERNAL and _is_plain(before) and _is_plain(after) and before != after:
            changed[name] = _encoded(after)
    return changed


def _tensors(path: str, old: nn.Module, new: nn.Module) -> dict[str, list[int] | None]:
    """Shapes of the module's own parameters and buffers where they changed; null for one that went."""
    before, after = ({**module._parameters, **module._buffers} for module in (old, new))
    changed = {
        name: None if tensor is None else list(tensor.shape)
        for name, tensor in after.items()
        if name not in before or _shape(tensor) != _shape(before[name])
    }
    lost = [name for name in changed if name not in before] + [name for name in before if name not in after]
    computed = [
        name
        for name in new._non_persistent_buffers_set & after.keys() & before.keys()
        if name in changed or not _same(before[name], after[name])
    ]
    where = f"{path or 'at the top'} of type {type(new).__name__}"
    if lost:
        raise EspalierError(
            f"A checkpoint cannot describe the changed module {where}: its tensor {lost[0]} is not one that it "
            "can restore."
        )
    if computed:
        raise EspalierError(
            f"A checkpoint cannot keep the module {where}: its tensor {computed[0]} is no parameter and no buffer that is "
            "saved, and another one when the network is made again.",
            "Register it with register_buffer (persistent, as it is unless told otherwise), or make it without random numbers.",
        )
    return changed


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one.cpu(), other.cpu()))


def _described(path: str, module: nn.Module) -> dict[str, Any]:
    """Type, constructor's arguments and children of a module that the factory does not make."""
    kinds = [kind for kind in _TYPES if kind.rpartition(".")[2] == type(module).__name__]
    kind = next((kind for kind in kinds if _class_of(kind) is type(module)), None)
    if kind is None:
        raise EspalierError(
            f"A checkpoint cannot describe the changed module {path} of type {type(module).__name__}."
        )
    arguments = {
        name: module.bias is not None if name == "bias" else getattr(module, name) for name in _TYPES[kind][1]
    }
    spec: dict[str, Any] = {"type": kind, "arguments": arguments}
    if children := {name: _described(f"{path}.{name}", child) for name, child in module.named_children()}:
        spec["children"] = children
    return spec


def _class_of(kind: str) -> type[nn.Module]:
    place, name = _TYPES[kind][0].split(":")
    if not place.startswith(("torch.", "core.")):
        import_torchvision()
    module_class: type[nn.Module] = getattr(importlib.import_module(place), name)
    return module_class


# Making


def _numbers_in(diff: dict[str, Any]) -> int:
    """How many numbers the new tensors of a difference have, found without taking memory for them."""
    count = 0
    with torch.device("meta"):
        for entry in diff.values():
            for shape in entry.get("tensors", {}).values():
                count += math.prod(abs(side) for side in shape) if shape is not None else 0
            if "type" in entry:
                made = _make(entry)
                count += sum(tensor.numel() for tensor in (*made.parameters(), *made.buffers()))
    return count


def _make(spec: dict[str, Any]) -> nn.Module:
    names = _TYPES[spec["type"]][1]
    arguments = {
        name: tuple(value) if isinstance(value, list) else value for name, value in spec["arguments"].items()
    }
    if not arguments.keys() <= set(names) or not all(_is_plain(value) for value in arguments.values()):
        raise ValueError(f"{spec['type']} takes {names}, not {arguments}")
    module = _class_of(spec["type"])(**arguments)
    for name, child in spec.get("children", {}).items():
        if not isinstance(module, nn.Sequential):
            raise ValueError(f"{spec['type']} has no children")
        module.add_module(name, _make(child))
    return module


def _place(model: nn.Module, path: str, module: nn.Module) -> None:
    place, _, name = path.rpartition(".")
    parent = model.get_submodule(place)
    if name not in parent._modules and not isinstance(parent, nn.Sequential):
        if vars(parent).get(name, ...) is not None:  # only where the factory left a gap
            raise ValueError(f"{place} has no module {name}")
        delattr(parent, name)
    parent.register_module(name, module)


def _change(module: nn.Module, path: str, entry: dict[str, Any]) -> None:
    for name, value in entry.get("attributes", {}).items():
        if name in _INTERNAL or not _is_plain(vars(module).get(name, ...)):
            raise ValueError(f"{path} has no plain attribute {name}")
        setattr(module, name, _decoded(value))
    for name, shape in entry.get("tensors", {}).items():
        home = module._parameters if name in module._parameters else module._buffers
        before = home[name]
        dtype = torch.float32 if before is None else before.dtype
        empty = None if shape is None else torch.zeros(shape, dtype=dtype)
        home[name] = nn.Parameter(empty) if empty is not None and home is module._parameters else empty


# Plain values


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _encoded(value: Any) -> Any:
    """JSON knows no tuples."""
    if isinstance(value, tuple):
        return {"tuple": [_encoded(part) for part in value]}
    return [_encoded(part) for part in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"tuple"}:
        return tuple(_decoded(part) for part in value["tuple"])
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    if not _is_plain(value):
        raise ValueError(f"{value!r} is not plain")
    return value
