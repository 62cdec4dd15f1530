"""Runs from the window, in a process whose engine only speaks: start, pause, stop, resume, failure, leaving, attaching."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtWidgets import QPushButton
from running import SOON, training

from core.document.pipeline import Pipeline
from core.engine.run_follower import send
from core.runs.finding import running_runs
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from gui.shell.main_window import MainWindow


def process_of(window: MainWindow) -> int:
    """The number of the process that the window's run works in."""
    assert window.session.run is not None
    return int(window.session.run.info.process["pid"])


def is_primary(window: MainWindow) -> list[bool]:
    """Whether each of the buttons that run looks like what a person will want next."""
    buttons = window.findChildren(QPushButton, "button-run")
    assert len(buttons) > 4
    return [button.property("primary") for button in buttons]


def test_a_run_goes_through_and_the_table_opens(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("nothing")
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=SOON) as signal:
        tiny_window.actions_.run.trigger()
        assert tiny_window.places.current == "monitor"
        assert tiny_window.actions_.run.text() == "Queue &run"
        assert not any(is_primary(tiny_window))
    assert signal.args == ["completed"]
    assert tiny_window.places.current == "compare"
    listed = tiny_window.compare.runs.list._model
    qtbot.waitUntil(lambda: listed.rowCount() == 1 and "Complete" in listed.item(0).text(), timeout=SOON)
    assert tiny_window.actions_.run.isEnabled() and not tiny_window.actions_.resume_run.isVisible()
    assert all(is_primary(tiny_window))


def test_pause_resume_and_stop(qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None]) -> None:
    work("forever")
    actions, session = tiny_window.actions_, tiny_window.session
    actions.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    assert actions.pause.isEnabled() and actions.finish.isEnabled() and actions.stop.isEnabled()
    actions.pause.trigger()
    assert session.steered == "paused" and session.worker.control.paused and actions.pause.text() == "&Resume"
    assert "Paused" in tiny_window.monitor.left.text()
    actions.pause.trigger()
    assert session.steered == "running" and not session.worker.control.paused
    actions.finish.trigger()
    qtbot.waitUntil(lambda: session.state.log[-1].text == "This stage ends soon.", timeout=SOON)
    with qtbot.waitSignal(session.run_ended, timeout=SOON) as signal:
        actions.stop.trigger()
        assert session.steered == "stopping" and not actions.stop.isEnabled()
    assert signal.args == ["stopped"]
    assert session.state.stages["fp32"].status == "stopped"


def test_a_stopped_run_can_be_resumed_in_its_own_folder(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("forever")
    actions, session = tiny_window.actions_, tiny_window.session
    actions.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    with qtbot.waitSignal(session.run_ended, timeout=SOON):
        actions.stop.trigger()
    folder = session.run.folder
    assert actions.resume_run.isVisible() and actions.resume_run.isEnabled()
    assert actions.run.text() == "Run &anew"
    work("nothing")
    with qtbot.waitSignal(session.run_ended, timeout=SOON) as signal:
        actions.resume_run.trigger()
    assert signal.args == ["completed"] and session.run.folder == folder
    assert not actions.resume_run.isVisible()


def test_an_unfinished_run_from_before_is_offered(
    tiny_window: MainWindow, tiny: Pipeline, home: Home
) -> None:
    run = create_run(tiny, tiny_window.document.base, home)
    run.update_info(status="stopped")
    tiny_window.session.look_for_unfinished(tiny_window.document.pipeline)
    assert tiny_window.actions_.resume_run.isVisible()
    found = tiny_window.session.resumable(tiny_window.document.text)
    assert found is not None and found.folder == run.folder


def test_a_failed_run_says_what_to_do(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    work("breaks")
    monkeypatch.setattr(tiny_window.messages, "_open", lambda *words: said.append(words))
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=SOON) as signal:
        tiny_window.actions_.run.trigger()
    assert signal.args == ["failed"]
    assert said == [("error", "This did not work", "It broke: no", "Mend it.", "Traceback …")]
    assert tiny_window.session.state.stages["fp32"].status == "failed"
    assert tiny_window.actions_.resume_run.isVisible()


@pytest.mark.parametrize(
    ("name", "how", "details"),
    [("bug", "exit code 1", "RuntimeError: a bug"), ("crash", "SIGSEGV", "Fatal Python error: Segmentation fault")],
)  # fmt: skip
def test_a_crash_of_the_run_leaves_the_window_alive_with_a_sentence(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
    details: str,
) -> None:
    said: list[Any] = []
    work(name)
    monkeypatch.setattr(tiny_window.messages, "_open", lambda *words: said.append(words))
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=SOON) as ended:
        tiny_window.actions_.run.trigger()
    assert ended.args == ["interrupted"]
    assert f"ended unexpectedly ({how})" in said[0][2] and "Resume" in said[0][3] and details in said[0][4]
    assert tiny_window.isVisible() and tiny_window.actions_.resume_run.isVisible()
    assert tiny_window.session.run is not None and tiny_window.session.run.status == "interrupted"


def test_a_killed_run_is_interrupted_at_once_and_can_be_resumed(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    work("forever")
    monkeypatch.setattr(tiny_window.messages, "_open", lambda *words: None)
    session, monitor = tiny_window.session, tiny_window.monitor
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    qtbot.waitUntil(lambda: session.state.stages["fp32"].epoch == 2, timeout=SOON)
    before = time.monotonic()
    with qtbot.waitSignal(session.run_ended, timeout=SOON) as ended:
        os.kill(process_of(tiny_window), signal.SIGKILL)
    assert ended.args == ["interrupted"] and time.monotonic() - before < 2
    assert session.state.stages["fp32"].status == "interrupted" and session.steered == "idle"
    assert "left" not in monitor.left.text() and "Interrupted" in session.state.phase
    work("nothing")
    with qtbot.waitSignal(session.run_ended, timeout=SOON) as ended:
        tiny_window.actions_.resume_run.trigger()
    assert ended.args == ["completed"]


def test_an_interrupted_run_opens_as_interrupted(
    qtbot: Any, make_window: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("forever")
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    run = tiny_window.session.run
    assert run is not None
    tiny_window.session.leave()
    os.kill(process_of(tiny_window), signal.SIGKILL)
    qtbot.waitUntil(lambda: not run.active, timeout=SOON)
    other = make_window()
    other.run_controller.show(RunFolder.open(run.folder), replay=True)
    assert other.session.steered == "idle" and not other.monitor.left.isVisible()
    assert [stage.status for stage in other.session.state.stages.values()] == [
        "interrupted",
        "waiting",
        "waiting",
    ]
    assert "Training" not in other.session.state.phase


def test_a_run_outlives_its_window_and_another_window_shows_the_whole_curve(
    qtbot: Any, make_window: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("until_told")
    tiny_window.messages.ask_with = lambda dialog: dialog.deleteLater() or "Leave it running"
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    run = tiny_window.session.run
    assert run is not None
    tiny_window.close()
    qtbot.waitUntil(lambda: not tiny_window.isVisible(), timeout=SOON)
    assert run.status == "running" and [one.folder for one in running_runs(tiny_window.home)] == [run.folder]

    other = make_window()
    other.warm_up()
    qtbot.waitUntil(lambda: other.session.steered == "running", timeout=SOON)
    qtbot.waitUntil(lambda: training(other), timeout=SOON)
    assert other.session.state.stages["fp32"].series["val_top1"].values.tolist() == [40.0, 80.0]
    assert other.places.current == "monitor"
    document = tiny_window.document
    other.session.look_for_unfinished(document.pipeline)  # as when it is opened meanwhile
    with qtbot.waitSignal(other.session.run_ended, timeout=SOON) as ended:
        (run.folder / "enough").touch()
    assert ended.args == ["completed"] and run.status == "completed"
    assert other.session.resumable(document.text) is None  # nothing is left to go on with


def test_two_watchers_do_not_disturb_each_other(
    qtbot: Any, make_window: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("forever")
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    run, other = tiny_window.session.run, make_window()
    assert run is not None
    other.session.show(RunFolder.open(run.folder))
    qtbot.waitUntil(lambda: training(other), timeout=SOON)
    other.actions_.pause.trigger()
    qtbot.waitUntil(lambda: tiny_window.session.steered == "paused", timeout=SOON)
    qtbot.waitUntil(lambda: run.status == "paused", timeout=SOON)
    qtbot.waitUntil(lambda: "Paused" in tiny_window.monitor.stages._rows["fp32"].spoken, timeout=SOON)
    tiny_window.actions_.pause.trigger()
    qtbot.waitUntil(lambda: run.status == "running", timeout=SOON)
    qtbot.waitUntil(lambda: other.session.steered == "running", timeout=SOON)
    other.session.leave()
    qtbot.waitUntil(lambda: not other.session.worker.running, timeout=SOON)
    assert tiny_window.session.steered == "running" and run.status == "running"
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=SOON) as ended:
        send(run, "stop")
    assert ended.args == ["stopped"]


@pytest.mark.parametrize(("answer", "closes"), [("Stop and quit", True), ("Cancel", False), ("", False)])
def test_closing_asks_what_becomes_of_the_run(
    qtbot: Any,
    tiny_window: MainWindow,
    work: Callable[[str], None],
    answer: str,
    closes: bool,
) -> None:
    work("forever")
    tiny_window.messages.ask_with = lambda dialog: dialog.deleteLater() or answer
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window), timeout=SOON)
    tiny_window.close()
    if closes:
        qtbot.waitUntil(lambda: not tiny_window.isVisible(), timeout=SOON)
        assert tiny_window.session.run.info.status == "stopped"
    else:
        assert tiny_window.isVisible() and tiny_window.session.steered == "running"


def test_a_stage_that_finishes_shows_up_in_the_table_at_once(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    work("table")
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: tiny_window.compare.model.rowCount() == 1, timeout=SOON)
    qtbot.waitUntil(lambda: tiny_window.export.view.model.rowCount() == 1, timeout=SOON)
    assert tiny_window.session.steered == "running"


def test_who_edits_during_a_run_is_told_that_it_goes_on_as_it_started(
    qtbot: Any, tiny_window: MainWindow, work: Callable[[str], None]
) -> None:
    """Nothing said so, and the headings of Compare and Export called the run "new" for as long as it went on."""
    work("table")
    window, line = tiny_window, tiny_window.editor.running
    window.go("pipeline")
    assert not line.isVisible()
    window.actions_.run.trigger()
    window.go("compare")
    qtbot.waitUntil(lambda: training(window), timeout=SOON)
    headings = (window.compare.header.about, window.export.view.header.about)
    assert [" · Running · " in heading.whole for heading in headings] == [True, True]
    window.actions_.pause.trigger()
    window.go("export")
    assert [" · Paused · " in heading.whole for heading in headings] == [True, True]
    window.actions_.pause.trigger()
    window.go("pipeline")
    assert line.isVisible() and line.whole == (
        "The run of “Tiny” goes on with the settings that it started with; what you change here counts from the next run on."
    )
    with qtbot.waitSignal(window.session.run_ended, timeout=SOON):
        window.actions_.stop.trigger()
    assert not line.isVisible()
    qtbot.waitUntil(lambda: " · Stopped · " in window.export.view.header.about.whole, timeout=SOON)
