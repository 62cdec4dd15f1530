"""Compare: rows of a busy machine are ranges in amber, and are measured again with a click."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from pytestqt.qtbot import QtBot
from window_fixtures import close_all

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.document.pipeline import Pipeline
from core.engine import measure_again
from core.engine.measure_again import MeasuredAgain
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base.messages import Messages
from gui.base.theme import Theme
from gui.compare.reader import RunReader
from gui.compare.remeasuring import Remeasuring
from gui.compare.view import CompareView
from gui.runs.run_results import read_results
from gui.widgets.metric_cells import CHANGE, UNSURE


def set_latency(run: RunFolder, key: str, latency: Metric, change: Metric) -> None:
    report = run.finished_report(key)
    assert report.main is not None
    report.main.metrics["latency_ms"] = latency
    report.main.change["latency_ms"] = change
    run.write_report(report)


@pytest.fixture
def run(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    """The second stage was measured on a busy machine."""
    run = made_run(tiny, home, tmp_path)
    busy = Metric(value=0.9, unit="ms", low=0.7, high=6.5, n=12, interrupted=0.97)
    set_latency(run, "pruned", busy, Metric(value=None, how="the machine was too busy"))
    return run


@pytest.fixture
def view(qtbot: QtBot, theme: Theme, run: RunFolder) -> CompareView:
    made = CompareView(QAction("Open run…"), QAction("Run"))
    qtbot.addWidget(made)
    made.resize(1180, 740)
    made.show()
    made.show_results(read_results(run))
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Runs and stages that were measured again; the machine is quiet now."""
    seen: list[tuple[str, list[str]]] = []

    def quiet(run: RunFolder, home: Home, keys: Collection[str], control: RunControl, tell: Any) -> MeasuredAgain:  # fmt: skip
        seen.append((run.name, list(keys)))
        tell(0.5, "Measuring Pruned")
        good = Metric(value=0.66, unit="ms", low=0.65, high=0.67, level=0.99, n=240, interrupted=0.0)
        set_latency(run, "pruned", good, Metric(value=0.66, low=0.65, high=0.67, level=0.99))
        return MeasuredAgain([], [])

    monkeypatch.setattr(measure_again, "measure_again", quiet)
    return seen


@pytest.fixture
def measuring(view: CompareView, home: Home, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remeasuring]:  # fmt: skip
    reader, messages = RunReader(home), Messages(view)
    reader.attach(view)
    made = Remeasuring(view, home, messages, view)
    yield made
    close_all(reader.worker, reader.lister, reader.writer, made.worker)


def cell(view: CompareView, row: int, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
    column = 1 + [kind.id for kind in view.model.kinds].index("latency_ms")
    return view.model.data(view.model.index(row, column), role)


def test_a_busy_row_is_a_range_and_says_what_to_do(view: CompareView) -> None:
    assert cell(view, 1) == "⚠ 0.70 to 6.5" and cell(view, 1, UNSURE) and not cell(view, 0, UNSURE)
    assert cell(view, 1, CHANGE) == "" and "uncertain" in cell(view, 1, Qt.ItemDataRole.AccessibleTextRole)
    tip = cell(view, 1, Qt.ItemDataRole.ToolTipRole)
    assert "No change is stated: the machine was too busy." in tip and "97 % of the runs set aside" in tip
    assert "⚠ a range, measured on a busy machine" in view.legend.whole
    assert "busy machine" in view.warning.text() and view.measure.isVisible()


def test_uncertain_rows_are_measured_again_with_a_click(
    qtbot: QtBot,
    view: CompareView,
    run: RunFolder,
    measuring: Remeasuring,
    asked: list[tuple[str, list[str]]],
) -> None:
    with qtbot.waitSignal(measuring.status_message) as said:
        qtbot.mouseClick(view.measure, Qt.MouseButton.LeftButton)
        assert not view.measure.isEnabled()
    assert said.args == ["Measured again."] and asked == [(run.name, ["pruned"])]
    qtbot.waitUntil(lambda: cell(view, 1) == "0.660")
    assert cell(view, 1, CHANGE) == "▼ −34.0 %" and not view.measure.isVisible()
    assert view.measure.isEnabled() and not view.working.isVisible()


def test_any_rows_are_measured_again_by_the_keyboard(
    qtbot: QtBot,
    view: CompareView,
    run: RunFolder,
    measuring: Remeasuring,
    asked: list[tuple[str, list[str]]],
) -> None:
    view.table.setFocus()
    view.select(view.model.rows[0].id, view.model.rows[2].id)
    with qtbot.waitSignal(measuring.status_message):
        qtbot.keyClick(view.table, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    assert asked == [(run.name, ["fp32", "taught"])]
    view.table.selectAll()
    with qtbot.waitSignal(measuring.status_message):
        view.table.measure.trigger()
    assert asked[1:] == [(run.name, [])]  # the whole run, also on another machine


def test_nothing_is_measured_while_a_run_goes_on(
    view: CompareView, measuring: Remeasuring, asked: list[tuple[str, list[str]]]
) -> None:
    measuring.set_running(True)
    assert not view.measure.isEnabled() and not view.table.measure.isEnabled()
    assert view.measure.accessibleDescription() == "Nothing is measured while a run goes on."
    measuring.set_running(False)
    assert view.measure.isEnabled()


def test_what_cannot_be_measured_is_said(
    qtbot: QtBot, view: CompareView, measuring: Remeasuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*rest: Any) -> MeasuredAgain:
        raise EspalierError("The files of FP32 are not in the run any more.")

    monkeypatch.setattr(measure_again, "measure_again", gone)
    failures: list[Any] = []
    monkeypatch.setattr(Messages, "failure", lambda self, failure: failures.append(failure))
    measuring.worker.failed.connect(failures.append)
    with qtbot.waitSignal(measuring.worker.failed):
        view.measure.click()
    assert "not in the run any more" in failures[0].message and view.measure.isEnabled()
