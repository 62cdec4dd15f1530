"""The network as a graph: one file, or two beside each other, coloured by what is known of every operation."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.common.numbers import grouped
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.graph_canvas import GraphCanvas, legend
from gui.inspect.sensitivity import Sensitivity
from gui.widgets.buttons import ElidedLabel, text
from gui.widgets.combo import Combo
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.progress_line import ProgressLine
from gui.widgets.search_box import SearchBox

COLOURS = (
    ("change", QT_TR_NOOP("What changed")),
    ("ms", QT_TR_NOOP("Time")),
    ("macs", QT_TR_NOOP("MACs")),
    ("params", QT_TR_NOOP("Parameters")),
    ("precision", QT_TR_NOOP("Precision")),
    ("sensitivity", QT_TR_NOOP("Sensitivity or error")),
)
_PRECISIONS = {"int8": "info", "int4": "info", "float16": "good", "bfloat16": "good", "int16": "info"}


class GraphPane(QWidget):
    """One network: its name above its canvas.

    Signals:
        wanted: the picture is to be made with other blocks unfolded; None for those of the beginning.
    """

    wanted = Signal(object)

    def __init__(self, name: str, label: str):
        super().__init__()
        self.title = ElidedLabel()
        self.title.setProperty("role", "section")
        self.canvas = GraphCanvas(name, label)
        self.picture: dict[str, Any] = {}
        self.units: dict[str, Mapping[str, Any]] = {}
        self.times: dict[str, float] = {}
        self.precisions: dict[str, str] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.title)
        column.addWidget(self.canvas, 1)
        self.canvas.folded.connect(self._folded)

    @property
    def opened(self) -> tuple[str, ...]:
        return tuple(self.picture.get("opened", ()))

    def show_picture(self, picture: dict[str, Any], title: str, keep: bool) -> None:
        self.picture = picture
        self.units = {unit["id"]: unit for unit in picture["units"]}
        self.title.setText(title)
        self.canvas.show_picture(picture, keep)

    def show_times(self, layers: Sequence[Mapping[str, Any]]) -> None:
        """Take what was measured of the layers: times, and the precisions that really ran."""
        self.times, self.precisions = {}, {}
        for layer in layers:
            nodes = [name for name in layer.get("nodes", ()) if name in self.units]
            if nodes:
                main = next((name for name in nodes if self.units[name]["macs"]), nodes[0])
                self.times[main] = self.times.get(main, 0.0) + (layer["ms"] or 0.0)
                self.precisions.update({name: layer["precision"] for name in nodes if layer["precision"]})

    def total(self, name: str, members: Sequence[str]) -> float | None:
        """The sum of a figure over operations; None where it is not known of any."""
        if name == "ms":
            known = [self.times[id] for id in members if id in self.times]
        else:
            known = [self.units[id][name] for id in members if id in self.units]
        return sum(known) if known else None

    def _folded(self, path: str) -> None:
        opened = self.opened
        inner = tuple(each for each in opened if each != path and not each.startswith(f"{path}."))
        self.wanted.emit(inner if path in opened else (*opened, path))


class GraphPage(QWidget):
    """Two panes and what colours them.

    Signals:
        wanted: which pane ("model" or "reference") is to be shown with which blocks unfolded (None: as at first).
        times_wanted: times are to be measured.
        file_chosen: the path of an ONNX file that a person wants to look at; None for the model again.
    """

    wanted = Signal(str, object)
    times_wanted = Signal()
    file_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._sensitivity: Sensitivity | None = None
        self.panes = {
            "reference": GraphPane("graph-reference", tr("Graph of the network before")),
            "model": GraphPane("graph-model", tr("Graph of the network")),
        }
        self.colour_box = Combo("graph-colour", tr("Colour by"))
        for name, title in COLOURS:
            self.colour_box.addItem(tr(title), name)
        self.colour_box.currentIndexChanged.connect(self._colour_chosen)
        self.search = SearchBox("graph-search", tr("Search the graph"), tr("Search layers"))
        self.search.setMaximumWidth(260)
        self.search.textChanged.connect(self._searched)
        self.unfold, self.fold = QPushButton(tr("Unfold all")), QPushButton(tr("Fold all"))
        self.open_button = QPushButton(tr("Open ONNX…"))
        self.open_button.setToolTip(tr("Look at any ONNX file; nothing is run"))
        self.back = QPushButton(tr("Back to the model"))
        for button, name, slot in (
            (self.unfold, "graph-unfold", lambda: self._fold_all(True)),
            (self.fold, "graph-fold", lambda: self._fold_all(False)),
            (self.open_button, "graph-open", self._open),
            (self.back, "graph-back", lambda: self.file_chosen.emit(None)),
        ):
            button.setObjectName(name)
            button.clicked.connect(lambda _=False, slot=slot: slot())
        self.fit, self.plus, self.minus = (QToolButton() for _ in range(3))
        for tool, name, words, act in (
            (self.minus, "graph-smaller", tr("Smaller  (Ctrl and wheel, −)"), lambda c: c.zoom(1 / 1.25)),
            (self.plus, "graph-larger", tr("Larger  (Ctrl and wheel, +)"), lambda c: c.zoom(1.25)),
            (self.fit, "graph-fit", tr("The whole network  (0)"), lambda c: c.show_all()),
        ):
            tool.setObjectName(name)
            tool.setToolTip(words)
            tool.setAccessibleName(words.partition("  ")[0])
            tool.clicked.connect(lambda _=False, act=act: self._each_canvas(act))
        self.found = text("", "muted")
        self.legend = text("", "muted")
        self.legend.setObjectName("graph-legend")
        self.legend.setTextFormat(Qt.TextFormat.RichText)  # only words of our own stand in it
        self.about = ElidedLabel()
        self.about.setObjectName("graph-about")
        self.working = ProgressLine("graph", tr("Progress of reading the graph"))
        self.working.stop.hide()
        self._lay_out()
        for name, pane in self.panes.items():
            pane.wanted.connect(lambda opened, name=name: self.wanted.emit(name, opened))
            pane.canvas.chosen.connect(lambda members, name=name: self._chosen(name, members))
        self.show_single(True)
        self.retheme()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(6)
        label = text(tr("Colour by"))
        label.setBuddy(self.colour_box)
        for widget in (label, self.colour_box, self.legend, self.search, self.found):
            top.addWidget(widget)
        top.addStretch(1)
        for tool in (self.minus, self.plus, self.fit):
            top.addWidget(tool)
        self.tools = QWidget()  # stands in the row above, which has room
        row = QHBoxLayout(self.tools)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for button in (self.unfold, self.fold, self.back, self.open_button):
            row.addWidget(button)
        self.splitter = TurningSplitter("graph-splitter", *self.panes.values())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(top)
        layout.addWidget(self.working)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(self.about)

    # what is shown

    def show_single(self, single: bool, foreign: bool = False) -> None:
        """Whether one network is shown; `foreign`: a file that belongs to no run."""
        self.panes["reference"].setVisible(not single)
        self.legend.setText(self._legend())
        self.back.setVisible(foreign)
        self.about.setText(
            tr("Choose a node to see its figures; a double click (Enter) unfolds and folds a block.")
        )

    def show_picture(self, name: str, picture: dict[str, Any], title: str, keep: bool) -> None:
        """Show a pane's picture."""
        self.panes[name].show_picture(picture, title, keep)
        self._recolour()
        self._searched(self.search.text())

    def show_times(self, name: str, layers: Sequence[Mapping[str, Any]]) -> None:
        """Take the measured layers of a pane's file."""
        self.panes[name].show_times(layers)
        self._recolour()

    def show_sensitivity(self, sensitivity: Sensitivity | None) -> None:
        """Take what is known of how much each layer matters."""
        self._sensitivity = sensitivity
        self._recolour()

    @property
    def colour(self) -> str:
        return str(self.colour_box.currentData())

    def _colour_chosen(self) -> None:
        if self.colour == "ms" and not self.panes["model"].times:
            self.times_wanted.emit()
        self._recolour()

    def _recolour(self) -> None:
        largest = max(
            (pane.total(self.colour, item.node["members"]) or 0.0
             for pane in self.panes.values() if self.colour in ("ms", "macs", "params")
             for item in pane.canvas.items_.values()),
            default=0.0,
        )  # fmt: skip
        for pane in self.panes.values():
            changes = pane.picture.get("changes", {})
            pane.canvas.colour(
                self._heat(pane, largest),
                self._tint(pane),
                partial(_of_all, changes=changes),
            )
        self.colour_box.setToolTip(self._why_plain())
        self.legend.setText(self._legend())

    def _heat(self, pane: GraphPane, largest: float) -> Callable[[Sequence[str]], float | None]:
        name, sensitivity = self.colour, self._sensitivity

        def heat(members: Sequence[str]) -> float | None:
            if name in ("ms", "macs", "params"):
                total = pane.total(name, members)
                return None if total is None or not largest else total / largest
            if name == "sensitivity" and sensitivity is not None:
                paths = [pane.units[id]["path"] for id in members if id in pane.units]
                shares = [
                    sensitivity.share(sensitivity.values[path])
                    for path in paths
                    if path in sensitivity.values
                ]
                return max(shares) if shares else None
            return None

        return heat

    def _tint(self, pane: GraphPane) -> Callable[[Sequence[str]], str]:
        def tint(members: Sequence[str]) -> str:
            if self.colour != "precision":
                return ""
            found = {
                pane.precisions.get(id) or pane.units[id]["precision"] for id in members if id in pane.units
            }
            return next((colour for name, colour in _PRECISIONS.items() if name in found), "")

        return tint

    def _legend(self) -> str:
        """What the colours say."""
        c = theme.colours()
        if self.colour == "change":
            signs = [
                (c.warning, tr("other width")),
                (c.bad, tr("went")),
                (c.info, tr("came, other precision")),
            ]
            return "" if self.panes["reference"].isHidden() else _signs("▢", signs)
        if self.colour == "precision":
            return _signs("■", [(c.info, tr("integers")), (c.good, tr("half precision"))])
        return _signs("■", [(c.series[1], tr("more is deeper"))])

    def _why_plain(self) -> str:
        """Why nothing is coloured."""
        if self.colour == "ms" and not any(pane.times for pane in self.panes.values()):
            return tr("Times are being measured, or cannot be while a run goes on.")
        if self.colour == "sensitivity" and self._sensitivity is None:
            return tr("Nothing is known yet: scan the layers under Sensitivity.")
        return tr("What the colours say")

    # what a person does

    def _chosen(self, name: str, members: tuple[str, ...]) -> None:
        """Say what is known of a node, and select what became of it beside."""
        pane = self.panes[name]
        other = self.panes["reference" if name == "model" else "model"]
        if not members:
            return
        self.about.setText(self._words(pane, members))
        wanted = {pane.picture["keys"][id] for id in members}
        same = [id for id, key in other.picture.get("keys", {}).items() if key in wanted]
        other.canvas.select(same)

    def _words(self, pane: GraphPane, members: Sequence[str]) -> str:
        units = [pane.units[id] for id in members]
        first = units[0]
        change = _of_all(members, pane.picture.get("changes", {}))
        precisions = dict.fromkeys(pane.precisions.get(unit["id"]) or unit["precision"] for unit in units)
        params, macs, milliseconds = (pane.total(figure, members) for figure in ("params", "macs", "ms"))
        parts = [
            first["path"] or first["id"] if len(units) == 1 else tr("{count} operations", count=len(units)),
            " ".join(part for part in (first["kind"], first["shape"]) if part) if len(units) == 1 else "",
            tr("{params} parameters", params=grouped(params)) if params else "",
            f"{grouped(macs)} MACs" if macs else "",
            "×".join(map(str, first["output"])) if len(units) == 1 and first["output"] else "",
            ", ".join(name for name in precisions if name),
            f"{milliseconds:.3f} ms" if milliseconds is not None else "",
            legend(change),
        ]
        return " · ".join(part for part in parts if part)

    def _searched(self, words: str) -> None:
        counts = [pane.canvas.mark(words) for pane in self.panes.values() if not pane.isHidden()]
        self.found.setText(tr("{count} found", count=sum(counts)) if words.strip() else "")

    def _fold_all(self, unfold: bool) -> None:
        for name, pane in self.panes.items():
            if pane.picture and not pane.isHidden():
                self.wanted.emit(name, tuple(pane.picture["blocks"]) if unfold else ())

    def _each_canvas(self, act: Callable[[GraphCanvas], None]) -> None:
        for pane in self.panes.values():
            act(pane.canvas)

    def _open(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, tr("Look at an ONNX file"), "", tr("ONNX models (*.onnx)")
        )
        if chosen:
            self.file_chosen.emit(Path(chosen))

    def retheme(self) -> None:
        self.legend.setText(self._legend())
        for button, icon in ((self.fit, "fit"), (self.plus, "zoom-in"), (self.minus, "zoom-out")):
            button.setIcon(theme.icon(icon))
        self.open_button.setIcon(theme.icon("file"))
        self._each_canvas(lambda canvas: canvas.retheme())


def _signs(sign: str, entries: Sequence[tuple[str, str]]) -> str:
    return "&nbsp; ".join(
        f'<span style="color:{colour}">{sign}</span>&nbsp;{words}' for colour, words in entries
    )


def _of_all(members: Sequence[str], changes: Mapping[str, str]) -> str:
    """What became of a node: what all its operations share, else the one that says most."""
    found = {changes[id] for id in members if id in changes}
    if len(found) > 1:
        return next((each for each in ("narrower", "wider", "gone", "new", "precision") if each in found), "")
    return next((each for each in found if each != "same"), "")
