"""What shapes the curves and surrounds a run: smoothing, axes, zoom, read-out, log, meters, queue, staying awake."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_nvml import FakeNvml
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from run_events import epoch, started
from running import SOON, training

from core.common.durations import clock
from core.document import edits
from core.document.pipeline import Pipeline
from core.machine.load import Sample, Sampler
from core.machine.nvidia import Gpu
from core.machine.nvml import Nvml
from core.records import events
from core.runs.series import series_of
from gui.base.theme import Theme
from gui.monitor.log_view import LogView
from gui.monitor.meters import Meters
from gui.monitor.smoothing import smoothed
from gui.monitor.timeline import Timeline
from gui.monitor.view import MonitorView
from gui.runs.keep_awake import Command, KeepAwake
from gui.runs.run_queue import QueuedRun, RunQueue
from gui.runs.run_state import LogLine, RunState
from gui.shell.main_window import MainWindow
from gui.widgets.plot_parts import value_at


def two_stages() -> RunState:
    state = RunState()
    begun = started()
    for at, event in (
        (100.0, begun[0]), (100.0, begun[1]), (101.0, begun[3]),
        (111.0, epoch("a", 1, 10, 50)), (121.0, epoch("a", 2, 20, 60, True)),
        (150.0, events.StageDone("a", False, {})), (150.0, events.StageStarted("b", "Second", "distil", 1, 2)),
        (152.0, events.TrainingStarted("b", 1, 3, 5, "float32")), (162.0, epoch("b", 1, 5, 65, True)),
    ):  # fmt: skip
        state.take(event, at)
    return state


@pytest.fixture
def view(qtbot: Any, theme: Theme) -> MonitorView:
    made = MonitorView(*(QAction(name) for name in ("Run", "Resume run", "Pause", "Finish", "Stop")))
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    return made


# numbers


def test_smoothing_by_hand() -> None:
    x = np.array([4.0, 2.0, np.nan, 8.0])
    # weight 0.5: 2/0.5 = 4; (0.5·2 + 0.5·2)/0.75 = 8/3; behind the gap it begins anew
    assert smoothed(x, 0.5) == pytest.approx([4.0, 8 / 3, np.nan, 8.0], nan_ok=True)
    assert smoothed(x, 0) is x


def test_smoothing_is_the_same_across_blocks() -> None:
    x = np.random.default_rng(1).normal(size=300)
    y, expected = 0.0, []
    for t, value in enumerate(x, 1):
        y = 0.97 * y + 0.03 * value
        expected.append(y / (1 - 0.97**t))
    assert smoothed(x, 0.97) == pytest.approx(expected, abs=1e-12)


def test_the_time_line_over_steps_epochs_and_time() -> None:
    state = two_stages()
    places = {axis: Timeline(state, axis).curve("val_top1")[0].tolist() for axis in ("step", "epoch", "time")}
    assert places["step"] == [10, 20, 20, 25, 25]
    assert places["epoch"] == [1, 2, 2, 3, 3]
    assert places["time"] == [10, 20, 20, 30, 30]  # what lies between the stages' trainings takes no room
    assert Timeline(state, "time").best()[1][:2] == (30.0, 65)
    assert Timeline(state, "step").where(12) == "First, step 12, epoch 2"
    assert [clock(s) for s in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]


def test_the_value_at_a_place_belongs_to_its_stage() -> None:
    x, y = np.array([10.0, 20.0, 20.0, 25.0]), np.array([1.0, 2.0, np.nan, 3.0])
    assert value_at(x, y, 14.0, [0, 20]) == 1.0
    assert value_at(x, y, 21.0, [0, 20]) == 3.0
    assert value_at(x, y, 20.0, [0, 20]) == 2.0
    assert value_at(np.empty(0), np.empty(0), 1.0, []) is None


def test_a_sample_of_this_machine() -> None:
    sample = Sampler(Nvml(FakeNvml())).sample()
    assert 0 <= sample.cpu <= 100 and sample.cores >= 1
    assert 0 < sample.program < sample.total and 0 < sample.used < sample.total
    assert sample.gpus == (Gpu("Test GPU", 33.0, 4_000_000_000, 8_000_000_000),)


# the view


def test_smoothing_draws_the_curve_as_it_is_behind(qtbot: Any, view: MonitorView) -> None:
    view.show_state(two_stages(), "idle")
    qtbot.wait(150)
    curves = view.curves
    assert curves.amount.text() == "off"
    curves.smoothing.setFocus()
    for _ in range(50):
        qtbot.keyClick(curves.smoothing, Qt.Key.Key_Right)
    assert curves.amount.text() == "0.50"
    drawn = curves.top1.values()["val_top1"][1]
    assert drawn[:2] == pytest.approx([50, (0.5 * 25 + 30) / 0.75])
    behind = curves.top1._curves["val_top1"].behind.getOriginalDataset()[1]
    assert behind[:2].tolist() == [50, 60]


def test_the_legend_hides_a_curve(qtbot: Any, view: MonitorView) -> None:
    view.show_state(two_stages(), "idle")
    qtbot.wait(150)
    legend = view.curves.loss.legend
    assert legend.texts() == ["training", "validation"]
    button = legend.buttons["val_loss"]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert not view.curves.loss._curves["val_loss"].line.isVisible()
    assert button.accessibleName() == "validation, hidden" and "Show" in button.toolTip()


def test_the_read_out_lists_every_curve(qtbot: Any, view: MonitorView) -> None:
    view.show_state(two_stages(), "idle")
    qtbot.wait(150)
    plot = view.curves.top1
    at = plot.box.mapViewToScene(plot.box.viewRect().center())
    qtbot.mouseMove(plot.plot.viewport(), plot.plot.mapFromScene(at))
    plot.pointed.emit(22.0)
    assert plot.readout.isVisible() and view.curves.loss.readout.isVisible()
    assert plot.readout.lines == [("training", "64.00 %"), ("validation", "65.00 %")]
    assert "Second, step 2" in plot.accessibleDescription()
    plot.pointed.emit(None)
    assert not plot.readout.isVisible()


def test_zoom_by_wheel_buttons_and_keys_and_back(qtbot: Any, view: MonitorView) -> None:
    view.show_state(two_stages(), "idle")
    qtbot.wait(150)
    curves = view.curves
    whole = curves.loss.box.viewRange()[0]
    assert not curves.buttons["zoom-whole"].isEnabled()
    qtbot.mouseClick(curves.buttons["zoom-in"], Qt.MouseButton.LeftButton)
    closer = curves.loss.box.viewRange()[0]
    assert closer[1] - closer[0] < whole[1] - whole[0]
    assert curves.top1.box.viewRange()[0] == pytest.approx(closer)
    curves.loss.setFocus()
    qtbot.keyClick(curves.loss, Qt.Key.Key_Home)
    assert curves.loss.box.viewRange()[0] == pytest.approx(whole, abs=0.5)
    assert not curves.buttons["zoom-whole"].isEnabled()


def test_the_axis_can_be_epochs_or_time(qtbot: Any, view: MonitorView) -> None:
    view.show_state(two_stages(), "idle")
    view.curves.axis.setCurrentIndex(2)
    qtbot.wait(150)
    assert view.curves.loss.values()["val_loss"][0].tolist() == [10, 20, 20, 30, 30]
    assert view.curves.loss.bottom.tickStrings([65.0], 1, 30) == ["1:05"]


def test_the_log_is_filtered_marked_and_copied(qtbot: Any, theme: Theme) -> None:
    log = LogView()
    qtbot.addWidget(log)
    log.show()
    lines = [
        LogLine("info", "a", "Training"),
        LogLine("warning", "a", "Careful"),
        LogLine("error", "", "Broken"),
    ]
    log.show_lines(lines, two_stages().stages)
    assert log.text.toPlainText().splitlines() == [
        "First: Training", "First: ⚠ Warning: Careful", "✖ Failed: Broken",
    ]  # fmt: skip
    qtbot.keyClicks(log.search, "train")
    assert log.text.toPlainText() == "First: Training" and len(log.text.extraSelections()) == 1
    qtbot.mouseClick(log.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "First: Training"
    log.search.clear()
    log.level.setCurrentIndex(2)
    assert log.text.toPlainText() == "✖ Failed: Broken"
    qtbot.keyClicks(log.search, "nothing like it")
    assert log.none.isVisible() and not log.copy.isEnabled()
    log.show_lines([*lines, LogLine("info", "", "More")], {})
    assert log.text.toPlainText() == ""


def test_meters_show_a_sample_and_stand_still(qtbot: Any, theme: Theme) -> None:
    meters = Meters()
    qtbot.addWidget(meters)
    meters.show_sample(
        Sample(42.0, 2, 3_000_000_000, 8_000_000_000, 10**9, (Gpu("G", 7.0, 10**9, 2 * 10**9),))
    )
    assert meters.texts() == {
        "cpu": "42 % of 2 threads", "memory": "3.0 of 8.0 GB", "gpu0": "7 %", "gpu-memory0": "1.0 of 2.0 GB",
    }  # fmt: skip
    with qtbot.waitSignal(meters.sampling.sampled, timeout=SOON):
        meters.show()
    meters.hold(True)
    assert meters.sampling._ended is None
    meters.hold(False)
    assert meters.sampling._ended is not None
    meters.hide()
    assert meters.sampling._ended is None


# the queue


def test_the_queue_is_remembered_and_reordered(qapp: Any, tiny: Pipeline, tmp_path: Path) -> None:
    queue = RunQueue()
    for name in ("One", "Two", "Three"):
        queue.add(QueuedRun(tiny.model_copy(update={"name": name}), tmp_path))
    assert queue.move(2, -1) == 1
    queue.remove(0)
    again = RunQueue()
    assert [one.pipeline.name for one in again.entries] == ["Three", "Two"]
    first = again.take_first()
    assert first is not None and first.base == tmp_path and len(RunQueue().entries) == 1


def test_a_queued_run_starts_by_itself(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
) -> None:
    window = tiny_window
    window.messages.ask_with = lambda dialog: dialog.deleteLater() or "Add to the queue"  # type: ignore[func-returns-value]
    work("forever")
    window.run_controller.start()
    qtbot.waitUntil(lambda: training(window), timeout=SOON)
    first = window.session.run.folder
    window.run_controller.start()
    pane = window.monitor.queue
    assert pane is not None and pane.isVisible() and pane.list.item(0).text() == "1.  Tiny"
    assert not pane.start.isVisible()
    work("nothing")
    window.actions_.stop.trigger()
    qtbot.waitUntil(lambda: window.session.steered == "idle", timeout=SOON)
    assert pane.start.isEnabled() and len(window.queue_runner.queue.entries) == 1  # who stops wants it quiet
    with qtbot.waitSignal(window.session.run_ended, timeout=SOON) as signal:
        qtbot.mouseClick(pane.start, Qt.MouseButton.LeftButton)
    assert signal.args == ["completed"] and window.session.run.folder != first
    assert not pane.isVisible()


def test_the_next_run_follows_a_completed_one(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
) -> None:
    window, ended = tiny_window, []
    work("nothing")
    window.session.run_ended.connect(ended.append)
    for _ in range(2):
        window.queue_runner.queue.add(QueuedRun(window.document.pipeline, window.document.base))
    window.queue_runner.start_next()
    qtbot.waitUntil(lambda: ended == ["completed", "completed"], timeout=SOON)
    assert not window.queue_runner.queue.entries


def test_several_data_sets_run_one_after_the_other_and_are_shown_side_by_side(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
) -> None:
    window, ended = tiny_window, []
    axis = {"values": {"All": {}, "Few": {"test_images": 20}}}
    window.document.apply(edits.set_data_axis(window.document.pipeline, axis), "axis")
    window.session.run_ended.connect(ended.append)
    work("until_told")
    window.run_controller.start()
    qtbot.waitUntil(lambda: training(window), timeout=SOON)
    assert [one.pipeline.name for one in window.queue_runner.queue.entries] == ["Tiny · Few"]
    work("nothing")
    (window.session.run.folder / "enough").touch()
    qtbot.waitUntil(lambda: len(ended) == 1, timeout=SOON)
    qtbot.waitUntil(lambda: len(ended) == 2, timeout=2 * SOON)
    assert ended == ["completed", "completed"]
    runs = series_of(window.session.home, window.session.run)
    assert [run.pipeline.name for run in runs] == ["Tiny · All", "Tiny · Few"]
    assert window.places.current == "compare"
    assert set(window.compare.chosen.folders) == {str(run.folder) for run in runs}


def test_what_is_left_of_several_data_sets_can_be_resumed(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
) -> None:
    window = tiny_window
    axis = {"values": {"All": {}, "Few": {"test_images": 20}}}
    window.document.apply(edits.set_data_axis(window.document.pipeline, axis), "axis")
    work("forever")
    window.run_controller.start()
    qtbot.waitUntil(lambda: training(window), timeout=SOON)
    window.actions_.stop.trigger()
    qtbot.waitUntil(lambda: window.session.steered == "idle", timeout=SOON)
    resumable = window.session.resumable(window.document.text)
    assert resumable is not None and resumable.pipeline.name == "Tiny · All"
    assert len(window.queue_runner.queue.entries) == 1


def test_quit_when_it_is_done(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
) -> None:
    window = tiny_window
    window.messages.ask_with = lambda dialog: dialog.deleteLater() or "Quit when it is done"  # type: ignore[func-returns-value]
    work("until_told")
    window.run_controller.start()
    qtbot.waitUntil(lambda: training(window), timeout=SOON)
    window.close()
    assert window.isVisible() and window.session.steered == "running"
    (window.session.run.folder / "enough").touch()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=SOON)
    assert window.session.run.info.status == "completed"


# staying awake


def test_the_first_way_that_works_is_taken_and_given_back(qapp: Any) -> None:
    awake = KeepAwake(ways=[Command(["no-such-program"]), Command(["cat"])])
    awake.hold()
    assert awake.held and "kept from sleeping" in awake.words
    process = awake._ways[1]._process  # type: ignore[attr-defined]
    assert isinstance(process, subprocess.Popen) and process.poll() is None
    awake.release()
    assert not awake.held and awake.words == "" and process.poll() is not None


def test_where_no_way_works_it_is_said(qapp: Any) -> None:
    awake = KeepAwake(ways=[Command(["false"])])
    awake.hold()
    assert not awake.held and "no way to keep the computer awake" in awake.words
