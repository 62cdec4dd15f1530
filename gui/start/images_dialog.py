"""*My images*: what was found, size, network, and what to do with them."""

from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from core.data.place_contents import FoundImages
from core.document.pipeline import Pipeline
from core.document.templates import (
    FOR_IMAGES,
    images_pipeline,
    proposed_network,
    proposed_size,
    sizes_for,
)
from core.models.catalogue import BACKBONES
from gui.base.translation import tr
from gui.base.worker import Failure
from gui.start.images_box import ImagesBox
from gui.start.own_dialog import OwnDialog
from gui.widgets.buttons import text
from gui.widgets.combo import Combo


class ImagesDialog(OwnDialog):
    """Everything but the place of the images is proposed; accepted when a person wants the pipeline."""

    def __init__(self, parent: QWidget | None):
        super().__init__(
            parent, "images-dialog", tr("My images"),
            tr("Choose where they lie. Nothing is copied or changed; what is proposed below can be changed now or later."),
        )  # fmt: skip
        self.pretrained: frozenset[str] = frozenset()
        self._own_network = self._own_size = False
        self.images = ImagesBox(
            tr("A folder or zip file with a folder of images for each class, or with train and test folders of these; "
               "a CSV list with the columns path and label; tar shards, Parquet, CIFAR or IDX files.")
        )  # fmt: skip
        self.network, self.side = Combo(), Combo()
        self.network.setObjectName("own-network")
        self.side.setObjectName("own-size")
        self.side.setAccessibleName(tr("Image size"))
        for id, backbone in BACKBONES.items():
            self.network.addItem(backbone.title, id)
        self.about_network = text("", "muted", wrap=True)
        self.weights = QCheckBox(tr("Start from its ImageNet weights"))
        self.weights.setObjectName("own-weights")
        self.network.activated.connect(lambda _index: self._network_chosen())
        self.side.activated.connect(lambda _index: self._size_chosen())
        self.network.currentIndexChanged.connect(lambda _index: self._propose())
        self.add(tr("Images"), self.images)
        self.add(tr("Network and image size"), self._network_row(), self._below_network())
        self.show_templates(FOR_IMAGES)
        self.add_end()
        self.images.changed.connect(self._found)
        self.images.line.setFocus()
        self._update()

    def _network_row(self) -> QWidget:
        page = QWidget()
        self.network.setAccessibleName(tr("Network"))
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.network, 3)
        row.addWidget(self.side, 2)
        return page

    def _below_network(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.about_network)
        column.addWidget(self.weights)
        return page

    # what is shown

    def show_found(self, found: FoundImages) -> None:
        """What lies at the chosen place."""
        self.images.show_found(found)
        self.fit()
        if self.images.found is not None and not self.images.line.in_typing:
            self.make.setFocus()

    def show_failure(self, failure: Failure) -> None:
        self.images.show_failure(failure)
        self.fit()

    def show_pretrained(self, backbones: frozenset[str]) -> None:
        """Which networks' ImageNet weights are on this machine."""
        self.pretrained = backbones
        self._propose()

    def _found(self) -> None:
        self._own_network = self._own_size = False
        self._propose()

    def _network_chosen(self) -> None:
        self._own_network = True
        self._propose()

    def _size_chosen(self) -> None:
        self._own_size = True

    def _propose(self) -> None:
        """Network and size that fit, unless a person has chosen others."""
        found = self.images.found
        if found is not None:
            if not self._own_network:
                wanted = proposed_network(found, self.pretrained)
                self.network.setCurrentIndex(self.network.findData(wanted))
            if not self._own_size:
                self._offer_sizes(found)
        self._update()

    def _offer_sizes(self, found: FoundImages) -> None:
        self.side.clear()
        for size in sizes_for(found):
            own = tr(" (as they are)") if size == found.own_size else ""
            self.side.addItem(tr("{size} px{own}", size=size, own=own), size)
        self.side.setCurrentIndex(self.side.findData(proposed_size(found, self.backbone, self.pretrained)))

    def _update(self) -> None:
        """Enabled or not, from the state alone."""
        ready = self.images.found is not None
        backbone = BACKBONES[self.backbone]
        for widget in (self.network, self.side, self.templates, self.make):
            widget.setEnabled(ready)
        here = self.backbone in self.pretrained
        if here != self.weights.isEnabled() or not here:
            self.weights.setChecked(here)
        self.weights.setEnabled(here)
        self.weights.setVisible(bool(backbone.imagenet))
        self.weights.setToolTip(
            "" if here else tr("They are not on this machine; Settings → Downloads fetches them.")
        )
        words = backbone.help
        if backbone.imagenet and not here and ready:
            words += " " + tr(
                "Its ImageNet weights are not on this machine; Settings → Downloads fetches them."
            )
        self.about_network.setText(words)

    # what a person chose

    @property
    def backbone(self) -> str:
        """The chosen backbone's id."""
        return str(self.network.currentData())

    def pipeline(self) -> Pipeline:
        """What was chosen, as a document."""
        found = self.images.found
        assert found is not None
        return images_pipeline(
            found, self.template, self.backbone, int(self.side.currentData()),
            self.weights.isChecked() and self.weights.isVisibleTo(self),
        )  # fmt: skip
