"""The paper's own table beside the results, its claims with what was measured, and remarks."""

from collections.abc import Sequence
from html import escape

from PySide6.QtWidgets import QHBoxLayout, QTextBrowser, QVBoxLayout, QWidget

from core.analysis.claims import Answer, as_cells
from core.analysis.report import paper_rows
from core.document.paper import PaperTable
from gui.base.translation import tr
from gui.widgets.buttons import ElidedLabel
from gui.widgets.combo import Combo
from gui.widgets.metric_table import MetricModel, MetricTable
from gui.widgets.tabs import Tabs

_REMARKS, _CLAIMS = 1, 2
_SIGNS = {"confirmed": "✓", "contradicted": "✗", "undecided": "?", "not measured": "–"}


class PaperPane(QWidget):
    """One table of one paper at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.model = MetricModel()
        self.table = MetricTable("paper-table", tr("The paper's table"), self.model)
        self.table.setStyleSheet("QTableView { border: none; border-radius: 0; }")
        self.table.verticalHeader().setDefaultSectionSize(34)
        self.choice = Combo("paper-choice", tr("Table of the paper"))
        self.choice.setMaximumWidth(260)
        self.choice.activated.connect(self._show)
        self.source = ElidedLabel()
        self.source.setProperty("role", "muted")
        self.remarks = _browser("paper-remarks", tr("Remarks on the paper's table"))
        self.claims = _browser("paper-claims", tr("What the paper claims, and what was measured"))
        heading = QHBoxLayout()
        heading.addWidget(self.source, 1)
        heading.addWidget(self.choice)
        self.tabs = Tabs("paper-tabs", tr("The paper"), below=True)
        self.tabs.addTab(self.table, tr("Table"))
        self.tabs.addTab(self.remarks, tr("Remarks"))
        self.tabs.addTab(self.claims, tr("Claims"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(heading)
        layout.addWidget(self.tabs, 1)
        self._papers: Sequence[PaperTable] = ()

    def show_answers(self, runs: Sequence[tuple[str, Sequence[Answer]]]) -> None:
        """What the measurements of each run, by its name, say to the claims."""
        answers = [each for _, of_run in runs for each in of_run]
        parts = []
        for name, of_run in runs:
            parts += [f"<h4>{escape(name)}</h4>"] if len(runs) > 1 else []
            parts += [_claim(each, cells) for each, cells in zip(of_run, as_cells(of_run), strict=True)]
        self.claims.setHtml("".join(parts))
        self.tabs.setTabText(_CLAIMS, tr("Claims ({count})", count=len(answers)))
        self.tabs.setTabVisible(_CLAIMS, bool(answers))

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
        self.tabs.setTabText(_REMARKS, tr("Remarks ({count})", count=len(paper.remarks)))
        self.tabs.setTabVisible(_REMARKS, bool(paper.remarks))


def _browser(name: str, accessible: str) -> QTextBrowser:
    browser = QTextBrowser()
    browser.setObjectName(name)
    browser.setAccessibleName(accessible)
    browser.setStyleSheet("QTextBrowser { border: none; padding: 4px 0; }")
    browser.document().setDocumentMargin(2)
    return browser


def _claim(answer: Answer, cells: Sequence[str]) -> str:
    says, paper, ours, control, verdict, reason = map(escape, cells)
    figures = [tr("Paper: {figure}", figure=paper), tr("Ours: {figure}", figure=ours)]
    figures += [tr("Against the control: {figure}", figure=control)] if control else []
    return (
        f'<p style="margin:0 0 8px 0"><b>{_SIGNS[answer.verdict]} {says}</b><br>'
        f"{' · '.join(figures)}<br>{verdict.capitalize()}. {reason}</p>"
    )
