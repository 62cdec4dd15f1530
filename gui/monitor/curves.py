"""The two plots of a run: loss and accuracy of all stages on one time line."""

import numpy as np
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.monitor.state import RunState
from gui.widgets.curve_plot import CurvePlot, Look

_LOSS = {
    "step_loss": Look("training, every few steps", 0, 1.0, faint=True),
    "train_loss": Look("training", 0, dots=True),
    "val_loss": Look("validation", 1, dots=True),
}
_WHOLE = ("train_loss", "train_top1")
_TOP1 = {"train_top1": Look("training", 0, dots=True), "val_top1": Look("validation", 1, dots=True)}


class Curves(QWidget):
    """Shows a `RunState`; `redraw` is called through a throttle."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = CurvePlot("loss", "Loss")
        self.top1 = CurvePlot("top1", "Accuracy [%]", named=False)
        self.top1.item.setXLink(self.loss.item)
        self.top1.item.setLabel("bottom", "Step")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 10, 8, 6)
        layout.setSpacing(10)
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.top1, 1)
        self._drawn: tuple[RunState | None, int] = (None, 0)

    def redraw(self, state: RunState) -> None:
        """Draw what is new in `state`."""
        if self._drawn[0] is state and self._drawn[1] == state.version:
            return
        self._drawn = (state, state.version)
        parts = {
            name: Look(_words(name), 2 + index, 1.5, dashed=True)
            for index, name in enumerate(state.part_names())
        }
        self._draw(self.loss, {**_LOSS, **parts}, state)
        self._draw(self.top1, _TOP1, state)
        offsets = state.offsets()
        bounds = [(offsets[key], stage.name) for key, stage in state.stages.items() if stage.length]
        best = [
            (
                offsets[key] + stage.best_step,
                stage.best_value,
                f"Best epoch of {stage.name}: {stage.best_epoch}, {stage.best_value:.2f} %",
            )
            for key, stage in state.stages.items()
            if stage.best_epoch
        ]
        for plot in (self.loss, self.top1):
            if plot.shown()[0] != bounds:
                plot.show_boundaries(bounds)
        if self.top1.shown()[1] != best:
            self.top1.show_best(best)

    def retheme(self) -> None:
        self.loss.retheme()
        self.top1.retheme()

    def _draw(self, plot: CurvePlot, looks: dict[str, Look], state: RunState) -> None:
        drawn = []
        for name, look in looks.items():
            x, y = _joined(state, name)
            if len(x):
                plot.show_curve(name, look, x, y)
                drawn.append(name)
        plot.keep_only(drawn)


def _joined(state: RunState, name: str) -> tuple[np.ndarray, np.ndarray]:
    """One curve over all stages, with a gap between them."""
    xs: list[np.ndarray] = []
    ys: list[np.ndarray] = []
    for key, offset in state.offsets().items():
        series = state.stages[key].series.get(name)
        single = name.startswith("train_") and name not in _WHOLE and name not in state.stages[key].parts
        if series is not None and series.steps and not single:
            xs.append(np.append(np.asarray(series.steps) + offset, offset + series.steps[-1]))
            ys.append(np.append(np.asarray(series.values), np.nan))
    empty = np.empty(0)
    return (np.concatenate(xs), np.concatenate(ys)) if xs else (empty, empty)


def _words(name: str) -> str:
    return name.removeprefix("train_").replace("_", " ")
