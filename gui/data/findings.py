"""What the check found: a sign, a sentence, the numbers, what to do, and how sure it is."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (  # fmt: skip
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from core.data.inspection import Finding
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import line, text

SIGNS = {"warning": ("warning", "warning"), "note": ("info", "info"), "fine": ("done", "good")}
WORDS = {"warning": QT_TR_NOOP("Warning"), "note": QT_TR_NOOP("Note"), "fine": QT_TR_NOOP("Fine")}
_SURE = {"certain": "", "likely": QT_TR_NOOP("likely, not certain"), "hint": QT_TR_NOOP("only a hint")}


def verdict(findings: Sequence[Finding]) -> str:
    """All findings in one sentence."""
    warnings = sum(finding.level == "warning" for finding in findings)
    notes = sum(finding.level == "note" for finding in findings)
    if not warnings and not notes:
        return tr("{count} checks, nothing suspicious.", count=len(findings))
    parts = [tr("{count} warnings", count=warnings) if warnings > 1 else tr("1 warning")] if warnings else []
    parts += (
        [tr("{count} things to know", count=notes) if notes > 1 else tr("1 thing to know")] if notes else []
    )
    return tr("{count} checks: {words}.", count=len(findings), words=" and ".join(parts))


class FindingsPane(QWidget):
    """A line a check, warnings first.

    Signals:
        images_wanted: the finding whose images a person wants to see.
    """

    images_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.words = text("", "section")
        self.words.setObjectName("check-words")
        self.bar = QProgressBar()
        self.bar.setObjectName("check-progress")
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(180)
        top = QHBoxLayout()
        top.setContentsMargins(14, 12, 14, 4)
        top.setSpacing(12)
        top.addWidget(self.words, 1)
        top.addWidget(self.bar)
        self._page = QWidget()
        self._page.setProperty("role", "page")
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(14, 4, 14, 12)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        scroll = QScrollArea()
        scroll.setObjectName("check-scroll")
        scroll.setAccessibleName(tr("What the check found"))
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        self._rows: list[QWidget] = []
        self.findings: list[Finding] = []

    def show_progress(self, fraction: float, words: str) -> None:
        """The check goes on."""
        self.bar.show()
        self.bar.setValue(round(fraction * 1000))
        self.words.setText(words)

    def show_findings(self, findings: Sequence[Finding], words: str = "") -> None:
        """Show these; `words` in place of the verdict where there is none."""
        self.findings = list(findings)
        self.bar.hide()
        self.words.setText(words or verdict(findings))
        for row in self._rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._rows = []
        for number, finding in enumerate(findings):
            for widget in ([line()] if number else []) + [self._row(number, finding)]:
                self._column.insertWidget(self._column.count() - 1, widget)
                self._rows.append(widget)

    def _row(self, number: int, finding: Finding) -> QWidget:
        row = QFrame()
        row.setObjectName(f"finding-{finding.check}")
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 10, 0, 10)
        layout.setSpacing(12)
        icon, colour = SIGNS[finding.level]
        sign = QLabel()
        sign.setPixmap(theme.pixmap(icon, colour, 20, self.devicePixelRatioF()))
        sign.setAccessibleName(tr(WORDS[finding.level]))
        sign.setToolTip(tr(WORDS[finding.level]))
        layout.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(2)
        title = text(finding.title, "" if finding.level == "fine" else "heading", wrap=True)
        column.addWidget(title)
        sure = tr(_SURE[finding.sure]) if finding.level != "fine" else ""
        evidence = " ".join(part for part in (finding.evidence, f"({sure})" if sure else "") if part)
        for words, role in ((evidence, "muted"), (finding.advice, "")):
            if words:
                column.addWidget(text(words, role, wrap=True))
        layout.addLayout(column, 1)
        if finding.images:
            button = QPushButton(tr("Show images"))
            button.setObjectName(f"finding-images-{number}")
            button.setAccessibleName(tr("Show the images: {title}", title=finding.title))
            button.clicked.connect(lambda _=False, finding=finding: self.images_wanted.emit(finding))
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        return row

    def retheme(self) -> None:
        if self.findings:
            self.show_findings(self.findings)
