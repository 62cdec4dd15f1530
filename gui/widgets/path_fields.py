"""Editors for paths and networks, which a dialog picks; and the editor for any parameter."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QPushButton

from core.common.declarations import ParameterDeclaration
from core.common.paths import resolved
from gui.base.translation import tr
from gui.widgets.fields import (
    ChoiceField,
    Field,
    FloatField,
    IntField,
    Option,
    OptionalField,
    ShareField,
    TextField,
    ToggleField,
)


class PathField(TextField):
    """A path with a button that picks a file, a folder, or either."""

    def __init__(self, declaration: ParameterDeclaration):
        super().__init__(declaration)
        self.base = Path()
        self.buttons: list[QPushButton] = []
        self.set_kind(declaration.path)

    def set_kind(self, path: str) -> None:
        """`path`: "file", "folder", "file or folder", each with ":Filter (*.x)" behind it, or "none"."""
        for button in self.buttons:
            button.setParent(None)
            button.deleteLater()
        kind, _, self._filter = path.partition(":")
        self.buttons = []
        for what in ("file", "folder"):
            if what in kind:
                button = QPushButton(tr("Browse…") if kind == what else f"{what.capitalize()}…")
                button.setObjectName(f"pick-{what}")
                button.setAccessibleName(tr("Pick a {what}", what=what))
                button.clicked.connect(lambda _=False, what=what: self._pick(what))
                self.layout().addWidget(button)  # type: ignore[union-attr]
                self.buttons.append(button)
        self.setEnabled(kind != "none")

    def _pick(self, what: str) -> None:
        start = str(resolved(self.value(), self.base)) if self.value() else str(self.base)
        if what == "folder":
            chosen = QFileDialog.getExistingDirectory(self, tr("Pick a folder"), start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, tr("Pick a file"), start, self._filter)
        if chosen:
            self.line.setText(chosen)
            self._finished()


class ReferenceField(ChoiceField):
    """A choice among networks that are there, with a button that picks a checkpoint folder instead."""

    def __init__(self, declaration: ParameterDeclaration, options: Sequence[Option] = ()):
        super().__init__(declaration, options)
        self.base = Path()
        self.button = QPushButton(tr("Browse…"))
        self.button.setObjectName("pick-checkpoint")
        self.button.setAccessibleName(tr("{label}: pick a checkpoint folder", label=declaration.label))
        self.button.setToolTip(tr("Pick the checkpoint folder of a stage of an earlier run"))
        self.button.clicked.connect(self._pick)
        self.layout().addWidget(self.button)  # type: ignore[union-attr]

    def _pick(self) -> None:
        start = str(resolved(self.value(), self.base)) if "/" in self.value() else str(self.base)
        chosen = QFileDialog.getExistingDirectory(self, tr("Pick a checkpoint folder"), start)
        if chosen:
            self.show_value(chosen)
            self.changed.emit(chosen)


def make_field(
    declaration: ParameterDeclaration, options: Sequence[Option] | None = None, folder: bool = False
) -> Field:
    """The editor for a parameter; `options` where a catalogue knows the values.

    `folder`: a value may also be a checkpoint folder that a person picks.
    """
    if folder:
        return ReferenceField(declaration, options or ())
    if options is not None or declaration.kind == "choice":
        return ChoiceField(declaration, options or ())
    if declaration.path:
        return PathField(declaration)
    if declaration.kind == "bool":
        return ToggleField(declaration)
    if declaration.optional and declaration.kind in ("int", "float"):
        return OptionalField(declaration)
    if declaration.kind == "int":
        return IntField(declaration)
    if declaration.kind == "float":
        return ShareField(declaration) if declaration.is_share else FloatField(declaration)
    return TextField(declaration)
