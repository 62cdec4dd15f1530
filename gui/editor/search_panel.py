"""The search of a document: what is free, objectives, limits, and how long it goes on."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from core.analysis.pareto import limit_words
from core.common.errors import EspalierError
from core.document import dimensions, edits
from core.document.free_text import as_text
from core.document.pipeline import Pipeline
from core.document.search import AIMS, Budget, Search
from core.records.metrics import METRICS
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.form import LABEL_WIDTH, Form, SettingPath

_OBJECTIVES, _LIMITS = 3, 4
_NOTHING_FREE = (
    "Nothing is free. A search finds settings within limits: press the magnifier beside a setting of a source or stage "
    "to set it free; the menu of a stage leaves to the search whether it runs."
)


class SearchEditor(QWidget):
    """Signals: edited (the search as plain data, or None for none)."""

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = None
        self.free = text("", "help", wrap=True)
        self.free.setObjectName("search-free")
        self.problem = text("", "problem", wrap=True)
        self.objectives = [
            _metric_box(f"search-objective-{n}", tr("Objective {n}", n=n)) for n in range(1, _OBJECTIVES + 1)
        ]
        self.limits = [_Limit(number) for number in range(1, _LIMITS + 1)]
        self.slots_ = QLineEdit()
        self.slots_.setObjectName("search-slots")
        self.slots_.setAccessibleName(tr("Slots"))
        self.slots_.setPlaceholderText(tr("last: int8, mixed-int8, none"))
        self.slots_.setToolTip(
            tr(
                "Stages that take turns: a name, a colon, and their ids; 'none' for none of them; semicolons between slots"
            )
        )
        self.form = Form(Budget)
        self.form.edited.connect(self._budgeted)
        self.inside = QWidget()
        rows = QVBoxLayout(self.inside)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        self.objective_rows = _lines(tr("Objectives"), [(box,) for box in self.objectives])
        self.limit_rows = _lines(
            tr("Limits"), [(one.metric, one.way, one.bound, one.unit) for one in self.limits]
        )
        for one in (*self.objective_rows, *self.limit_rows):
            rows.addWidget(one)
        rows.addLayout(_row(tr("Slots"), self.slots_))
        rows.addWidget(self.form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(_row(tr("Search"), self.free))
        layout.addWidget(self.problem)
        layout.addWidget(self.inside)
        for box in (*self.objectives, *(limit.metric for limit in self.limits)):
            box.activated.connect(lambda _index: self._tell())
        for line in (*(limit.bound for limit in self.limits), self.slots_):
            line.editingFinished.connect(self._tell)

    def show_pipeline(self, pipeline: Pipeline, problem: str) -> None:
        """Show the document's search and what is wrong with it."""
        self._pipeline, search = pipeline, pipeline.search
        self.inside.setVisible(search is not None)
        self.free.setText(tr(_NOTHING_FREE) if search is None else _what_is_free(pipeline, search))
        self._show_problem(problem)
        if search is None:
            return
        for box, name in zip(self.objectives, _padded(search.objectives, _OBJECTIVES), strict=True):
            box.setCurrentIndex(max(0, box.findData(name)))
        for number, row in enumerate(self.objective_rows):
            row.setVisible(number <= len(search.objectives))
        names = _padded(tuple(search.limits), _LIMITS)
        for number, (limit, name) in enumerate(zip(self.limits, names, strict=True)):
            limit.show_limit(name, search.limits.get(name))
            self.limit_rows[number].setVisible(number <= len(search.limits))
        if not self.slots_.hasFocus():
            self.slots_.setText(_slots_text(search))
        plain = pipeline.as_dict()["search"]
        self.form.show_settings({name: plain[name] for name in Budget.model_fields if name in plain})

    def retheme(self) -> None:
        self.form.retheme()

    def _show_problem(self, words: str) -> None:
        self.problem.setText(f"⚠ {words}" if words else "")
        self.problem.setVisible(bool(words))

    def _plain(self) -> dict[str, Any]:
        assert self._pipeline is not None
        return dict(self._pipeline.as_dict().get("search", {}))

    def _budgeted(self, where: SettingPath, value: object, unset: bool) -> None:
        plain = self._plain()
        budget = {name: plain.pop(name) for name in Budget.model_fields if name in plain}
        self.edited.emit({**plain, **edits.with_value(budget, Budget, where, value, unset)})

    def _tell(self) -> None:
        if self._pipeline is None or self._pipeline.search is None:
            return
        try:
            chosen = [str(box.currentData()) for box in self.objectives if box.currentData()]
            limits = {
                name: bound
                for limit in self.limits
                if (name := limit.name) and (bound := limit.value) is not None
            }
            wanted = {
                **self._plain(),
                "objectives": chosen,
                "limits": limits,
                "slots": _slots(self.slots_.text()),
            }
        except ValueError as error:
            self._show_problem(str(error))
            return
        for limit in self.limits:
            limit.show_way()
        self.edited.emit(wanted)


class _Limit:
    """A metric, which way its limit goes, and the bound in the unit that people see."""

    def __init__(self, number: int):
        self.metric = _metric_box(f"search-limit-{number}", tr("Limit {number}", number=number))
        self.way = text("", "muted")
        self.unit = text("", "muted")
        self.bound = QLineEdit()
        self.bound.setObjectName(f"search-bound-{number}")
        self.bound.setAccessibleName(tr("Bound {number}", number=number))
        self.bound.setMaximumWidth(90)

    @property
    def name(self) -> str:
        return str(self.metric.currentData() or "")

    @property
    def value(self) -> float | None:
        """The bound in the metric's own unit; None while none is given."""
        if not self.bound.text().strip():
            return None
        try:
            return float(self.bound.text()) / METRICS[self.name].scale
        except ValueError as error:
            raise ValueError(
                tr(
                    "Expected a number as the limit of {name}, received {text}.",
                    name=METRICS[self.name].label,
                    text=self.bound.text(),
                )
            ) from error

    def show_limit(self, name: str, value: float | None) -> None:
        if not name and self.name and not self.bound.text():
            return  # a metric was chosen, its bound is still to come
        self.metric.setCurrentIndex(max(0, self.metric.findData(name)))
        if not self.bound.hasFocus():
            self.bound.setText("" if value is None else f"{value * METRICS[name].scale:g}")
        self.show_way()

    def show_way(self) -> None:
        self.way.setText(limit_words(self.name) if self.name else "")
        kind = METRICS.get(self.name)
        self.unit.setText((kind.shown_unit or kind.unit) if kind is not None else "")
        self.bound.setVisible(bool(self.name))


def problem_of(problems: Mapping[tuple[str, ...], str]) -> str:
    """The first problem of the search that no card shows."""
    return next(
        (words for where, words in problems.items() if where[:1] == ("search",) and where[:2] != ("search", "free")), ""
    )  # fmt: skip


def _metric_box(name: str, label: str) -> QComboBox:
    box = Combo(name, label)
    box.addItem("—", "")
    for id in AIMS:
        box.addItem(METRICS[id].label, id)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setMaximumWidth(150)
    return box


def _row(words: str, *widgets: QWidget) -> QHBoxLayout:
    label = text(words)
    label.setFixedWidth(LABEL_WIDTH)
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(10)
    row.addWidget(label)
    for widget in widgets:
        row.addWidget(widget, 1 if len(widgets) == 1 else 0)
    if len(widgets) > 1:
        row.addStretch(1)
    return row


def _lines(words: str, lines: Sequence[Sequence[QWidget]]) -> list[QWidget]:
    """Rows below each other, the first of which has the label."""
    made = []
    for number, widgets in enumerate(lines):
        made.append(QWidget())
        made[-1].setLayout(_row("" if number else words, *widgets))
    return made


def _padded(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    return (*names, *[""] * count)[:count]


def _what_is_free(pipeline: Pipeline, search: Search) -> str:
    lines = []
    for path, free in search.free.items():
        try:
            node, field = dimensions.find(pipeline, path)
            values = as_text(free) or tr("every value")
            lines.append(
                f"{node.title}: {field.label} {values}" if field else tr("{name}: on or off", name=node.title)
            )
        except EspalierError:
            lines.append(path)
    return "\n".join(lines) or tr("Free are the slots alone.")


def _slots_text(search: Search) -> str:
    return "; ".join(
        f"{name}: {', '.join(id or dimensions.NONE for id in ids)}" for name, ids in search.slots.items()
    )


def _slots(words: str) -> dict[str, list[str | None]]:
    slots: dict[str, list[str | None]] = {}
    for part in (part for part in words.split(";") if part.strip()):
        name, found, ids = part.partition(":")
        members = [id.strip() for id in ids.split(",") if id.strip()]
        if not found or not name.strip() or len(members) < 2:
            raise ValueError(
                tr("Expected a name, a colon and at least two stages, such as 'last: int8, none'.")
            )
        slots[name.strip()] = [None if id == dimensions.NONE else id for id in members]
    return slots
