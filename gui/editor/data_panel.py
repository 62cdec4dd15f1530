"""What stands beside the list for the data: one form, for the data section or one data set of an axis."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.document import edits
from core.document.pipeline import Pipeline
from gui.base.translation import tr
from gui.editor.data_sets_bar import DataSetsBar
from gui.editor.panels import Panel
from gui.widgets.buttons import line, text
from gui.widgets.fields import Option
from gui.widgets.form import Form, SettingPath
from gui.widgets.path_fields import PathField


class DataPanel(Panel):
    """The data set, its splits, its size, its augmentation; of several, what they have in common and what differs."""

    def __init__(self) -> None:
        super().__init__()
        self.column.addWidget(text(tr("Data"), "heading"))
        self.column.addWidget(line())
        self.data_sets = DataSetsBar()
        self.data_sets.chosen.connect(self._choose)
        self.data_sets.edited.connect(self._spread)
        self.column.addWidget(self.data_sets)
        self.form = Form(DataSettings, {"source": [Option(s.id, s.title, s.help) for s in SOURCES.values()]})
        self.form.edited.connect(self._edited)
        self.column.addWidget(self.form)
        self.column.addStretch(1)
        self._shown = ""
        self._base = Path()
        self._problems: Mapping[SettingPath, str] = {}

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[SettingPath, str]) -> None:
        self.pipeline, self._base, self._problems = pipeline, base, problems
        self._choose()

    def _choose(self) -> None:
        """Show the settings that are in force: of every data set, or of the one that is chosen."""
        assert self.form is not None and self.pipeline is not None
        self.data_sets.show_pipeline(self.pipeline, self._problems)
        name = self.data_sets.shown
        shown = edits.plain_data(self.pipeline, name)
        source = SOURCES.get(str(shown.get("source", DataSettings().source)))
        picker = self.form.field(("path",))
        if source is not None and isinstance(picker, PathField) and source.id != self._shown:
            self._shown = source.id
            picker.set_kind(f"{source.path_kind}:{source.file_filter}")
            needed = source.path_kind != "none"
            picker.line.setPlaceholderText(
                tr("Pick a {path_kind}", path_kind=source.path_kind)
                if needed
                else tr("Not needed for this data set")
            )
        inside = ("axes", "data", "values", name)
        problems = {
            where[len(inside) :]: words
            for where, words in self._problems.items()
            if where[: len(inside)] == inside
        }
        self.form.set_base(self._base)
        self.form.show_settings(shown)
        self.form.show_problems(problems if name else self._problems)

    def _spread(self, axis: dict[str, Any] | None, words: str) -> None:
        assert self.pipeline is not None
        self.edited.emit(edits.set_data_axis(self.pipeline, axis), words, "")

    def _edited(self, where: SettingPath, value: object, unset: bool) -> None:
        assert self.pipeline is not None
        name = self.data_sets.shown
        if name:
            changed = edits.set_data_of(self.pipeline, name, where, value, unset)
        else:
            changed = edits.set_data(self.pipeline, where, value, unset)
        words = tr("Change {where}", where=where[-1].replace("_", " "))
        self.edited.emit(changed, words, f"data/{name}/{'/'.join(where)}")
