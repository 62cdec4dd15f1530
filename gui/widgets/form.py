"""A form made only from a declaration: labels, help, units, bounds and choices come from `core`.

The form shows plain settings as they stand in the file and emits which one a person changed; it
keeps nothing itself.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QGridLayout,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.common.declarations import ParameterDeclaration, declarations, plain_value
from core.common.params import Params
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.fields import ChoiceField, Field, Option, TextField
from gui.widgets.fold import Fold, keep_space
from gui.widgets.free_button import FreeButton
from gui.widgets.path_fields import PathField, ReferenceField, make_field

Options = Mapping[str, Sequence[Option]]
SettingPath = tuple[str, ...]

LABEL_WIDTH = 140
INDENT = 18
FIELD_WIDTH = 232
_NARROWEST = 176
_FREE_BUTTON = 24  # pixels that a field gives up beside the button that sets it free
_FREEABLE = ("int", "float", "bool", "choice")
_READABLE = 560  # pixels: longer lines of help are hard to read


class Form(QWidget):
    """Rows for every parameter of `model`; nested declarations fold, advanced ones are under "More".

    What is folded is made when it is opened, or has a problem to show.

    Signals:
        edited: path of the setting, its new value, and whether it goes back to its default.
        mend_wanted: path of the setting whose problem is to be mended as its button says.
        filled: path of a group, and values by name that a preset gives settings in it.
        freed: path of a setting that is to be free, and the text of its values: "" where it was bound, None to bind it.

    Args:
        options: values that a catalogue knows, by name of the setting.
        folders: settings whose value may also be a checkpoint folder.
        freeable: whether settings can be set free for a search.
    """

    edited = Signal(tuple, object, bool)
    mend_wanted = Signal(tuple)
    filled = Signal(tuple, dict)
    freed = Signal(tuple, object)

    def __init__(
        self,
        model: type[Params],
        options: Options | None = None,
        where: SettingPath = (),
        folders: Collection[str] = (),
        freeable: bool = False,
    ):
        super().__init__()
        self.model, self._where, self._folders, self._freeable = model, where, folders, freeable
        self.rows: dict[str, _Row] = {}
        self.groups: dict[str, Form] = {}
        self._folds: dict[str, Fold] = {}
        self._shown: dict[str, Callable[[], None]] = {}  # what rows that are made later have to show
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        fields = declarations(model)
        plain = [field for field in fields if field.kind != "group"]
        options = options or {}
        first = [field for field in plain if not field.advanced]
        if model.presets:
            layout.addWidget(self._presets())
        if first:
            layout.addWidget(self._grid(first, options))
        for field in fields:
            if field.group is not None:
                layout.addWidget(self._group(field))
        advanced = [field for field in plain if field.advanced]
        if advanced:
            words = tr("{count} seldom changed", count=len(advanced))
            fold = Fold(tr("More"), words, partial(self._grid, advanced, options))
            fold.button.setObjectName(f"fold-{'.'.join((*where, 'more'))}")
            self._folds.update({field.name: fold for field in advanced})
            layout.addWidget(fold)

    def _presets(self) -> QWidget:
        """A button whose menu fills several settings in at once."""
        button = QPushButton(tr("Fill in…"))
        button.setObjectName(f"preset-{'.'.join(self._where)}")
        button.setToolTip(tr("Sets values that belong together; the other settings stay as they are"))
        button.setMaximumWidth(FIELD_WIDTH)
        button.setAutoDefault(False)
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        for preset in self.model.presets:
            entry = menu.addAction(tr(preset.title))
            entry.setToolTip(tr(preset.help))
            entry.setData(dict(preset.values))
        menu.triggered.connect(lambda entry: self.filled.emit(self._where, entry.data()))
        button.setMenu(menu)
        return button

    def _grid(self, fields: Sequence[ParameterDeclaration], options: Options) -> QWidget:
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(10)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH - INDENT * len(self._where))
        grid.setColumnStretch(1, 1)
        for index, field in enumerate(fields):
            control = make_field(field, options.get(field.name), field.name in self._folders)
            where = (*self._where, field.name)
            row = _Row(field, control, where, self.edited.emit, self.mend_wanted.emit)
            row.add_to(grid, index)
            if self._freeable and field.kind in _FREEABLE:
                row.be_freeable(partial(self.freed.emit, where))
            self.rows[field.name] = row
        self._show_again()
        return page

    def _group(self, field: ParameterDeclaration) -> Fold:
        fold = Fold(field.label, field.help, partial(self._group_form, field), opened=not self._where)
        fold.button.setObjectName(f"fold-{'.'.join((*self._where, field.name))}")
        self._folds[field.name] = fold
        return fold

    def _group_form(self, field: ParameterDeclaration) -> "Form":
        assert field.group is not None
        form = Form(field.group, where=(*self._where, field.name), freeable=self._freeable)
        form.edited.connect(self.edited)
        form.filled.connect(self.filled)
        form.freed.connect(self.freed)
        form.mend_wanted.connect(self.mend_wanted)
        form.setContentsMargins(INDENT, 4, 0, 4)
        self.groups[field.name] = form
        self._show_again()
        return form

    def _show_again(self) -> None:
        for show in tuple(self._shown.values()):
            show()

    def show_settings(self, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> None:
        """Show these settings; `defaults` where a group's default differs from its declaration."""
        self._shown["settings"] = partial(self.show_settings, settings, defaults)
        for field in declarations(self.model):
            default = (defaults or {}).get(field.name, plain_value(field.default))
            if field.name in self.groups:
                inner = settings.get(field.name)
                self.groups[field.name].show_settings(default if inner is None else inner, default)
            elif field.name in self.rows:
                self.rows[field.name].show_value(
                    settings.get(field.name, plain_value(field.default)), default
                )
        self._hide_what_does_not_matter(settings)

    def _hide_what_does_not_matter(self, settings: Mapping[str, Any]) -> None:
        fields = declarations(self.model)
        values = {field.name: settings.get(field.name, plain_value(field.default)) for field in fields}
        folded: list[bool] = []  # of the rows under "More": whether they apply
        for field in fields:
            if field.group is not None:
                continue
            applies = field.when is None or field.when.holds(values)
            if field.name in self.rows:
                row = self.rows[field.name]
                row.set_applies(applies)
                applies = row.applies
            if field.name in self._folds:
                folded.append(applies)
                more = self._folds[field.name]
        if folded:
            more.note.setText(tr("{count} seldom changed", count=sum(folded)))
            more.setVisible(any(folded))

    def show_free(self, free: Mapping[SettingPath, str]) -> None:
        """Show which settings are free, with the text of their values; paths start in this form."""
        self._shown["free"] = partial(self.show_free, free)
        for name, row in self.rows.items():
            row.show_free(free.get((name,)))
        for name, form in self.groups.items():
            form.show_free({where[1:]: text for where, text in free.items() if where[:1] == (name,)})

    def show_problems(
        self, problems: Mapping[SettingPath, str], fixes: Mapping[SettingPath, str] | None = None
    ) -> None:
        """Show sentences at their fields, and buttons with the words of fixes; paths start in this form."""
        fixes = fixes or {}
        self._shown["problems"] = partial(self.show_problems, problems, fixes)
        for name in {where[0] for where in problems if where} & self._folds.keys():
            self._folds[name].button.setChecked(True)
        for name, row in self.rows.items():
            row.show_problem(problems.get((name,), ""), fixes.get((name,), ""))
        for name, form in self.groups.items():
            inner = {where[1:]: text for where, text in problems.items() if where and where[0] == name}
            form.show_problems(
                inner, {where[1:]: words for where, words in fixes.items() if where[:1] == (name,)}
            )

    def retheme(self) -> None:
        """Take icons of the theme; the rows take theirs when settings and problems are shown."""
        for fold in set(self._folds.values()):
            fold.retheme()
        for form in self.groups.values():
            form.retheme()

    def has(self, where: SettingPath) -> bool:
        """Whether a setting has a row here."""
        return _declared(self.model, where)

    def set_base(self, base: Path) -> None:
        """The folder where path pickers start."""
        self._shown["base"] = partial(self.set_base, base)
        for row in self.rows.values():
            if isinstance(row.field, PathField | ReferenceField):
                row.field.base = base

    def set_options(self, name: str, options: Sequence[Option]) -> None:
        """Offer other values in a combo box."""
        self._shown[f"options of {name}"] = partial(self.set_options, name, options)
        row = self.rows.get(name)
        if row is not None and isinstance(row.field, ChoiceField):
            row.field.set_options(options)

    def field(self, where: SettingPath) -> Field:
        """The editor of a setting; the path starts in this form."""
        if where[0] in self._folds:
            self._folds[where[0]].build()
        return self.groups[where[0]].field(where[1:]) if len(where) > 1 else self.rows[where[0]].field

    def focus(self, where: SettingPath) -> None:
        """Open what hides a setting and put the cursor into it."""
        if not where:
            return
        if where[0] in self._folds:
            self._folds[where[0]].button.setChecked(True)
        if where[0] in self.groups:
            self.groups[where[0]].focus(where[1:])
        elif where[0] in self.rows:
            self.rows[where[0]].field.main.setFocus(Qt.FocusReason.OtherFocusReason)


def _declared(model: type[Params], where: SettingPath) -> bool:
    field = next((field for field in declarations(model) if where[:1] == (field.name,)), None)
    if field is None or field.group is None:
        return field is not None and len(where) == 1
    return len(where) > 1 and _declared(field.group, where[1:])


class _Row:
    """Label, editor, reset, help of one parameter."""

    def __init__(
        self,
        declaration: ParameterDeclaration,
        field: Field,
        where: SettingPath,
        edited: Callable[[SettingPath, Any, bool], None],
        mend: Callable[[SettingPath], None],
    ):
        self.declaration = declaration
        self.field = field
        name = ".".join(where)
        self.field.setObjectName(f"row-{name}")
        self.field.main.setObjectName(f"field-{name}")
        self.field.main.setAccessibleName(declaration.label)
        self.field.main.setAccessibleDescription(declaration.help)
        for box in self.field.findChildren(QAbstractSpinBox):
            if box is not self.field.main:  # an optional number: the check box is in front
                box.setObjectName(f"value-{name}")
                box.setAccessibleName(declaration.label)
                box.setToolTip(declaration.help)
        self.field.main.setToolTip(declaration.help)
        wide = bool(declaration.path) or isinstance(field, ReferenceField)
        self.field.setMaximumWidth(FIELD_WIDTH + 240 if wide else FIELD_WIDTH)
        self.field.setMinimumWidth(_NARROWEST)
        self.reset = QToolButton()
        self.reset.setObjectName(f"reset-{name}")
        self.reset.setAccessibleName(tr("Reset {label}", label=declaration.label))
        self.reset.setSizePolicy(keep_space(self.reset))
        self.reset.clicked.connect(lambda: edited(where, None, True))
        self.field.changed.connect(lambda value: edited(where, value, False))
        self.field.changed.connect(lambda _value: self._show_help())
        self.label = text("" if declaration.kind == "bool" else declaration.label)
        self.label.setBuddy(self.field.main)
        self.label.setWordWrap(True)
        self.help = text()
        self.help.setProperty("role", "help")
        self.help.setWordWrap(True)
        self.help.setMaximumWidth(_READABLE)
        self.problem = text()
        self.problem.setObjectName(f"problem-{name}")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.mend = QPushButton()
        self.mend.setObjectName(f"mend-{name}")
        self.mend.setAccessibleName(tr("Mend the problem"))
        self.mend.setProperty("role", "mend")
        self.mend.clicked.connect(lambda: mend(where))
        self.mend.hide()
        self.cell = QWidget()
        self.applies = True
        self.free: FreeButton | None = None

    def add_to(self, grid: QGridLayout, index: int) -> None:
        """One line of the grid: the label, and beside it the editor with its help and its problem below."""
        line = QHBoxLayout()
        line.setSpacing(4)
        line.addWidget(self.field, 100)  # as wide as it may be, before the empty rest gets anything
        if isinstance(self.field, PathField):
            self.field.line.setPlaceholderText(self.declaration.help)
        line.addWidget(self.reset)
        line.addStretch(1)
        self._line = line
        column = QVBoxLayout(self.cell)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(line)
        column.addWidget(self.help)
        column.addWidget(self.problem)
        column.addWidget(self.mend, 0, Qt.AlignmentFlag.AlignLeft)
        self.label.setMinimumHeight(self.field.sizeHint().height())
        grid.addWidget(self.label, index, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.cell, index, 1)
        self._show_help()

    def be_freeable(self, freed: Callable[[str | None], None]) -> None:
        """Offer to set it free; its values then stand in the place of its value."""
        self.free = FreeButton(
            self.field.main.objectName().removeprefix("field-"), self.declaration.label, freed
        )
        self.field.setMinimumWidth(_NARROWEST - _FREE_BUTTON)
        self._line.insertWidget(0, self.free.values, 100)
        self._line.insertWidget(self._line.count() - 1, self.free)

    def show_free(self, values: str | None) -> None:
        """The text of its values where it is free, else None."""
        if self.free is None:
            return
        if (
            values is not None
        ):  # hidden before the other is shown: for a moment both would make the form wider
            self.field.setVisible(False)
            self.reset.setVisible(False)
        self.free.show_free(values)
        self.field.setVisible(values is None)

    def set_applies(self, applies: bool) -> None:
        """Show the row, or hide it while other settings make it meaningless."""
        self.applies = applies or bool(self.problem.text())
        self.label.setVisible(self.applies)
        self.cell.setVisible(self.applies)

    def show_value(self, value: Any, default: Any) -> None:
        if isinstance(self.field, TextField) or self.field.value() != value:
            self.field.show_value(value)
        self._show_help()
        shown = default if default not in (None, "") else tr("not set")
        self.reset.setVisible(value != default and not self.declaration.required)
        self.reset.setIcon(theme.icon("reset", "muted"))
        self.reset.setToolTip(tr("Back to the default: {shown}", shown=shown))

    def show_problem(self, text: str, fix: str = "") -> None:
        self.mend.setVisible(bool(fix))
        self.mend.setText(fix)
        self.mend.setIcon(theme.icon("mend"))
        self.problem.setText(f"⚠ {text}" if text else "")
        self.problem.setVisible(bool(text))
        if text:
            self.set_applies(True)  # what is wrong is never hidden
        theme.mark(self.field.main, "problem", bool(text))

    def _show_help(self) -> None:
        self.help.setText(self.field.sentence() or self.declaration.help)
        self.help.setHidden(isinstance(self.field, PathField) and not self.field.value())
