"""What has to be known of the figures: notes, verification, layers left alone."""

from html import escape

from PySide6.QtWidgets import QFrame, QTextBrowser, QVBoxLayout

from core.analysis.table import Row
from core.reports import StageReport
from gui import theme
from gui.results import Results
from gui.widgets.buttons import text

_LAYERS_SHOWN = 30


class NotesPane(QFrame):
    """Notes of the chosen row's stage; of all stages while none is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.heading = text("Notes", "section")
        self.browser = QTextBrowser()
        self.browser.setObjectName("notes")
        self.browser.setAccessibleName("Notes of the stages")
        self.browser.setStyleSheet("QTextBrowser { border: none; padding: 0; }")
        self.browser.setOpenLinks(False)
        self.browser.document().setDocumentMargin(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.heading)
        layout.addWidget(self.browser, 1)
        self._results: Results | None = None
        self._row: Row | None = None

    def show_results(self, results: Results | None) -> None:
        self._results, self._row = results, None
        self._fill()

    def show_row(self, row: Row | None) -> None:
        self._row = row
        self._fill()

    def retheme(self) -> None:
        self._fill()

    def _fill(self) -> None:
        if self._row is not None and self._row.report is not None:
            self.heading.setText(f"Notes · {self._row.report.name}")
            parts = [_stage(self._row.report, whole=True)]
        elif self._results is not None:
            self.heading.setText("Notes")
            parts = [_paragraph(note) for note in self._results.pipeline.notes]
            parts += [_stage(report, whole=False) for report in self._results.reports]
        else:
            parts = []
        self.browser.setHtml("".join(parts) or _paragraph("No notes."))


def _stage(report: StageReport, whole: bool) -> str:
    c = theme.colours()
    lines = [] if whole else [f'<p style="margin:8px 0 2px 0"><b>{escape(report.name)}</b></p>']
    for artefact in report.artefacts:
        if artefact.verification is not None:
            good = artefact.verification.good
            mark = f'<span style="color:{c.good if good else c.bad}">{"✓" if good else "✖"}</span>'
            lines.append(_paragraph(f"{artefact.label}: {artefact.verification.sentence}", mark))
        lines += [_paragraph(f"{artefact.label}: {note}") for note in artefact.notes]
    lines += [_paragraph(note) for note in report.notes]
    if whole and report.skipped:
        lines.append(f'<p style="margin:8px 0 2px 0"><b>Left alone: {len(report.skipped)}</b></p>')
        lines += [_paragraph(f"{layer}: {reason}") for layer, reason in report.skipped[:_LAYERS_SHOWN]]
        if len(report.skipped) > _LAYERS_SHOWN:
            lines.append(_paragraph(f"… and {len(report.skipped) - _LAYERS_SHOWN} more, in the run's report"))
    return "".join(lines)


def _paragraph(words: str, mark: str = "") -> str:
    return f'<p style="margin:2px 0 4px 0">{mark + " " if mark else ""}{escape(words)}</p>'
