"""How an export went: the verdict in words, where the file lies, and what to know about it."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel, text

if TYPE_CHECKING:
    from core.export.export import ExportResult


class VerdictCard(QFrame):
    """Hidden until something was exported."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("verdict")
        self._result: ExportResult | None = None
        self._icon = QLabel()
        self.heading = text("", "heading")
        self.sentence = text("", "", wrap=True)
        self.place = ElidedLabel()
        self.place.setProperty("role", "muted")
        self.copy_path, self.open_folder = QPushButton(tr("Copy path")), QPushButton(tr("Open folder"))
        self.copy_path.setObjectName("copy-export-path")
        self.open_folder.setObjectName("open-export-folder")
        self.copy_path.clicked.connect(self._copy)
        self.open_folder.clicked.connect(self._open)
        words = QVBoxLayout()
        words.setSpacing(3)
        for widget in (self.heading, self.sentence, self.place):
            words.addWidget(widget)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 10)
        row.setSpacing(12)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        for button in (self.copy_path, self.open_folder):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        self.clear()

    @property
    def path(self) -> Path | None:
        """What was exported."""
        return self._result.path if self._result is not None else None

    def clear(self) -> None:
        """Back to the beginning."""
        self._result = None
        self.hide()

    def show_result(self, result: "ExportResult") -> None:
        """Say how it went."""
        self._result = result
        check = result.verification
        self.heading.setText(tr("Exported and verified") if check.good else tr("Exported, but not verified"))
        self.sentence.setText(" ".join([check.sentence, *result.notes]))
        latency = result.metrics.get("latency_ms")
        timed = (
            tr(" · {value:.3g} ms an image", value=latency.value)
            if latency is not None and latency.value
            else ""
        )
        more = tr(" and {count} more", count=len(result.files) - 1) if len(result.files) > 1 else ""
        self.place.setText(
            tr(
                "{path}{more} · {bytes:.3f} MB{timed}",
                path=result.path,
                more=more,
                bytes=result.bytes / 1e6,
                timed=timed,
            )
        )
        theme.mark(self, "role", "fine" if check.good else "notice")
        self.show()
        self.retheme()

    def retheme(self) -> None:
        if self._result is not None:
            icon, colour = ("done", "good") if self._result.verification.good else ("warning", "warning")
            self._icon.setPixmap(theme.pixmap(icon, colour, 24, self.devicePixelRatioF()))

    def _open(self) -> None:
        if self.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.path.parent)))

    def _copy(self) -> None:
        if self.path is not None:
            QGuiApplication.clipboard().setText(str(self.path))
