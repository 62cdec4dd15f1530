"""The picture of a run, and the curves drawn from it."""

from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QAction
from run_events import epoch, started

from core.records import events
from core.records.events import event_from
from gui.base.theme import Theme
from gui.monitor.view import MonitorView
from gui.runs.run_state import RunState
from gui.widgets.throttle import Throttle


def taken(*items: events.Event) -> RunState:
    state = RunState()
    for item in items:
        state.take(item)
    return state


@pytest.fixture
def view(qtbot: Any, theme: Theme) -> MonitorView:
    made = MonitorView(*(QAction(name) for name in ("Run", "Resume run", "Pause", "Finish", "Stop")))
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    return made


def test_both_plots_and_the_log_are_seen_in_a_usual_window(view: MonitorView, qtbot: Any) -> None:
    """The loss alone filled it: a place is as high as its parts would like, where one of them has a height for its width."""
    view.show_state(taken(*started(), epoch("a", 1, 10, 50)), "running")
    assert view.heightForWidth(1058) <= 560
    view.resize(1058, 600)
    qtbot.waitUntil(lambda: min(plot.plot.height() for plot in view.curves.plots) >= 110)
    assert view.log.height() >= 100 and view.meters.geometry().bottom() <= view.height()


def test_stages_go_through_their_states() -> None:
    state = taken(*started())
    assert [stage.status for stage in state.stages.values()] == ["running", "waiting"]
    state.take(events.StageDone("a", False, {"seconds": 3.0}))
    state.take(events.StageStarted("b", "Second", "distil", 1, 2))
    assert [stage.status for stage in state.stages.values()] == ["done", "running"]
    state.take(events.RunDone("failed", "It broke.", "Mend it."))
    assert state.stages["b"].status == "failed"
    assert state.log[-1].level == "error" and "It broke. Mend it." in state.log[-1].text


def test_parts_of_the_loss_and_the_best_epoch_are_known() -> None:
    state = taken(*started(), epoch("a", 1, 10, 50), epoch("a", 2, 20, 60, True))
    state.take(events.StageDone("a", False, {}))
    state.take(events.StageStarted("b", "Second", "distil", 1, 2))
    state.take(epoch("b", 1, 7, 65, True, train_cross_entropy=1.0, train_distillation=0.5))
    assert state.part_names() == ["train_cross_entropy", "train_distillation"]
    assert (state.stages["a"].best_epoch, state.stages["a"].best_value) == (2, 60)


def test_a_resumed_epoch_is_not_drawn_twice() -> None:
    steps = [events.StepDone("a", 1, step, {"loss": 1.0 / step}, 100) for step in (3, 6, 9)]
    state = taken(*started(), *steps, epoch("a", 1, 10, 50), events.StepDone("a", 2, 13, {"loss": 0.1}, 100))
    state.take(events.RunStarted("run-1", "/tmp/run-1", "Tiny", ("a", "b"), ("First", "Second"), True))
    state.take(events.TrainingStarted("a", 2, 3, 10, "float32"))
    state.take(events.StepDone("a", 2, 12, {"loss": 0.2}, 100))
    assert state.stages["a"].series["step_loss"].steps.tolist() == [3, 6, 9, 12]
    assert state.stages["a"].series["val_loss"].steps.tolist() == [10]


def test_a_cached_stage_has_the_curves_of_its_history() -> None:
    history = [
        {"epoch": 1.0, "train_loss": 1.0, "val_top1": 40.0},
        {"epoch": 2.0, "train_loss": 0.5, "val_top1": 45.0},
    ]
    state = taken(*started()[:2], events.StageDone("a", True, {"history": history}))
    assert state.stages["a"].status == "cached"
    assert state.stages["a"].series["train_loss"].values.tolist() == [1.0, 0.5]
    assert state.stages["a"].best_epoch == 2


def test_events_survive_their_json_form() -> None:
    items = [
        *started(),
        epoch("a", 1, 10, 50, True),
        events.Note("a", "warning", "Careful."),
        events.RunDone("stopped", "Stopped."),
    ]
    state = RunState()
    state.take_all({"number": n, "time": 0.0, **item.as_dict()} for n, item in enumerate(items))
    assert state.stages["a"].status == "stopped"
    assert event_from({"event": "SomethingNew"}) is None


def test_the_curves_show_the_last_value_after_a_flood(qtbot: Any, view: MonitorView) -> None:
    state = taken(*started())
    view.show_state(state, "")
    for step in range(1, 400):
        state.take(events.StepDone("a", 1, step, {"loss": 1.0 / step}, 100))
        view.show_state(state, "")
    qtbot.waitUntil(lambda: _last(view, "step_loss") == pytest.approx((399, 1.0 / 399)), timeout=2000)


def _last(view: MonitorView, name: str) -> tuple[float, float]:
    if name not in view.curves.loss.values():
        return (0.0, 0.0)
    x, y = view.curves.loss.values()[name]
    kept = ~np.isnan(y)
    return float(x[kept][-1]), float(y[kept][-1])


def test_boundaries_best_epochs_and_parts_are_drawn(qtbot: Any, view: MonitorView) -> None:
    state = taken(
        *started(),
        epoch("a", 1, 10, 50, True),
        events.StageDone("a", False, {}),
        events.StageStarted("b", "Second", "distil", 1, 2),
        epoch("b", 1, 5, 55, True, train_cross_entropy=1.0, train_distillation=0.4),
    )
    view.show_state(state, "")
    qtbot.wait(150)
    bounds, _ = view.curves.loss.shown()
    assert bounds == [(0.0, "First"), (10.0, "Second")]
    _, stars = view.curves.top1.shown()
    assert [(x, y) for x, y, _tip in stars] == [(10, 50), (15, 55)]
    assert "train_distillation" in view.curves.loss.values()


def test_names_of_stages_end_before_the_next_one_and_the_edge(qtbot: Any, view: MonitorView) -> None:
    """The last one's was cut by the plot's edge; one with a brace in it broke the plot."""
    names = {
        "a": "First",
        "b": "Pruned by half and {tuned} for long",
        "c": "C" * 90,
        "d": "Quantized at last",
    }
    keys = tuple(names)
    state = taken(events.RunStarted("run-1", "/tmp/run-1", "Tiny", keys, tuple(names.values()), False))
    for number, (key, name) in enumerate(names.items()):
        state.take(events.StageStarted(key, name, "train", number, 4))
        state.take(epoch(key, 1, 40 if key == "a" else 3, 50, True))
        state.take(events.StageDone(key, False, {}))
    view.show_state(state, "")
    qtbot.wait(150)
    for width in (700, 400):
        view.window().resize(width, 700)
        qtbot.wait(100)
        labels = [mark.label.sceneBoundingRect() for mark in view.curves.loss._marks]
        texts = [mark.label.toPlainText() for mark in view.curves.loss._marks]
        edge = view.curves.loss.box.sceneBoundingRect().right()
        assert texts[0] == "First" and all(
            label.right() <= edge + 1 for label in labels if label.width() > 12
        )
        for earlier, later in zip(labels, labels[2:], strict=False):
            assert earlier.right() <= later.left() + 8
    view.window().resize(1600, 700)
    qtbot.wait(100)
    assert view.curves.loss._marks[1].label.toPlainText().startswith("Pruned by")


def test_another_run_is_shown_from_its_first_step(qtbot: Any, view: MonitorView) -> None:
    """The frame of the run before stayed, and the whole began with the first epoch, as accuracy does."""
    curves = view.curves
    curves.redraw(taken(*started(), *(epoch("a", number, 10 * number, 50) for number in range(1, 20))))
    qtbot.waitUntil(lambda: curves.loss.box.viewRange()[0][1] > 180)
    steps = [events.StepDone("a", 1, step, {"loss": 1.0}, 100.0) for step in range(1, 10)]
    curves.redraw(taken(*started(), *steps, epoch("a", 1, 10, 50), epoch("a", 2, 20, 60)))
    qtbot.wait(50)
    curves.show_whole()
    qtbot.wait(50)
    for plot in curves.plots:
        low, high = plot.box.viewRange()[0]
        assert -3 < low < 1 and 20 < high < 25, plot


def test_a_stage_says_what_it_does_now_while_the_curves_stand_still(view: MonitorView) -> None:
    """Beside "Looking for the reasons" in the heading the stage still said "Measuring float32"."""
    state = taken(*started())
    for text in ("Measuring PyTorch", "Measuring float32", "Looking for the reasons"):
        state.take(events.PhaseStarted("a", "measure", text))
        view.show_state(state, "running")
        assert text in view.header.about.whole
        assert text in view.stages.texts()[0]


def test_the_curves_stand_still_while_latency_is_measured(qtbot: Any, view: MonitorView) -> None:
    state = taken(*started(), epoch("a", 1, 10, 50))
    view.show_state(state, "")
    qtbot.wait(150)
    state.take(events.PhaseStarted("a", "measure", "Measuring latency"))
    view.show_state(state, "")
    state.take(epoch("a", 2, 20, 60))
    view.show_state(state, "")
    qtbot.wait(200)
    assert view.throttle.held and _last(view, "val_loss")[0] == 10
    assert "stand still" in view.header.about.whole
    state.take(events.StageDone("a", False, {}))
    view.show_state(state, "")
    qtbot.waitUntil(lambda: _last(view, "val_loss")[0] == 20, timeout=2000)


def test_the_list_says_the_state_in_words(qtbot: Any, view: MonitorView) -> None:
    state = taken(*started(), events.Progress("a", 0.5, 0.25, 30.0, 90.0))
    view.show_state(state, "paused")
    qtbot.wait(150)
    assert view.stages.texts()[0].startswith("First, Paused")
    assert view.stages.texts()[1] == "Second, Waiting"
    assert view.percent.text() == "25 %" and "Paused" in view.left.text()
    assert "Training" in view.log.text.toPlainText()


def test_what_is_paused_is_nowhere_said_to_train(qtbot: Any, view: MonitorView) -> None:
    """Nor the other way round while the run has not told yet that it goes on."""
    state = taken(*started(), events.PhaseStarted("a", "train", "Training"))
    for told, steered, shown, hidden in (
        (events.Progress("a", 0.5, 0.25, 30.0, 90.0), "paused", "Paused", "Training"),
        (events.RunPaused(True), "paused", "Paused", "Training"),
        (events.Progress("a", 0.6, 0.3, 30.0, 90.0), "running", "Training", "Paused"),
    ):
        state.take(told)
        view.show_state(state, steered)
        qtbot.wait(150)
        for words in (view.header.about.whole, view.stages.texts()[0]):
            assert shown in words and hidden not in words
        assert ("Paused" in view.left.text()) == (steered == "paused")


def test_time_that_measuring_waits_is_not_counted_as_left(qtbot: Any, view: MonitorView) -> None:
    state = taken(*started(), events.Progress("a", 0.5, 0.25, 30.0, 120.0))
    state.take(events.PhaseStarted("a", "latency", "Waiting: the machine is too busy to measure"))
    view.show_state(state, "running")
    qtbot.wait(150)
    assert view.left.text() == "measuring waits; then about 2 min left"
    assert "left" not in view.stages.texts()[0]


def test_a_run_that_begins_is_not_nothing(qtbot: Any, view: MonitorView) -> None:
    view.show_state(RunState(), "running")
    qtbot.wait(150)
    assert not view.empty.isVisible() and view.header.about.whole == "Starting …"


def test_an_empty_monitor_says_what_to_do(view: MonitorView) -> None:
    assert view.empty.isVisible()
    assert "Run" in view.empty.advice.text()


def test_throttle_draws_seldom_and_once_more_at_the_end(qtbot: Any) -> None:
    drawn: list[int] = []
    value = 0
    throttle = Throttle(lambda: drawn.append(value), 50)
    for value in range(1000):  # noqa: B007
        throttle.call()
    assert len(drawn) <= 3
    qtbot.waitUntil(lambda: drawn[-1] == 999, timeout=1000)
    throttle.hold()
    value = 1000
    throttle.call()
    qtbot.wait(80)
    assert drawn[-1] == 999
    throttle.release()
    qtbot.waitUntil(lambda: drawn[-1] == 1000, timeout=1000)


def test_the_points_of_a_grid_stand_in_a_row_as_they_come(view: MonitorView) -> None:
    state = taken(
        *started(), events.GridStarted("fp32", "FP32: top-1", "Ratio", ("0.2", "0.4"), "top-1", ("",))
    )
    view.show_state(state, "running")
    view._redraw()
    assert view.grid.isVisibleTo(view) and view.grid.words.whole == "FP32: top-1: 0 of 2 points"
    state.take(events.GridPointDone("fp32", 0, 71.25))
    view._redraw()
    heat = view.grid.table.heat
    assert [heat.data(heat.index(0, column)) for column in range(2)] == ["71.2", "—"]
    assert view.grid.words.whole.endswith("1 of 2 points")
    assert not view.grid.choice.isVisibleTo(view)
    state.take(events.GridStarted("fp32", "FP32, by chance", "Ratio", ("0.3",), "top-1", ("",), 1))
    state.take(events.GridPointDone("fp32", 0, 33.0, 1))
    view._redraw()
    assert view.grid.choice.isVisibleTo(view) and view.grid.words.whole == "FP32, by chance: 1 of 1 points"
    view.grid.choice.setCurrentIndex(0)
    view.grid.choice.activated.emit(0)
    assert view.grid.words.whole == "FP32: top-1: 1 of 2 points"
    state.take(events.GridPointDone("fp32", 1, 70.0))
    view._redraw()
    assert view.grid.words.whole == "FP32: top-1: 2 of 2 points"  # what a person chose stays
    view.show_state(RunState(), "idle")
    view._redraw()
    assert not view.grid.isVisibleTo(view)
