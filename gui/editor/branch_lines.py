"""Where the lines of a forest run beside its list of cards (no Qt)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """From the row of a parent to the row of its child, downwards in the child's lane."""

    parent: int
    child: int
    from_lane: int
    lane: int


@dataclass(frozen=True, slots=True)
class BranchLines:
    """A lane (column) per row, and the edges between rows."""

    lane: tuple[int, ...]
    edges: tuple[Edge, ...]

    @property
    def count(self) -> int:
        return max(self.lane, default=0) + 1


def lay_out(parents: Sequence[int | None]) -> BranchLines:
    """Lines for rows whose parents (row numbers above them, None for roots) are given.

    The first child goes on in its parent's lane; every other takes the leftmost that is free.
    """
    lane: list[int] = []
    edges: list[Edge] = []
    for row, parent in enumerate(parents):
        if parent is None:
            lane.append(max(lane, default=-1) + 1)
            continue
        siblings = [edge for edge in edges if edge.parent == parent and edge.lane == lane[parent]]
        lane.append(lane[parent] if not siblings else _free(lane, edges, parent, row))
        edges.append(Edge(parent, row, lane[parent], lane[row]))
    return BranchLines(tuple(lane), tuple(edges))


def _free(lane: Sequence[int], edges: Sequence[Edge], first: int, last: int) -> int:
    taken = {lane[row] for row in range(first, last)}
    taken |= {edge.lane for edge in edges if edge.child > first and edge.parent < last}
    return next(number for number in range(len(lane) + 1) if number not in taken)
