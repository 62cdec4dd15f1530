"""A page whose job a person starts: how it is to work above, what it found below, and what of that is sent into the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from core.document.overrides import Target
from core.machine.answer_so_far import Extent
from core.stages.base import ScanKind
from gui.base import theme
from gui.base.translation import tr
from gui.inspect.send_row import SendRow
from gui.widgets.bar_table import BarTable
from gui.widgets.buttons import ElidedLabel, EmptyState
from gui.widgets.progress_line import ProgressLine


class Found(Protocol):
    """What a job found: all of it, or what was finished when it was stopped."""

    @property
    def extent(self) -> Extent: ...


Result = TypeVar("Result", bound=Found)


@dataclass(frozen=True, slots=True)
class JobTexts:
    """What such a page says; each is marked for translation, and translated where it is shown.

    Attributes:
        start: on the button that starts the job. purpose: its tooltip.
        progress: what the progress bar is. table: what the table of results is; both for screen readers.
        question: the heading while there is no result. about: what the job would do, below it.
    """

    start: str
    purpose: str
    progress: str
    table: str
    question: str
    about: str


class JobPage(QWidget, Generic[Result]):
    """Asks for a job and shows what it found; a `PageJob` does it.

    A page makes its settings and its `SendRow`, lays itself out (`_build`), and says what it asks for (`_request`),
    how a result is shown (`_show`), and what of it is sent (`_sendable`, `_taken_kind`, `_sent`).

    Signals:
        wanted: the request of a job.
        send_wanted: the `Target` in the open pipeline, and what is to be written there.
    """

    TAKEN: ClassVar[tuple[ScanKind, ...]] = ()
    """What of its results a stage of the pipeline can take."""

    wanted = Signal(object)
    send_wanted = Signal(object, object)

    def __init__(self, name: str, texts: JobTexts):
        super().__init__()
        self.result: Result | None = None
        self._texts = texts
        self._targets: Mapping[ScanKind, Sequence[Target]] = {}
        self._settings: Sequence[QWidget] = ()
        self._reason = self._busy = ""
        self.start = QPushButton(tr(texts.start))
        self.start.setObjectName(f"{name}-start")
        self.start.setProperty("primary", True)
        self.start.clicked.connect(lambda: self.wanted.emit(self._request()))
        self.working = ProgressLine(name, tr(texts.progress))
        self.words = ElidedLabel()
        self.words.setObjectName(f"{name}-words")
        self.table = BarTable(name, tr(texts.table))
        self.empty = EmptyState(name, tr(texts.question), tr(texts.about))

    def _build(self, top: QWidget, settings: Sequence[QWidget], sending: SendRow, *between: QWidget) -> None:
        """Lay the page out, and show that there is no result yet.

        Args:
            top: the row with the settings, the button and the words.
            settings: what is disabled while the job works.
            between: stands between the table and the row that sends.
        """
        self._settings, self.sending = settings, sending
        sending.wanted.connect(lambda target: self.send_wanted.emit(target, self._sent()))
        results = QWidget()
        column = QVBoxLayout(results)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.table, 1)
        for widget in (*between, sending):
            column.addWidget(widget)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(results)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(top)
        layout.addWidget(self.working)
        layout.addWidget(self._stack, 1)
        self._update_enabled()
        self.retheme()
        self.show_result(None)

    def show_result(self, result: Result | None) -> None:
        """Show what the job found; None shows what it would do."""
        self.result = result
        self._stack.setCurrentIndex(0 if result is None else 1)
        self._show()
        self.sending.setVisible(result is not None and self._sendable)
        self._offer()

    def show_targets(self, targets: Mapping[ScanKind, Sequence[Target]]) -> None:
        """Stages of the open pipeline that take a result, for every kind in `TAKEN`."""
        self._targets = targets
        self._offer()

    def allow(self, reason: str) -> None:
        """The job can be asked for, unless there is a reason against it."""
        self._reason = reason
        self._update_enabled()

    def show_busy(self, busy: str) -> None:
        """What goes on, "" for nothing."""
        self._busy = busy
        if busy:
            self.working.begin(busy)  # before the button is disabled: it has the focus back at the end
        self._update_enabled()
        if not busy:
            self.working.end()

    def retheme(self) -> None:
        self.start.setIcon(theme.icon("search", "on_accent"))
        self.sending.retheme()
        self.table.viewport().update()

    def _update_enabled(self) -> None:
        for widget in self._settings:
            widget.setEnabled(not self._busy)
        self.start.setEnabled(not self._busy and not self._reason)
        self.start.setToolTip(self._reason or tr(self._texts.purpose))

    def _offer(self) -> None:
        self.sending.offer(self._targets.get(self._taken_kind, ()), self.result is not None)

    @property
    def _sendable(self) -> bool:
        """Whether the result, where there is one, is enough to send something of it."""
        raise NotImplementedError

    @property
    def _taken_kind(self) -> ScanKind:
        """What of `TAKEN` the result is."""
        return self.TAKEN[0]

    def _request(self) -> Any:
        """What is asked for, from the settings."""
        raise NotImplementedError

    def _show(self) -> None:
        """Show the result, where there is one, and take away what was said of another."""
        raise NotImplementedError

    def _sent(self) -> Any:
        """What is written into the pipeline when a person sends the result."""
        raise NotImplementedError
