"""Scans that reach the editor, the Inspector's parts, and what leads to it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspecting import PIPELINE, done
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget

from core.common.errors import EspalierError
from core.deploy.quantization.advice import Advice, Trial
from core.document import overrides
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.result_cache import ResultCache
from gui.base.theme import DARK, LIGHT, Colours, Theme, contrast, mixed
from gui.inspect.confusion_view import DEEPEST, written_on
from gui.inspect.place import InspectPlace
from gui.inspect.work import PruneScan, ScanRequest
from gui.monitor.stage_table import StageTable
from gui.runs.run_state import RunState, StageState
from gui.shell.main_window import MainWindow
from gui.widgets.bar_table import BarTable, Cell, Column

# scans and the editor


@pytest.mark.slow
def test_a_scan_is_shown_and_sent_into_the_pipeline_as_one_edit(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    place.view.go("sensitivity")
    place.open(opened, "fp32")
    page = place.view.sensitivity
    assert page.empty.isVisible()
    page.within.setValue(20.0)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    assert not page.start.isEnabled()
    done(qtbot, place)
    assert page.table.texts(0)[0] == "body.layer1.0.conv1" and len(page.table.texts(0)) == 9
    assert "of 64 validation images are right" in page.words.whole
    page.loss.setValue(100.0)
    assert set(page.table.texts(5)) == {"75 %"}
    rows = page.table.rows
    assert all(
        cell.around is not None and "on 64 images" in cell.tip for row in rows.cells for cell in row[2:5]
    )
    assert not page.sending.warning.isVisible()
    assert [page.sending.target.itemText(n) for n in range(page.sending.target.count())] == [
        "Pruned", "A new stage 'Prune channels' after 'FP32'",
    ]  # fmt: skip
    document: Document = place.view.window().document  # type: ignore[attr-defined]
    before = document.text
    with qtbot.waitSignal(place.edited) as signal:
        qtbot.mouseClick(page.sending.send, Qt.MouseButton.LeftButton)
    assert signal.args == ["pruned"]
    own = document.pipeline.stage("pruned").settings["own_ratios"]
    assert own.startswith("body.layer1.0.conv1=0.75, ") and own.count("=") == 9
    document.undo_stack.undo()
    assert document.text == before
    assert place.model is not None and place.scanning.sensitivity(place.model).unit == "points"  # type: ignore[union-attr]


def test_layers_to_keep_go_into_a_quantization_or_a_new_one() -> None:
    pipeline = documents.loads(PIPELINE)
    found = overrides.targets(pipeline, "quantize", "pruned")
    assert [target.title for target in found] == [
        "Quantized", "A new stage 'Quantize (static INT8)' after 'Pruned'",
    ]  # fmt: skip
    changed, id = overrides.with_override(pipeline, found[0], "body.conv1, head", "pruned")
    assert id == "int8" and changed.stage("int8").settings["keep"] == "body.conv1, head"
    fresh, id = overrides.with_override(pipeline, found[1], "head", "pruned")
    assert id not in pipeline.stage_ids and fresh.stage(id).settings == {"keep": "head"}
    new = overrides.targets(pipeline, "prune", "fp32")[-1]
    assert new.kind
    pruned, id = overrides.with_override(pipeline, new, "a=0.5", "fp32", "whole-groups")
    assert pruned.stage(id).settings == {"scope": "whole-groups", "own_ratios": "a=0.5"}


def test_a_new_stage_is_named_by_where_it_really_goes() -> None:
    """Nothing can follow a quantized file: a stage sent from its scan goes before it, or starts a branch."""
    pipeline = documents.loads(PIPELINE)
    new = next(target for target in overrides.targets(pipeline, "prune", "int8") if target.kind)
    assert new.title == "A new stage 'Prune channels' before 'Quantized'"
    pruned, id = overrides.with_override(pipeline, new, "a=0.5", "int8")
    assert pruned.written_parent(pruned.stage("int8")) == id
    new = next(target for target in overrides.targets(pipeline, "quantize", "int8") if target.kind)
    assert new.title == "A new stage 'Quantize (static INT8)' after 'Pruned'"
    quantized, id = overrides.with_override(pipeline, new, "head", "int8")
    assert quantized.written_parent(quantized.stage(id)) == "pruned"


BRANCHES = """
espalier: 1
name: Branches
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train}
  - {id: one, kind: prune-channels, name: One}
  - {id: two, kind: prune-channels, name: Two}
  - {id: other, kind: prune-channels, name: Other, from: fp32}
"""


def test_overrides_go_to_the_stage_that_would_prune_next() -> None:
    pipeline = documents.loads(BRANCHES)

    def ids(after: str) -> list[str]:
        return [target.id for target in overrides.targets(pipeline, "prune", after)]

    assert ids("fp32") == ["one", "other", "two", ""]
    assert ids("one") == ["two", "", "one", "other"]
    assert ids("other") == ["", "one", "two", "other"]
    warnings = {target.id: target.warning for target in overrides.targets(pipeline, "prune", "one")}
    assert warnings["two"] == warnings[""] == ""
    assert warnings["one"].startswith("'One' made the network that was scanned")
    assert warnings["other"].startswith("'Other' does not continue 'One'")
    between = {target.id: target.warning for target in overrides.targets(pipeline, "prune", "fp32")}
    assert between["one"] == "" and between["two"].startswith("'One' stands between")


def test_a_warning_stands_by_a_stage_that_made_the_network(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    place.open(opened, "pruned")
    page = place.view.sensitivity
    page.show_result(PruneScan(ScanRequest("prune", "block-internal", 2.0), [], 90.0, 64, 0))
    page.sending.target.setCurrentIndex(page.sending.target.findText("Pruned"))
    assert page.sending.warning.text().startswith("⚠ 'Pruned' made the network")
    page.sending.target.setCurrentIndex(0)
    assert page.sending.warning.text() == ""


# calibration

TRIALS = (
    Trial("minmax", 32, (20.0, 24.0), (90.0, 92.0)), Trial("minmax", 128, (25.0, 25.4), (95.0, 96.0)),
    Trial("entropy", 128, (28.0, 28.2), (98.0, 98.0)),
)  # fmt: skip


def test_advice_on_calibration_is_shown_with_its_spread_and_taken_in_one_click(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    place.open(opened, "int8")
    place.view.go("calibration")
    page = place.view.calibration
    assert page.empty.isVisible() and page.start.isEnabled() and not page.sending.isVisible()
    place.advising.job.done.emit(("result", place.model), Advice("entropy", 128, TRIALS, 64))
    assert page.table.texts(0) == ["minmax", "minmax", "✓ entropy"]
    assert page.table.texts(2) == ["22.00 dB", "25.20 dB", "28.10 dB"]
    cell = page.table.rows.cells[0][2]
    assert cell.around == pytest.approx((20 / 28.2, 24 / 28.2)) and "20.00 to 24.00 dB in 2 draws" in cell.tip
    assert "128 images are enough" in page.sentence.text() and "64 validation images" in page.words.whole
    assert page.sending.target.currentText() == "Quantized" and not page.sending.warning.isVisible()
    document: Document = place.view.window().document  # type: ignore[attr-defined]
    before = document.text
    with qtbot.waitSignal(place.edited) as signal:
        qtbot.mouseClick(page.sending.send, Qt.MouseButton.LeftButton)
    assert signal.args == ["int8"]
    assert document.pipeline.stage("int8").settings == {"method": "entropy", "images": 128}
    document.undo_stack.undo()
    assert document.text == before
    place.open(opened, "fp32")
    assert page.empty.isVisible(), "another model's advice is not shown"


def test_no_more_validation_images_are_offered_than_there_are(place: InspectPlace) -> None:
    """256 were offered where there were 20."""
    page = place.view.calibration
    page.show_validation_images(20)
    assert (page.judged.value(), page.judged.maximum()) == (20, 20)
    page.show_validation_images(None)
    assert (page.judged.value(), page.judged.maximum()) == (256, 10_000)


@pytest.mark.slow
def test_calibrations_are_tried(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.open(opened, "fp32")
    place.view.go("calibration")
    page = place.view.calibration
    page.others.setChecked(False)
    page.draws.setValue(2)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert [cell.removeprefix("✓ ") for cell in page.table.texts(0)] == ["minmax"] * 3
    assert page.result is not None and page.result.sentence == page.sentence.text()


# parts


def test_a_newer_request_replaces_the_one_under_way(qtbot: Any, qapp: QApplication) -> None:
    lane = LatestJob(qapp)
    seen: list[tuple[Any, Any]] = []
    lane.done.connect(lambda request, result: seen.append((request, result)))

    def slow(control: Any, say: Callable[[Any], None]) -> str:
        while True:
            control.checkpoint()
            time.sleep(0.005)

    lane.ask("first", "slow work", slow)
    lane.ask("second", "quick work", lambda control, say: "result")
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    assert seen == [("second", "result")]
    qtbot.waitUntil(lambda: not lane.busy, timeout=5000)
    failed: list[str] = []
    lane.failed.connect(lambda request, failure: failed.append(failure.message))

    def fails(control: Any, say: Callable[[Any], None]) -> None:
        raise EspalierError("It did not work.")

    lane.ask("third", "failing work", fails)
    qtbot.waitUntil(lambda: bool(failed), timeout=5000)
    assert failed == ["It did not work."]


def test_only_the_newest_results_are_kept() -> None:
    kept = ResultCache({"answers": 2})
    for number in range(3):
        kept[("answers", number)] = number
    assert ("answers", 0) not in kept and kept.get(("answers", 2)) == 2 and kept[("answers", 1)] == 1
    kept.forget(("answers", 2))
    assert kept.get(("answers", 2)) is None


def test_missing_figures_sort_behind_and_bars_have_a_word(qtbot: Any, theme: Theme) -> None:
    table = BarTable("t", "Table")
    qtbot.addWidget(table)
    table.show_rows(
        (Column("Name", number=False), Column("Figure")),
        [[Cell("b"), Cell("2", 2.0, 0.5)], [Cell("a"), Cell("—")], [Cell("c"), Cell("10", 10.0, 1.0)]],
    )
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert table.texts(1) == ["10", "2", "—"]
    table.select(0)
    assert table.current() == 0
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("tone", ["accent", "good", "bad"])
def test_figures_can_be_read_on_every_ground_of_the_matrix(colours: Colours, tone: str) -> None:
    for part in np.linspace(0.0, DEEPEST, 30):
        ground = mixed(colours.surface, getattr(colours, tone), float(part))
        assert contrast(written_on(ground), ground) >= 4.5


# the window


def test_the_rail_and_the_comparison_lead_here(
    qtbot: Any, make_window: Callable[..., MainWindow], opened: Path, finished: Home, monkeypatch: Any
) -> None:
    run = RunFolder(opened)
    window = make_window(OpenedDocument(documents.loads(PIPELINE), None, finished.folder, run))
    window.inspect._home = finished
    window.go("inspect")
    done(qtbot, window.inspect)
    assert window.inspect.view.isVisible() and window.inspect.model is not None
    window.inspect_file(opened, "fp32")
    done(qtbot, window.inspect)
    assert window.inspect.view.header.title.whole == "Inspect · FP32"
    window.inspect_file(opened, "nowhere")
    assert window.inspect.view.header.title.whole == "Inspect · FP32"


def test_a_double_click_in_the_comparison_leads_here(
    qtbot: Any, make_window: Callable[..., MainWindow], opened: Path, finished: Home
) -> None:
    window = make_window(OpenedDocument(documents.loads(PIPELINE), None, finished.folder, RunFolder(opened)))
    window.inspect._home = finished
    window.go("compare")
    table = window.compare.table
    qtbot.waitUntil(lambda: table.metrics.rowCount() == 3, timeout=20_000)
    index = table.metrics.index(1, 0)
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(index).center())
    qtbot.keyClick(table, Qt.Key.Key_Return)
    done(qtbot, window.inspect)
    assert window.inspect.view.isVisible()
    assert window.inspect.view.header.title.whole == "Inspect · Pruned against FP32"


def test_a_finished_stage_of_the_monitor_leads_here(qtbot: Any, theme: Theme) -> None:
    table = StageTable()
    qtbot.addWidget(table)
    state = RunState()
    state.stages = {
        "fp32": StageState("fp32", "FP32", status="done"),
        "pruned": StageState("pruned", "Pruned", status="running"),
    }
    table.show_state(state)
    table.show()
    rows = {key: table.findChild(QWidget, f"stage-state-{key}") for key in state.stages}
    with qtbot.assertNotEmitted(table.inspect_wanted):
        qtbot.mouseDClick(rows["pruned"], Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(table.inspect_wanted) as signal:
        qtbot.mouseDClick(rows["fp32"], Qt.MouseButton.LeftButton)
    assert signal.args == ["fp32"]
    rows["fp32"].setFocus()
    with qtbot.waitSignal(table.inspect_wanted):
        qtbot.keyClick(rows["fp32"], Qt.Key.Key_Return)
