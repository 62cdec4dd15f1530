"""A search's trials as parallel coordinates: an axis for each free setting and each aim (no widgets)."""

from math import log

from core.comparison.coordinates import Axis, Coordinates, Polyline
from core.document import dimensions
from core.document.dimensions import Dimension
from core.records.metrics import METRICS
from core.search.records import TrialRecord
from gui.study.reading import ShownStudy

FRONT, OTHER = "front", "other"
"""Groups of the lines."""


def study_coordinates(shown: ShownStudy) -> Coordinates:
    """A line for every file that was made; its id is the trial's number."""
    trials = [one for one in shown.study.trials if one.state == "done" and one.same_as is None]
    best = {one.number for one in shown.best}
    places: list[_Setting | _Figure] = [_Setting(dimension) for dimension in shown.study.dimensions]
    places += [_Figure(name, trials) for name in shown.study.search.aims]
    lines = tuple(
        Polyline(
            str(trial.number), f"trial {trial.number}", FRONT if trial.number in best else OTHER,
            tuple(place.share(trial) for place in places), tuple(place.words(trial) for place in places),
        )
        for trial in trials
    )  # fmt: skip
    return Coordinates(
        tuple(Axis(place.name, ((0.0, place.ends[0]), (1.0, place.ends[1]))) for place in places), lines
    )


class _Setting:
    """Where a trial lies on the axis of a free setting, 0 at its lower end, 1 at its upper; choices stand at equal distances."""

    def __init__(self, dimension: Dimension):
        self.dimension, self.name = dimension, dimension.label.rpartition(": ")[2]
        low, high = (
            (dimension.choices[0], dimension.choices[-1])
            if dimension.kind == "choice"
            else (dimension.low, dimension.high)
        )
        self.ends = (dimensions.in_words(dimension, low), dimensions.in_words(dimension, high))

    def words(self, trial: TrialRecord) -> str:
        one = self.dimension
        return dimensions.in_words(one, trial.values[one.path]) if one.path in trial.values else ""

    def share(self, trial: TrialRecord) -> float | None:
        """None where the setting did not count."""
        one = self.dimension
        if one.path not in trial.values:
            return None
        value = trial.values[one.path]
        if one.kind == "choice":
            names = [repr(choice) for choice in one.choices]
            return names.index(repr(value)) / max(1, len(names) - 1) if repr(value) in names else None
        if not isinstance(value, int | float):
            return None
        if one.log and one.low > 0:
            return log(value / one.low) / log(one.high / one.low)
        return (value - one.low) / ((one.high - one.low) or 1.0)


class _Figure:
    """The same of a figure, from the smallest to the largest that was seen."""

    def __init__(self, name: str, trials: list[TrialRecord]):
        self._kind = METRICS[name]
        known = [value for trial in trials if (value := self._value(trial)) is not None]
        self.name, self.low, self.high = self._kind.label, min(known, default=0.0), max(known, default=1.0)
        self.ends = (self._shown(self.low), self._shown(self.high))

    def _value(self, trial: TrialRecord) -> float | None:
        metric = trial.metrics.get(self._kind.id)
        return metric.value if metric is not None else None

    def _shown(self, value: float) -> str:
        return f"{value * self._kind.scale:.4g}"

    def words(self, trial: TrialRecord) -> str:
        value = self._value(trial)
        return "" if value is None else self._shown(value)

    def share(self, trial: TrialRecord) -> float | None:
        """None where it was not measured."""
        value = self._value(trial)
        if value is None:
            return None
        return (value - self.low) / ((self.high - self.low) or 1.0)
