"""A form made only from a declaration: labels, help, units, bounds and choices come from `core`.

The form shows plain settings as they stand in the file and tells which one a person changed; it
keeps nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.params import Params
from gui import theme
from gui.widgets.declared import Declared, declared, plain_value
from gui.widgets.fields import ChoiceField, Field, Option, PathField, make_field

Options = Mapping[str, Sequence[Option]]
Where = tuple[str, ...]

LABEL_WIDTH = 140
INDENT = 18
FIELD_WIDTH = 232


class Form(QWidget):
    """Rows for every parameter of `model`; nested declarations fold, advanced ones are under "More".

    Signals:
        edited: path of the setting, its new value, and whether it goes back to its default.
    """

    edited = Signal(tuple, object, bool)

    def __init__(self, model: type[Params], options: Options | None = None, where: Where = ()):
        super().__init__()
        self.model, self._where = model, where
        self.rows: dict[str, _Row] = {}
        self.groups: dict[str, Form] = {}
        self._folds: dict[str, Fold] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        fields = declared(model)
        plain = [field for field in fields if field.kind != "group"]
        options = options or {}
        first = [field for field in plain if not field.advanced]
        if first:
            layout.addWidget(self._grid(first, options))
        for field in fields:
            if field.group is not None:
                layout.addWidget(self._group(field))
        advanced = [field for field in plain if field.advanced]
        if advanced:
            fold = Fold("More", f"{len(advanced)} seldom changed", self._grid(advanced, options))
            fold.button.setObjectName(f"fold-{'.'.join((*where, 'more'))}")
            self._folds.update({field.name: fold for field in advanced})
            layout.addWidget(fold)

    def _grid(self, fields: Sequence[Declared], options: Options) -> QWidget:
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(7)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH - INDENT * len(self._where))
        grid.setColumnStretch(3, 1)
        for index, field in enumerate(fields):
            row = _Row(field, (*self._where, field.name), options.get(field.name), self.edited.emit)
            row.add_to(grid, index)
            self.rows[field.name] = row
        return page

    def _group(self, field: Declared) -> "Fold":
        assert field.group is not None
        form = Form(field.group, where=(*self._where, field.name))
        form.edited.connect(self.edited)
        form.setContentsMargins(INDENT, 4, 0, 4)
        fold = Fold(field.label, field.help, form, opened=not self._where)
        fold.button.setObjectName(f"fold-{'.'.join((*self._where, field.name))}")
        self.groups[field.name], self._folds[field.name] = form, fold
        return fold

    def show_settings(self, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> None:
        """Show these settings; `defaults` where a group's default differs from its declaration."""
        for field in declared(self.model):
            default = (defaults or {}).get(field.name, plain_value(field.default))
            if field.group is not None:
                inner = settings.get(field.name)
                self.groups[field.name].show_settings(default if inner is None else inner, default)
            else:
                self.rows[field.name].show_value(
                    settings.get(field.name, self._declared_default(field)), default
                )

    def _declared_default(self, field: Declared) -> Any:
        return plain_value(field.default)

    def show_problems(self, problems: Mapping[Where, str]) -> None:
        """Show sentences at their fields; the path starts in this form."""
        for name, row in self.rows.items():
            row.show_problem(problems.get((name,), ""))
        for name, form in self.groups.items():
            inner = {where[1:]: text for where, text in problems.items() if where and where[0] == name}
            form.show_problems(inner)
            if inner:
                self._folds[name].button.setChecked(True)

    def set_base(self, base: Path) -> None:
        """The folder where path pickers start."""
        for row in self.rows.values():
            if isinstance(row.field, PathField):
                row.field.base = base

    def set_options(self, name: str, options: Sequence[Option]) -> None:
        """Offer other values in a combo box."""
        field = self.rows[name].field
        if isinstance(field, ChoiceField):
            field.set_options(options)

    def field(self, where: Where) -> Field:
        """The editor of a setting; the path starts in this form."""
        return self.groups[where[0]].field(where[1:]) if len(where) > 1 else self.rows[where[0]].field

    def focus(self, where: Where) -> None:
        """Open what hides a setting and put the cursor into it."""
        if not where:
            return
        if where[0] in self._folds:
            self._folds[where[0]].button.setChecked(True)
        if where[0] in self.groups:
            self.groups[where[0]].focus(where[1:])
        elif where[0] in self.rows:
            self.rows[where[0]].field.main.setFocus(Qt.FocusReason.OtherFocusReason)


class _Row:
    """Label, editor, reset, help of one parameter."""

    def __init__(
        self,
        declaration: Declared,
        where: Where,
        options: Sequence[Option] | None,
        edited: Callable[[Where, Any, bool], None],
    ):
        self.declaration = declaration
        self.field = make_field(declaration, options)
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
        self.field.setMaximumWidth(FIELD_WIDTH + 240 if declaration.path else FIELD_WIDTH)
        self.field.setMinimumWidth(FIELD_WIDTH)
        self.reset = QToolButton()
        self.reset.setObjectName(f"reset-{name}")
        self.reset.setAccessibleName(f"Reset {declaration.label}")
        self.reset.setSizePolicy(keep_space(self.reset))
        self.reset.clicked.connect(lambda: edited(where, None, True))
        self.field.changed.connect(lambda value: edited(where, value, False))
        self.field.changed.connect(lambda _value: self._show_help())
        self.label = QLabel("" if declaration.kind == "bool" else declaration.label)
        self.label.setBuddy(self.field.main)
        self.label.setWordWrap(True)
        self.help = QLabel()
        self.help.setProperty("role", "help")
        self.help.setWordWrap(True)
        self.problem = QLabel()
        self.problem.setObjectName(f"problem-{name}")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self._show_help()

    def add_to(self, grid: QGridLayout, index: int) -> None:
        """Two lines of the grid: the row, and its problem below it."""
        middle = Qt.AlignmentFlag.AlignVCenter
        line = index * 2
        grid.addWidget(self.label, line, 0, middle)
        span = 1
        if self.declaration.path:
            grid.addWidget(self.field, line, 1, 1, 3)
            grid.addWidget(self.problem, line + 1, 1, 1, 3)
            self.field.line.setPlaceholderText(self.declaration.help) if isinstance(
                self.field, PathField
            ) else None
            return
        grid.addWidget(self.field, line, 1, 1, span, middle)
        grid.addWidget(self.reset, line, 2, middle)
        grid.addWidget(self.help, line, 3, middle)
        grid.addWidget(self.problem, line + 1, 1, 1, 3)

    def show_value(self, value: Any, default: Any) -> None:
        if self.field.value() != value:
            self.field.show_value(value)
        self._show_help()
        shown = default if default not in (None, "") else "not set"
        self.reset.setVisible(value != default and not self.declaration.required)
        self.reset.setIcon(theme.icon("reset", "muted"))
        self.reset.setToolTip(f"Back to the default: {shown}")

    def show_problem(self, text: str) -> None:
        self.problem.setText(f"⚠ {text}" if text else "")
        self.problem.setVisible(bool(text))
        main = self.field.main
        if main.property("problem") != bool(text):
            main.setProperty("problem", bool(text))
            main.style().unpolish(main)
            main.style().polish(main)

    def _show_help(self) -> None:
        self.help.setText(self.field.sentence() or self.declaration.help)


class Fold(QWidget):
    """A heading that opens and closes what stands below it."""

    def __init__(self, title: str, help: str, inside: QWidget, opened: bool = False):
        super().__init__()
        self.inside = inside
        self.button = QToolButton()
        self.button.setProperty("role", "fold")
        self.button.setText(title)
        self.button.setToolTip(help)
        self.button.setAccessibleName(title)
        self.button.setAccessibleDescription(help)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._show)
        self.note = QLabel(help)
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setVerticalSpacing(4)
        layout.addWidget(self.button, 0, 0)
        layout.addWidget(self.note, 0, 1)
        layout.setColumnStretch(1, 1)
        layout.addWidget(inside, 1, 0, 1, 2)
        self.button.setChecked(opened)
        self._show(opened)

    def _show(self, opened: bool) -> None:
        self.inside.setVisible(opened)
        self.button.setIcon(theme.icon("less" if opened else "more", "muted"))


def keep_space(widget: QWidget) -> QSizePolicy:
    """The widget's size policy, with its place kept while it is hidden."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    return policy
