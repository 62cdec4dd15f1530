"""What stands beside the list: the selected card's settings."""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (  # fmt: skip
    QComboBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.models.catalogue import BACKBONES
from core.pipeline import Pipeline, SourceNode, StageNode, is_path
from gui.editor import edits
from gui.widgets.buttons import line, text
from gui.widgets.declared import settings_class
from gui.widgets.fields import Option, PathField
from gui.widgets.form import LABEL_WIDTH, Form, Where


class Panel(QWidget):
    """Base of the panels.

    Signals:
        edited: a new pipeline, the name of the step, and which steps become one.
    """

    edited = Signal(object, str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "page")
        self.pipeline: Pipeline | None = None
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 16, 20, 20)
        self.column.setSpacing(10)
        self.form: Form | None = None

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[Where, str]) -> None:
        """Show the document's current state."""
        raise NotImplementedError

    def focus(self, where: Where) -> None:
        """Put the cursor into a setting."""
        if self.form is not None:
            self.form.focus(where)


class NodePanel(Panel):
    """A source or a stage: name, kind, what it continues, its settings."""

    def __init__(self, node: SourceNode | StageNode):
        super().__init__()
        self.id = node.id
        self.name = QLineEdit()
        self.name.setObjectName("node-name")
        self.name.setProperty("role", "name")
        self.name.setAccessibleName("Name")
        self.name.setToolTip("The name that tables and curves show")
        self.name.setMaxLength(60)
        self.name.editingFinished.connect(self._renamed)
        self.column.addWidget(self.name)
        title, help = (
            (node.stage.title, node.stage.help) if isinstance(node, StageNode) else _source_words(node)
        )
        self.column.addWidget(text(f"{title}  ·  id {node.id}", "section"))
        self.column.addWidget(text(help, "muted", wrap=True))
        self.parent_box: QComboBox | None = None
        if isinstance(node, StageNode):
            self.column.addLayout(self._continues())
        self.column.addWidget(line())
        self.teachers = edits.references(node.kind) if isinstance(node, StageNode) else ()
        options: dict[str, list[Option]] = {name: [] for name in self.teachers}
        if isinstance(node, SourceNode) and node.kind == "backbone":
            options["backbone"] = [Option(b.id, b.title, b.help) for b in BACKBONES.values()]
        self.form = Form(settings_class(node), options)
        self.form.edited.connect(self._edited)
        self.column.addWidget(self.form)
        self.column.addStretch(1)

    def _continues(self) -> QGridLayout:
        self.parent_box = QComboBox()
        self.parent_box.setObjectName("node-parent")
        self.parent_box.setAccessibleName("Continues")
        self.parent_box.setToolTip(
            "The stage or network whose result this stage takes; choose an earlier one to start a branch"
        )
        self.parent_box.setMinimumWidth(232)
        self.parent_box.activated.connect(self._parent_chosen)
        row = QGridLayout()
        row.setHorizontalSpacing(10)
        row.setColumnMinimumWidth(0, LABEL_WIDTH)
        label = QLabel("Continues")
        label.setBuddy(self.parent_box)
        row.addWidget(label, 0, 0)
        row.addWidget(self.parent_box, 0, 1)
        row.setColumnStretch(2, 1)
        return row

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[Where, str]) -> None:
        self.pipeline = pipeline
        node = edits.find_node(pipeline, self.id)
        names = edits.titles(pipeline)
        if not self.name.hasFocus():
            self.name.setText(names[self.id])
        if isinstance(node, StageNode) and self.parent_box is not None:
            self.parent_box.clear()
            for parent in edits.possible_parents(pipeline, self.id):
                self.parent_box.addItem(names[parent], parent)
            wanted = edits.parent_of(pipeline, pipeline.stages.index(node))
            self.parent_box.setCurrentIndex(self.parent_box.findData(wanted))
        assert self.form is not None
        for field in self.teachers:
            self._offer_teachers(pipeline, node, field, names)
        self.form.set_base(base)
        self.form.show_settings(node.settings)
        self.form.show_problems(problems)

    def _offer_teachers(
        self, pipeline: Pipeline, node: SourceNode | StageNode, field: str, names: dict[str, str]
    ) -> None:
        before = pipeline.stage_ids[: pipeline.stage_ids.index(node.id)]
        options = [Option(id, names[id]) for id in before if pipeline.stage(id).enabled]
        value = str(node.settings.get(field, ""))
        if is_path(value):
            options.append(Option(value, value, "A checkpoint folder."))
        assert self.form is not None
        self.form.set_options(field, options)

    def _renamed(self) -> None:
        if self.pipeline is not None and self.name.text().strip() != edits.titles(self.pipeline)[self.id]:
            self.edited.emit(edits.rename(self.pipeline, self.id, self.name.text().strip()), "Rename", "")

    def _parent_chosen(self) -> None:
        assert self.pipeline is not None and self.parent_box is not None
        chosen = str(self.parent_box.currentData())
        self.edited.emit(edits.set_parent(self.pipeline, self.id, chosen), "Continue another stage", "")

    def _edited(self, where: Where, value: object, unset: bool) -> None:
        assert self.pipeline is not None
        changed = edits.set_setting(self.pipeline, self.id, where, value, unset)
        self.edited.emit(changed, f"Change {where[-1].replace('_', ' ')}", f"{self.id}/{'/'.join(where)}")


class DataPanel(Panel):
    """The data set, its splits, its size, its augmentation."""

    def __init__(self) -> None:
        super().__init__()
        self.column.addWidget(text("Data", "heading"))
        self.column.addWidget(line())
        self.form = Form(DataSettings, {"source": [Option(s.id, s.title, s.help) for s in SOURCES.values()]})
        self.form.edited.connect(self._edited)
        self.column.addWidget(self.form)
        self.column.addStretch(1)
        self._shown = ""

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[Where, str]) -> None:
        self.pipeline = pipeline
        assert self.form is not None
        source = SOURCES.get(pipeline.data.source)
        picker = self.form.field(("path",))
        if source is not None and isinstance(picker, PathField) and source.id != self._shown:
            self._shown = source.id
            picker.set_kind(f"{source.path_kind}:{source.file_filter}")
            needed = source.path_kind != "none"
            picker.line.setPlaceholderText(
                f"Pick a {source.path_kind}" if needed else "Not needed for this data set"
            )
        self.form.set_base(base)
        self.form.show_settings(pipeline.as_dict().get("data", {}))
        self.form.show_problems(problems)

    def _edited(self, where: Where, value: object, unset: bool) -> None:
        assert self.pipeline is not None
        changed = edits.set_data(self.pipeline, where, value, unset)
        self.edited.emit(changed, f"Change {where[-1].replace('_', ' ')}", f"data/{'/'.join(where)}")


def _source_words(node: SourceNode) -> tuple[str, str]:
    if node.kind == "backbone":
        return (
            "Network",
            "The backbone, its classifier, the Feature Enhancement Module and what training starts from.",
        )
    return "Checkpoint", "A network that an earlier run made."
