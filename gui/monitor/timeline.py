"""Where a run's points lie on the axis that a person chose: steps, epochs or time (no widgets)."""

from typing import Literal

import numpy as np

from core.common.durations import clock
from gui.base.translation import QT_TR_NOOP, tr
from gui.runs.run_state import RunState, StageState

Axis = Literal["step", "epoch", "time"]
AXES: tuple[tuple[Axis, str, str], ...] = (
    ("step", QT_TR_NOOP("Steps"), QT_TR_NOOP("Step")),
    ("epoch", QT_TR_NOOP("Epochs"), QT_TR_NOOP("Epoch")),
    ("time", QT_TR_NOOP("Time"), QT_TR_NOOP("Time in the stages [h:min:s]")),
)
_WHOLE = ("train_loss", "train_top1")


class Timeline:
    """All stages of a run one behind the other; each begins where the one before it ended."""

    def __init__(self, state: RunState, axis: Axis):
        self._state, self._axis = state, axis
        self._offsets: dict[str, float] = {}
        x = 0.0
        for key, stage in state.stages.items():
            self._offsets[key] = x
            x += self._length(stage)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One curve over all stages, with a gap (NaN) behind each."""
        xs: list[np.ndarray] = []
        ys: list[np.ndarray] = []
        for key, offset in self._offsets.items():
            stage = self._state.stages[key]
            series = stage.series.get(name)
            single = name.startswith("train_") and name not in _WHOLE and name not in stage.parts
            if series is None or not series.steps or single:
                continue
            x = self._places(stage, np.array(series.steps, float), np.array(series.times, float)) + offset
            xs.append(np.append(x, x[-1]))
            ys.append(np.append(np.array(series.values, float), np.nan))
        empty = np.empty(0)
        return (np.concatenate(xs), np.concatenate(ys)) if xs else (empty, empty)

    def bounds(self) -> list[tuple[float, str]]:
        """Where the stages that have curves begin, and their names."""
        return [(self._offsets[key], s.name) for key, s in self._state.stages.items() if s.length]

    def best(self) -> list[tuple[float, float, str]]:
        """Place, value and words of every stage's best epoch."""
        points = []
        for key, stage in self._state.stages.items():
            if stage.best_epoch:
                step, time = np.array([stage.best_step]), np.array([stage.best_time])
                x = float(self._places(stage, step, time)[0]) + self._offsets[key]
                words = tr(
                    "Best epoch of {name}: {best_epoch}, {best_value:.2f} %",
                    name=stage.name,
                    best_epoch=stage.best_epoch,
                    best_value=stage.best_value,
                )
                points.append((x, stage.best_value, words))
        return points

    def where(self, x: float) -> str:
        """The place `x` in words: the stage, and the step, epoch or time inside it."""
        inside = [key for key, s in self._state.stages.items() if s.length and self._offsets[key] <= x]
        if not inside:
            return ""
        stage, along = self._state.stages[inside[-1]], x - self._offsets[inside[-1]]
        if self._axis == "time":
            return f"{stage.name}, {clock(along)}"
        if self._axis == "epoch":
            return tr("{name}, epoch {along:.4g}", name=stage.name, along=along)
        epoch = (
            tr(", epoch {epoch:.0f}", epoch=-(-along // stage.steps_per_epoch))
            if stage.steps_per_epoch
            else ""
        )
        return tr("{name}, step {along:.0f}{epoch}", name=stage.name, along=along, epoch=epoch)

    def _places(self, stage: StageState, steps: np.ndarray, times: np.ndarray) -> np.ndarray:
        if self._axis == "time":
            return times
        return steps / max(1, stage.steps_per_epoch) if self._axis == "epoch" else steps

    def _length(self, stage: StageState) -> float:
        if self._axis == "time":
            return max((series.times[-1] for series in stage.series.values() if series.times), default=0.0)
        return stage.length / max(1, stage.steps_per_epoch) if self._axis == "epoch" else stage.length
