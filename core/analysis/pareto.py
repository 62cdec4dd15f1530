"""Which files no other file beats, and which fit a person's limits."""

from collections.abc import Mapping, Sequence

from core.analysis.rows import Row
from core.records.metrics import METRICS

Limits = Mapping[str, float]


def front(rows: Sequence[Row], first: str, second: str) -> list[int]:
    """Indices of the rows that no other row beats in two metrics, by the first metric's value.

    A row is beaten by one that is at least as good in both and better in one. Of metrics without
    a direction, less counts as better. Rows without one of the figures are left out.
    """
    points = [(index, *point) for index, row in enumerate(rows) if (point := _costs(row, first, second))]
    indices, best = [], float("inf")
    last: tuple[float, float] | None = None
    for index, one, two in sorted(points, key=lambda point: (point[1], point[2], point[0])):
        if two < best or (one, two) == last:
            indices.append(index)
            best, last = two, (one, two)
    return sorted(indices, key=lambda index: (_value(rows[index], first) or 0.0, index))


def fits(row: Row, limits: Limits) -> bool:
    """Whether a row keeps every limit; a figure that is not known keeps none."""
    for name, bound in limits.items():
        value = _value(row, name)
        if value is None or (value < bound if METRICS[name].better == "higher" else value > bound):
            return False
    return True


def limit_words(name: str) -> str:
    """ "at least" or "at most": which way a limit on the metric goes."""
    return "at least" if METRICS[name].better == "higher" else "at most"


def _costs(row: Row, first: str, second: str) -> tuple[float, float] | None:
    one, two = _cost(row, first), _cost(row, second)
    return None if one is None or two is None else (one, two)


def _cost(row: Row, name: str) -> float | None:
    """The value turned so that less is better."""
    value = _value(row, name)
    return None if value is None else -value if METRICS[name].better == "higher" else value


def _value(row: Row, name: str) -> float | None:
    metric = row.metrics.get(name)
    return None if metric is None else metric.value
