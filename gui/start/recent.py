"""The pipeline files that were open last, and where each was left; and the line that offers them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PySide6.QtCore import QSettings, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from core.common.logs import in_a_line
from gui.base.translation import tr
from gui.widgets.buttons import as_written, text

_log = logging.getLogger(__name__)

_KEY = "recent-pipelines"
_MOST, _SHOWN, _LONGEST = 12, 5, 28


@dataclass(frozen=True, slots=True)
class Recent:
    """A pipeline file.

    Attributes:
        place: the place of the window that a person left it in.
        kind, id: the card that was chosen.
    """

    path: str
    place: str = "pipeline"
    kind: str = ""
    id: str = ""


def recent_pipelines() -> list[Recent]:
    """The latest first; files that are gone included."""
    try:
        content = json.loads(str(QSettings().value(_KEY, "[]")))
        return [Recent(**{name: str(value) for name, value in one.items()}) for one in content]
    except (ValueError, TypeError, AttributeError) as error:
        _log.warning("The list of recent pipelines cannot be read: %s", in_a_line(error))
        return []


def remember(entry: Recent) -> None:
    """Put it first; what was known of the same file is replaced."""
    others = [one for one in recent_pipelines() if one.path != entry.path]
    QSettings().setValue(_KEY, json.dumps([asdict(one) for one in [entry, *others][:_MOST]]))


def left_at(path: Path) -> Recent | None:
    """How a file was left; None where it was not open before."""
    return next((one for one in recent_pipelines() if one.path == str(path)), None)


def still_there(entries: Sequence[Recent]) -> list[Recent]:
    """Those whose files exist; asks the disk, so not for the window's thread."""
    return [one for one in entries if Path(one.path).is_file()]


class RecentRow(QWidget):
    """The latest pipeline files as links.

    Signals:
        chosen: a path.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("recent-pipelines")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)
        self._row.addWidget(text(tr("Recent pipelines"), "section"))
        self._row.addSpacing(6)
        self._row.addStretch(1)
        self.buttons: list[QPushButton] = []
        self._entries: list[Recent] = []
        self.hide()

    def show_entries(self, entries: Sequence[Recent]) -> None:
        """Offer these; nothing is shown where there are none."""
        if list(entries) == self._entries:
            return
        self._entries = list(entries)
        for button in self.buttons:
            self._row.removeWidget(button)
            button.deleteLater()
        self.buttons = [self._button(number, Path(one.path)) for number, one in enumerate(entries[:_SHOWN])]
        for place, button in enumerate(self.buttons):
            self._row.insertWidget(2 + place, button)
        self.setVisible(bool(self.buttons))

    def _button(self, number: int, path: Path) -> QPushButton:
        name = path.name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".espalier")
        shown = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
        button = QPushButton(as_written(shown))
        button.setObjectName(f"recent-{number}")
        button.setProperty("role", "link")
        button.setToolTip(str(path))
        button.setAccessibleName(tr("Open {name}", name=path.name))
        button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        button.setMinimumWidth(30)
        button.clicked.connect(lambda _=False: self.chosen.emit(path))
        return button
