"""How much is noted down in the log file, and the way to its folder."""

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from core.common.logs import set_level
from gui.base.translation import tr
from gui.settings.parts import choice
from gui.settings.store import LOG_LEVELS, Settings


class LogRow(QWidget):
    """The level, which counts at once for this window and the processes it starts from then on."""

    def __init__(self, settings: Settings, folder: Path):
        super().__init__()
        self._settings, self._folder = settings, folder
        self.level = choice("log-level", LOG_LEVELS, settings.log_level)
        self.level.setAccessibleName(tr("What is written into the log file"))
        self.level.currentIndexChanged.connect(self._chosen)
        self.open = QPushButton(tr("Open folder"))
        self.open.setObjectName("log-folder")
        self.open.clicked.connect(self._open)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.level)
        layout.addWidget(self.open)

    def _chosen(self) -> None:
        level = str(self.level.currentData())
        self._settings.set("log/level", level)
        set_level(level)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))
