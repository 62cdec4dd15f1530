"""How an export went: the verdict in words, agreement, largest difference, accuracy, size."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (  # fmt: skip
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.widgets.buttons import ElidedLabel, text


class VerdictCard(QFrame):
    """Before the first export it says what will stand here."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("verdict")
        self.setMinimumHeight(150)
        self.path: Path | None = None
        self._result: Any = None
        self._icon = QLabel()
        self.heading, self.sentence = text("", "heading"), text("", "", wrap=True)
        self.place = ElidedLabel()
        self.place.setProperty("role", "muted")
        self.open_folder, self.copy_path = QPushButton("Open folder"), QPushButton("Copy path")
        self.open_folder.setObjectName("open-export-folder")
        self.copy_path.setObjectName("copy-export-path")
        self._figures = QGridLayout()
        self._figures.setHorizontalSpacing(28)
        self._figures.setVerticalSpacing(2)
        self._values: dict[str, QLabel] = {}
        for column, name in enumerate(
            ("Agreement", "Largest logit difference", "Top-1", "Size", "Images compared")
        ):
            value = text("", "heading")
            self._values[name] = value
            self._figures.addWidget(text(name, "muted"), 0, column)
            self._figures.addWidget(value, 1, column)
        self._figures.setColumnStretch(5, 1)
        waiting = text(
            "3.  After the export, the verification stands here: whether the file agrees with the network, "
            "how far its answers are apart, its accuracy and its size.",
            "muted",
            wrap=True,
        )
        waiting.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(waiting)
        self._stack.addWidget(self._page())

    def _page(self) -> QWidget:
        page = QWidget()
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(4)
        for widget in (self.heading, self.sentence, self.place):
            words.addWidget(widget)
        top.addLayout(words, 1)
        for button in (self.copy_path, self.open_folder):
            top.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(12)
        layout.addLayout(top)
        layout.addLayout(self._figures)
        layout.addStretch(1)
        return page

    def clear(self) -> None:
        """Back to the beginning."""
        self.path = self._result = None
        self._set_role("")
        self._stack.setCurrentIndex(0)

    def show_result(self, result: Any) -> None:
        """Show an `ExportResult`."""
        self._result, self.path = result, Path(result.path)
        check, metrics = result.verification, result.metrics
        self.heading.setText("Exported and verified" if check.good else "Exported, but not verified")
        self.sentence.setText(check.sentence)
        self.place.setText(str(result.path))
        top1 = getattr(result, "top1", None)
        if top1 is None and metrics.get("top1") is not None:
            top1 = metrics["top1"].value
        shown = {
            "Agreement": f"{check.agreement:.2f} %",
            "Largest logit difference": f"{check.max_logit_difference:.2g}"
            + (f"  (limit {check.limit:g})" if check.limit is not None else ""),
            "Top-1": "—" if top1 is None else f"{top1:.2f} %",
            "Size": f"{self.path.stat().st_size / 1e6:.3f} MB" if self.path.is_file() else "—",
            "Images compared": f"{check.images:,}".replace(",", "\u202f"),
        }
        for name, words in shown.items():
            self._values[name].setText(words)
        self._set_role("fine" if check.good else "notice")
        self._stack.setCurrentIndex(1)
        self.retheme()

    def retheme(self) -> None:
        if self._result is not None:
            good = self._result.verification.good
            icon, colour = ("done", "good") if good else ("warning", "warning")
            self._icon.setPixmap(theme.pixmap(icon, colour, 26, self.devicePixelRatioF()))

    def _set_role(self, role: str) -> None:
        self.setProperty("role", role)
        self.style().unpolish(self)
        self.style().polish(self)
