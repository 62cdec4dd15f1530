"""Every sentence that the window says in a dialog: what happened, what to do next, details below.

Expected failures are `EspalierError`s. Everything else goes through `install_crash_hook` to the
crash dialog, which can be copied into a report.
"""

import logging
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import core
from core.common.errors import EspalierError
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Failure, failure

_log = logging.getLogger(__name__)

_KINDS = {"error": "bad", "warning": "warning", "info": "info", "question": "accent"}


class MessageDialog(QDialog):
    """One sentence, one advice, folded details, named buttons."""

    def __init__(
        self,
        parent: QWidget | None,
        kind: str,
        title: str,
        message: str,
        advice: str = "",
        details: str = "",
        buttons: Sequence[str] = (QT_TR_NOOP("Close"),),
    ):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("message")
        self.setWindowTitle(title)
        self.setMinimumWidth(560)
        self.chosen = ""
        self.message, self.advice, self.details = message, advice, details
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 20, 22, 18)
        layout.setSpacing(14)
        layout.addLayout(self._texts(kind))
        self._fold = QPlainTextEdit(details)
        self._fold.setObjectName("message-details")
        self._fold.setAccessibleName(tr("Details"))
        self._fold.setReadOnly(True)
        self._fold.setMinimumSize(560, 220)
        self._fold.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._fold.hide()
        layout.addWidget(self._fold)
        layout.addLayout(self._buttons(buttons))
        first = next(button for button in self.findChildren(QPushButton) if button.isDefault())
        first.setFocus()  # Details, which stands before it, would have it

    def _texts(self, kind: str) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(16)
        picture = QLabel()
        name = {"question": "help"}.get(kind, kind)
        picture.setPixmap(theme.pixmap(name, _KINDS[kind], 32, self.devicePixelRatioF()))
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(8)
        for text, role in ((self.message, "heading"), (self.advice, "")):
            label = QLabel(text)
            label.setTextFormat(Qt.TextFormat.PlainText)  # it may hold names from files
            label.setProperty("role", role)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            texts.addWidget(label)
            if not text:
                label.hide()
        row.addLayout(texts, 1)
        return row

    def _buttons(self, names: Sequence[str]) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        if self.details:
            fold = QPushButton(tr("Details"))
            fold.setObjectName("message-fold")
            fold.setCheckable(True)
            fold.toggled.connect(self._show_details)
            copy = QPushButton(tr("Copy"))
            copy.setObjectName("message-copy")
            copy.setToolTip(tr("Copy the message and its details"))
            copy.clicked.connect(self.copy)
            row.addWidget(fold)
            row.addWidget(copy)
        row.addStretch(1)
        for index, name in enumerate(names):
            button = QPushButton(tr(name))
            button.setObjectName(f"message-{name.split()[0].lower().strip('…')}")
            button.setProperty("primary", index == 0)
            button.setDefault(index == 0)
            button.clicked.connect(lambda _=False, name=name: self._choose(name))
            row.addWidget(button)
        return row

    def _show_details(self, shown: bool) -> None:
        self._fold.setVisible(shown)
        self.adjustSize()

    def _choose(self, name: str) -> None:
        self.chosen = name
        self.accept()

    def copy(self) -> None:
        """The whole message to the clipboard, with versions."""
        text = "\n\n".join(part for part in (self.message, self.advice, self.details, versions()) if part)
        QGuiApplication.clipboard().setText(text)


class Messages:
    """The service; dialogs belong to `parent` and don't block the window unless they ask."""

    def __init__(self, parent: QWidget | None = None):
        self.parent = parent
        self.ask_with: Callable[[MessageDialog], str] = _ask

    def error(self, error: EspalierError) -> MessageDialog:
        """An expected failure."""
        return self.failure(failure(error), tr("This did not work"))

    def failure(self, failure: Failure, title: str = "") -> MessageDialog:
        """A job's failure; an unexpected one gets the crash dialog's title."""
        title = title or (
            tr("This did not work") if failure.expected else tr("Something unexpected happened")
        )
        return self._open("error", title, failure.message, failure.advice, failure.details)

    def inform(self, title: str, message: str, advice: str = "", details: str = "") -> MessageDialog:
        """Something to know."""
        return self._open("info", title, message, advice, details)

    def question(self, title: str, message: str, advice: str, answers: Sequence[str]) -> str:
        """The chosen answer, "" when the dialog was closed; the first answer is the default.

        `answers` are given, and come back, in English; the dialog shows them in the person's language.
        """
        return self.ask_with(MessageDialog(self.parent, "question", title, message, advice, "", answers))

    def _open(self, kind: str, title: str, message: str, advice: str, details: str) -> MessageDialog:
        if kind == "error":
            _log.warning("Shown to the person: %s", message)
        dialog = MessageDialog(self.parent, kind, title, message, advice, details)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog


def _ask(dialog: MessageDialog) -> str:
    dialog.exec()
    chosen = dialog.chosen
    dialog.deleteLater()
    return chosen


class _Crashes(QObject):
    """Carries an exception from any thread to the window's."""

    happened = Signal(object)


def install_crash_hook(messages: Messages) -> QObject:
    """Show every exception that nobody caught, from any thread; returns what must stay alive."""
    crashes = _Crashes()
    crashes.happened.connect(messages.failure)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, error, trace)
        _log.error("Nobody foresaw this", exc_info=(kind, error, trace))
        if issubclass(kind, Exception):
            crashes.happened.emit(failure(error))

    def thread_hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            hook(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook, threading.excepthook = hook, thread_hook
    return crashes


def versions() -> str:
    """What belongs into a report: versions of the application, Python, Qt and the engine's parts."""
    lines = [f"Espalier {core.__version__}", f"Python {platform.python_version()} on {platform.platform()}"]
    lines.append(f"Qt {qVersion()}")
    for name in (
        "PySide6-Essentials",
        "pyqtgraph",
        "torch",
        "torchvision",
        "onnx",
        "onnxruntime",
        "torch-pruning",
        "numpy",
        "pydantic",
    ):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name}: not installed")
    return "\n".join(lines)
