"""What both dialogs of "what I have" look like: rows with a label and a field, and the button that makes the pipeline."""

from collections.abc import Sequence

from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.document.templates import Template
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo


class OwnDialog(QDialog):
    """A column of labelled fields, a choice of templates, *Make the pipeline* and *Cancel*."""

    def __init__(self, parent: QWidget | None, name: str, title: str, about: str):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName(name)
        self.setWindowTitle(title)
        self.setMinimumWidth(620)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(22, 18, 22, 16)
        self.column.setSpacing(7)
        self.column.addWidget(text(title, "title"))
        self.column.addWidget(text(about, "muted", wrap=True))
        self.templates = Combo("own-template")
        self.templates.currentIndexChanged.connect(lambda _index: self._explain())
        self.help = text("", "muted", wrap=True)
        self.help.setObjectName("own-template-help")
        self._known: tuple[Template, ...] = ()

    def add(self, label: str, field: QWidget, below: QWidget | None = None) -> None:
        """A field with its label above it, and what explains it below."""
        words = text(label, "section")
        words.setBuddy(field)
        if not field.accessibleName():
            field.setAccessibleName(label)
        self.column.addSpacing(5)
        self.column.addWidget(words)
        self.column.addWidget(field)
        if below is not None:
            self.column.addWidget(below)

    def add_end(self) -> None:
        """The templates and the buttons."""
        self.add(tr("What to do"), self.templates, self.help)
        self.make, cancel = QPushButton(tr("Make the pipeline")), QPushButton(tr("Cancel"))
        self.make.setObjectName("own-make")
        cancel.setObjectName("own-cancel")
        self.make.setProperty("primary", True)
        self.make.setDefault(True)
        self.make.clicked.connect(self.accept)
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(self.make)
        row.addWidget(cancel)
        self.column.addSpacing(8)
        self.column.addStretch(1)
        self.column.addLayout(row)

    def show_templates(self, templates: Sequence[Template]) -> None:
        """Offer these."""
        self._known = tuple(templates)
        self.templates.clear()
        for template in templates:
            self.templates.addItem(template.title, template.id)

    @property
    def template(self) -> Template:
        return self._known[max(0, self.templates.currentIndex())]

    def _explain(self) -> None:
        if self._known:
            self.help.setText(self.template.help)

    def fit(self) -> None:
        """As high as the texts need now."""
        self.layout().activate()  # type: ignore[union-attr]
        self.resize(
            self.width(), max(self.height(), self.heightForWidth(self.width()), self.sizeHint().height())
        )
