"""The Python files that a person trusts, with a way back."""

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QTreeWidget, QTreeWidgetItem

from core.common.errors import EspalierError
from core.machine.trusted_files import TrustList
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.settings.parts import SettingsPage
from gui.widgets.buttons import text


class TrustPage(SettingsPage):
    """Name, since when, and the beginning of the content's hash."""

    def __init__(self, messages: Messages):
        super().__init__(
            "trust", tr("Trusted Python files"),
            tr("A network of your own is a Python file, and running one can do anything that you can do. A file is "
            "run only after you said that you trust it, and asked about again when it has changed."),
        )  # fmt: skip
        self._messages = messages
        self._list = TrustList.default()
        self.tree = QTreeWidget()
        self.tree.setObjectName("trusted-files")
        self.tree.setAccessibleName(tr("Trusted Python files"))
        self.tree.setRootIsDecorated(False)
        self.tree.setHeaderLabels([tr("File"), tr("Since"), tr("SHA-256")])
        self.tree.setMinimumHeight(200)
        self.none = text(
            tr("No file is trusted yet. You are asked when a pipeline uses one."), "muted", wrap=True
        )
        self.off = QPushButton(tr("Trust no longer"))
        self.off.setObjectName("trust-remove")
        self.off.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.addWidget(self.off)
        row.addStretch(1)
        self.column.addWidget(self.none)
        self.column.addWidget(self.tree, 1)
        self.column.addLayout(row)
        self.tree.itemSelectionChanged.connect(self._enable)

    def refresh(self) -> None:
        """Read the list."""
        self.tree.clear()
        try:
            entries = self._list.entries()
        except EspalierError as error:
            self._messages.error(error)
            entries = []
        for one in entries:
            since = one.since.replace("T", " ")[:16]
            item = QTreeWidgetItem([one.file, since, one.digest[:16] + "…"])
            item.setData(0, 0x0100, one.digest)
            item.setToolTip(2, one.digest)
            self.tree.addTopLevelItem(item)
        for column in range(2):
            self.tree.resizeColumnToContents(column)
        self._enable()

    def _enable(self) -> None:
        empty = self.tree.topLevelItemCount() == 0
        self.none.setVisible(empty)
        self.tree.setVisible(not empty)
        self.off.setVisible(not empty)
        self.off.setEnabled(bool(self.tree.selectedItems()))
        self.column.setStretch(self.column.count() - 1, 1 if empty else 0)

    def _remove(self) -> None:
        for item in self.tree.selectedItems():
            try:
                self._list.forget(str(item.data(0, 0x0100)))
            except EspalierError as error:
                self._messages.error(error)
        self.refresh()
