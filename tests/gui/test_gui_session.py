"""Runs from the window, with an engine that only speaks: start, pause, stop, resume, failure, leaving."""

import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from core.common.control import RunControl
from core.common.errors import Stopped
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_keys
from core.records import events
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.shell.main_window import MainWindow


@dataclass(frozen=True)
class FakeOptions:
    device: str = "auto"
    threads: int = 0


class FakeEngine:
    """Says what the real one says, and works as `work` tells it."""

    work: Callable[["FakeEngine"], None] = lambda engine: None

    def __init__(self, run: RunFolder, home: Home, options: Any, control: RunControl, *listeners: Any):
        self.folder, self.control, self.listeners = run, control, listeners

    def say(self, event: events.Event) -> None:
        self.folder.record(event)
        for listener in self.listeners:
            listener(event)

    def run(self) -> events.RunDone:
        keys = tuple(stage_keys(self.folder.pipeline))
        resumed = any(True for _ in self.folder.events())
        self.say(events.RunStarted(self.folder.name, str(self.folder.folder), "Tiny", keys, keys, resumed))
        try:
            type(self).work(self)
            done = events.RunDone("completed", "All stages are done.")
        except Stopped:
            done = events.RunDone("stopped", "Stopped; every finished epoch is kept.")
        except ZeroDivisionError as error:
            done = events.RunDone("failed", f"It broke: {error}", "Mend it.", "Traceback …")
        self.folder.update_info(status=done.status)
        self.say(done)
        self.folder.close()
        return done


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    module = types.ModuleType("core.engine.engine")
    module.Engine, module.Options = FakeEngine, FakeOptions  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "core.engine.engine", module)
    return FakeEngine


def forever(engine: FakeEngine) -> None:
    engine.say(events.StageStarted("fp32", "FP32", "train", 0, 3))
    engine.say(events.PhaseStarted("fp32", "train", "Training"))
    while True:
        engine.control.checkpoint()
        time.sleep(0.005)


def training(window: MainWindow) -> bool:
    return window.session.state.phase == "Training"


def test_a_run_goes_through_and_the_table_opens(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "work", lambda self: None)
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=5000) as signal:
        tiny_window.actions_.run.trigger()
        assert tiny_window.places.current == "monitor"
        assert tiny_window.actions_.run.text() == "Queue &run"
    assert signal.args == ["completed"]
    assert tiny_window.places.current == "compare"
    assert tiny_window.actions_.run.isEnabled() and not tiny_window.actions_.resume_run.isVisible()


def test_pause_resume_and_stop(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "work", forever)
    actions, session = tiny_window.actions_, tiny_window.session
    actions.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window))
    assert actions.pause.isEnabled() and actions.finish.isEnabled() and actions.stop.isEnabled()
    actions.pause.trigger()
    assert session.steered == "paused" and session.worker.control.paused and actions.pause.text() == "&Resume"
    assert "Paused" in tiny_window.monitor.left.text()
    actions.pause.trigger()
    assert session.steered == "running" and not session.worker.control.paused
    actions.finish.trigger()
    assert session.worker.control.take_finish_stage()
    with qtbot.waitSignal(session.run_ended, timeout=5000) as signal:
        actions.stop.trigger()
        assert session.steered == "stopping" and not actions.stop.isEnabled()
    assert signal.args == ["stopped"]
    assert session.state.stages["fp32"].status == "stopped"


def test_a_stopped_run_can_be_resumed_in_its_own_folder(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "work", forever)
    actions, session = tiny_window.actions_, tiny_window.session
    actions.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window))
    with qtbot.waitSignal(session.run_ended, timeout=5000):
        actions.stop.trigger()
    folder = session.run.folder
    assert actions.resume_run.isVisible() and actions.resume_run.isEnabled()
    assert actions.run.text() == "Run &anew"
    monkeypatch.setattr(engine, "work", lambda self: None)
    with qtbot.waitSignal(session.run_ended, timeout=5000) as signal:
        actions.resume_run.trigger()
    assert signal.args == ["completed"] and session.run.folder == folder
    assert not actions.resume_run.isVisible()


def test_an_unfinished_run_from_before_is_offered(
    tiny_window: MainWindow, tiny: Pipeline, home: Home
) -> None:
    run = RunFolder.create(tiny, tiny_window.document.base, home)
    run.update_info(status="stopped")
    tiny_window.session.look_for_unfinished(tiny_window.document.pipeline)
    assert tiny_window.actions_.resume_run.isVisible()
    found = tiny_window.session.resumable(tiny_window.document.text)
    assert found is not None and found.folder == run.folder


def test_a_failed_run_says_what_to_do(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(self: FakeEngine) -> None:
        self.say(events.StageStarted("fp32", "FP32", "train", 0, 3))
        raise ZeroDivisionError("no")

    said: list[Any] = []
    monkeypatch.setattr(engine, "work", work)
    monkeypatch.setattr(tiny_window.messages, "_open", lambda *words: said.append(words))
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=5000) as signal:
        tiny_window.actions_.run.trigger()
    assert signal.args == ["failed"]
    assert said == [("error", "This did not work", "It broke: no", "Mend it.", "Traceback …")]
    assert tiny_window.session.state.stages["fp32"].status == "failed"
    assert tiny_window.actions_.resume_run.isVisible()


def test_a_runtime_error_in_the_engine_reaches_the_crash_dialog(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: FakeEngine) -> events.RunDone:
        raise RuntimeError("a bug")

    said: list[Any] = []
    monkeypatch.setattr(engine, "run", broken)
    monkeypatch.setattr(tiny_window.messages, "_open", lambda *words: said.append(words))
    with qtbot.waitSignal(tiny_window.session.run_ended, timeout=5000):
        tiny_window.actions_.run.trigger()
    assert said[0][1] == "Something unexpected happened" and "RuntimeError: a bug" in said[0][4]


@pytest.mark.parametrize(("answer", "closes"), [("Stop and quit", True), ("Cancel", False), ("", False)])
def test_closing_asks_what_becomes_of_the_run(
    qtbot: Any,
    tiny_window: MainWindow,
    engine: type[FakeEngine],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    closes: bool,
) -> None:
    monkeypatch.setattr(engine, "work", forever)
    tiny_window.messages.ask_with = lambda dialog: dialog.deleteLater() or answer
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: training(tiny_window))
    tiny_window.close()
    if closes:
        qtbot.waitUntil(lambda: not tiny_window.isVisible(), timeout=5000)
        assert tiny_window.session.run.info.status == "stopped"
    else:
        assert tiny_window.isVisible() and tiny_window.session.steered == "running"


def test_a_stage_that_finishes_shows_up_in_the_table_at_once(
    qtbot: Any, tiny_window: MainWindow, engine: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from made_runs import artefact, report

    def work(self: FakeEngine) -> None:
        done = report("fp32", "FP32", "train", artefact("fp32", 80.0, 1.0, 4.0))
        self.folder.stage_folder("fp32").path.mkdir(parents=True)
        self.folder.write_report(done)
        self.say(events.StageDone("fp32", False, done.model_dump(mode="json")))
        forever(self)

    monkeypatch.setattr(engine, "work", work)
    tiny_window.actions_.run.trigger()
    qtbot.waitUntil(lambda: tiny_window.compare.model.rowCount() == 1)
    assert tiny_window.export.view.model.rowCount() == 1
    assert tiny_window.session.steered == "running"
