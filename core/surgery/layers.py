"""Which layers a technique on weights works on: convolutions and linear layers, less the protected."""

from fnmatch import fnmatchcase

from torch import nn

from core.common.errors import EspalierError

FIRST = "the first layer: few weights, and the ones that later layers depend on most"


def weight_layers(
    model: nn.Module, protected: str = "", first_layer: bool = True
) -> tuple[dict[str, nn.Conv2d | nn.Linear], list[tuple[str, str]]]:
    """The layers by path, in the network's order, and those left alone with the reason.

    Args:
        protected: patterns (`*` any text, `?` one letter) between commas; one that fits a module's
            path protects everything inside of it.
        first_layer: whether the first layer is among the chosen.

    Raises:
        EspalierError: when a pattern fits nothing.
    """
    patterns = [pattern.strip() for pattern in protected.split(",") if pattern.strip()]
    chosen: dict[str, nn.Conv2d | nn.Linear] = {}
    skipped, fitted, first = [], set[str](), True
    seen: dict[int, str] = {}
    for path, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            if any(_is_matrix(parameter) for parameter in module.parameters(recurse=False)):
                kind = type(module).__name__
                skipped.append((path, f"a {kind}; only convolutions and linear layers are changed"))
            continue
        if (other := seen.setdefault(id(module.weight), path)) != path:
            skipped.append((path, f"shares its weights with {other}, and is changed with it"))
            continue
        fitting = [pattern for pattern in patterns if _fits(path, pattern)]
        fitted.update(fitting)
        if fitting:
            skipped.append((path, f"protected by the pattern {fitting[0]!r}"))
        elif first and not first_layer:
            skipped.append((path, FIRST))
        else:
            chosen[path] = module
        first = False
    if unused := [pattern for pattern in patterns if pattern not in fitted]:
        raise EspalierError(
            f"Expected patterns that fit layers of this network; {unused[0]!r} fits none.",
            f"Its layers have names like {', '.join(_examples(chosen))}.",
        )
    return chosen, skipped


def shared_parameters(model: nn.Module) -> dict[str, str]:
    """By name, parameters that another module holds too, and what they are called there."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    several = [same for same in names.values() if len(same) > 1]
    return {name: next(other for other in same if other != name) for same in several for name in same}


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def _is_matrix(parameter: nn.Parameter) -> bool:
    return sum(size > 1 for size in parameter.shape) > 1


def _examples(chosen: dict[str, nn.Conv2d | nn.Linear]) -> list[str]:
    paths = list(chosen)
    return paths[:: max(1, len(paths) // 3)][:3]
