"""Several runs in the plots of Compare: one colour a run, training curves, parallel coordinates, names with leader lines."""

from pathlib import Path
from typing import Any

import pytest
from made_runs import TINY, made_run
from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QAction
from window_fixtures import Told, close_all

from core.analysis.heat_map import HeatMap
from core.comparison import coordinates
from core.comparison.run_curves import band, bands
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base import theme as themes
from gui.base.theme import Theme
from gui.compare import pareto_plot
from gui.compare.curves_reader import CurvesReader
from gui.compare.reader import RunReader
from gui.compare.run_colours import run_colours
from gui.compare.view import CompareView


@pytest.fixture
def runs(home: Home, tmp_path: Path) -> list[RunFolder]:
    """Two runs that trained."""
    made = []
    for number, name in enumerate(("Alpha", "Beta")):
        run = made_run(documents.loads(TINY.replace("Tiny", name)), home, tmp_path)
        for report in run.reports():
            told = report.model_dump()
            told["history"] = [{"epoch": e, "val_top1": 50.0 + 10 * number + e} for e in (1, 2, 3)]
            run.write_report(type(report).model_validate(told))
        made.append(run)
    return made


@pytest.fixture
def view(qtbot: Any, theme: Theme, home: Home, runs: list[RunFolder]) -> Any:
    made = CompareView(QAction("Open run…"), QAction("Run"))
    qtbot.addWidget(made)
    made.resize(1180, 740)
    made.show()
    reader = RunReader(home)
    reader.attach(made)
    made.curves_reader = CurvesReader(made.plots.curves, Told(), made)  # type: ignore[attr-defined]
    made._choose(lambda: made.chosen.choose([str(run.folder) for run in runs]))
    qtbot.waitUntil(lambda: len(made.state.runs) == 2 and not reader.worker.running, timeout=10_000)
    yield made
    close_all(reader.worker, reader.lister, reader.writer, made.curves_reader._job.worker)  # type: ignore[attr-defined]


def test_curves_of_several_seeds_are_a_band(runs: list[RunFolder]) -> None:
    alone = bands(runs[0].folder)[0]
    assert alone.seeds == 1 and alone.mean == alone.low == (51.0, 52.0, 53.0)
    several = band("FP32", [[61.0, 62.0, 63.0], [71.0, 72.0]])
    assert several.seeds == 2 and several.low == (61.0, 62.0) and several.high == (71.0, 72.0)
    assert several.mean == (66.0, 67.0)


def test_every_plot_has_the_same_colour_for_a_run(qtbot: Any, view: CompareView) -> None:
    colours = run_colours(view.state.runs)
    assert len(set(colours.values())) == 2 and all(c in themes.colours().series for c in colours.values())
    for colour in colours.values():
        assert colour in view.plots.legend.text()
    pens = {spot.data().origin.folder: spot.pen().color().name() for spot in view.plot.points.points()}
    assert pens == colours
    view.plots.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: "FP32" in view.plots.curves.legend.text(), timeout=10_000)
    drawn = {item.opts["pen"].color().name() for item in view.plots.curves.item.listDataItems()[:0]}
    drawn |= {
        item.opts["pen"].color().name() for item in view.plots.curves.item.items
        if type(item).__name__ == "PlotDataItem"
    }  # fmt: skip
    assert drawn == set(colours.values())
    view.plots.tabs.setCurrentIndex(2)
    assert dict(view.plots.parallel._colours) == colours


def test_parallel_coordinates_choose_rows(qtbot: Any, view: CompareView) -> None:
    view.plots.tabs.setCurrentIndex(2)
    plot = view.plots.parallel
    assert [axis.name.partition(" [")[0] for axis in plot.coordinates.axes][-2:] == ["Latency", "Top-1"]
    line = next(line for line in plot.coordinates.lines if line.label.startswith("Taught"))
    points = plot.points(line)
    middle = (points[-2] + points[-1]) / 2
    assert plot.line_at(middle) is not None and plot.line_at(QPointF(1, 1)) is None
    plot.chosen.emit(line.id)
    assert [row.id for row in view.table.chosen()] == [line.id]


def test_a_grid_is_a_line_a_point() -> None:
    grid = HeatMap(
        "Top-1", "Ratio", ["0.3", "0.5"], "Importance", ["l1", "taylor"], [[80.0, 81.0], [None, 70.0]]
    )
    shown = coordinates.of_grid(grid, "run")
    assert [axis.name for axis in shown.axes] == ["Ratio", "Importance", "Top-1 [%]"]
    assert [line.places for line in shown.lines] == [
        (0.0, 0.25, pytest.approx(10 / 11)), (0.0, 0.75, 1.0), (1.0, 0.75, 0.0),
    ]  # fmt: skip


def test_a_name_without_room_beside_its_point_stands_farther_away() -> None:
    area, size, spot = QRectF(0, 0, 400, 300), QSizeF(80, 16), QPointF(200, 150)
    crowd = [QRectF(100, 100, 200, 100)]
    assert pareto_plot._free(spot, size, crowd, area) is None
    place = pareto_plot._farther(spot, size, crowd, area)
    assert place is not None and area.contains(place) and not place.intersects(crowd[0])


def test_a_name_does_not_stand_beside_the_point_of_another() -> None:
    """Between two points close together it would be read as the other's: it stands on the other side, or has a line."""
    area, size, spot, other = QRectF(0, 0, 400, 300), QSizeF(80, 16), QPointF(200, 150), QPointF(290, 142)
    points = [QRectF(each.x() - 7, each.y() - 7, 14, 14) for each in (spot, other)]
    place = pareto_plot._free(spot, size, points, area, [spot, other])
    assert place is not None and pareto_plot._apart(other, place) > 2 * pareto_plot._apart(spot, place)
    around = [spot, *(QPointF(200 + across, 150 + up) for across in (-20, 0, 20) for up in (-20, 20))]
    points = [QRectF(each.x() - 1, each.y() - 1, 2, 2) for each in around]
    assert pareto_plot._free(spot, QSizeF(12, 4), points, area, around) is None


def test_no_name_is_dropped(qtbot: Any, view: CompareView, monkeypatch: pytest.MonkeyPatch) -> None:
    view.plots.tabs.setCurrentIndex(0)
    qtbot.waitUntil(lambda: len(view.plot._names) == len(view.plot._rows) == 6, timeout=5000)
    monkeypatch.setattr(pareto_plot, "_free", lambda *_where: None)  # as where points lie close together
    view.plot._draw_names()
    assert len(view.plot._names) == len(view.plot._leaders) == 6
