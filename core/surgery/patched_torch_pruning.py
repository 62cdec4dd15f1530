"""torch-pruning, with what its dependency graph stumbles over put right."""

import contextlib
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from core.models.torchvision_shim import import_torchvision


@functools.cache
def torch_pruning_patched() -> ModuleType:
    """torch-pruning, patient with reshapes and quick with groups of many steps.

    It divides by zero at a reshape whose channels it cannot infer (ShuffleNet's shuffle), and adds None where channels are
    joined of which a part was split off and went through an addition (CS3Darknet). It then has no mapping, and the trial
    cuts find out what that means. And it compares every step of a group with all before it, index by index: minutes
    where a block splits and joins channels (MobileViTv2).
    """
    import_torchvision()
    import torch_pruning
    from torch_pruning.dependency import graph, index_mapping

    for name, stumble in (
        ("update_reshape_index_mapping", ZeroDivisionError),
        ("update_concat_index_mapping", TypeError),
    ):
        setattr(index_mapping, name, _patient(getattr(index_mapping, name), stumble))
    graph.Group = _group_with_index(graph.Group)
    return torch_pruning


def _patient(usual: Callable[[Any, Any], None], stumble: type[Exception]) -> Callable[[Any, Any], None]:
    def patient(graph: Any, node: Any) -> None:
        with contextlib.suppress(stumble):
            usual(graph, node)

    return patient


def _group_with_index(theirs: Any) -> Any:
    """Their group of steps, which looks up what it holds instead of searching for it."""

    class Group(theirs):
        def __init__(self) -> None:
            super().__init__()
            self._places: dict[Any, int] = {}  # of the first step at a layer and axis
            self._steps: set[Any] = set()

        def add_dep(self, dep: Any, idxs: list[Any]) -> None:
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
