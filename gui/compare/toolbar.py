"""The line above the table: filter, columns, the pinned baseline, hidden rows."""

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.compare.columns import ColumnButton, ColumnMenu
from gui.compare.state import ComparisonState
from gui.widgets.buttons import ElidedLabel
from gui.widgets.search_box import SearchBox


class Toolbar(QWidget):
    """The widgets; `CompareView` connects to their signals."""

    def __init__(self, menu: ColumnMenu):
        super().__init__()
        self.filter = SearchBox("filter-rows", tr("Filter rows"), tr("Filter by stage, file, run or kind"))
        self.filter.setMaximumWidth(280)
        self.columns = ColumnButton(menu)
        self.baseline = ElidedLabel()
        self.baseline.setProperty("role", "muted")
        self.unpin = QPushButton(tr("Unpin"))
        self.unpin.setObjectName("unpin")
        self.unpin.setAccessibleName(tr("Unpin the baseline"))
        self.unpin.setToolTip(tr("Compare each row with the baseline of its own run again"))
        self.unhide = QPushButton()
        self.unhide.setObjectName("show-hidden")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.filter, 2)
        row.addWidget(self.columns)
        row.addWidget(self.baseline, 3)
        row.addWidget(self.unpin)
        row.addWidget(self.unhide)

    def show_state(self, state: ComparisonState) -> None:
        """The pinned row by its name, and how many rows are hidden."""
        base = state.base
        several = base is not None and base.origin is not None and len(state.runs) > 1
        run = f" ({base.origin.run})" if several and base and base.origin else ""
        self.baseline.setText(tr("Compared with {label}{run}", label=base.label, run=run) if base else "")
        self.unpin.setVisible(base is not None)
        self.unhide.setVisible(bool(state.hidden))
        self.unhide.setText(tr("Show {count} hidden", count=len(state.hidden)))

    def retheme(self) -> None:
        self.columns.retheme()
        self.unpin.setIcon(theme.icon("pin"))
