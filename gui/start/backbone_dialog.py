"""Asks which backbone a weights file belongs to, with the best guess chosen."""

from pathlib import Path

from PySide6.QtWidgets import (  # fmt: skip
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.document.from_model import WeightsDescription
from core.models.catalogue import BACKBONES
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo


class BackboneDialog(QDialog):
    """Accepted when a person wants the pipeline; then `backbone` and `fresh_head` say how."""

    def __init__(self, parent: QWidget | None, path: Path, weights: WeightsDescription):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("backbone-dialog")
        self.setWindowTitle(tr("A pipeline from weights"))
        self.setMinimumWidth(520)
        self.weights = weights
        self.box = Combo("dropped-backbone", tr("Backbone"))
        shares = {match.backbone: match.share for match in weights.matches}
        ordered = [match.backbone for match in weights.matches]
        for id in [*ordered, *(id for id in BACKBONES if id not in shares)]:
            fits = tr(" · {shares:.0f} % of the tensors fit", shares=shares[id] * 100) if id in shares else ""
            self.box.addItem(BACKBONES[id].title + fits, id)
        self.box.currentIndexChanged.connect(lambda _index: self._say())
        self.help = text("", "muted", wrap=True)
        self.help.setObjectName("dropped-help")
        self.fresh = QCheckBox(tr("Start with a new classifier"))
        self.fresh.setObjectName("dropped-fresh-head")
        self.fresh.setChecked(weights.fresh_head)
        label = text(tr("Backbone"), "section")
        label.setBuddy(self.box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 20, 22, 18)
        layout.setSpacing(10)
        layout.addWidget(text(tr("Which network is {name}?", name=path.name), "heading", wrap=True))
        layout.addWidget(text(" ".join((in_words(weights), *weights.notes)), "", wrap=True))
        layout.addSpacing(4)
        layout.addWidget(label)
        layout.addWidget(self.box)
        layout.addWidget(self.help)
        layout.addSpacing(4)
        layout.addWidget(self.fresh)
        layout.addWidget(text(classes_in_words(weights), "muted", wrap=True))
        layout.addSpacing(6)
        layout.addLayout(self._buttons())
        self._say()

    def _buttons(self) -> QHBoxLayout:
        make, cancel = QPushButton(tr("Make the pipeline")), QPushButton(tr("Cancel"))
        make.setObjectName("dropped-make")
        cancel.setObjectName("dropped-cancel")
        make.setProperty("primary", True)
        make.setDefault(True)
        make.clicked.connect(self.accept)
        cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(make)
        row.addWidget(cancel)
        return row

    def _say(self) -> None:
        self.help.setText(BACKBONES[self.backbone].help)

    @property
    def backbone(self) -> str:
        """The chosen backbone's id."""
        return str(self.box.currentData())

    @property
    def fresh_head(self) -> bool:
        """Whether the file's classifier is left out."""
        return self.fresh.isChecked()


def in_words(weights: WeightsDescription) -> str:
    """What the comparison says."""
    if weights.sure:
        return tr(
            "Every one of its {tensors} tensors fits {title} by name and shape.",
            tensors=weights.tensors,
            title=BACKBONES[weights.matches[0].backbone].title,
        )
    if weights.matches and weights.matches[0].share > 0.5:
        title, share = BACKBONES[weights.matches[0].backbone].title, weights.matches[0].share
        return tr(
            "It comes nearest to {title}: {share:.0f} % of its tensors fit by name and shape.",
            title=title,
            share=share * 100,
        )
    return tr(
        "No backbone of the list fits by names and shapes. Choose the one that the weights were made for."
    )


def classes_in_words(weights: WeightsDescription) -> str:
    """How the classifier and the data set fit together."""
    if weights.classes is None:
        return tr("The classes that it was trained for could not be told from the file.")
    if weights.data_classes is None:
        return tr(
            "It tells {classes} classes apart. The open data set could not be counted.",
            classes=weights.classes,
        )
    if weights.classes == weights.data_classes:
        return tr(
            "It tells {classes} classes apart, as many as the open data set has.", classes=weights.classes
        )
    return tr(
        "It tells {classes} classes apart, the open data set has {data_classes}.",
        classes=weights.classes,
        data_classes=weights.data_classes,
    )
