"""The strip below the list: what still keeps the pipeline from running; a click leads there."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from core.errors import Problem
from core.pipeline import Pipeline
from gui import theme
from gui.widgets.buttons import text
from gui.widgets.declared import declared, settings_class

_SHOWN = 4


class ProblemStrip(QFrame):
    """Hidden while there is nothing to say."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("problems")
        self.setProperty("role", "problems")
        self.setAccessibleName("Problems")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 10)
        row.setSpacing(12)
        self._icon = QLabel()
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        self._column = QVBoxLayout()
        self._column.setSpacing(2)
        row.addLayout(self._column, 1)
        self.heading = text("", "heading")
        self._column.addWidget(self.heading)
        self._lines: list[QWidget] = []

    def show_problems(self, problems: list[Problem], pipeline: Pipeline) -> None:
        """Show the first few of these, each with where it is."""
        for widget in self._lines:
            self._column.removeWidget(widget)
            widget.deleteLater()
        self._lines = []
        self.setVisible(bool(problems))
        self._icon.setPixmap(theme.pixmap("error", "bad", 22, self.devicePixelRatioF()))
        count = len(problems)
        self.heading.setText(
            f"{count} problems keep this pipeline from running"
            if count > 1
            else "One problem keeps this pipeline from running"
        )
        for number, problem in enumerate(problems[:_SHOWN]):
            button = QPushButton(
                f"{place_in_words(problem, pipeline)}: {problem.message} {problem.advice}".strip()
            )
            button.setObjectName(f"problem-link-{number}")
            button.setProperty("role", "link")
            button.setToolTip("Go there")
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(lambda _=False, problem=problem: self.chosen.emit(problem))
            self._add(button)
        if count > _SHOWN:
            self._add(text(f"… and {count - _SHOWN} more", "muted"))

    def _add(self, widget: QWidget) -> None:
        self._column.addWidget(widget)
        self._lines.append(widget)


def place_in_words(problem: Problem, pipeline: Pipeline) -> str:
    """Where a problem is, in the words of the window: "Distilled › Teacher"."""
    place = list(problem.place)
    if not place:
        return "The pipeline"
    if place[0] == "data":
        return " › ".join(["Data", *map(str, place[1:])])
    if place[0] in ("sources", "stages") and len(place) > 1 and isinstance(place[1], int):
        nodes = pipeline.sources if place[0] == "sources" else pipeline.stages
        node = nodes[place[1]]
        words = [node.title]
        rest = [part for part in place[2:] if part != "settings"]
        try:
            model = settings_class(node)
        except KeyError:
            return node.title
        for part in rest:
            field = next((f for f in declared(model) if f.name == part), None)
            words.append(field.label if field else str(part))
            if field is None or field.group is None:
                break
            model = field.group
        return " › ".join(words)
    return str(place[0]).capitalize()
