"""What to know about the figures: why they are so, notes, verification, layers left alone."""

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QTextBrowser, QVBoxLayout, QWidget

from core.analysis.rows import Row
from core.comparison.compared_runs import ComparedRun
from core.records.reports import Cause, StageReport
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import as_written

_LAYERS_SHOWN = 30
_RUNS_SHOWN = 12
_FIXES_SHOWN = 3


class NotesPane(QWidget):
    """Notes of the chosen row's stage; of all stages while none is chosen.

    Signals:
        mend_wanted: the `Cause` whose fix a person takes.
    """

    mend_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.browser = QTextBrowser()
        self.browser.setObjectName("notes")
        self.browser.setAccessibleName(tr("Notes of the stages"))
        self.browser.setStyleSheet("QTextBrowser { border: none; padding: 0; }")
        self.browser.setOpenLinks(False)
        self.browser.document().setDocumentMargin(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 6, 0, 0)
        layout.addWidget(self.browser)
        self._buttons = QVBoxLayout()
        self._buttons.setSpacing(4)
        layout.addLayout(self._buttons)
        self.fix_buttons: list[QPushButton] = []
        self._runs: Sequence[ComparedRun] = ()
        self._row: Row | None = None

    def show_runs(self, runs: Sequence[ComparedRun]) -> None:
        self._runs, self._row = runs, None
        self._fill()

    def show_row(self, row: Row | None) -> None:
        """Only this row's stage; of all stages with None."""
        self._row = row
        self._fill()

    def retheme(self) -> None:
        self._fill()

    def _fill(self) -> None:
        if self._row is not None and self._row.report is not None:
            parts = [_heading(self._row.label), _stage(self._row.report, whole=True)]
        else:
            parts = [part for run in self._runs[:_RUNS_SHOWN] for part in self._run(run)]
            if len(self._runs) > _RUNS_SHOWN:
                parts.append(
                    _paragraph(
                        tr("… and {count} more runs; select a row.", count=len(self._runs) - _RUNS_SHOWN)
                    )
                )
        self.browser.setHtml("".join(parts) or _paragraph(tr("No notes.")))
        self._offer_fixes()

    def _offer_fixes(self) -> None:
        """Buttons for the first changes that would help the chosen stage, or any of the only run's."""
        for button in self.fix_buttons:
            self._buttons.removeWidget(button)
            button.hide()
            button.deleteLater()
        if self._row is not None:
            reports = [self._row.report] if self._row.report is not None else []
        else:
            reports = list(self._runs[0].reports) if len(self._runs) == 1 else []
        offers = [
            (report, cause) for report in reports if report.why for cause in report.why.causes if cause.fix
        ]
        self.fix_buttons = [
            self._button(number, report, cause)
            for number, (report, cause) in enumerate(offers[:_FIXES_SHOWN])
        ]
        for button in self.fix_buttons:
            self._buttons.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)

    def _button(self, number: int, report: StageReport, cause: Cause) -> QPushButton:
        assert cause.fix is not None
        button = QPushButton(theme.icon("mend"), as_written(f"{report.name}: {cause.fix.words}"))
        button.setObjectName(f"why-fix-{number}")
        button.setAccessibleName(
            tr("Change the pipeline: {words} in {name}", words=cause.fix.words, name=report.name)
        )
        button.setProperty("role", "mend")
        button.setToolTip(
            tr(
                "{sentence} This changes the pipeline in the editor; Undo takes it back.",
                sentence=cause.sentence,
            )
        )
        button.clicked.connect(lambda _=False, cause=cause: self.mend_wanted.emit(cause))
        return button

    def _run(self, run: ComparedRun) -> list[str]:
        parts = [_heading(f"{run.title}, {run.when}")] if len(self._runs) > 1 else []
        parts += [_paragraph(note) for note in run.notes]
        for report in run.reports:
            seed = tr(" · seed {seed}", seed=report.seed) if "@" in report.key else ""
            parts += [_heading(report.name + seed), _stage(report, whole=False)]
        return parts


def _heading(words: str) -> str:
    return f'<p style="margin:8px 0 2px 0"><b>{escape(words)}</b></p>'


def _stage(report: StageReport, whole: bool) -> str:
    c = theme.colours()
    lines = _why(report)
    for artefact in report.artefacts:
        if artefact.verification is not None:
            good = artefact.verification.good
            mark = f'<span style="color:{c.good if good else c.bad}">{"✓" if good else "✖"}</span>'
            lines.append(_paragraph(f"{artefact.label}: {artefact.verification.sentence}", mark))
        lines += [_paragraph(f"{artefact.label}: {note}") for note in artefact.notes]
    lines += [_paragraph(note) for note in report.notes]
    if whole and report.skipped:
        lines.append(_heading(tr("Left alone: {count}", count=len(report.skipped))))
        lines += [_paragraph(f"{layer}: {reason}") for layer, reason in report.skipped[:_LAYERS_SHOWN]]
        if len(report.skipped) > _LAYERS_SHOWN:
            lines.append(
                _paragraph(
                    tr("… and {count} more, in the run's report", count=len(report.skipped) - _LAYERS_SHOWN)
                )
            )
    return "".join(lines)


def _why(report: StageReport) -> list[str]:
    if report.why is None or not report.why.paragraph:
        return []
    lines = [f'<p style="margin:2px 0 4px 0"><b>Why:</b> {escape(report.why.paragraph)}</p>']
    if report.why.advice:
        advice = escape(" ".join(report.why.advice))
        lines.append(f'<p style="margin:2px 0 4px 0"><b>What to do:</b> {advice}</p>')
    return lines


def _paragraph(words: str, mark: str = "") -> str:
    return f'<p style="margin:2px 0 4px 0">{mark + " " if mark else ""}{escape(words)}</p>'
