"""The paper's own table beside the results, with the remarks that a reader needs."""

from collections.abc import Sequence
from html import escape

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QTabWidget, QTextBrowser, QVBoxLayout, QWidget

from core.analysis.report import paper_rows
from core.document.pipeline import PaperTable
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.metric_table import MetricModel, MetricTable


class PaperPane(QWidget):
    """One table of one paper at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.model = MetricModel()
        self.table = MetricTable("paper-table", tr("The paper's table"), self.model)
        self.table.setStyleSheet("QTableView { border: none; border-radius: 0; }")
        self.table.verticalHeader().setDefaultSectionSize(34)
        self.choice = QComboBox()
        self.choice.setObjectName("paper-choice")
        self.choice.setAccessibleName(tr("Table of the paper"))
        self.choice.setMaximumWidth(260)
        self.choice.activated.connect(self._show)
        self.source = ElidedLabel()
        self.source.setProperty("role", "muted")
        self.remarks = QTextBrowser()
        self.remarks.setObjectName("paper-remarks")
        self.remarks.setAccessibleName(tr("Remarks on the paper's table"))
        self.remarks.setStyleSheet("QTextBrowser { border: none; padding: 4px 0; }")
        self.remarks.document().setDocumentMargin(2)
        heading = QHBoxLayout()
        heading.addWidget(self.source, 1)
        heading.addWidget(self.choice)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("paper-tabs")
        self.tabs.setDocumentMode(True)
        self.tabs.setTabPosition(QTabWidget.TabPosition.South)
        self.tabs.addTab(self.table, tr("Table"))
        self.tabs.addTab(self.remarks, tr("Remarks"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(heading)
        layout.addWidget(self.tabs, 1)
        self._papers: Sequence[PaperTable] = ()

    def show_papers(self, papers: Sequence[PaperTable]) -> None:
        if list(papers) == list(self._papers) and self.model.rows:
            return
        self._papers = papers
        self.choice.clear()
        for paper in papers:
            self.choice.addItem(paper.setting or paper.source)
        self.choice.setVisible(len(papers) > 1)
        self._show(0)

    def _show(self, index: int) -> None:
        if not self._papers:
            self.model.show_rows([])
            return
        paper = self._papers[index]
        self.model.show_rows(paper_rows(paper))
        self.source.setText(f"{paper.setting} · {paper.source}" if paper.setting else paper.source)
        self.remarks.setHtml(
            "".join(f'<p style="margin:0 0 6px 0">{escape(each)}</p>' for each in paper.remarks)
        )
        self.tabs.setTabText(1, tr("Remarks ({count})", count=len(paper.remarks)))
        self.tabs.setTabVisible(1, bool(paper.remarks))
