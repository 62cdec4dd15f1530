"""What this is, and every version, to copy into a report."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

import core
from gui.base import theme
from gui.base.messages import versions
from gui.base.translation import tr
from gui.widgets.buttons import text


class AboutDialog(QDialog):
    """Name, purpose, versions."""

    def __init__(self, parent: QWidget | None):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("about")
        self.setWindowTitle(tr("About Espalier"))
        mark = QLabel()
        mark.setPixmap(theme.app_icon().pixmap(QSize(56, 56), self.devicePixelRatioF()))
        words = QVBoxLayout()
        words.addWidget(text(tr("Espalier {version}", version=core.__version__), "title"))
        words.addWidget(
            text(
                tr(
                    "To train and prune a tree onto a frame: compression of image classifiers, "
                    "every figure measured on the exported file."
                ),
                "muted",
                wrap=True,
            )
        )
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(mark)
        top.addLayout(words, 1)
        self.versions = QPlainTextEdit(versions())
        self.versions.setObjectName("versions")
        self.versions.setAccessibleName(tr("Versions"))
        self.versions.setReadOnly(True)
        self.versions.setMinimumSize(480, 210)
        copy, close = QPushButton(tr("Copy versions")), QPushButton(tr("Close"))
        copy.setObjectName("copy-versions")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.versions.toPlainText()))
        close.setObjectName("close-about")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addWidget(copy)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 20, 22, 18)
        layout.setSpacing(14)
        layout.addLayout(top)
        layout.addWidget(self.versions)
        layout.addLayout(buttons)
