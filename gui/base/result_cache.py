"""The newest results, kept so that going back to them is immediate (no Qt)."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

_MOST = 24


class ResultCache:
    """The newest results of each kind; a request's first part is its kind."""

    def __init__(self, most: Mapping[str, int]):
        """`most`: how many of a kind are kept, where it is not the usual number."""
        self._most = most
        self._results: dict[str, OrderedDict[Hashable, Any]] = {}

    def __contains__(self, request: tuple[Any, ...]) -> bool:
        return request in self._results.get(request[0], {})

    def __getitem__(self, request: tuple[Any, ...]) -> Any:
        return self._results[request[0]][request]

    def __setitem__(self, request: tuple[Any, ...], result: Any) -> None:
        same = self._results.setdefault(request[0], OrderedDict())
        same[request] = result
        same.move_to_end(request)
        while len(same) > self._most.get(request[0], _MOST):
            same.popitem(last=False)

    def get(self, request: tuple[Any, ...]) -> Any:
        """The result, None where there is none."""
        same: Mapping[Hashable, Any] = self._results.get(request[0], {})
        return same.get(request)

    def forget(self, request: tuple[Any, ...]) -> None:
        """Drop this result."""
        self._results.get(request[0], OrderedDict()).pop(request, None)
