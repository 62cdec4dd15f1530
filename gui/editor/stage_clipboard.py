"""Cut, copy and paste of stages: through the system's clipboard, so between windows as well."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication

from core.common.errors import EspalierError
from core.document import copied_stages
from gui.base.document import Document
from gui.base.translation import tr


class StageClipboard(QObject):
    """What Ctrl+X, Ctrl+C and Ctrl+V do in the list of cards.

    Args:
        chosen: ids of the selected stages, in the order of the file.
        after: id of the source or stage that pasted stages continue; "" for the last stage.
        select: shows a stage.

    Signals:
        status_message: a sentence for the status bar.
    """

    status_message = Signal(str)

    def __init__(
        self,
        document: Document,
        chosen: Callable[[], tuple[str, ...]],
        after: Callable[[], str],
        select: Callable[[str, str], None],
        parent: QObject,
    ):
        super().__init__(parent)
        self._document, self._chosen, self._after, self._select = document, chosen, after, select

    def copy(self) -> bool:
        """The selected stages as text to the clipboard; False where none is selected."""
        ids = self._chosen()
        if not ids:
            self.status_message.emit(tr("Choose a stage to copy; data and sources belong to their pipeline."))
            return False
        text = copied_stages.copied(self._document.pipeline, ids, Path(self._document.base))
        QGuiApplication.clipboard().setText(text)
        count = len(ids)
        self.status_message.emit(
            tr("Copied {count} stages; paste them behind any card.", count=count)
            if count > 1
            else tr("Copied; paste it behind any card, here or in another pipeline.")
        )
        return True

    def paste(self) -> None:
        """Put the stages of the clipboard behind the selected card."""
        pipeline = self._document.pipeline
        after = self._after() or pipeline.stages[-1].id
        try:
            changed, ids = copied_stages.pasted(pipeline, QGuiApplication.clipboard().text(), after)
        except EspalierError as error:
            self.status_message.emit(f"{error.message} {error.advice}".strip())
            return
        self._document.apply(
            changed, tr("Paste {count} stages", count=len(ids)) if len(ids) > 1 else tr("Paste")
        )
        self._select("stage", ids[0])

    @staticmethod
    def can_paste() -> bool:
        """Whether the clipboard holds stages."""
        return copied_stages.holds_stages(QGuiApplication.clipboard().text())
