"""Where runs and caches lie, how much room they take, and clearing away what can be made again."""

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout

from core.runs.storage import KINDS, StorageUse
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.settings.jobs import SettingsJobs
from gui.settings.parts import SettingsPage, size
from gui.widgets.buttons import card, text

CANCEL = QT_TR_NOOP("Cancel")


class StoragePage(SettingsPage):
    """One row a kind; a button where it can be cleared away, which asks before it does."""

    def __init__(self, jobs: SettingsJobs, messages: Messages):
        super().__init__("storage", tr("Storage"))
        self._jobs, self._messages = jobs, messages
        self._uses: dict[str, StorageUse] = {}
        self.folder = QLineEdit(str(jobs.home.folder))
        self.folder.setObjectName("storage-folder")
        self.folder.setAccessibleName(tr("Storage folder"))
        self.folder.setReadOnly(True)
        self.folder.setCursorPosition(0)
        show = QPushButton(tr("Open folder"))
        show.setObjectName("storage-open")
        show.clicked.connect(self._open)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(show)
        self.column.addLayout(row)
        self.column.addWidget(
            text(
                tr(
                    "ESPALIER_HOME names another folder, for the window and the command line alike; it is read when "
                    "they start."
                ),
                "help",
                wrap=True,
            )
        )
        self.column.addWidget(self._table())
        self.total = text("", "section")
        self.total.setObjectName("storage-total")
        self.column.addWidget(self.total)
        self.end()
        jobs.measured.connect(self._show)
        jobs.changed.connect(self._enable)
        self._enable()

    def _table(self) -> QFrame:
        frame = card()
        grid = QGridLayout(frame)
        grid.setContentsMargins(14, 12, 14, 12)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(0, 1)
        self.sizes: dict[str, QLabel] = {}
        self.buttons: dict[str, QPushButton] = {}
        for number, kind in enumerate(KINDS):
            words = QVBoxLayout()
            words.setSpacing(1)
            words.addWidget(text(kind.title))
            words.addWidget(text(kind.about, "help", wrap=True))
            grid.addLayout(words, number, 0)
            self.sizes[kind.id] = text("…")
            self.sizes[kind.id].setObjectName(f"storage-size-{kind.id}")
            self.sizes[kind.id].setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.sizes[kind.id].setMinimumWidth(76)
            grid.addWidget(self.sizes[kind.id], number, 1)
            if kind.clear:
                button = QPushButton(f"{kind.clear}…")
                button.setObjectName(f"storage-clear-{kind.id}")
                button.clicked.connect(lambda _=False, id=kind.id: self._clear(id))
                self.buttons[kind.id] = button
                grid.addWidget(button, number, 2)
        return frame

    def refresh(self) -> None:
        """Add it up again."""
        self._jobs.measure()

    def _show(self, uses: list[StorageUse]) -> None:
        self._uses = {one.kind.id: one for one in uses}
        for one in uses:
            self.sizes[one.kind.id].setText(size(one.bytes))
            self.sizes[one.kind.id].setToolTip(tr("{files} files", files=one.files))
        self.total.setText(tr("Together {size}", size=size(sum(one.bytes for one in uses))))
        self._enable()

    def _enable(self) -> None:
        busy = self._jobs.storage.running
        for id, button in self.buttons.items():
            use = self._uses.get(id)
            button.setEnabled(not busy and use is not None and use.bytes > 0)
        if busy and not self._uses:
            self.total.setText(tr("Adding up …"))

    def _clear(self, id: str) -> None:
        one = self._uses[id]
        answer = self._messages.question(
            one.kind.clear,
            tr("Remove {size} in {files} files for good?", size=size(one.bytes), files=one.files),
            one.kind.about,
            (one.kind.clear, CANCEL),
        )
        if answer == one.kind.clear:
            self._jobs.clear(id)

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._jobs.home.folder)))
