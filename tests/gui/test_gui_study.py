"""The place of a search, and what sets settings free in the editor."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox, QLineEdit, QToolButton

from core.document import dimensions
from core.document import pipeline as documents
from core.records.events import TrialDone
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.search import judging
from core.search.records import StageMade, TrialRecord, wishes, write_trial, write_weights
from gui.shell.main_window import MainWindow

TEXT = """
espalier: 1
name: Searched
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.5, training: {epochs: 1}}}
search:
  free:
    stages.pruned.ratio: {low: 0.1, high: 0.9, step: 0.1}
    stages.pruned.importance: {choices: [l1, random]}
  limits: {size_mb: 0.6}
  finalists: 2
"""


def trial(number: int, ratio: float, top1: float, **more: Any) -> TrialRecord:
    size = 1.05 - ratio
    metrics = {
        "top1": Metric(value=top1, unit="%", low=top1 - 3, high=top1 + 3, level=0.95, n=128),
        "size_mb": Metric(value=size, unit="MB"),
    }
    values: dict[str, Any] = {"stages.pruned.ratio": ratio, "stages.pruned.importance": "l1"}
    plain = {
        "state": "done", "proposed": "tpe", "violations": judging.violations({"size_mb": 0.6}, metrics),
        "stages": (StageMade(id="fp32", cached=True, seconds=0.1), StageMade(id="pruned", cached=False, seconds=9.0)),
        "machine": "here", "seconds": 9.5, **more,
    }  # fmt: skip
    return TrialRecord(number=number, values=values, metrics=metrics, **plain)


@pytest.fixture
def study(home: Home, tmp_path: Path) -> RunFolder:
    run = create_run(documents.loads(TEXT), tmp_path, home)
    for record in (trial(1, 0.5, 80), trial(2, 0.7, 78), trial(3, 0.8, 70), trial(4, 0.8, 70, same_as=3), trial(5, 0.2, 85, state="refused", reason="Too large.")):  # fmt: skip
        write_trial(run, record)
    write_weights(run, {"top1": {"stages.pruned.ratio": 0.9, "stages.pruned.importance": 0.1}})
    run.update_info(status="stopped")
    return run


@pytest.fixture
def shown(qtbot: Any, window: MainWindow, study: RunFolder) -> MainWindow:
    window.run_controller.show(study, replay=True)
    window.go("study")
    qtbot.waitUntil(lambda: window.study.view.shown is not None)
    return window


def test_a_search_is_shown_as_table_front_lines_and_weights(shown: MainWindow):
    view = shown.study.view
    assert view.header.title.whole == "Searched" and "3 trials of 5 candidates" in view.header.about.whole
    assert view.trials.texts(0) == ["1", "2", "3", "4", "5"]
    assert view.trials.texts(len(view.trials.rows.columns) - 1) == [
        "front, confirmed", "front", "front, confirmed", "same as trial 3", "refused beforehand: Too large.",
    ]  # fmt: skip
    assert len(view.front.points.data) == 4, "each file once"
    assert [shade.isVisible() for shade in view.front.shades] == [True, False]
    assert view.front.shades[0].getRegion()[0] == pytest.approx(0.6)
    assert [line.id for line in view.parallel.coordinates.lines] == ["1", "2", "3"]
    assert view.weights.texts(1) == ["90 %", "10 %"]
    assert "Limits: Size at most 0.6 MB" in view.about.text()


def test_one_trial_is_chosen_everywhere(qtbot: Any, shown: MainWindow):
    view = shown.study.view
    view.resize(1100, 700)
    view.front.chosen.emit(2)
    assert view.trials.current() == 1 and "made by here in 10 s" in view.words.text()
    assert view.made.texts(1) == ["the cache", "made"]
    points = view.parallel.points(view.parallel.coordinates.lines[0])
    qtbot.mouseClick(view.parallel, Qt.MouseButton.LeftButton, pos=QPoint(round(points[0].x()) + 1, round(points[0].y())))  # fmt: skip
    assert view.selected == 1


def test_what_can_be_done_follows_from_the_trial(shown: MainWindow):
    view = shown.study.view
    view.select(1)
    assert view.open.isEnabled() and not view.confirm.isEnabled(), "it is a finalist already"
    view.select(2)
    assert view.confirm.isEnabled()
    view.select(5)
    assert not view.confirm.isEnabled() and view.open.isEnabled()
    assert not view.resume.isHidden() and view.pause.isHidden()


def test_a_trial_opens_as_an_ordinary_pipeline(shown: MainWindow):
    shown.study.view.open_wanted.emit(2)
    document = shown.document
    assert document.pipeline.search is None and document.pipeline.stage("pruned").settings["ratio"] == 0.7
    assert document.path is None and document.pipeline.name == "Searched, trial 2" and not document.problems


def test_wishes_are_written_down_and_the_run_goes_on(shown: MainWindow, study: RunFolder):
    place, resumed = shown.study, []
    place.resume_wanted.disconnect()
    place.resume_wanted.connect(resumed.append)
    place._asked_how_many = lambda: 5
    place.view.more_wanted.emit()
    place.view.confirm_wanted.emit(2)
    assert wishes(study).more == 5 and wishes(study).confirm == (2,)
    assert [run.folder for run in resumed] == [study.folder, study.folder]


def test_a_trial_that_ends_appears(qtbot: Any, shown: MainWindow, study: RunFolder):
    write_trial(study, trial(6, 0.6, 88))
    shown.session.state.take(TrialDone(6, "done", "Top-1 88"))
    shown.session.changed.emit()
    qtbot.waitUntil(lambda: "6" in shown.study.view.trials.texts(0))


def test_a_run_without_a_search_shows_none(qtbot: Any, shown: MainWindow, home: Home, tmp_path: Path):
    plain = documents.loads(TEXT.partition("search:")[0])
    shown.run_controller.show(create_run(plain, tmp_path, home))
    assert shown.study.view.shown is None and shown.study.view.stack.currentIndex() == 0


def test_a_click_sets_a_setting_free_and_its_card_says_so(qtbot: Any, window: MainWindow):
    window.editor.select("stage", "pruned")
    panel = window.editor.panel
    assert panel is not None
    button = panel.findChild(QToolButton, "free-ratio")
    assert isinstance(button, QToolButton)
    button.click()
    search = window.document.pipeline.search
    assert search is not None and "stages.pruned.ratio" in search.free and not window.document.problems
    values = panel.findChild(QLineEdit, "free-values-ratio")
    assert isinstance(values, QLineEdit) and not values.isHidden() and " to " in values.text()
    values.setText("0.3 to 0.6 by 0.1")
    values.editingFinished.emit()
    assert [one.values() for one in dimensions.dimensions(window.document.pipeline)] == [(0.3, 0.4, 0.5, 0.6)]
    card = next(one for one in window.editor.model.cards if one.id == "pruned")
    assert card.summary.startswith("free: ratio 0.3 to 0.6 by 0.1")
    values.setText("much")
    values.editingFinished.emit()
    assert "Expected a range such as" in panel.form.rows["ratio"].problem.text()  # type: ignore[union-attr]
    button.click()
    assert window.document.pipeline.search is None


def test_the_pipelines_card_has_objectives_and_limits(window: MainWindow):
    window.editor.commands._document.apply(documents.loads(TEXT), "Open")
    window.editor.select("pipeline")
    panel = window.editor.panel
    assert panel is not None
    bound = panel.findChild(QLineEdit, "search-bound-1")
    assert isinstance(bound, QLineEdit) and bound.text() == "0.6"
    bound.setText("0.4")
    bound.editingFinished.emit()
    search = window.document.pipeline.search
    assert search is not None and search.limits == {"size_mb": 0.4}
    third = panel.findChild(QComboBox, "search-objective-3")
    assert isinstance(third, QComboBox)
    third.setCurrentIndex(third.findData("macs"))
    third.activated.emit(third.currentIndex())
    search = window.document.pipeline.search
    assert search is not None and search.objectives == ("top1", "size_mb", "macs")
    slots = panel.findChild(QLineEdit, "search-slots")
    assert isinstance(slots, QLineEdit)
    slots.setText("last: pruned, none")
    slots.editingFinished.emit()
    search = window.document.pipeline.search
    assert search is not None and search.slots == {"last": ("pruned", None)} and not window.document.problems


def test_a_stage_can_be_left_to_the_search(window: MainWindow):
    window.editor.select("stage", "pruned")
    commands = window.editor.commands
    commands.leave_open.trigger()
    search = window.document.pipeline.search
    assert search is not None and list(search.free) == ["stages.pruned.enabled"]
    commands.update_enabled()
    assert commands.leave_open.isChecked()
    commands.leave_open.trigger()
    assert window.document.pipeline.search is None
