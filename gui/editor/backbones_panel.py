"""The axis over backbones of a document: the stages from one source, once for every backbone."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QWidget

from core.document import edits
from core.document.pipeline import BackboneAxis, Pipeline
from core.models.catalogue import BACKBONES
from core.sources.backbone import BackboneSource
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.fields import show_text
from gui.widgets.form import LABEL_WIDTH

_FIELD = 320


class BackbonesEditor(QWidget):
    """Rows for the source, its backbones, and what was set for one of them alone.

    Signals:
        edited: the axis as plain data, or None for none.
    """

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = None
        self.source, self.values, self.more = Combo(), QLineEdit(), Combo()
        self.own = text("", "muted", wrap=True)
        self.problem = text("", "problem", wrap=True)
        self.help = text("", "help", wrap=True)
        self.rows = rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(10)
        rows.setVerticalSpacing(8)
        named: tuple[tuple[QWidget, str, str], ...] = (
            (self.source, "backbones-source", tr("Backbones of")),
            (self.values, "backbones-values", tr("Backbones")),
            (self.more, "backbones-more", tr("Add")),
        )
        for widget, name, spoken in named:
            widget.setObjectName(name)
            widget.setAccessibleName(spoken)
            widget.setMaximumWidth(_FIELD)
            rows.addRow(_label(spoken, widget), widget)
        rows.addRow(_label(tr("For one alone"), self.own), self.own)
        rows.addRow(_label(""), self.problem)
        rows.addRow(_label(""), self.help)
        self.values.setPlaceholderText(tr("Names with commas between"))
        self.source.activated.connect(self._chosen)
        self.values.editingFinished.connect(lambda: self._tell(self._typed()))
        self.more.activated.connect(self._added)

    # showing

    def show_pipeline(self, pipeline: Pipeline, problems: Mapping[tuple[str, ...], str]) -> None:
        """Show the document's axis and what is wrong with it."""
        self._pipeline, axis = pipeline, pipeline.axes.backbone
        titles = edits.titles(pipeline)
        self.source.clear()
        self.source.addItem(tr("No axis"), "")
        for source in pipeline.sources:
            if source.kind == BackboneSource.id:
                self.source.addItem(titles[source.id], source.id)
        if axis is not None and self.source.findData(axis.source) < 0:
            self.source.addItem(axis.source, axis.source)
        self.source.setCurrentIndex(self.source.findData(axis.source) if axis is not None else 0)
        values = axis.values if axis is not None else ()
        show_text(self.values, ", ".join(values))
        self.more.clear()
        self.more.addItem(tr("Another backbone …"), "")
        for entry in BACKBONES.values():
            if entry.id not in values:
                self.more.addItem(entry.title, entry.id)
        self.own.setText(_own_in_words(axis))
        for row in (self.values, self.more):
            self.rows.setRowVisible(row, axis is not None)
        self.rows.setRowVisible(self.own, bool(axis is not None and axis.own))
        self._show_problem(
            next((words for place, words in problems.items() if place[:2] == ("axes", "backbone")), "")
        )
        self.help.setText(
            tr("The stages that come from a network can run once for each of several backbones.")
            if axis is None
            else tr(
                "Each backbone gets stages of its own; what does not come from this network is made once. Each is compared "
                "with its own baseline. Settings for one backbone alone are written in the file, below axes, backbone, set."
            )
        )

    def _show_problem(self, words: str) -> None:
        self.problem.setText(f"⚠ {words}" if words else "")
        self.rows.setRowVisible(self.problem, bool(words))

    # editing

    def _chosen(self) -> None:
        """Another source: its own backbone, to which others are added."""
        assert self._pipeline is not None
        id, axis = str(self.source.currentData() or ""), self._pipeline.axes.backbone
        if not id:
            self.edited.emit(None)
        elif axis is None or axis.source != id:
            backbone = getattr(self._pipeline.source(id).parameters, "backbone", "")
            self.edited.emit({"source": id, "values": [backbone]})

    def _added(self) -> None:
        name = str(self.more.currentData() or "")
        if name:
            self._tell([*self._typed(), name])

    def _typed(self) -> list[str]:
        return self.values.text().replace(",", " ").split()

    def _tell(self, values: list[str]) -> None:
        plain = edits.plain_backbones(self._pipeline) if self._pipeline is not None else None
        if plain is None or plain["values"] == values:
            return
        if not values or len(set(values)) < len(values):
            self._show_problem(tr("Expected names of backbones that differ, such as resnet20, resnet56."))
            return
        self.edited.emit({**plain, "values": values})


def _own_in_words(axis: BackboneAxis | None) -> str:
    """ "resnet56: stages.pruned.ratio 0.6", a line for each backbone."""
    own: dict[str, dict[str, Any]] = axis.own if axis is not None else {}
    return "\n".join(
        f"{value}: {', '.join(f'{path} {setting}' for path, setting in settings.items())}"
        for value, settings in own.items()
    )


def _label(words: str, buddy: QWidget | None = None) -> QLabel:
    label = text(words)
    label.setFixedWidth(LABEL_WIDTH)
    if buddy is not None:
        label.setBuddy(buddy)
    return label
