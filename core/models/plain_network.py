"""A person's network as plain PyTorch modules, before it is taken apart (imports torch).

What wraps it is taken off, parametrised weights become plain, tensors that are only attributes become buffers, which move
to other devices with the network. What could not be copied, saved or trained is refused here, in words.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from core.common.errors import EspalierError

_INTERNAL = frozenset(vars(nn.Module()))


def plain_network(network: nn.Module, title: str) -> tuple[nn.Module, list[str]]:
    """A copy of the network, and sentences on what was changed: a function may give the same network every time.

    Raises:
        EspalierError: when it is no network of plain modules, or holds what cannot be copied or saved.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise EspalierError(
            f"{title} is TorchScript, or holds some: its layers can neither be changed nor exported.",
            "Return the network itself, and not what torch.jit made of it.",
        )
    while (inner := _inside(network)) is not None:
        network = inner
    _check_state(network, title)
    network = copied(network, title)
    _unwrap(network)
    notes = plain_weights(network)
    _check_hidden(network, title)
    _keep_tensors(network)
    return network, notes


def _unwrap(network: nn.Module) -> None:
    """Take off the wrappers of torch.compile and of training on several devices, in place."""
    for path, module in list(network.named_modules()):
        inner = _inside(module) if path else None
        while inner is not None:
            network.set_submodule(path, inner)
            inner = _inside(inner)


def _inside(module: nn.Module) -> nn.Module | None:
    """The module that a wrapper wraps; None where it is none."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return module.module
    inner = module._modules.get("_orig_mod")  # of torch.compile
    return inner if inner is not None and type(module).__name__ == "OptimizedModule" else None


def _check_state(network: nn.Module, title: str) -> None:
    """Refuse a network whose state is more than tensors of numbers.

    Raises:
        EspalierError: saying what it is.
    """
    state = network.state_dict()
    strange = [name for name, value in state.items() if not isinstance(value, Tensor) or value.is_quantized]
    if strange:
        raise EspalierError(
            f"{title} holds quantized layers, or others whose state is more than tensors: {', '.join(strange[:3])}.",
            "Return the float network; a stage of its own quantizes it.",
        )
    empty = [name for name, value in state.items() if value.is_meta]
    if empty:
        raise EspalierError(
            f"{title} has weights without values, on the device 'meta': {', '.join(empty[:3])}.",
            "Make the network on the CPU.",
        )


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
    return [f"The parametrisations of {len(folded)} layers ({some(folded)}) became plain weights."]


def _attributes(network: nn.Module) -> Iterator[tuple[str, nn.Module, str, Any]]:
    """Path, module, name and value of everything that a person's modules keep beside parameters, buffers and modules."""
    for path, module in network.named_modules():
        for name, value in list(vars(module).items()):
            if name not in _INTERNAL:
                yield f"{path}.{name}" if path else name, module, name, value


def _check_hidden(network: nn.Module, title: str) -> None:
    """Refuse layers in plain lists and dictionaries: PyTorch neither saves nor trains them.

    Raises:
        EspalierError: naming the first ones.
    """
    known = {id(part) for part in (*network.modules(), *network.parameters())}
    hidden = [
        path
        for path, _, _, value in _attributes(network)
        if any(isinstance(part, nn.Module | nn.Parameter) and id(part) not in known for part in _parts(value))
    ]
    if hidden:
        raise EspalierError(
            f"{title} keeps layers or weights in a plain list or dictionary ({some(hidden)}), where PyTorch does not see "
            "them: they are neither saved nor trained.",
            "Put them into nn.ModuleList, nn.ModuleDict or nn.ParameterList.",
        )


def _parts(value: Any, deep: int = 0) -> Iterator[Any]:
    """What lists and dictionaries hold, in each other too."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set) and deep < 4:
        for part in value:
            yield from _parts(part, deep + 1)
    elif deep:
        yield value


def _keep_tensors(network: nn.Module) -> None:
    """Make buffers of tensors that are attributes; they stay out of the state, as they were."""
    for _, module, name, value in _attributes(network):
        if (
            isinstance(value, Tensor)
            and not isinstance(value, nn.Parameter)
            and not hasattr(type(module), name)
        ):
            delattr(module, name)
            module.register_buffer(name, value.detach(), persistent=False)


def copied(network: nn.Module, title: str) -> nn.Module:
    """A copy, as stages change copies too; the network itself where its weights are not there before it has run.

    Raises:
        EspalierError: naming what cannot be copied.
    """
    if any(isinstance(module, LazyModuleMixin) for module in network.modules()):
        return network
    try:
        return copy.deepcopy(network)
    except Exception as error:
        what, reason = _uncopied(network) or ("", str(error))
        raise EspalierError(
            f"{title} holds something that cannot be copied{f', in {what}' if what else ''}: {reason}.",
            "Make it where it is used, or keep it outside of the network.",
        ) from error


def _uncopied(network: nn.Module) -> tuple[str, str] | None:
    for path, _, _, value in _attributes(network):
        try:
            copy.deepcopy(value)
        except Exception as error:
            return path, str(error)
    return None


def some(paths: list[str]) -> str:
    """The first few, for a sentence."""
    return ", ".join(paths[:3]) + (" and more" if len(paths) > 3 else "")
