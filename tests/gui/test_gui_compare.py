"""The comparison desk shows figures, changes in words and signs, notes, the paper's table."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication

from core.pipeline import PaperTable, Pipeline
from core.reports import Metric
from core.runs import Home
from gui.compare.view import CompareView
from gui.files import FIRST, RECIPES, open_any
from gui.results import read_results, recent_runs
from gui.theme import Theme
from gui.widgets.metric_table import CHANGE, VERDICT, MetricModel, change_text, provenance


@pytest.fixture
def view(qtbot: Any, theme: Theme) -> CompareView:
    made = CompareView(QAction("Open run…"), QAction("Run"))
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    return made


def cell(model: MetricModel, row: int, name: str, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
    column = 1 + [kind.id for kind in model.kinds].index(name)
    return model.data(model.index(row, column), role)


def test_changes_are_shown_with_sign_arrow_and_verdict(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    model = view.model
    assert [model.data(model.index(row, 0)) for row in range(3)] == ["FP32", "Pruned", "Taught"]
    assert cell(model, 0, "top1") == "80.00" and cell(model, 0, "top1", CHANGE) == ""
    assert (
        cell(model, 1, "latency_ms", CHANGE) == "▼ −34.0 %"
        and cell(model, 1, "latency_ms", VERDICT) == "better"
    )
    assert cell(model, 1, "top1", CHANGE).startswith("≈") and cell(model, 1, "top1", VERDICT) == "same"
    assert cell(model, 2, "top1", CHANGE) == "▼ −4.00 points" and cell(model, 2, "top1", VERDICT) == "worse"
    assert "no measurable difference" in cell(model, 1, "top1", Qt.ItemDataRole.AccessibleTextRole)
    tip = cell(model, 1, "latency_ms", Qt.ItemDataRole.ToolTipRole)
    assert "1 thread, batch 1" in tip and "n = 90" in tip and "Better than the baseline." in tip


def test_nothing_that_rounds_to_nothing_is_called_a_change() -> None:
    assert change_text(Metric(value=0.004, unit="%")) == "= 0 %"
    assert change_text(Metric(value=-0.004, unit="points")) == "= 0 points"
    assert change_text(None) == ""


def test_a_missing_figure_says_why(tiny: Pipeline) -> None:
    from core.metrics import METRICS

    words = provenance(METRICS["memory_mb"], Metric(value=None, how="not measured on Windows"), None)
    assert "Not available: not measured on Windows." in words


def test_notes_follow_the_selected_row(view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    assert "Trained in float32." in view.notes.browser.toPlainText()
    view.table.selectRow(1)
    text = view.notes.browser.toPlainText()
    assert "Half of the channels removed." in text and "Trained in float32." not in text
    assert "layer1: shared by several blocks" in text
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    assert view.table.currentIndex().row() == 1


def test_the_paper_stands_beside_with_its_remarks(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    assert not view.paper.isVisible()
    paper = open_any(RECIPES / "r1-resnet50.yaml").pipeline.paper
    assert isinstance(paper[0], PaperTable)
    with_paper = Pipeline.parse({**tiny.as_dict(), "paper": [p.model_dump(mode="json") for p in paper]})
    view.show_results(read_results(made_run(with_paper, home, tmp_path)))
    assert view.paper.isVisible() and view.paper.model.rowCount() == len(paper[0].rows)
    assert paper[0].remarks[0] in view.paper.remarks.toPlainText()


@pytest.mark.parametrize(
    ("action", "words"), [("copy_csv", "stage,seed,file"), ("copy_markdown", "| Stage |")]
)
def test_the_table_can_be_copied(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path, action: str, words: str
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    getattr(view, action).trigger()
    assert words in QGuiApplication.clipboard().text()


def test_an_empty_desk_says_what_to_do(view: CompareView) -> None:
    assert view.empty.isVisible() and not view.copy.isEnabled()
    assert "Run the pipeline" in view.empty.advice.text()


def test_runs_from_before_can_be_chosen(
    qtbot: Any, view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    first, second = made_run(tiny, home, tmp_path, 1), made_run(tiny, home, tmp_path)
    view.show_results(read_results(first))
    view.show_runs(recent_runs(home))
    assert view.runs.count() == 2 and view.runs.currentData() == str(first.folder)
    other = view.runs.findData(str(second.folder))
    with qtbot.waitSignal(view.run_chosen) as signal:
        view.runs.setCurrentIndex(other)
        view.runs.activated.emit(other)
    assert signal.args == [second.folder]


def test_two_hundred_rows_open_quickly(
    qtbot: Any, view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    rows = read_results(made_run(tiny, home, tmp_path)).rows * 70
    view.model.show_rows(rows)
    assert view.model.rowCount() == 210 and FIRST.is_file()
