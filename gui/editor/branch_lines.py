"""Where the lines of a forest run beside its list of cards (no Qt)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """From the row of a parent to the row of its child: from the parent's lane down `trunk` to the child's lane."""

    parent: int
    child: int
    from_lane: int
    trunk: int
    lane: int


@dataclass(frozen=True, slots=True)
class BranchLines:
    """A lane (column) per row, and the edges between rows."""

    lane: tuple[int, ...]
    edges: tuple[Edge, ...]

    @property
    def count(self) -> int:
        return max((*self.lane, *(edge.trunk for edge in self.edges)), default=0) + 1


def lay_out(parents: Sequence[int | None]) -> BranchLines:
    """Lines for rows whose parents (row numbers above them, None for roots) are given.

    The first child goes on in its parent's lane. All others share one line down, the trunk, which ends in
    the last of them; those between hang beside it. So a stage with ten continuations takes three lanes.
    """
    children: list[list[int]] = [[] for _ in parents]
    for row, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(row)
    lane: list[int] = []
    edges: list[Edge] = []
    taken: list[tuple[int, int]] = []  # a lane, and the row down to which it is taken
    trunk: dict[int, int] = {}  # of the parents above
    for row, parent in enumerate(parents):
        if parent is None:
            lane.append(_free(taken, row))
        else:
            siblings = children[parent]
            first = row == siblings[0]
            down = lane[parent] if first else trunk[parent]
            lane.append(down if first or row == siblings[-1] else _free(taken, row, down))
            edges.append(Edge(parent, row, lane[parent], down, lane[row]))
        taken.append((lane[row], children[row][0] if children[row] else row))
        if len(children[row]) > 1:
            trunk[row] = _free(taken, row + 1, lane[row])
            taken.append((trunk[row], children[row][-1]))
    return BranchLines(tuple(lane), tuple(edges))


def _free(taken: Sequence[tuple[int, int]], row: int, right_of: int = -1) -> int:
    """The first lane right of `right_of` that nothing takes at `row`."""
    used = {number for number, last in taken if last >= row}
    return next(number for number in range(right_of + 1, right_of + len(used) + 2) if number not in used)
