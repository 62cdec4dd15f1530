"""The whole journey through the real window, by mouse and keys, with the real engine and its processes.

What a person sees is asserted: texts, what is enabled, files.
"""
# ruff: noqa: F401, F811 (fixtures are imported by name)

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hands import Hands, place_of
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QSettings, Qt, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QDialog, QLabel, QTabWidget
from window_fixtures import (
    close,
    fresh_folders,
    garbage_of_windows,
    home,
    no_unanswered_dialog,
    no_warnings_no_threads,
    qapp,
    theme,
)

from core.document import pipeline as documents
from core.document import recipes, stage_tree
from core.runs.home import Home
from core.runs.open_document import open_document
from gui.base.theme import Theme
from gui.data.view import CHECK
from gui.shell.main_window import MainWindow


@pytest.fixture
def window(qtbot: Any, theme: Theme, home: Home) -> Iterator[MainWindow]:
    """The window as a person meets it the first time: questions are asked, the check is on."""
    QSettings().setValue("check-before-run", "true")
    made = MainWindow(open_document(recipes.FIRST), home, theme)
    made.session.options = lambda: {"device": "cpu", "threads": 1}
    made.show()
    qtbot.waitExposed(made)
    made.warm_up()
    yield made
    close(made, 60)


@pytest.mark.slow
def test_from_the_data_to_the_exported_model(
    qtbot: Any,
    window: MainWindow,
    home: Home,
    tmp_path: Path,
) -> None:
    hands = Hands(qtbot)
    choose_data(hands, window)
    build(hands, window)
    save(hands, window, tmp_path)
    check_and_run(hands, window)
    watch_pause_and_stop(hands, window)
    resume(hands, window)
    compare(hands, window)
    look_at_flips(hands, window)
    the_run_is_whole(window, home)
    export(hands, window, tmp_path)
    try_out(hands, window, tmp_path)
    window.close()
    hands.wait(lambda: not window.isVisible(), 30)


@pytest.mark.slow
def test_on_the_whole_journey_the_window_never_loads_pytorch() -> None:
    """Loading it would make the window stand still; its processes have it."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join(str(place) for place in (tests, tests.parent))
    journey = f"{__file__}::{test_from_the_data_to_the_exported_model.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no_torch", "-m", "slow", journey],
        env={**os.environ, "PYTHONPATH": path}, cwd=tests.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


def choose_data(hands: Hands, window: MainWindow) -> None:
    """The bundled sample, cut to a few hundred images."""
    hands.click("go-data")
    hands.wait(lambda: "10 classes" in window.data.view.header.about.whole)
    hands.click("data-settings")
    for name, count in (("train_images", 192), ("validation_images", 96), ("test_images", 160)):
        hands.click(f"field-{name}")
        hands.enter(f"value-{name}", str(count))
    hands.click("go-data")
    hands.wait(lambda: "192 train" in window.data.view.header.about.whole)
    tabs = hands.find("data-tabs", QTabWidget)
    hands.wait(lambda: "…" not in tabs.tabText(CHECK))


def build(hands: Hands, window: MainWindow) -> None:
    """FP32, pruned and then quantized on one branch, weights shared on the other."""
    hands.click("go-pipeline")
    cards, palette = window.editor.list, window.editor.palette_
    for id in ("mixed", "pruned", "distilled"):
        hands.click_row(cards, window.editor.model.row_of("stage", id))
        hands.key(Qt.Key.Key_Delete, at=cards)
    assert window.document.pipeline.stage_ids == ("fp32",)
    for entry, onto, part in (
        ("stage:prune-channels", "fp32", 0.95),
        ("stage:quantize-dynamic", "prune-channels", 0.95),
        ("stage:share-weights", "fp32", 0.5),
    ):
        assert hands.drag_entry(palette, entry, cards, place_of(cards, "stage", onto, part)), entry
    pipeline = window.document.pipeline
    parents = {node.id: pipeline.written_parent(node) for node in pipeline.stages}
    assert parents["prune-channels"] == parents["share-weights"] == "fp32"
    assert parents["quantize-dynamic"] == "prune-channels"
    for id, epochs in (("fp32", 3), ("prune-channels", 1), ("share-weights", 1)):
        hands.click_row(cards, window.editor.model.row_of("stage", id))
        hands.enter("field-training.epochs", str(epochs))
        assert window.document.pipeline.stage(id).settings["training"]["epochs"] == epochs
    assert not window.document.problems and window.actions_.run.isEnabled()


def save(hands: Hands, window: MainWindow, folder: Path) -> None:
    proposed = hands.name_file(str(folder / "journey"))
    hands.key(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier, at=window)
    assert proposed == ["quick-tour.espalier.yaml"]
    saved = folder / "journey.espalier.yaml"
    assert documents.load(saved) == window.document.pipeline
    assert window.windowTitle().startswith("journey.espalier.yaml") and not window.isWindowModified()


def check_and_run(hands: Hands, window: MainWindow) -> None:
    """The check comes first, every stage comes through, and the run starts by itself."""
    hands.click("button-run")
    panel = window.editor.check_panel
    assert panel.heading.text() == "Before the run"
    hands.wait(lambda: not hands.shown("check-panel") or hands.find("check-close").text() == "Close", 300)
    assert not hands.shown("check-panel"), [label.text() for label in panel.findChildren(QLabel)]
    hands.wait(lambda: window.session.steered == "running")
    assert window.places.current == "monitor"
    assert window.forecasts.times, "the check timed the stages"
    assert not hands.shown("button-run") or hands.find("button-run").text() == "Queue run"


def watch_pause_and_stop(hands: Hands, window: MainWindow) -> None:
    """Curves grow, stand still while paused, and the run stops with what it has."""
    monitor = window.monitor
    hands.wait(lambda: any(x is not None and len(x) for x, _ in monitor.curves.top1.values().values()), 240)
    assert monitor.header.title.whole == "Quick tour"
    hands.click("button-pause")
    assert hands.find("button-pause").text() == "Resume"
    hands.wait(lambda: window.session.worker.control.paused)
    assert "paused" in window.status.left.text()
    hands.click("button-pause")
    assert hands.find("button-pause").text() == "Pause"
    hands.key(Qt.Key.Key_F7, at=window)
    hands.wait(lambda: window.session.steered == "idle", 120)
    assert window.status.phase.whole == "Stopped; Resume run goes on where it was."
    assert hands.find("button-resume-run").isEnabled()
    assert hands.find("button-run").text() == "Run anew"


def resume(hands: Hands, window: MainWindow) -> None:
    run = window.session.run
    hands.click("button-resume-run")
    hands.wait(lambda: window.session.steered == "idle", 600)
    assert window.session.run is run and window.session.state.done is not None
    assert window.session.state.done.status == "completed", window.session.state.done
    assert [stage.status for stage in window.session.state.stages.values()] == ["done"] * 4
    assert len(window.session.state.stages["fp32"].series["val_top1"].steps) == 3


def compare(hands: Hands, window: MainWindow) -> None:
    """The desk came to the front by itself: one row a file, sorted by a click."""
    view = window.compare
    hands.wait(lambda: window.places.current == "compare" and view.model.rowCount() >= 4)
    names = [view.model.data(view.model.index(row, 0)) for row in range(view.model.rowCount())]
    assert names[0] == "FP32" and {"Prune channels", "Share weights"} <= {*names}
    ids = [kind.id for kind in view.model.kinds]
    column = ids.index("size_mb") + 1
    header = view.table.horizontalHeader()
    place = header.sectionViewportPosition(column) + header.sectionSize(column) // 2
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place, header.height() // 2))
    sizes = [row.artefact.metrics["size_mb"].value for row in view.model.rows if row.artefact]
    assert sizes in (sorted(sizes), sorted(sizes, reverse=True)) and len({*sizes}) > 1
    hands.click_row(view.table, 0)
    hands.wait(lambda: bool(view.table.chosen()))


def look_at_flips(hands: Hands, window: MainWindow) -> None:
    """From the row to the images that the stage answers otherwise."""
    hands.click("go-inspect")
    hands.wait(lambda: window.inspect.model is not None)
    hands.click_tab("inspect-tabs", "Flips")
    kind = hands.find("flips-kind", QComboBox)
    hands.wait(lambda: kind.count() > 0)
    hands.choose("flips-kind", "All")
    hands.wait(lambda: hands.shown("flips"))
    gallery = hands.find("flips", QAbstractItemView)
    assert gallery.model().rowCount() == 120, "the first of 160"
    hands.wait(lambda: gallery.model().data_ is not None, 60)
    hands.click_row(gallery, 0, twice=True)
    enlarged = hands.find("enlarged-flip", QDialog)
    assert enlarged.isModal() and hands.shown("flip-picture")
    hands.key(Qt.Key.Key_Escape, at=enlarged)
    hands.wait(lambda: not hands.shown("enlarged-flip"))


def the_run_is_whole(window: MainWindow, home: Home) -> None:
    """Everything that happened lies in the run folder."""
    run = window.session.run
    assert run is not None and run.folder.parent == home.runs
    numbers = [json.loads(line)["number"] for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert (run.folder / "report.md").read_text().startswith("# Quick tour")
    assert len(run.reports()) == 4
    session = onnxruntime.InferenceSession(str(run.folder / "model.onnx"))
    assert session.get_inputs()[0].shape[1:] == [3, 28, 28]


def export(hands: Hands, window: MainWindow, folder: Path) -> None:
    """The pruned network as a verified ONNX file that any runtime opens."""
    hands.click("go-export")
    table = window.export.view.table
    names = [row.report.id if row.report else "" for row in window.export.view.model.rows]
    hands.click_row(table, names.index("prune-channels"))
    hands.enter("export-target", str(folder / "nowhere" / "out.onnx"))
    assert not hands.find("export").isEnabled()
    hands.enter("export-target", str(folder / "out.onnx"))
    hands.click("export")
    hands.wait(lambda: hands.shown("verdict"), 180)
    assert window.export.view.verdict.heading.text() == "Exported and verified"
    assert str(folder / "out.onnx") in window.export.view.verdict.place.whole
    session = onnxruntime.InferenceSession(str(folder / "out.onnx"))
    assert session.get_outputs()[0].shape[1] == 10


def try_out(hands: Hands, window: MainWindow, folder: Path) -> None:
    """An image of the data set, dropped onto the two models."""
    data = window.data.data
    assert data is not None
    Image.fromarray(np.asarray(data.images[0]).squeeze()).save(folder / "garment.png")
    hands.click("go-tryout")
    hands.wait(lambda: hands.find("tryout-images").isEnabled())
    carried = QMimeData()
    carried.setUrls([QUrl.fromLocalFile(str(folder / "garment.png"))])
    assert hands.drop(hands.find("place-tryout"), carried, QPoint(200, 300))
    hands.wait(lambda: "1 image tried" in hands.find("tryout-summary", QLabel).text(), 90)
    words = window.tryout.view.verdict.words.text()
    assert words.startswith(("They agree: ", "They differ: "))
