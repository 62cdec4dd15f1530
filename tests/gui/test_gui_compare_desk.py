"""The comparison desk with real mouse and keys: sorting, columns, pinning, limits, runs, reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import made_run
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot
from window_fixtures import close_all

from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from gui.base.theme import Theme
from gui.compare import saving
from gui.compare.reader import RunReader
from gui.compare.view import CompareView
from gui.runs.run_results import read_results
from gui.widgets.metric_cells import CHANGE, LABEL_BELOW, VERDICT

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def run(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    return made_run(tiny, home, tmp_path)


def make_view(qtbot: QtBot) -> CompareView:
    made = CompareView(QAction("Open run…"), QAction("Run"))
    qtbot.addWidget(made)
    made.resize(1180, 740)
    made.show()
    return made


@pytest.fixture
def view(qtbot: QtBot, theme: Theme, run: RunFolder) -> CompareView:
    made = make_view(qtbot)
    made.show_results(read_results(run))
    return made


def labels(view: CompareView) -> list[str]:
    return [view.model.data(view.model.index(row, 0)) for row in range(view.model.rowCount())]


def ids(view: CompareView) -> list[str]:
    return [kind.id for kind in view.model.kinds]


def click_heading(qtbot: QtBot, view: CompareView, name: str) -> None:
    header = view.table.horizontalHeader()
    section = 1 + ids(view).index(name)
    place = QPoint(
        header.sectionViewportPosition(section) + header.sectionSize(section) // 2, header.height() // 2
    )
    qtbot.mouseClick(header.viewport(), LEFT, pos=place)


def click_row(
    qtbot: QtBot, view: CompareView, row: int, modifier: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    place = view.table.visualRect(view.model.index(row, 0)).center()
    qtbot.mouseClick(view.table.viewport(), LEFT, modifier, pos=place)


def below(view: CompareView, row: int) -> str:
    return str(view.model.data(view.model.index(row, 0), LABEL_BELOW))


def change(view: CompareView, row: int, name: str) -> str:
    return str(view.model.data(view.model.index(row, 1 + ids(view).index(name)), CHANGE))


def test_a_click_on_a_heading_sorts_best_first_then_worst_then_not(qtbot: QtBot, view: CompareView) -> None:
    orders = []
    for _ in range(3):
        click_heading(qtbot, view, "top1")
        orders.append(labels(view))
    assert orders == [
        ["FP32", "Pruned", "Taught"],
        ["Taught", "Pruned", "FP32"],
        ["FP32", "Pruned", "Taught"],
    ]
    click_heading(qtbot, view, "latency_ms")
    assert labels(view)[-1] == "FP32"  # the lowest latency is best
    assert make_view(qtbot).state.order == ("latency_ms", False)  # remembered


def test_a_selected_row_stays_selected_when_rows_are_sorted(qtbot: QtBot, view: CompareView) -> None:
    click_row(qtbot, view, 2)
    assert [row.label for row in view.table.chosen()] == ["Taught"]
    view.table.sort_wanted.emit("top1")
    view.table.sort_wanted.emit("top1")
    assert labels(view)[0] == "Taught" and [row.label for row in view.table.chosen()] == ["Taught"]


def test_columns_are_dragged_hidden_and_remembered(qtbot: QtBot, view: CompareView) -> None:
    before = ids(view)
    view.table.horizontalHeader().moveSection(1 + before.index("params"), 1)
    qtbot.waitUntil(lambda: ids(view)[0] == "params")
    assert ids(view) == ["params", *[name for name in before if name != "params"]]
    assert view.table.horizontalHeader().visualIndex(1) == 1
    qtbot.mouseClick(view.tools.columns, LEFT)
    qtbot.waitUntil(view.columns_menu.isVisible)
    for name, key in (("top1", Qt.Key.Key_Space), ("agreement", None)):
        entry = next(a for a in view.columns_menu.actions() if a.objectName() == f"column-{name}")
        view.columns_menu.setActiveAction(entry)
        if key:
            qtbot.keyClick(view.columns_menu, key)
        else:
            qtbot.mouseClick(view.columns_menu, LEFT, pos=view.columns_menu.actionGeometry(entry).center())
    assert view.columns_menu.isVisible()  # several can be ticked at once
    view.columns_menu.hide()
    assert "top1" not in ids(view) and "agreement" in ids(view)
    assert make_view(qtbot).state.columns == tuple(ids(view))


def test_a_column_keeps_the_width_that_it_was_given(qtbot: QtBot, view: CompareView) -> None:
    view.table.horizontalHeader().resizeSection(2, 222)
    view.resize(1000, 700)
    qtbot.waitUntil(lambda: view.width() == 1000)
    assert view.table.columnWidth(2) == 222
    assert make_view(qtbot).table.own_widths == {ids(view)[1]: 222}


def test_what_a_person_gives_one_column_comes_from_the_room_that_the_others_share(
    qtbot: QtBot, view: CompareView
) -> None:
    """The table scrolled sideways although the first column had room to give."""
    table = view.table
    before = table.horizontalHeader().length()
    assert before <= table.viewport().width()
    table.horizontalHeader().resizeSection(2, table.columnWidth(2) + 150)
    for width in (1000, 1180):
        view.resize(width, 740)
        qtbot.waitUntil(lambda width=width: view.width() == width)
        assert table.horizontalHeader().length() == table.viewport().width()
    assert table.horizontalHeader().length() == before


def test_any_row_can_be_pinned_and_all_others_are_compared_with_it(qtbot: QtBot, view: CompareView) -> None:
    click_row(qtbot, view, 1)
    qtbot.keyClick(view.table, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert "baseline" in below(view, 1) and "baseline" not in below(view, 0)
    assert change(view, 0, "latency_ms") == "▲ +51.5 %"  # the pair of 0.66, the other way round
    assert change(view, 0, "size_mb") == "▲ +100.0 %" and change(view, 1, "size_mb") == ""
    assert view.tools.baseline.whole == "Compared with Pruned"
    assert change(view, 2, "top1") == "▼ −3.50 points"  # 79.5 ± 2 and 76 ± 2: −6.3 to −0.7
    needed = view.table.sizeHintForColumn(1 + ids(view).index("size_mb"))
    assert view.table.columnWidth(1 + ids(view).index("size_mb")) >= needed
    qtbot.mouseClick(view.tools.unpin, LEFT)
    assert "baseline" in below(view, 0) and not view.tools.unpin.isVisible()


def test_a_pinned_row_stands_first_in_every_order(qtbot: QtBot, view: CompareView) -> None:
    view.change(pin=view.model.rows[1].id)
    view.table.sort_wanted.emit("top1")
    assert labels(view) == ["Pruned", "FP32", "Taught"]


def test_rows_are_hidden_filtered_and_brought_back(qtbot: QtBot, view: CompareView) -> None:
    click_row(qtbot, view, 0)
    click_row(qtbot, view, 2, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    assert labels(view) == ["Pruned"] and view.tools.unhide.text() == "Show 2 hidden"
    assert "1 of 3 rows" in view.legend.whole
    qtbot.mouseClick(view.tools.unhide, LEFT)
    assert len(labels(view)) == 3
    qtbot.keyClicks(view.tools.filter, "tau")
    assert labels(view) == ["Taught"]
    view.tools.filter.clear()
    qtbot.keyClicks(view.tools.filter, "prune-ch")  # the kind of stage
    assert labels(view) == ["Pruned"]


def test_the_front_is_marked_and_a_point_selects_its_row(qtbot: QtBot, view: CompareView) -> None:
    plot = view.plot
    by_id = {row.id: row.label for row in view.model.rows}
    assert [by_id[id] for id in plot.front_ids()] == ["Pruned", "FP32"]
    spots = {spot.data().label: spot for spot in plot.points.points()}
    assert spots.keys() == {"FP32", "Pruned", "Taught"}
    scene = plot.item.vb.mapViewToScene(spots["Taught"].pos())
    qtbot.waitUntil(lambda: plot.plot.viewport().width() > 200)
    qtbot.mouseClick(plot.plot.viewport(), LEFT, pos=plot.plot.mapFromScene(scene))
    qtbot.waitUntil(lambda: [row.label for row in view.table.chosen()] == ["Taught"])
    tip = plot._tip(0.66, 76.0, view.model.rows[2])
    assert "Taught" in tip and "Top-1 [%]: 76.00" in tip


def test_axes_can_be_chosen_and_are_remembered(qtbot: QtBot, view: CompareView) -> None:
    box = view.plot.across
    qtbot.keyClick(box, Qt.Key.Key_Home)
    box.setCurrentIndex(box.findData("size_mb"))
    box.activated.emit(box.currentIndex())
    assert view.state.axes == ("size_mb", "top1") == make_view(qtbot).state.axes


def test_limits_grey_out_what_does_not_fit(qtbot: QtBot, view: CompareView) -> None:
    panes = view.panes
    panes.tabs.setCurrentWidget(panes.limits)
    limit = panes.limits.sliders["latency_ms"]
    assert limit.slider.accessibleName() == "Latency at most"
    limit.slider.setFocus()
    for _ in range(4):
        qtbot.keyClick(limit.slider, Qt.Key.Key_PageDown)
    assert view.state.limits["latency_ms"] < 1.0 and limit.field.text()
    assert "does not fit" in below(view, 0) and "does not fit" not in below(view, 1)
    assert panes.tabs.tabText(0) == "Limits (1)" and panes.limits.about.text() == "2 of 3 rows fit."
    by_id = {row.id: row.label for row in view.model.rows}
    assert [by_id[id] for id in view.plot.front_ids()] == ["Pruned"]
    field = panes.limits.sliders["top1"].field
    field.setFocus()
    qtbot.keyClicks(field, "79")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert view.state.limits["top1"] == 79 and panes.limits.about.text() == "1 of 3 rows fit."
    qtbot.mouseClick(panes.limits.clear, LEFT)
    assert not view.state.limits and "does not fit" not in below(view, 0)


def test_settings_that_differ_between_the_selected_rows(qtbot: QtBot, view: CompareView) -> None:
    settings = view.panes.settings
    view.panes.tabs.setCurrentWidget(settings)
    click_row(qtbot, view, 0)
    click_row(qtbot, view, 1, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: list(settings.model.names) == ["FP32", "Pruned"])
    shown = [(row.group, row.label, row.values) for row in settings.model.rows]
    assert shown == [("Prune channels", "", (None, "Pruned"))]
    assert settings.model.data(settings.model.index(0, 1)) == "—"
    qtbot.mouseClick(settings.only, LEFT, pos=QPoint(8, settings.only.height() // 2))
    assert settings.model.rowCount() > 20
    assert any(row.label == "Epochs" for row in settings.model.rows)


# several runs


@pytest.fixture
def other(tiny: Pipeline, home: Home, tmp_path: Path) -> RunFolder:
    """A run of another pipeline, on the same machine and images; both with predictions."""
    text = documents.dumps(tiny).replace("Tiny", "Second")
    return made_run(documents.loads(text), home, tmp_path)


def add_predictions(*runs: RunFolder) -> None:
    """200 answers a stage: FP32 100 right, Pruned two fewer, Taught one more."""
    right = {"fp32": 100, "pruned": 98, "taught": 101}
    labels = np.zeros(200, np.int64)
    for run in runs:
        for report in run.reports():
            folder = run.stage_folder(report.key).path
            np.save(folder / "labels.npy", labels)
            guesses = (np.arange(200) >= right[report.id]).astype(int)
            np.save(folder / "float32.logits.npy", np.eye(2, dtype=np.float32)[guesses])


@pytest.fixture
def reader(view: CompareView, home: Home, run: RunFolder, other: RunFolder) -> Any:
    add_predictions(run, other)
    made = RunReader(home)
    made.attach(view)
    made.refresh(view.chosen.folders)
    made.list_runs()
    yield made
    close_all(made.worker, made.lister, made.writer)


def tick(qtbot: QtBot, view: CompareView, words: str) -> None:
    """Open the list, search, and tick what is found with the keyboard."""
    listed = view.runs.list
    qtbot.mouseClick(view.runs, LEFT)
    qtbot.waitUntil(listed.isVisible)
    listed.search.clear()
    qtbot.keyClicks(listed.search, words)
    qtbot.keyClick(listed.search, Qt.Key.Key_Down)
    qtbot.keyClick(listed.list, Qt.Key.Key_Space)
    qtbot.keyClick(listed.list, Qt.Key.Key_Escape)
    assert not listed.isVisible()


def test_runs_are_searched_ticked_compared_and_remembered(
    qtbot: QtBot, view: CompareView, reader: RunReader, other: RunFolder
) -> None:
    qtbot.waitUntil(lambda: view.runs.list.list.model().rowCount() == 2)
    tick(qtbot, view, "second")
    qtbot.waitUntil(lambda: view.model.rowCount() == 6)
    assert view.runs.text() == "Runs: 2" and view.header.title.whole == "2 runs of 2 pipelines"
    assert "Second" in below(view, 3) and "Tiny" in below(view, 0)
    assert make_view(qtbot).chosen.folders == [str(other.folder)]
    tick(qtbot, view, "second")
    assert view.model.rowCount() == 3 and view.runs.text() == "Runs: 1"


def test_accuracies_of_two_runs_are_paired_image_by_image(
    qtbot: QtBot, view: CompareView, reader: RunReader
) -> None:
    qtbot.waitUntil(lambda: view.runs.list.list.model().rowCount() == 2)
    tick(qtbot, view, "second")
    qtbot.waitUntil(lambda: view.model.rowCount() == 6 and all(row.right for row in view.state.rows))
    view.select(view.model.rows[0].id)
    view.table.pin.trigger()
    row = view.model.rows[4]  # Second: Pruned
    assert row.change["top1"].value == -1.0 and row.change["top1"].n == 200
    assert row.change["top1"].how == "2 images right before and wrong now, 0 the other way round"
    assert "latency_ms" in row.loose and change(view, 4, "latency_ms").endswith("†")
    assert view.tools.baseline.whole == "Compared with FP32 (Tiny)"


def test_times_of_other_machines_are_warned_of_and_not_compared(
    qtbot: QtBot, view: CompareView, reader: RunReader, other: RunFolder
) -> None:
    other.update_info(machine={"processor": "another"})
    qtbot.waitUntil(lambda: view.runs.list.list.model().rowCount() == 2)
    tick(qtbot, view, "second")
    qtbot.waitUntil(lambda: view.model.rowCount() == 6)
    assert view.notice.isVisible() and "different machines" in view.warning.text()
    view.select(view.model.rows[0].id)
    view.table.pin.trigger()
    assert change(view, 4, "latency_ms") == "" and change(view, 4, "size_mb") == "▼ −50.0 %"
    index = view.model.index(4, 1 + ids(view).index("latency_ms"))
    assert view.model.data(index, VERDICT) == ""
    assert "no change of time or memory" in view.warning.text()


def test_enter_shows_one_run_alone(
    qtbot: QtBot, view: CompareView, reader: RunReader, other: RunFolder
) -> None:
    qtbot.waitUntil(lambda: view.runs.list.list.model().rowCount() == 2)
    qtbot.mouseClick(view.runs, LEFT)
    qtbot.keyClicks(view.runs.list.search, "second")
    qtbot.keyClick(view.runs.list.search, Qt.Key.Key_Down)
    with qtbot.waitSignal(view.run_chosen) as signal:
        qtbot.keyClick(view.runs.list.list, Qt.Key.Key_Return)
    assert signal.args == [other.folder]


def test_the_list_says_what_a_run_does_now(
    qtbot: QtBot, view: CompareView, reader: RunReader, other: RunFolder
) -> None:
    def says(words: str) -> bool:
        model = view.runs.list._model
        lines = [model.item(row).text() for row in range(model.rowCount())]
        return any("Second" in line and words in line for line in lines)

    other.update_info(status="running")
    with other.locked():
        qtbot.mouseClick(view.runs, LEFT)
        qtbot.waitUntil(lambda: says("Running"))
        view.runs.list.hide()
        other.update_info(status="completed")
    qtbot.mouseClick(view.runs, LEFT)
    qtbot.waitUntil(lambda: says("Complete"))
    other.update_info(status="running")
    view.runs.list.hide()
    view.runs.open()
    qtbot.waitUntil(lambda: says("Interrupted"))


def test_a_run_that_is_gone_is_told_and_left_out(
    qtbot: QtBot, view: CompareView, reader: RunReader, home: Home
) -> None:
    qtbot.waitUntil(lambda: not reader.worker.running)
    said: list[str] = []
    reader.status_message.connect(said.append)
    view.chosen.tick(str(home.runs / "gone"), True)
    reader.refresh(view.chosen.folders)
    qtbot.waitUntil(lambda: bool(said))
    assert "gone" in said[0] and view.model.rowCount() == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("page.html", "<!DOCTYPE html>"),
        ("table.tex", r"\toprule"),
        ("table.md", "| Stage |"),
        ("noend", "<!DOCTYPE"),
    ],
)
def test_a_report_is_saved(
    qtbot: QtBot, view: CompareView, reader: RunReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, words: str,
) -> None:  # fmt: skip
    target = tmp_path / name
    monkeypatch.setattr(
        saving, "ask_for_file", lambda parent, start: (str(target), "Web page, standalone (*.html)")
    )
    with qtbot.waitSignal(reader.written) as signal:
        qtbot.mouseClick(view.save, LEFT)
    written = target if target.suffix else target.with_suffix(".html")
    assert signal.args == [written] and words in written.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_told(
    qtbot: QtBot, view: CompareView, reader: RunReader, tmp_path: Path
) -> None:
    with qtbot.waitSignal(reader.failed) as signal:
        view.save.wanted.emit(tmp_path / "nowhere" / "page.html", "html")
    assert "could not be written" in signal.args[0].message and signal.args[0].expected


def test_a_figure_is_saved(
    qtbot: QtBot, view: CompareView, reader: RunReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        saving, "ask_for_figure", lambda parent, start: (str(tmp_path / "figure"), "PDF (*.pdf)")
    )
    with qtbot.waitSignal(reader.written, timeout=20_000) as signal:
        view.figure.figures["stages"].trigger()
    assert signal.args[0].name == "figure.pdf" and (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    qtbot.waitUntil(lambda: not reader.writer.running)
    (tmp_path / "folder.svg").mkdir()
    with qtbot.waitSignal(reader.failed, timeout=20_000) as signal:
        view.figure.wanted.emit(tmp_path / "folder.svg", "stages")
    assert "could not be written" in signal.args[0].message


def test_what_was_written_is_opened_from_where_it_is_said(
    qtbot: QtBot, view: CompareView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(saving.QDesktopServices, "openUrl", lambda url: not opened.append(url.toLocalFile()))
    assert not view.saved.isVisibleTo(view)
    view.show_written(tmp_path / "page.html")
    assert view.saved.words.whole == f"Written to {tmp_path / 'page.html'}."
    qtbot.mouseClick(view.saved.open, LEFT)
    qtbot.mouseClick(view.saved.reveal, LEFT)
    assert opened == [str(tmp_path / "page.html"), str(tmp_path)]


def test_what_was_written_before_is_said_no_longer(
    qtbot: QtBot, view: CompareView, reader: RunReader, run: RunFolder, tmp_path: Path
) -> None:
    """Neither once something else is written, nor beside other runs."""
    (tmp_path / "folder.svg").mkdir()
    for wanted, form in ((view.save.wanted, "html"), (view.figure.wanted, "stages")):
        view.show_written(tmp_path / "page.html")
        assert view.saved.isVisibleTo(view)
        wanted.emit(tmp_path / "folder.svg", form)  # which fails
        assert reader.writer.running
        qtbot.waitUntil(lambda: not reader.writer.running, timeout=20_000)
        assert not view.saved.isVisibleTo(view)
    view.show_written(tmp_path / "page.html")
    view.show_results(read_results(run))
    assert view.saved.isVisibleTo(view)  # another stage of the same run has finished
    view.compare_with([str(tmp_path / "other")])
    assert not view.saved.isVisibleTo(view)


def test_every_widget_has_a_name_and_a_label(view: CompareView) -> None:
    for widget in view.findChildren(QPushButton):
        assert widget.objectName() and (widget.accessibleName() or widget.text()), widget.text()
    for name in ("comparison", "filter-rows", "pareto-x", "pareto-y", "settings-table", "run-choices"):
        found = next(w for w in QApplication.allWidgets() if w.objectName() == name and w.window())
        assert found.accessibleName(), name


def test_means_over_seeds_and_the_grid_are_shown(
    qtbot: QtBot, view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    axes = {"seed": [1, 2], "grid": {"stage": "pruned", "settings": {"ratio": [0.3, 0.5]}, "images": 100}}
    pipeline = Pipeline.parse({**tiny.as_dict(), "axes": axes})
    run = create_run(pipeline, tmp_path, home, tmp_path / "seeds")
    for one in made_run(tiny, home, tmp_path).reports():
        for seed, shift in ((1, 0.0), (2, 1.0)):
            plain = one.model_copy(update={"key": f"{one.id}@{seed}", "seed": seed}, deep=True)
            top1 = plain.artefacts[0].metrics["top1"]
            plain.artefacts[0].metrics["top1"] = top1.model_copy(update={"value": (top1.value or 0) + shift})
            run.write_report(plain)
    points = [{"settings": {"ratio": r}, "top1": t, "loss": 1.0, "params": 1, "nonzero_params": 1} for r, t in ((0.3, 88.0), (0.5, 84.0))]  # fmt: skip
    (run.folder / "grid.json").write_text(json.dumps({"points": points}))
    view.show_results(read_results(run))
    assert labels(view)[:4] == ["FP32", "Pruned", "Taught", "FP32 · seed 1"]
    assert below(view, 0) == "ONNX float32 · mean of 2 seeds · baseline"
    assert view.model.data(view.model.index(0, 1 + ids(view).index("top1"))) == "80.50 ± 0.71"
    assert change(view, 1, "size_mb") == "▼ −50.0 %"
    tabs, grid = view.panes.tabs, view.panes.grid
    assert tabs.isTabVisible(tabs.indexOf(grid))
    assert [grid.model.data(grid.model.index(row, 0)) for row in range(2)] == ["88.0 ★", "84.0"]
    tip = grid.model.data(grid.model.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    assert "0.3" in tip and "88.00 %" in tip


def test_two_grids_of_a_run_are_shown_apart(
    view: CompareView, tiny: Pipeline, home: Home, tmp_path: Path
) -> None:
    grids = [
        {"stage": "pruned", "settings": {name: values}, "images": 100}
        for name, values in (("ratio", [0.3, 0.5]), ("importance", ["l1", "random"]))
    ]
    run = made_run(Pipeline.parse({**tiny.as_dict(), "axes": {"grid": grids}}), home, tmp_path)
    for grid, name, best in zip(grids, ("grid.json", "grid-2.json"), (88.0, 66.0), strict=True):
        ((setting, values),) = grid["settings"].items()  # type: ignore[attr-defined]
        points = [
            {"settings": {setting: value}, "top1": best - n, "loss": 1.0, "params": 1, "nonzero_params": 1}
            for n, value in enumerate(values)
        ]
        (run.folder / name).write_text(json.dumps({"points": points}))
    view.show_results(read_results(run))
    pane, of = view.panes.grid, view.plots.of
    assert [pane.choice.itemText(n) for n in range(pane.choice.count())] == ["Tiny, grid 1", "Tiny, grid 2"]
    assert [pane.model.data(pane.model.index(row, 0)) for row in range(2)] == ["88.0 ★", "87.0"]
    pane.choice.setCurrentIndex(1)
    pane.choice.activated.emit(1)
    assert [pane.model.data(pane.model.index(row, 0)) for row in range(2)] == ["66.0 ★", "65.0"]
    assert [of.itemText(n) for n in range(of.count())] == [
        "Files of the table", "Grid 1 of Tiny", "Grid 2 of Tiny",
    ]  # fmt: skip
    view.plots.tabs.setCurrentIndex(2)
    of.setCurrentIndex(2)
    of.activated.emit(2)
    assert [axis.name for axis in view.plots.parallel.coordinates.axes][:1] == ["Importance"]
