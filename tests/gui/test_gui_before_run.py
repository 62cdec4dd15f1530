"""What leads to a run: fixes, the grid, counts before a run, and the check."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
)

from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.cost_estimate import Estimate, SearchEstimate, StageEstimate
from core.engine.known_times import KnownTimes
from core.engine.preflight import Preflight
from core.whatif import WhatIf
from gui.editor.data_panel import DataPanel
from gui.shell.main_window import MainWindow

# fixes


def test_a_stage_in_the_wrong_place_is_mended_with_one_click(qtbot: Any, tree: MainWindow) -> None:
    pipeline, id = stage_tree.add_stage(tree.document.pipeline, "quantize-static", "base", branch=True)
    tree.document.apply(stage_tree.branch_from(pipeline, "small", id), "break")
    assert len(tree.document.problems) == 2
    tree.editor.select("stage", "small")
    panel = tree.editor.panel
    notice = panel.findChild(QLabel, "node-problem")  # type: ignore[union-attr]
    assert "has gone on to the exported file" in notice.text() and notice.isVisible()
    assert tree.editor.selected is not None and tree.editor.selected.facts.startswith("⚠ 'Small' changes")
    mend = panel.findChild(QPushButton, "node-mend")  # type: ignore[union-attr]
    assert mend.text() == "Continue 'Base' instead"  # what follows goes with it
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    assert tree.document.problems == [] and tree.actions_.run.isEnabled()
    tree.document.undo_stack.undo()
    assert tree.document.problems


def test_a_missing_teacher_is_chosen_from_the_strip_and_from_the_field(qtbot: Any, tree: MainWindow) -> None:
    pipeline, id = stage_tree.add_stage(tree.document.pipeline, "distil", "more")
    broken = edits.set_setting(pipeline, id, ("teacher",), "nobody")
    tree.document.apply(broken, "break")
    button = tree.editor.strip.fix_buttons[0]
    assert button.text() == "Choose 'Base'"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert tree.document.pipeline.stage(id).settings["teacher"] == "base"
    tree.document.undo_stack.undo()
    tree.editor.select("stage", id)
    mend = tree.editor.panel.findChild(QPushButton, "mend-teacher")  # type: ignore[union-attr]
    assert mend.isVisible()
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    assert tree.document.problems == []


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("[{id: t, kind: train}]\nbaseline: [t, nobody]", "Take the others"),
        ("[{id: t, kind: train}]\nbaseline: nobody", "Take the first stage"),
        ("[{id: t, kind: train}]\nbaseline: [t, t]", "Take the others"),
        ("[{id: q, kind: quantize-static, name: Q}]", "Put a 'Train' stage with 0 epochs before it"),
        ("[{id: t, kind: train, enabled: false, name: T}]", "Switch 'T' on"),
        ("[{id: p, kind: prune-channels, settings: {ratio: 2.0}}]", "Reset Ratio"),
        (
            "[{id: t, kind: train}, {id: q, kind: quantize-static, name: Q}, {id: r, kind: half-precision, name: R}]",
            "Continue 't' instead",
        ),
    ],
)
def test_fixes_are_found_for_every_kind_of_rule(stages: str, words: str) -> None:
    from core.common import yaml
    from core.document.fixes import fix_for

    text = f"espalier: 1\nname: X\nsources: [{{id: net}}]\nstages: {stages}"
    pipeline = Pipeline.parse(yaml.parse(text).content)
    problems = documents.check(pipeline)
    assert problems
    fix = fix_for(pipeline, problems[0])
    assert fix is not None and fix.words == words
    assert documents.check(fix.pipeline) == []


# the document's baselines and axes


def choose(box: QComboBox, words: str) -> None:
    box.setCurrentIndex(box.findText(words))
    box.activated.emit(box.currentIndex())


def test_baselines_are_chosen_and_added_in_the_form(tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    panel = tree.editor.panel
    assert panel is not None
    box, also = (panel.findChild(QComboBox, f"pipeline-{key}") for key in ("baseline", "also"))
    assert box.currentText() == "The first stage (Base)" and not also.isVisible()
    choose(box, "Base")
    assert tree.document.pipeline.baseline == ("base",) and also.isVisible()
    choose(also, "More")
    assert tree.document.pipeline.baseline == ("base", "more")
    assert box.currentText() == "Base, More" and also.currentText() == "No further one"
    assert [card.badge.startswith("baseline") for card in tree.editor.model.cards[-3:]] == [True, False, True]
    assert box.findText("The first stage of each network") < 0, "there is one network"
    pipeline, network = stage_tree.add_source(tree.document.pipeline, "backbone")
    pipeline, other = stage_tree.add_stage(pipeline, "train", network, branch=True)
    tree.document.apply(edits.rename(pipeline, other, "Other"), "a second network")
    choose(box, "The first stage of each network")
    assert (
        tree.document.pipeline.baseline == ("base", other) and documents.check(tree.document.pipeline) == []
    )
    assert box.currentText() == "The first stage of each network"
    tree.document.apply(stage_tree.remove_stage(tree.document.pipeline, other), "remove")
    assert tree.document.pipeline.baseline == ("base",) and box.currentText() == "Base"
    choose(box, "The first stage (Base)")
    assert "baseline" not in tree.document.pipeline.as_dict() and not also.isVisible()


def test_a_grid_is_made_and_changed_in_the_form(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    panel = tree.editor.panel
    assert panel is not None
    box = panel.findChild(QComboBox, "grid-stage")
    values = panel.findChild(QLineEdit, "grid-values-1")
    assert not values.isVisible()
    box.setCurrentIndex(box.findData("small"))
    box.activated.emit(box.currentIndex())
    (grid,) = tree.document.pipeline.axes.grids
    assert (grid.stage, grid.settings) == ("small", {"ratio": (0.2, 0.3, 0.4)})
    assert grid.images == 2000, "what the field showed while there was no grid"
    cards = tree.editor.model.cards
    assert "grid over" in cards[0].summary and "ratio 0.2, 0.3, 0.4" in cards[0].summary
    assert next(card.badge for card in cards if card.id == "small").endswith("grid of 3")
    values.setFocus()
    values.selectAll()
    qtbot.keyClicks(values, "0.3, x")
    qtbot.keyClick(values, Qt.Key.Key_Return)
    assert "Expected values of Ratio, such as 0.2, 0.3, 0.4." in panel.grid.problem.text()  # type: ignore[attr-defined]
    values.selectAll()
    qtbot.keyClicks(values, "0.3, 0.6")
    qtbot.keyClick(values, Qt.Key.Key_Return)
    second = panel.findChild(QComboBox, "grid-setting-2")
    second.setCurrentIndex(second.findData("importance"))
    second.activated.emit(second.currentIndex())
    (grid,) = tree.document.pipeline.axes.grids
    assert grid.settings["ratio"] == (0.3, 0.6) and "taylor" in grid.settings["importance"]
    assert documents.check(tree.document.pipeline) == []
    seeds = panel.findChild(QLineEdit, "pipeline-seeds")
    seeds.setFocus()
    seeds.selectAll()
    qtbot.keyClicks(seeds, "1, 2")
    qtbot.keyClick(seeds, Qt.Key.Key_Return)
    assert tree.document.pipeline.axes.seed == (1, 2) and tree.document.pipeline.axes.grids == (grid,)
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert tree.document.pipeline.axes.grids == () and tree.document.pipeline.axes.seed == (1, 2)


def test_data_sets_are_added_named_and_set_apart_in_the_form(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("data")
    panel = tree.editor.panel
    assert isinstance(panel, DataPanel)
    bar = panel.data_sets
    assert not bar.which.isVisible() and not bar.name.isVisible()
    qtbot.mouseClick(bar.add, Qt.MouseButton.LeftButton)
    axis = tree.document.pipeline.axes.data
    assert axis is not None and list(axis.values.values()) == [{}, {}] and bar.shown == "Data set 2"
    bar.name.setFocus()
    bar.name.selectAll()
    qtbot.keyClicks(bar.name, "Shirts")
    qtbot.keyClick(bar.name, Qt.Key.Key_Return)
    assert bar.shown == "Shirts"
    panel.form.edited.emit(("train_images",), 100, False)
    panel.form.edited.emit(("augmentation", "shift"), 2, False)
    axis = tree.document.pipeline.axes.data
    assert axis is not None and axis.values["Shirts"] == {
        "train_images": 100,
        "augmentation": {"shift": 2},
    }
    assert tree.document.pipeline.data.train_images == 128 and documents.check(tree.document.pipeline) == []
    assert panel.form.field(("train_images",)).value() == 100
    choose(bar.which, "Every data set")
    assert panel.form.field(("train_images",)).value() == 128 and not bar.name.isVisible()
    cards = tree.editor.model.cards
    assert "data sets " in cards[0].summary and cards[1].badge == "2 data sets"
    wrong = edits.set_data_of(tree.document.pipeline, "Shirts", ("train_images",), -3)
    tree.document.apply(wrong, "wrong")
    assert tree.editor.model.cards[1].problems == 1 and tree.editor.model.cards[0].problems == 0
    tree.editor.go_to(tree.document.problems[0])
    assert bar.shown == "Shirts" and "-3" in bar.problem.text()
    assert "Remove this data set" in [button.text() for button in tree.editor.strip.fix_buttons]
    tree.document.undo_stack.undo()
    qtbot.mouseClick(bar.remove, Qt.MouseButton.LeftButton)
    axis = tree.document.pipeline.axes.data
    assert axis is not None and "Shirts" not in axis.values and bar.shown == ""


def test_backbones_are_chosen_added_and_kept_in_the_form(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    panel = tree.editor.panel
    assert panel is not None
    source, more = (panel.findChild(QComboBox, f"backbones-{key}") for key in ("source", "more"))
    values = panel.findChild(QLineEdit, "backbones-values")
    assert source.currentText() == "No axis" and not values.isVisible()
    source.setCurrentIndex(1)
    source.activated.emit(1)
    assert values.text() == "resnet20" and more.isVisible()
    choose(more, "ResNet-56 (CIFAR)")
    axis = tree.document.pipeline.axes.backbone
    assert axis is not None and (axis.source, axis.values) == ("net", ("resnet20", "resnet56"))
    assert values.text() == "resnet20, resnet56" and documents.check(tree.document.pipeline) == []
    cards = tree.editor.model.cards
    assert "backbones ResNet-20, ResNet-56" in cards[0].summary
    assert next(card.badge for card in cards if card.kind == "source") == "2 backbones"
    own = {**edits.plain_backbones(tree.document.pipeline), "set": {"resnet56": {"stages.small.ratio": 0.4}}}  # type: ignore[dict-item]
    tree.document.apply(edits.set_backbones(tree.document.pipeline, own), "own")
    assert panel.backbones.own.text() == "resnet56: stages.small.ratio 0.4"  # type: ignore[attr-defined]
    for words, problem in (
        ("resnet56, resnet56", "that differ"),
        ("resnet56, nothing", "received 'nothing'"),
    ):
        values.setFocus()
        values.selectAll()
        qtbot.keyClicks(values, words)
        qtbot.keyClick(values, Qt.Key.Key_Return)
        assert problem in panel.backbones.problem.text()  # type: ignore[attr-defined]
    assert tree.editor.strip.fix_buttons[0].text() == "Remove this backbone"
    qtbot.mouseClick(tree.editor.strip.fix_buttons[0], Qt.MouseButton.LeftButton)
    axis = tree.document.pipeline.axes.backbone
    assert (
        axis is not None
        and axis.values == ("resnet56",)
        and axis.own == {"resnet56": {"stages.small.ratio": 0.4}}
    )
    assert tree.document.pipeline.source("net").settings["backbone"] == "resnet56"
    seeds = panel.findChild(QLineEdit, "pipeline-seeds")
    seeds.setFocus()
    seeds.selectAll()
    qtbot.keyClicks(seeds, "1, 2")
    qtbot.keyClick(seeds, Qt.Key.Key_Return)
    assert tree.document.pipeline.axes.seed == (1, 2) and tree.document.pipeline.axes.backbone == axis
    source.setCurrentIndex(0)
    source.activated.emit(0)
    assert tree.document.pipeline.axes.backbone is None and not values.isVisible()


def test_a_second_grid_is_added_changed_and_taken_out(qtbot: Any, tree: MainWindow) -> None:
    tree.editor.select("pipeline")
    panel = tree.editor.panel
    assert panel is not None
    more = panel.findChild(QPushButton, "grid-more")
    assert not more.isVisible()
    first = panel.findChild(QComboBox, "grid-stage")
    choose(first, "Small")
    assert more.isVisible()
    qtbot.mouseClick(more, Qt.MouseButton.LeftButton)
    one, other = tree.document.pipeline.axes.grids
    assert one == other and documents.check(tree.document.pipeline) == []
    setting = panel.findChild(QComboBox, "grid-setting-1-of-2")
    assert setting.isVisible() and setting.accessibleName() == "Setting 1 of the grid 2"
    choose(setting, "Importance")
    one, other = tree.document.pipeline.axes.grids
    assert list(one.settings) == ["ratio"] and list(other.settings) == ["importance"]
    cards = tree.editor.model.cards
    assert cards[0].summary.count("grid over Small") == 2
    assert next(card.badge for card in cards if card.id == "small").count("grid of") == 2
    broken = {**other.model_dump(mode="json"), "settings": {"ratio": [2.0]}}
    tree.document.apply(edits.set_grid(tree.document.pipeline, 1, broken), "break")
    (problem,) = tree.document.problems
    assert problem.place == ("axes", "grid", 1, "settings", "ratio", 0)
    problems = [editor.problem.text() for editor in panel.grid.editors]  # type: ignore[attr-defined]
    assert problems[0] == "" and "received 2.0" in problems[1]
    assert tree.editor.strip.fix_buttons[0].text() == "Remove the grid"
    qtbot.mouseClick(tree.editor.strip.fix_buttons[0], Qt.MouseButton.LeftButton)
    assert tree.document.pipeline.axes.grids == (one,) and not setting.isVisible()
    tree.document.undo_stack.undo()
    choose(first, "No grid")
    assert [list(grid.settings) for grid in tree.document.pipeline.axes.grids] == [["ratio"]]
    assert panel.findChild(QLineEdit, "grid-values-1").text() == "2"


# what is known before a run


def test_counts_follow_a_ratio(qtbot: Any, tree: MainWindow) -> None:
    forecasts, editor = tree.forecasts, tree.editor
    forecasts.start()
    editor.select("stage", "small")
    qtbot.waitUntil(lambda: "more" in forecasts.by_stage and not forecasts.waiting, timeout=30_000)
    panel = editor.panel
    figure = panel.findChild(QLabel, "forecast-params")  # type: ignore[union-attr]
    assert figure.text() == "199 k" and figure.toolTip() == "199\u202f258"
    assert "199 k params · 6.75 M MACs" in editor.selected.facts  # type: ignore[union-attr]
    form = panel.form  # type: ignore[union-attr]
    form.field(("ratio",)).main.setValue(0.5)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: figure.text() == "136 k", timeout=5000)
    assert panel.strip.changes["params"].text() == "−50 %"  # type: ignore[union-attr]
    rows = {card.id: card for card in editor.model.cards}
    assert rows["more"].facts == rows["small"].facts
    form.field(("target",)).changed.emit("macs")  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: figure.text().startswith("≈ "), timeout=5000)
    tree.document.apply(edits.set_setting(tree.document.pipeline, "small", ("budget",), 5.0), "break")
    assert figure.text() == "–" and "when the problems are solved" in panel.strip.remark.text()  # type: ignore[union-attr]
    rows = {card.id: card for card in editor.model.cards}
    assert "params" in rows["base"].facts and "params" not in rows["more"].facts  # what follows it is unknown
    qtbot.waitUntil(lambda: not forecasts.waiting, timeout=5000)


def test_only_the_last_question_is_answered(qtbot: Any, tree: MainWindow) -> None:
    tree.forecasts.start()
    for ratio in (0.2, 0.35, 0.45, 0.7):
        tree.document.apply(
            edits.set_setting(tree.document.pipeline, "small", ("ratio",), ratio), "Change", "m"
        )
        qtbot.wait(15)
    qtbot.waitUntil(lambda: "more" in tree.forecasts.by_stage and not tree.forecasts.waiting, timeout=30_000)
    alone = {f.id: f for f in WhatIf(tree.home).forecasts(tree.document.pipeline, Path())}
    assert tree.forecasts.by_stage == alone and alone["small"].params == 72250


@pytest.mark.slow
def test_run_is_checked_first_and_leads_to_the_setting(qtbot: Any, tree: MainWindow) -> None:
    QSettings().setValue("check-before-run", "true")
    impossible = {"target": "size", "size_mb": 0.01, "training": {"epochs": 1}}
    tree.document.apply(tree.document.pipeline.with_settings("small", impossible), "too small")
    tree.go("compare")
    tree.actions_.run.trigger()
    panel = tree.editor.check_panel
    assert panel.isVisible() and tree.places.current == "pipeline" and tree.session.steered == "idle"
    assert panel.run_button.text() == "Skip and run"
    qtbot.waitUntil(lambda: not tree.check_before_run.checking.worker.running, timeout=60_000)
    assert panel.heading.text() == "1 problem found" and panel.run_button.text() == "Run all the same"
    tree.go("compare")
    tree.go("pipeline")
    link = panel.findChild(QPushButton, "check-problem-0")
    assert link.text() == "Go to Small › Size"
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    assert tree.places.current == "pipeline" and tree.editor.selected.id == "small"  # type: ignore[union-attr]
    assert panel.isVisible() and tree.session.steered == "idle"
    tree.document.apply(tree.document.pipeline.with_settings("small", {"ratio": 0.4}), "mend")
    assert panel.again_button.isVisible() and not panel.run_button.isVisible()
    assert "has changed since" in panel.phase.whole


def test_no_pipeline_is_checked_again_beside_a_run(qtbot: Any, tree: MainWindow) -> None:
    """The check took the processor while files were measured; the action itself was off."""
    panel, check = tree.editor.check_panel, tree.actions_.check
    assert panel.again_button.isEnabled()
    check.setEnabled(False)
    assert not panel.again_button.isEnabled() and "A run is going on" in panel.again_button.toolTip()
    check.setEnabled(True)
    assert panel.again_button.isEnabled() and not panel.again_button.toolTip()


@pytest.mark.slow
def test_a_check_that_passes_shows_times_and_starts_the_run(
    qtbot: Any, tree: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    QSettings().setValue("check-before-run", "true")
    started: list[bool] = []
    tree.check_before_run.ready.disconnect()
    tree.check_before_run.ready.connect(lambda: started.append(True))
    tree.actions_.run.trigger()
    qtbot.waitUntil(lambda: bool(started), timeout=90_000)
    assert set(tree.forecasts.times) == {"base", "small", "more"}
    assert all(card.time for card in tree.editor.model.cards if card.kind == "stage")
    assert "on cpu" in tree.status.phase.whole
    tree.actions_.run.trigger()  # this document has passed: no second check
    assert started == [True, True] and not tree.editor.check_panel.isVisible()
    tree.document.apply(edits.set_setting(tree.document.pipeline, "small", ("ratio",), 0.5), "Change")
    assert set(tree.forecasts.times) == {"base"}  # those of the stages that follow are of another network


def test_times_outlive_an_edit_that_does_not_concern_them(tree: MainWindow) -> None:
    """More epochs are counted, and a stage with a problem takes away its own time and that of what follows."""
    document, forecasts = tree.document, tree.forecasts
    stages = [
        StageEstimate("base", "Base", 30.0, 1.0, 4, 10.0),
        StageEstimate("small", "Small", 40.0, 1.0, 4, 20.0),
        StageEstimate("more", "More", 50.0, 1.0, 4, 30.0),
    ]
    forecasts.show_times(KnownTimes(document.pipeline, document.base, stages))
    first = dict(forecasts.times)
    assert first == {"base": 30.0, "small": 40.0, "more": 50.0}
    document.apply(
        edits.set_setting(document.pipeline, "small", ("training", "epochs"), 4), "Change the epochs"
    )
    assert forecasts.times == {"base": 30.0, "small": 100.0, "more": 50.0}
    shown = {card.id: card.time for card in tree.editor.model.cards if card.kind == "stage"}
    assert shown == {"base": "30 s", "small": "2 min", "more": "50 s"}
    document.apply(edits.set_setting(document.pipeline, "small", ("ratio",), 7), "Break it")
    assert document.problems and forecasts.times == {"base": 30.0}
    document.undo_stack.undo()
    document.undo_stack.undo()
    assert forecasts.times == first


def test_what_a_run_costs_is_said_whole_a_line_each(qtbot: Any, tree: MainWindow) -> None:
    stages = (StageEstimate("base", "Base", 60.0, 4.0, 4),)
    kept = (
        "The images are kept as their files hold them (12.3 GB) and decoded each time that they are used; mean and "
        "deviation are those of a sample of them."
    )
    cost = Estimate(stages, 1, 700.0, "cpu", SearchEstimate(20, None, 30.0, 120.0), kept)
    panel = tree.editor.check_panel
    tree.resize(1024, 700)
    tree.go("pipeline")
    panel.begin(tree.document.pipeline, False, False)
    panel.show_result(Preflight((), 1.0), cost)
    qtbot.waitUntil(panel.total.isVisible)
    total, search, data = panel.total.text().split("\n")
    assert total.startswith("At most 13 min") and search.startswith("Search: 20 trials") and data == kept
    assert (
        panel.total.height()
        >= panel.total.heightForWidth(panel.total.width())
        > 3 * panel.total.fontMetrics().height()
    )


def test_the_check_can_be_skipped_for_good(qtbot: Any, tree: MainWindow) -> None:
    QSettings().setValue("check-before-run", "true")
    started: list[bool] = []
    tree.check_before_run.ready.disconnect()
    tree.check_before_run.ready.connect(lambda: started.append(True))
    tree.actions_.run.trigger()
    panel = tree.editor.check_panel
    assert panel.isVisible()
    panel.every_time.setChecked(False)
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(started), timeout=60_000)
    tree.actions_.run.trigger()
    assert started == [True, True] and not panel.isVisible()


def test_one_edits_while_the_check_goes_on(qtbot: Any, tree: MainWindow) -> None:
    tree.actions_.check.trigger()
    panel, worker = tree.editor.check_panel, tree.check_before_run.checking.worker
    assert panel.isVisible() and worker.running and not tree.editor.check_panel.isWindow()
    tree.document.apply(edits.set_setting(tree.document.pipeline, "small", ("ratio",), 0.5), "Change")
    assert worker.running and panel.again_button.isVisible()
    tree.document.undo_stack.undo()  # as it is being checked: the check is of use again
    assert not panel.again_button.isVisible() and panel.run_button.isVisible()
    qtbot.mouseClick(panel.close_button, Qt.MouseButton.LeftButton)
    assert not panel.isVisible()
    qtbot.waitUntil(lambda: not worker.running, timeout=60_000)
