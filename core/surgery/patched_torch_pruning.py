"""torch-pruning, with what its dependency graph stumbles over put right."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from core.models.torchvision_shim import import_torchvision

_MOST_INDICES = 1_000_000  # followed for a group of channels


@functools.cache
def torch_pruning_patched() -> ModuleType:
    """torch-pruning, patient with reshapes and quick with groups of many steps.

    It divides by zero at a reshape whose channels it cannot infer (ShuffleNet's shuffle), and adds None where channels are
    joined of which a part was split off and went through an addition (CS3Darknet). It then has no mapping, and the trial
    cuts find out what that means. And it compares every step of a group with all before it, index by index: minutes
    where a block splits and joins channels (MobileViTv2). Where it takes places for channels, again and again, the indices grow
    without end (EfficientViT's attention): such a group is given up.
    """
    import_torchvision()
    import torch_pruning
    from torch_pruning.dependency import graph, index_mapping

    for name, stumble in (
        ("update_reshape_index_mapping", ZeroDivisionError),
        ("update_concat_index_mapping", TypeError),
    ):
        setattr(index_mapping, name, _patient(getattr(index_mapping, name), stumble))
    followed = _Followed()
    index_mapping._FlattenIndexMapping = _bounded(index_mapping._FlattenIndexMapping, followed)
    graph.Group = _group_with_index(graph.Group, followed)
    return torch_pruning


def _patient(usual: Callable[[Any, Any], None], stumble: type[Exception]) -> Callable[[Any, Any], None]:
    def patient(graph: Any, node: Any) -> None:
        with contextlib.suppress(stumble):
            usual(graph, node)

    return patient


@dataclass(slots=True)
class _Followed:
    """How many indices were followed for the group of channels that is being made."""

    indices: int = 0

    def add(self, more: int) -> None:
        self.indices += more
        if self.indices > _MOST_INDICES:
            raise OverflowError(f"more than {_MOST_INDICES} indices in a group of channels")


def _bounded(theirs: Any, followed: _Followed) -> Any:
    """Their mapping of channels to what stands in their place when maps are flattened."""

    class FlattenIndexMapping(theirs):
        def __call__(self, idxs: list[Any]) -> list[Any]:
            followed.add(len(idxs) * (1 if self.reverse else self._stride))
            mapped: list[Any] = super().__call__(idxs)
            return mapped

    return FlattenIndexMapping


def _group_with_index(theirs: Any, followed: _Followed) -> Any:
    """Their group of steps, which looks up what it holds instead of searching for it, and has a bound."""

    class Group(theirs):
        def __init__(self) -> None:
            super().__init__()
            self._places: dict[Any, int] = {}  # of the first step at a layer and axis
            self._steps: set[Any] = set()
            followed.indices = 0

        def add_dep(self, dep: Any, idxs: list[Any]) -> None:
            followed.add(len(idxs))
            self._places.setdefault((dep.target, dep.handler), len(self._group))
            self._steps.add((dep.target, dep.handler, tuple(idxs)))
            super().add_dep(dep, idxs)

        def has_pruning_op(self, dep: Any, idxs: list[Any]) -> bool:
            return (dep.target, dep.handler, tuple(idxs)) in self._steps

        def add_and_merge(self, dep: Any, idxs: list[Any]) -> None:
            place = self._places.get((dep.target, dep.handler))
            if place is None:
                return self.add_dep(dep, idxs)
            first = self._group[place]
            merged: dict[int, Any] = {}
            for index in (*first.idxs, *idxs):
                merged.setdefault(index.idx, index)
            self._group[place] = type(first)(dep=first.dep, idxs=list(merged.values()))

    return Group
