"""Networks in whose layers the same weights stand twice: as files hold them, each once."""

from collections.abc import Mapping

from torch import Tensor, nn


def distinct_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state dict on the CPU; of names for the same tensor the first, and no two that share memory."""
    state: dict[str, Tensor] = {}
    first_of: dict[int, str] = {}
    taken: set[int] = set()
    names = _by_identity(model)
    for name, tensor in model.state_dict().items():
        if first_of.setdefault(names.get(name, id(tensor)), name) != name:
            continue
        own = tensor.detach().cpu().contiguous()
        memory = own.untyped_storage().data_ptr()
        state[name] = own.clone() if memory in taken else own
        taken.add(memory)
    return state


def load_distinct(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """The way back: the other names of a tensor get it too.

    Raises:
        RuntimeError: when a name is missing, is not in the network or has another shape there.
    """
    names = _by_identity(model)
    loaded = {names.get(name) for name in state}
    missing, strange = model.load_state_dict(dict(state), strict=False)
    missing = [name for name in missing if names.get(name) not in loaded]
    if missing or strange:
        raise RuntimeError(
            f"missing: {', '.join(missing) or 'none'}; not in the network: {', '.join(strange) or 'none'}"
        )


def _by_identity(model: nn.Module) -> dict[str, int]:
    """By name, which parameter or buffer it is."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: id(tensor) for name, tensor in tensors}
