"""The editor in a small window: the settings of a stage keep their room."""

from typing import Any

import pytest
from PySide6.QtWidgets import QToolButton

from core.document import edits
from core.engine.cost_estimate import Estimate, StageEstimate
from core.engine.preflight import Preflight
from core.whatif import Forecast
from gui.editor.panels import NodePanel
from gui.shell.main_window import MainWindow

BEFORE = Forecast("base", "network", 269_722, 40_813_184, 1_096_000, "exact")
NOW = Forecast("small", "base", 135_178, 20_520_064, 563_000, "about", measuring=True)


def shown(tree: MainWindow, size: tuple[int, int]) -> NodePanel:
    """The editor on a stage in a window of this size, with all that can stand above its settings."""
    tree.setMinimumSize(0, 0)
    tree.resize(*size)
    tree.go("pipeline")
    tree.editor.select("stage", "small")
    panel = tree.editor.panel
    assert isinstance(panel, NodePanel)
    panel.strip.show_forecast(NOW, BEFORE, 5_400.0, "")
    return panel


def room(panel: NodePanel) -> int:
    """The pixels of the settings' height that are in view."""
    assert panel.form is not None
    return int(panel.form.visibleRegion().boundingRect().height())


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_the_settings_have_room_in_a_small_window(qtbot: Any, tree: MainWindow, choice: str) -> None:
    """They had 40 pixels: the editor's parts stood below each other, and the forecast above the settings."""
    tree.theme.choose(choice)  # type: ignore[arg-type]
    panel = shown(tree, (1024, 700))
    qtbot.waitUntil(lambda: room(panel) >= 300)
    frame = tree.editor.parentWidget().parentWidget()
    assert not frame.verticalScrollBar().maximum(), "nothing has to be scrolled to"  # type: ignore[attr-defined]
    for button in tree.editor.findChildren(QToolButton):
        if button.objectName().startswith("tool-"):
            assert button.visibleRegion().boundingRect() == button.rect(), button.objectName()


def test_the_settings_have_room_above_many_problems(qtbot: Any, tree: MainWindow) -> None:
    pipeline = tree.document.pipeline
    for stage in ("base", "small", "more"):
        for name in ("epochs", "batch_size"):
            pipeline = edits.set_setting(pipeline, stage, ("training", name), -1)
    tree.document.apply(pipeline, "Break")
    panel = shown(tree, (1024, 700))
    assert len(tree.document.problems) > 4
    qtbot.waitUntil(lambda: room(panel) >= 200)
    assert len(tree.editor.strip._lines) == 2
    tree.resize(1280, 800)
    qtbot.waitUntil(lambda: len(tree.editor.strip._lines) == 4)
    assert room(panel) >= 150


def test_the_settings_have_room_above_a_check(qtbot: Any, tree: MainWindow) -> None:
    panel = shown(tree, (1024, 700))
    check = tree.editor.check_panel
    check.begin(tree.document.pipeline, False, False)
    qtbot.waitUntil(lambda: check.isVisible() and room(panel) >= 200)
    stages = tuple(StageEstimate(id, id, 60.0, 4.0, 4) for id in ("base", "small", "more"))
    check.show_result(Preflight((), 1.0), Estimate(stages, 1, 700.0, "cpu", None, ""))
    qtbot.waitUntil(lambda: check.total.isVisible() and room(panel) >= 200)


def test_a_forecast_is_a_line_in_a_low_window_and_figures_in_a_higher_one(
    qtbot: Any, tree: MainWindow
) -> None:
    panel = shown(tree, (1024, 700))
    strip = panel.strip
    strip.show_forecast(NOW, BEFORE, 5_400.0, "")
    words = strip.line.text().replace("\u00a0", " ")
    assert words == (
        "Parameters ≈ 135 k (−50 %) · MACs ≈ 20.5 M (−50 %) · File ≈ 563 kB (−49 %) · Time ≈ 1.5 h · Latency (measuring)"
    )
    assert strip.line.isVisible() and not strip.values["params"].isVisible() and not strip.remark.isVisible()
    assert not panel.about.isVisible()
    tree.resize(1280, 800)
    qtbot.waitUntil(lambda: strip.values["params"].isVisible() and panel.about.isVisible())
    assert not strip.line.isVisible() and strip.remark.isVisible(), "why there is no latency is said in words"
    strip.show_forecast(None, None, None, "Counted when the problems are solved.")
    tree.resize(1024, 700)
    qtbot.waitUntil(strip.line.isVisible)
    assert strip.remark.isVisible()
