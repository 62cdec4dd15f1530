"""Reasons in the window: shown with the notes, with a button that changes the pipeline; predicted latencies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from core.document.pipeline import Pipeline
from core.records.reports import Cause, Fix, Why
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from core.whatif import Forecast
from gui.editor.figures import facts, short_latency
from gui.editor.forecast_strip import ForecastStrip
from gui.runs.run_results import read_results
from gui.shell.main_window import MainWindow

ODD = Cause(
    id="odd-channels",
    sentence="The latency fell less than the MACs: 38 of 53 convolutions have odd channel counts.",
    advice="Round the channels that stay to multiples of 8.",
    fix=Fix(words="Round the channels to multiples of 4", stage="pruned", settings={"round_to": 4}),
)


@pytest.fixture
def run(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    """A run whose pruned stage has a reason."""
    made = made_run(tiny, home, tmp_path)
    report = made.report("pruned")
    assert report is not None
    why = Why(headline="Against 'FP32': MACs −51 %, latency −9 %.", causes=(ODD,))
    made.write_report(report.model_copy(update={"why": why}))
    return made


@pytest.fixture
def window(
    make_window: Callable[..., MainWindow], tiny: Pipeline, tmp_path: Path, run: RunFolder
) -> MainWindow:
    shown = make_window(OpenedDocument(tiny, None, tmp_path))
    shown.resize(1280, 800)
    shown.go("compare")
    shown.compare.show_results(read_results(run))
    return shown


def test_the_reason_stands_with_the_notes_of_its_stage(qtbot: Any, window: MainWindow) -> None:
    notes = window.compare.panes.notes
    text = notes.browser.toPlainText()
    assert "Why: Against 'FP32': MACs −51 %, latency −9 %. The latency fell less than the MACs" in text
    assert "What to do: Round the channels that stay to multiples of 8." in text
    assert [button.text() for button in notes.fix_buttons] == ["Pruned: Round the channels to multiples of 4"]
    window.compare.table.selectRow(0)
    qtbot.waitUntil(lambda: notes.fix_buttons == [])
    window.compare.table.selectRow(1)
    qtbot.waitUntil(lambda: len(notes.fix_buttons) == 1)
    qtbot.waitUntil(lambda: notes.fix_buttons[0].isVisibleTo(notes))
    assert notes.fix_buttons[0].accessibleName()


def test_the_button_changes_the_pipeline_and_undo_takes_it_back(qtbot: Any, window: MainWindow) -> None:
    before = window.document.pipeline
    button = window.compare.panes.notes.findChild(QPushButton, "why-fix-0")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert window.places.current == "pipeline" and window.editor.selected.id == "pruned"  # type: ignore[union-attr]
    assert window.document.pipeline.stage("pruned").parameters.round_to == 4  # type: ignore[attr-defined]
    window.editor.commands.mend_cause(ODD)  # it is so already: nothing happens
    window.editor.commands.undo.trigger()
    assert window.document.pipeline == before


def test_a_stage_that_is_not_in_the_pipeline_is_said_not_to_be(window: MainWindow) -> None:
    said: list[str] = []
    window.editor.commands.status_message.connect(said.append)
    strange = ODD.model_copy(update={"fix": Fix(words="w", stage="elsewhere", settings={"round_to": 8})})
    window._mend(strange)
    assert said == ["Nothing to change: this pipeline has no such stage, or is set so already."]


def test_a_predicted_latency_is_marked_as_one(qtbot: Any) -> None:
    strip = ForecastStrip()
    qtbot.addWidget(strip)
    before = Forecast("a", "", 100, 1000, 400, "exact", latency_ms=20.0, latency_error=0.04)
    now = Forecast("b", "a", 60, 500, 240, "exact", latency_ms=12.34, latency_error=0.041)
    strip.show_forecast(now, before, None, "")
    value, words = strip.values["latency_ms"], strip.changes["latency_ms"]
    assert value.text() == "≈ 12.3 ms" and words.text() == "−38 %, ± 4 %"
    assert "usually within ± 4 % of what is measured" in value.toolTip()
    strip.show_forecast(Forecast("b", "a", 60, 500, 240, "exact", measuring=True), before, None, "")
    assert (value.text(), words.text()) == ("–", "measuring")
    assert strip.remark.text().startswith("Measuring this machine")
    strip.show_forecast(Forecast("b", "a", 60, 500, 240, "exact"), before, None, "")
    assert (value.text(), words.text()) == ("–", "by the run")
    assert facts(now).endswith("· ≈ 12.3 ms") and short_latency(0.456) == "0.46 ms"


def test_nothing_is_measured_while_a_run_goes_on_or_before_it_is_allowed(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecasts, started = window.forecasts, []
    monkeypatch.setattr(forecasts.measurer, "start", lambda title, job: started.append(title))
    forecasts._counted({"unmeasured": ["k"]})
    forecasts._measure()
    assert started == []  # nobody has allowed it
    forecasts.measures = True
    forecasts.set_running(True)
    forecasts._measure()
    assert started == []
    forecasts.set_running(False)
    assert started == ["measuring how fast this machine is"]
    forecasts._measured_machine(["k"])
    forecasts._rest.stop()
    forecasts._measure()
    assert len(started) == 1  # what could not be measured is not tried again
