"""The list of cards: the pipeline itself, its data, its sources, its stages, with the tree beside."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QPersistentModelIndex, Qt, Signal

from core.common.durations import rough_duration
from core.common.errors import Problem
from core.document.data_axis import DATA_AXIS, data_sets
from core.document.edits import titles
from core.document.pipeline import Pipeline
from core.whatif import Forecast
from gui.base.translation import tr
from gui.editor import summary
from gui.editor.branch_lines import BranchLines, lay_out
from gui.editor.figures import facts

Index = QModelIndex | QPersistentModelIndex
MOVED = "application/x-espalier-stage"


@dataclass(frozen=True, slots=True)
class Card:
    """One row: what it stands for and what it says.

    Attributes:
        facts: a line about what the stage would leave; empty while nothing is known.
        time: what the estimate says that it takes; empty without an estimate.
    """

    kind: str  # "pipeline", "data", "source" or "stage"
    id: str
    title: str
    summary: str
    icon: str
    badge: str = ""
    enabled: bool = True
    problems: int = 0
    facts: str = ""
    time: str = ""

    @property
    def tall(self) -> bool:
        """Whether it has a line for facts."""
        return self.kind in ("source", "stage")

    @property
    def mark(self) -> str:
        """What stands beside the title: how many problems there are, or else the badge."""
        return f"⚠ {self.problems}" if self.problems else self.badge

    @property
    def spoken(self) -> str:
        """The row for a screen reader."""
        parts = [self.title, self.badge, self.summary, "" if self.enabled else tr("switched off")]
        parts += [self.facts, tr("takes about {time}", time=self.time) if self.time else ""]
        parts.append(tr("problems: {count}", count=self.problems) if self.problems else "")
        return ", ".join(part for part in parts if part)


def cards(
    pipeline: Pipeline,
    problems: list[Problem],
    forecasts: Mapping[str, Forecast] | None = None,
    times: Mapping[str, float] | None = None,
) -> tuple[list[Card], BranchLines]:
    """All rows of a document, and the lines beside them.

    Args:
        forecasts: what each source and stage would leave, by id. times: seconds that a stage takes.
    """
    forecasts, times = forecasts or {}, times or {}
    about, data = summary.pipeline_summary(pipeline), summary.data_summary(pipeline.data)
    rows = [
        Card("pipeline", "", pipeline.name, about, "document", problems=_count(problems, ())),
        Card(
            "data",
            "",
            tr("Data"),
            data,
            "data",
            tr("{count} data sets", count=len(sets)) if (sets := data_sets(pipeline)) else "",
            problems=_count(problems, ("data",)) + _count(problems, DATA_AXIS),
        ),
    ]
    names = titles(pipeline)
    parents: list[int | None] = []
    place: dict[str, int] = {}
    for number, source in enumerate(pipeline.sources):
        place[source.id] = len(parents)
        parents.append(None)
        axis = pipeline.axes.backbone
        count = len(axis.values) if axis is not None and axis.source == source.id else 1
        rows.append(Card(
            "source", source.id, names[source.id], summary.with_free(pipeline, source, summary.source_summary(source)), source.source.icon,
            tr("{count} backbones", count=count) if count > 1 else "",
            problems=_count(problems, ("sources", number)),
            facts=_first(problems, ("sources", number)) or facts(forecasts.get(source.id)),
        ))  # fmt: skip
    for number, node in enumerate(pipeline.stages):
        parent = pipeline.written_parent(node)
        previous = pipeline.stages[number - 1].id if number else pipeline.sources[-1].id
        marks = [tr("baseline")] if pipeline.active and node.id in pipeline.baselines else []
        marks += [tr("final")] if pipeline.active and node.id == pipeline.final_id else []
        marks += [tr("from {name}", name=names.get(parent, parent))] if parent != previous else []
        for grid in pipeline.axes.grids:
            if grid.stage == node.id:
                count = math.prod(len(values) for values in grid.settings.values())
                marks.append(tr("grid of {count}", count=count))
        place[node.id] = len(parents)
        parents.append(place.get(parent, 0))
        rows.append(Card(
            "stage", node.id, node.title, summary.with_free(pipeline, node, summary.stage_summary(pipeline, node, forecasts.get(node.id))),
            node.stage.icon, " · ".join(marks), node.enabled, _count(problems, ("stages", number)),
            _first(problems, ("stages", number)) or (facts(forecasts.get(node.id)) if node.enabled else ""),
            rough_duration(times[node.id]) if node.id in times else "",
        ))  # fmt: skip
    return rows, lay_out(parents)


def _first(problems: list[Problem], place: tuple[str | int, ...]) -> str:
    """What is wrong there, for the card."""
    return next((f"⚠ {p.message}" for p in problems if p.place[: len(place)] == place), "")


def _count(problems: list[Problem], place: tuple[str | int, ...]) -> int:
    if not place:  # the document's own: everything that no other card shows
        return sum(
            1
            for p in problems
            if p.place[:2] != DATA_AXIS
            and not (
                p.place
                and p.place[0] in ("data", "sources", "stages")
                and (p.place[0] == "data" or len(p.place) > 1)
            )
        )
    return sum(1 for p in problems if p.place[: len(place)] == place)


class CardModel(QAbstractListModel):
    """The cards of a document as a list model; `toggled` when a person switches a stage on or off."""

    toggled = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[Card] = []
        self.branch_lines = BranchLines((), ())

    def show_document(
        self,
        pipeline: Pipeline,
        problems: list[Problem],
        forecasts: Mapping[str, Forecast] | None = None,
        times: Mapping[str, float] | None = None,
    ) -> None:
        """As `cards`."""
        rows, branch_lines = cards(pipeline, problems, forecasts, times)
        same = [(card.kind, card.id) for card in rows] == [(card.kind, card.id) for card in self.cards]
        if same:
            self.cards, self.branch_lines = rows, branch_lines
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
        else:
            self.beginResetModel()
            self.cards, self.branch_lines = rows, branch_lines
            self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.cards)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        card = self.cards[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return card.title
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return card.spoken
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(part for part in (card.title, card.badge, card.summary, card.facts) if part)
        if role == Qt.ItemDataRole.CheckStateRole and card.kind == "stage":
            return Qt.CheckState.Checked if card.enabled else Qt.CheckState.Unchecked
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        card = self.cards[index.row()]
        if role == Qt.ItemDataRole.CheckStateRole and card.kind == "stage":
            self.toggled.emit(card.id, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        return False

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not index.isValid() or self.cards[index.row()].kind != "stage":
            return flags
        return flags | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsDragEnabled

    def mimeTypes(self) -> list[str]:
        return [MOVED]

    def mimeData(self, indexes: Any) -> QMimeData:
        """The id of a dragged stage."""
        carried = QMimeData()
        carried.setData(MOVED, self.cards[indexes[0].row()].id.encode())
        return carried

    def row_of(self, kind: str, id: str) -> int:
        """The row of a card, -1 when there is none."""
        return next((n for n, card in enumerate(self.cards) if (card.kind, card.id) == (kind, id)), -1)
