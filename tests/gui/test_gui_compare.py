"""The comparison desk shows figures, changes in words and signs, notes, the paper's table."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import made_run
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QFontMetrics, QGuiApplication
from PySide6.QtWidgets import QApplication, QStyleOptionViewItem

from core.document import edits, recipes
from core.document.paper import PaperTable
from core.document.pipeline import Pipeline
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.open_document import open_document
from gui.base.theme import Theme
from gui.compare.view import CompareView
from gui.runs.run_results import read_results
from gui.shell.main_window import MainWindow
from gui.widgets.metric_cells import CHANGE, LABEL_BELOW, VERDICT, shortened
from gui.widgets.metric_table import MetricModel, change_text, provenance


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
    assert "≈ no measurable difference" in view.legend.whole


def test_no_range_of_figures_is_cut_off(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    """ "⚠ 810 to 12…" stood where another row had the larger median and the shorter range."""
    run = made_run(tiny, home, tmp_path)
    for key, value, low, high in (("pruned", 1500.0, 810.0, 12000.0), ("taught", 2000.0, 680.0, 6100.0)):
        report = run.report(key)
        assert report is not None and report.main is not None
        throughput = Metric(value=value, unit="images/s", low=low, high=high, level=0.99, n=20)
        metrics = {**report.main.metrics, "throughput": throughput}
        changed = report.main.model_copy(update={"metrics": metrics})
        run.write_report(report.model_copy(update={"artefacts": [changed]}))
    view.show_results(read_results(run))
    table, model = view.table, view.model
    assert cell(model, 1, "throughput").endswith("810 to 12\u202f000")
    option = QStyleOptionViewItem()
    table.initViewItemOption(option)
    for column in range(model.columnCount()):
        for row in range(model.rowCount()):
            wanted = table.itemDelegate().sizeHint(option, model.index(row, column)).width()
            assert wanted <= table.columnWidth(column), (row, column)


def test_runs_of_one_name_are_told_apart_where_there_is_little_room(qapp: QApplication) -> None:
    """ "ONNX float32 · baseline · newcomer-images, 30 …" stood there twice."""
    metrics = QFontMetrics(qapp.font())
    first, second = (f"ONNX float32 · baseline · my images, 30 Nov 22:{minute}" for minute in (51, 58))
    room = metrics.horizontalAdvance(first) * 2 // 3
    assert shortened(first, metrics, room, label=True) != shortened(second, metrics, room, label=True)
    assert shortened("−12.3 %", metrics, room, label=False) == "−12.3 %"


def test_three_stages_are_seen_whole_in_a_low_window(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path, qtbot: Any
) -> None:
    view.resize(1060, 645)
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    table = view.table
    last = table.model().index(2, 0)
    qtbot.waitUntil(lambda: table.viewport().rect().contains(table.visualRect(last).bottomLeft()))


@pytest.mark.parametrize("runs", [1, 5])
@pytest.mark.parametrize("size", [(1024, 700), (1280, 800), (1920, 1080)])
def test_the_table_and_a_whole_plot_are_seen_at_once(
    qtbot: Any,
    tiny_window: MainWindow,
    tiny: Pipeline,
    home: Home,
    tmp_path: Path,
    size: tuple[int, int],
    runs: int,
) -> None:
    """The plots lay below the lower edge, and above them an empty space."""
    folders = [str(made_run(tiny, home, tmp_path).folder) for _ in range(runs)]
    tiny_window.resize(*size)
    tiny_window.go("compare")
    view = tiny_window.compare
    view.compare_with(folders)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3 * runs, timeout=10_000)
    plots, table, upper = view.plots, view.table, view.body.widget(0)
    qtbot.waitUntil(lambda: plots.visibleRegion().boundingRect() == plots.rect())
    assert plots.height() >= (224 if size[1] == 700 else 260)
    third = table.visualRect(view.model.index(2, 0))
    qtbot.waitUntil(lambda: table.viewport().rect().contains(third) and not table.visibleRegion().isEmpty())
    rows = table.horizontalHeader().height() + 150 * runs
    if rows + 450 < size[1]:
        assert table.viewport().height() >= 150 * runs and upper.height() <= rows + 200
        assert plots.height() > 260, "what the table has no use for is the plots'"


def test_several_baselines_stand_in_one_table(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    two = edits.set_baselines(tiny, ["fp32", "pruned"])
    view.show_results(read_results(made_run(two, home, tmp_path)))
    model = view.model
    below = [model.data(model.index(row, 0), LABEL_BELOW) for row in range(3)]
    assert below == [
        "ONNX float32 · baseline",
        "ONNX float32 · baseline",
        "ONNX float32 · against Pruned · final",
    ]
    assert cell(model, 1, "top1", CHANGE) == "" and cell(model, 2, "size_mb", CHANGE) == "= 0 %"
    assert "against Pruned" in model.data(model.index(2, 0), Qt.ItemDataRole.AccessibleTextRole)
    view.change(pin=model.rows[0].id)
    assert "against" not in model.data(model.index(2, 0), LABEL_BELOW)
    assert cell(model, 2, "size_mb", CHANGE) == "▼ −50.0 %"


def test_a_time_that_was_not_alternated_is_marked_and_explained(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    assert cell(view.model, 2, "latency_ms", CHANGE) == "▼ −34.0 % †"  # no pair was measured for it
    assert "† ratio of medians" in view.legend.whole
    assert "not measured in alternation" in cell(view.model, 2, "latency_ms", Qt.ItemDataRole.ToolTipRole)


def test_nothing_that_rounds_to_nothing_is_called_a_change() -> None:
    assert change_text(Metric(value=0.004, unit="%")) == "= 0 %"
    assert change_text(Metric(value=-0.004, unit="points")) == "= 0 points"
    assert change_text(None) == ""


def test_a_missing_figure_says_why() -> None:
    words = provenance(METRICS["memory_mb"], Metric(value=None, how="not measured on Windows"), None)
    assert "Not available: not measured on Windows." in words


def test_notes_follow_the_selected_row(
    qtbot: Any, view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    run = made_run(tiny, home, tmp_path)
    view.show_results(read_results(run))
    notes = view.panes.notes.browser
    assert "Trained in float32." in notes.toPlainText()
    view.table.selectRow(1)
    qtbot.waitUntil(lambda: "Trained in float32." not in notes.toPlainText())
    assert "Half of the channels removed." in notes.toPlainText()
    assert "layer1: shared by several blocks" in notes.toPlainText()
    view.show_results(read_results(run))
    assert view.table.currentIndex().row() == 1


def test_the_paper_stands_beside_with_its_remarks(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    tabs = view.panes.tabs
    assert not tabs.isTabVisible(tabs.indexOf(view.panes.paper))
    paper = open_document(recipes.FOLDER / "r1-resnet50.yaml").pipeline.paper
    assert isinstance(paper[0], PaperTable)
    with_paper = Pipeline.parse({**tiny.as_dict(), "paper": [p.model_dump(mode="json") for p in paper]})
    view.show_results(read_results(made_run(with_paper, home, tmp_path)))
    assert tabs.isTabVisible(tabs.indexOf(view.panes.paper))
    assert view.panes.paper.model.rowCount() == len(paper[0].rows)
    assert paper[0].remarks[0] in view.panes.paper.remarks.toPlainText()


@pytest.mark.parametrize(
    ("form", "words"),
    [("csv", "stage,seed,file"), ("markdown", "| Stage |"), ("latex", r"\begin{tabular}")],
)
def test_the_table_can_be_copied(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path, form: str, words: str
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    view.copy.forms[form].trigger()
    assert words in QGuiApplication.clipboard().text()


def test_an_empty_desk_says_what_to_do(view: CompareView) -> None:
    assert view.empty.isVisible() and not view.copy.isEnabled() and not view.save.isEnabled()
    assert "Run the pipeline" in view.empty.advice.text()


def test_a_desk_without_columns_still_names_its_rows(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    view.change(columns=())
    assert view.model.columnCount() == 1 and view.model.rowCount() == 3
    view.columns_menu.show_columns(view.state.available(), view.state.kinds())
    view.columns_menu.reset_wanted.emit()
    assert view.model.columnCount() > 4


def test_an_axis_shows_small_figures_as_they_are_after_another_theme(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    view.show_results(read_results(made_run(tiny, home, tmp_path)))
    axis = view.plot.item.getAxis("bottom")
    axis.setRange(0.2, 0.4)
    view.retheme()
    assert axis.label.isVisible() and axis.autoSIPrefixScale == 1.0
