"""Python files of a pipeline that nobody trusts yet: shown, and trusted where a person says so."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.document.own_code import UntrustedFile, may_run_code, untrusted_files
from core.machine.trusted_files import TrustList
from gui.base import theme
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.screen import resize_within_screen
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import text

_ABOUT = QT_TR_NOOP(
    "{name} is Python code, which can do anything that you can do on this machine. It is run only after you have said "
    "that you trust it, and asked about again when it has changed."
)


class TrustBox(QFrame):
    """The notice on a card. Signals: view_wanted, trusted (an `UntrustedFile` each)."""

    view_wanted = Signal(object)
    trusted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("trust-box")
        self.setProperty("role", "notice")
        self._file: UntrustedFile | None = None
        self.words = text("", "", wrap=True)
        self.view, self.trust = QPushButton(tr("View")), QPushButton(tr("Trust and continue"))
        self.view.setObjectName("trust-view")
        self.trust.setObjectName("trust-continue")
        self.view.clicked.connect(lambda: self.view_wanted.emit(self._file))
        self.trust.clicked.connect(lambda: self.trusted.emit(self._file))
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addWidget(self.words)
        row = QHBoxLayout()
        row.addWidget(self.view)
        row.addWidget(self.trust)
        row.addStretch(1)
        column.addLayout(row)
        self.hide()

    def show_file(self, file: UntrustedFile | None) -> None:
        """Ask about this file; hidden where there is none."""
        self._file = file
        self.setVisible(file is not None)
        if file is not None:
            self.words.setText(tr(_ABOUT, name=file.path.name))
            self.words.setToolTip(str(file.path))


class TrustDialog(QDialog):
    """The file's text; accepted when a person trusts it."""

    def __init__(self, parent: QWidget | None, file: UntrustedFile):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("trust-dialog")
        self.setWindowTitle(tr("Do you trust {name}?", name=file.path.name))
        resize_within_screen(self, 760, 540)
        code = QPlainTextEdit(file.text)
        code.setObjectName("trust-code")
        code.setAccessibleName(tr("The file's text"))
        code.setReadOnly(True)
        code.setTabChangesFocus(True)
        code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        code.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        trust, cancel = QPushButton(tr("Trust and continue")), QPushButton(tr("Not now"))
        trust.setObjectName("trust-accept")
        cancel.setObjectName("trust-cancel")
        cancel.setDefault(True)
        trust.setAutoDefault(False)
        trust.clicked.connect(self.accept)
        cancel.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(10)
        column.addWidget(text(tr("Do you trust {name}?", name=file.path.name), "heading"))
        column.addWidget(text(tr(_ABOUT, name=file.path.name), "muted", wrap=True))
        column.addWidget(text(str(file.path), "muted", wrap=True))
        column.addWidget(code, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(trust)
        row.addWidget(cancel)
        column.addLayout(row)


class Trusting(QObject):
    """Looks for such files whenever the document changes, and asks before they would be run.

    Signals:
        changed: other files are known to be asked about.
        trusted: a person has trusted one.
    """

    changed = Signal()
    trusted = Signal()

    def __init__(self, window: QWidget, document: Document, messages: Messages):
        super().__init__(window)
        self._window, self._document, self._messages = window, document, messages
        self.files: list[UntrustedFile] = []
        self.dialog: TrustDialog | None = None
        self._then: Callable[[], None] | None = None
        self._looker = LatestJob(self)
        self._looker.done.connect(self._looked)
        self._looker.failed.connect(lambda _request, failure: messages.failure(failure))
        document.changed.connect(self.look)

    def look(self) -> None:
        """Look again, where the document names anything that could hold code."""
        pipeline, base = self._document.pipeline, self._document.base
        if not may_run_code(pipeline):
            self._then = None
            self._show([])
            return
        self._looker.ask(
            self._document.text,
            tr("looking for Python files"),
            lambda _control, _say: untrusted_files(pipeline, base),
        )

    def settle(self, then: Callable[[], None]) -> None:
        """Ask about every file that would be run; `then` goes on when each is trusted."""
        if not may_run_code(self._document.pipeline):
            then()
            return
        self._then = then
        self.look()

    def of(self, node: str) -> UntrustedFile | None:
        """The file of a source or stage to ask about."""
        return next((file for file in self.files if file.node == node), None)

    def view(self, file: UntrustedFile) -> TrustDialog:
        """Show a file's text, and ask."""
        dialog = TrustDialog(self._window, file)
        dialog.accepted.connect(lambda: self.trust(file))
        dialog.rejected.connect(self._declined)
        dialog.finished.connect(lambda _result: self._closed(dialog))
        self.dialog = dialog
        dialog.open()
        return dialog

    def trust(self, file: UntrustedFile) -> None:
        """Trust what was shown, and no other content."""
        try:
            TrustList.default().trust_content(file.path.name, file.content)
        except EspalierError as error:
            self._then = None
            self._messages.error(error)
            return
        self.trusted.emit()
        self._looked(None, [one for one in self.files if one.content != file.content])

    def _looked(self, _request: Any, files: list[UntrustedFile]) -> None:
        self._show(files)
        if self._then is None:
            return
        if files:
            self.view(files[0])
        else:
            then, self._then = self._then, None
            then()

    def _show(self, files: list[UntrustedFile]) -> None:
        if files != self.files:
            self.files = files
            self.changed.emit()

    def _declined(self) -> None:
        self._then = None

    def _closed(self, dialog: TrustDialog) -> None:
        self.dialog = None
        dialog.deleteLater()
