"""What stands beside the list: the selected card's settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (  # fmt: skip
    QComboBox,
    QGridLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.document import edits, stage_tree
from core.document.own_code import UntrustedFile
from core.document.pipeline import Pipeline, SourceNode, StageNode, is_path, settings_class
from core.sources.catalogue import SOURCE_KINDS
from core.whatif import Forecast
from gui.base import theme
from gui.base.translation import tr
from gui.editor import free_settings
from gui.editor.forecast_strip import ForecastStrip
from gui.editor.trusting import TrustBox
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.fields import ChoiceField, Option, show_text
from gui.widgets.form import FIELD_WIDTH, LABEL_WIDTH, Form, SettingPath


class Panel(QWidget):
    """Base of the panels.

    Signals:
        edited: a new pipeline, the name of the step, and which steps become one.
        mend_wanted: the setting whose problem is to be mended.
    """

    edited = Signal(object, str, str)
    mend_wanted = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "page")
        self.pipeline: Pipeline | None = None
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 16, 20, 20)
        self.column.setSpacing(10)
        self.form: Form | None = None

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[SettingPath, str]) -> None:
        """Show the document's current state."""
        raise NotImplementedError

    def show_fixes(self, problems: Mapping[SettingPath, str], fixes: Mapping[SettingPath, str]) -> None:
        """Show problems again, with buttons in the words of what mends them."""
        if self.form is not None:
            self.form.show_problems(problems, fixes)

    def set_low(self, low: bool) -> None:
        """Whether the window is low: what stands above the settings takes less room."""

    def show_untrusted(self, file: UntrustedFile | None) -> None:
        """Ask about a Python file that the card would run."""

    def show_validation_images(self, count: int | None) -> None:
        """How many validation images the data set has; None while that is not known."""

    def show_forecast(
        self, now: Forecast | None, before: Forecast | None, seconds: float | None, otherwise: str
    ) -> None:
        """Show what the stage would leave."""

    def retheme(self) -> None:
        """Take icons of the theme; the others follow when the document is shown."""
        if self.form is not None:
            self.form.retheme()

    def rename(self) -> None:
        """Put the cursor into the name."""

    def focus(self, where: SettingPath) -> None:
        """Put the cursor into a setting."""
        if self.form is not None:
            self.form.focus(where)


class NodePanel(Panel):
    """A source or a stage: name, kind, what it continues, its forecast, its settings.

    Args:
        checkpoints: asked for networks of finished runs, where one can start from or learn from them.
    """

    def __init__(
        self, node: SourceNode | StageNode, checkpoints: Callable[[], Sequence[Option]] = lambda: ()
    ):
        super().__init__()
        self.id = node.id
        self.name = QLineEdit()
        self.name.setObjectName("node-name")
        self.name.setProperty("role", "name")
        self.name.setAccessibleName(tr("Name"))
        self.name.setToolTip(tr("The name that tables and curves show"))
        self.name.setMaxLength(60)
        self.name.editingFinished.connect(self._renamed)
        self.column.addWidget(self.name)
        kind = node.stage if isinstance(node, StageNode) else node.source
        title = text(tr("{title}  ·  id {id}", title=tr(kind.title), id=node.id), "section")
        title.setToolTip(tr(kind.help))
        self.about = text(tr(kind.help), "muted", wrap=True)
        self.column.addWidget(title)
        self.column.addWidget(self.about)
        self.notice = text("", "problem", wrap=True)
        self.notice.setObjectName("node-problem")
        self.notice.hide()
        self.column.addWidget(self.notice)
        self.trust = TrustBox()
        self.column.addWidget(self.trust)
        self.mend = QPushButton()
        self.mend.setObjectName("node-mend")
        self.mend.setAccessibleName(tr("Mend the problem"))
        self.mend.setProperty("role", "mend")
        self.mend.hide()
        self.mend.clicked.connect(lambda: self.mend_wanted.emit(self._mendable))
        self._mendable: SettingPath = ()
        self.column.addWidget(self.mend, 0, Qt.AlignmentFlag.AlignLeft)
        self.parent_box: QComboBox | None = None
        self.kind_box: QComboBox | None = None
        self.column.addLayout(self._continues() if isinstance(node, StageNode) else self._kinds(node))
        self.strip = ForecastStrip()
        self.column.addWidget(self.strip)
        self.teachers = stage_tree.references(node.kind) if isinstance(node, StageNode) else ()
        self.form = self._form(node, checkpoints)
        self.form.edited.connect(self._edited)
        self.form.filled.connect(self._filled)
        self.form.freed.connect(self._freed)
        self.form.mend_wanted.connect(self.mend_wanted)
        self.column.addWidget(self.form)
        self.column.addStretch(1)

    def _form(self, node: SourceNode | StageNode, checkpoints: Callable[[], Sequence[Option]]) -> Form:
        """The form of its settings, with what is known to choose from."""
        source = node.source if isinstance(node, SourceNode) else None
        folders = list(self.teachers)
        if source is not None and source.checkpoint_setting:
            folders.append(source.checkpoint_setting)
        self._checkpoints = list(checkpoints()) if folders else []
        options: dict[str, list[Option]] = {name: [] for name in self.teachers}
        options |= {name: self._checkpoints for name in folders if name not in options}
        offers = source.offers() if source is not None else {}
        for name, offered in offers.items():
            options[name] = [Option(each.value, each.title, each.help) for each in offered.values]
        form = Form(settings_class(node), options, folders=folders, freeable=True)
        for name, offered in offers.items():
            names = form.field((name,))
            if isinstance(names, ChoiceField):
                names.allow_others(tr(offered.others))
        return form

    def _kinds(self, node: SourceNode) -> QGridLayout:
        self.kind_box = Combo("source-kind")
        for source in SOURCE_KINDS.values():
            self.kind_box.addItem(tr(source.title), source.id)
            self.kind_box.setItemData(self.kind_box.count() - 1, tr(source.help), Qt.ItemDataRole.ToolTipRole)
        self.kind_box.setCurrentIndex(self.kind_box.findData(node.kind))
        self.kind_box.activated.connect(self._kind_chosen)
        return _labelled(tr("Start from"), self.kind_box, tr("What the chain starts from"))

    def _kind_chosen(self) -> None:
        assert self.pipeline is not None and self.kind_box is not None
        kind = str(self.kind_box.currentData())
        if kind != self.pipeline.source(self.id).kind:
            changed = edits.set_source_kind(self.pipeline, self.id, kind)
            self.edited.emit(changed, tr("Start from another kind of source"), "")

    def _continues(self) -> QGridLayout:
        self.parent_box = Combo("node-parent")
        self.parent_box.activated.connect(self._parent_chosen)
        help = tr(
            "The stage or network whose result this stage takes; choose an earlier one to start a branch"
        )
        return _labelled(tr("Continues"), self.parent_box, help)

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[SettingPath, str]) -> None:
        self.pipeline = pipeline
        node = edits.find_node(pipeline, self.id)
        names = edits.titles(pipeline)
        show_text(self.name, names[self.id])
        if isinstance(node, StageNode) and self.parent_box is not None:
            self.parent_box.clear()
            for parent in stage_tree.possible_parents(pipeline, self.id):
                self.parent_box.addItem(names[parent], parent)
            continued = pipeline.written_parent(node)
            self.parent_box.setCurrentIndex(self.parent_box.findData(continued))
        assert self.form is not None
        for field in self.teachers:
            self._offer_teachers(pipeline, node, field, names)
        self.form.set_base(base)
        self.form.show_settings(node.settings)
        self.form.show_free(free_settings.free_of(pipeline, node))
        self.show_fixes(problems, {})

    def show_fixes(self, problems: Mapping[SettingPath, str], fixes: Mapping[SettingPath, str]) -> None:
        assert self.form is not None
        self.form.show_problems(problems, fixes)
        node_problems = [where for where in problems if not self.form.has(where)]
        self.notice.setText("\n".join(f"⚠ {problems[where]}" for where in node_problems))
        self.notice.setVisible(bool(node_problems))
        fixable = [where for where in node_problems if where in fixes]
        self._mendable = fixable[0] if fixable else ()
        self.mend.setVisible(bool(fixable))
        if fixable:
            self.mend.setText(fixes[fixable[0]])
            self.mend.setIcon(theme.icon("mend"))

    def show_forecast(
        self, now: Forecast | None, before: Forecast | None, seconds: float | None, otherwise: str
    ) -> None:
        self.strip.show_forecast(now, before, seconds, otherwise)

    def set_low(self, low: bool) -> None:
        self.about.setVisible(not low)
        self.strip.set_low(low)

    def show_untrusted(self, file: UntrustedFile | None) -> None:
        self.trust.show_file(file)

    def rename(self) -> None:
        self.name.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.name.selectAll()

    def _offer_teachers(
        self, pipeline: Pipeline, node: SourceNode | StageNode, field: str, names: dict[str, str]
    ) -> None:
        before = pipeline.stage_ids[: pipeline.stage_ids.index(node.id)]
        options = [Option(id, names[id]) for id in before if pipeline.stage(id).enabled]
        value = str(node.settings.get(field, ""))
        options += self._checkpoints
        if is_path(value) and value not in {option.value for option in options}:
            options.append(Option(value, value, tr("A checkpoint folder.")))
        if field not in stage_tree.needed_references(node.kind):
            options.insert(0, Option("", tr("none")))
        assert self.form is not None
        self.form.set_options(field, options)

    def _renamed(self) -> None:
        if self.pipeline is not None and self.name.text().strip() != edits.titles(self.pipeline)[self.id]:
            self.edited.emit(edits.rename(self.pipeline, self.id, self.name.text().strip()), tr("Rename"), "")

    def _parent_chosen(self) -> None:
        assert self.pipeline is not None and self.parent_box is not None
        chosen = str(self.parent_box.currentData())
        self.edited.emit(
            stage_tree.set_parent(self.pipeline, self.id, chosen), tr("Continue another stage"), ""
        )

    def _edited(self, where: SettingPath, value: object, unset: bool) -> None:
        assert self.pipeline is not None
        changed = edits.set_setting(self.pipeline, self.id, where, value, unset)
        self.edited.emit(
            changed, tr("Change {where}", where=where[-1].replace("_", " ")), f"{self.id}/{'/'.join(where)}"
        )

    def _filled(self, where: SettingPath, values: Mapping[str, Any]) -> None:
        """Take a preset's values for the settings of a group."""
        assert self.pipeline is not None
        changed = edits.fill_settings(self.pipeline, self.id, where, values)
        self.edited.emit(changed, tr("Fill in {where}", where=where[-1].replace("_", " ")), "")

    def _freed(self, where: SettingPath, text: str | None) -> None:
        """Set a setting free, change its values, or bind it again."""
        assert self.pipeline is not None and self.form is not None
        node = edits.find_node(self.pipeline, self.id)
        try:
            changed = free_settings.changed(self.pipeline, node, where, text)
        except ValueError as error:
            self.form.show_problems({where: free_settings.reason(error)})
            return
        self.edited.emit(changed, tr("Change what is free"), f"free/{self.id}/{'/'.join(where)}")


def _labelled(words: str, box: QComboBox, help: str) -> QGridLayout:
    """A combo box with its label in the column of the form's labels."""
    box.setAccessibleName(words)
    box.setToolTip(help)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(14)
    box.setMinimumWidth(FIELD_WIDTH - 60)
    box.setMaximumWidth(FIELD_WIDTH)
    row = QGridLayout()
    row.setHorizontalSpacing(10)
    row.setColumnMinimumWidth(0, LABEL_WIDTH)
    label = text(words)
    label.setBuddy(box)
    row.addWidget(label, 0, 0)
    row.addWidget(box, 0, 1)
    row.setColumnStretch(1, 100)
    row.setColumnStretch(2, 1)
    return row
