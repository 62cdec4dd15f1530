"""Kinds of sources and data that a test adds are in the editor without an edit of the window."""

from collections.abc import Callable
from pathlib import Path

import pytest
from new_data_sources import STACK
from new_sources import ScaledSource
from PySide6.QtWidgets import QComboBox

from core.data.catalogue import SOURCES
from core.document import pipeline as documents
from core.sources.catalogue import SOURCE_KINDS
from gui.editor.data_panel import DataPanel
from gui.editor.palette import entries
from gui.editor.panels import NodePanel
from gui.editor.summary import data_summary, source_summary
from gui.widgets.path_fields import PathField

TEXT = """
espalier: 1
name: New kinds
data: {source: stack, path: images.npy}
sources: [{id: net, kind: scaled, settings: {scale: 2.0}}]
stages: [{id: fp32, kind: train}]
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCE_KINDS, "scaled", ScaledSource())
    monkeypatch.setitem(SOURCES, "stack", STACK)


def test_the_palette_offers_the_source() -> None:
    [entry] = [entry for entry in entries("scaled") if entry.key]
    assert (entry.key, entry.title, entry.icon) == ("source:scaled", "Scaled network", "network")


def test_the_panel_of_the_source_has_its_form_and_its_kind(
    qtbot: Callable[..., None], tmp_path: Path
) -> None:
    pipeline = documents.loads(TEXT)
    panel = NodePanel(pipeline.source("net"))
    qtbot.addWidget(panel)  # type: ignore[attr-defined]
    panel.show_pipeline(pipeline, tmp_path, {})
    assert panel.form is not None and panel.form.field(("scale",)).value() == 2.0
    box = panel.findChild(QComboBox, "source-kind")
    assert box.currentText() == "Scaled network" and box.count() == len(SOURCE_KINDS)
    assert source_summary(pipeline.source("net")) == "Scale: 2.0"


def test_the_panel_of_the_data_offers_the_set_and_picks_its_files(
    qtbot: Callable[..., None], tmp_path: Path
) -> None:
    pipeline = documents.loads(TEXT)
    panel = DataPanel()
    qtbot.addWidget(panel)  # type: ignore[attr-defined]
    panel.show_pipeline(pipeline, tmp_path, {})
    assert panel.form is not None and panel.form.field(("source",)).value() == "stack"
    picker = panel.form.field(("path",))
    assert isinstance(picker, PathField) and len(picker.buttons) == 1
    assert picker.line.placeholderText() == "Pick a file"
    assert data_summary(pipeline.data) == "Stack of images · images.npy"
