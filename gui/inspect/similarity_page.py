"""How alike two models represent the same images, layer by layer."""

from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from core.analysis.similarity import POOLED, LayerSimilarity, read
from gui.base.translation import tr
from gui.widgets.bar_table import BarTable, Cell, Column
from gui.widgets.buttons import ElidedLabel, EmptyState
from gui.widgets.progress_line import ProgressLine

_LOW = 0.5  # a similarity below is shown in the colour of warnings


class SimilarityPage(QWidget):
    """A table of layers with their CKA and channel correlation."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ElidedLabel()
        self.words.setObjectName("similarity-words")
        self.words.setProperty("role", "muted")
        self.working = ProgressLine("similarity", tr("Progress of comparing the layers"))
        self.table = BarTable("similarity", tr("Similarity of every layer"))
        self.empty = EmptyState("similarity", "", "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.words)
        layout.addWidget(self.working)
        layout.addWidget(self._stack, 1)
        self.clear()

    def clear(self) -> None:
        """Nothing is known yet."""
        self.show_nothing(
            tr("Do both see the same in an image?"),
            tr(
                "For every layer that both models have: how alike its features of the same validation images are, as centred "
                "kernel alignment (CKA) and as correlation of its channels."
            ),
        )

    def show_nothing(self, title: str, words: str) -> None:
        """Say why there is no table."""
        self.words.setText("")
        self.empty.title.setText(title)
        self.empty.advice.setText(words)
        self._stack.setCurrentWidget(self.empty)

    def show_similarity(self, result: dict[str, object], model: str, reference: str) -> None:
        """Show what `core.analysis.similarity` found."""
        layers = read(result)
        self.table.show_rows(_columns(), [_cells(layer) for layer in layers])
        words = tr(
            "{model} against {reference}, {images} validation images",
            model=model, reference=reference, images=result["images"],
        )  # fmt: skip
        if result["missing"]:
            words += tr(" · {count} layers that only one of them has are left out", count=result["missing"])
        self.words.setText(words)
        self._stack.setCurrentWidget(self.table)

    def retheme(self) -> None:
        self.table.viewport().update()


def _columns() -> list[Column]:
    return [
        Column(tr("Layer"), tr("The features that the classifier reads first, then the layers in their order"), False, True),
        Column(tr("Channels"), tr("Of the reference → of the model"), False),
        Column(tr("CKA"), tr("Linear centred kernel alignment, unbiased: 1 for the same features up to rotation and scaling, 0 for features that have nothing in common")),
        Column(tr("Channel correlation"), tr("Pearson's correlation of the same channel in both, mean over the channels; only where both have as many")),
    ]  # fmt: skip


def _cells(layer: LayerSimilarity) -> list[Cell]:
    after, before = layer.channels
    return [
        Cell(tr("Pooled features, before the classifier") if layer.layer == POOLED else layer.layer),
        Cell(str(before) if before == after else f"{before} → {after}", before),
        _figure(layer.cka, tr("One of them gives the same for every image")),
        _figure(layer.correlation, tr("They have not as many channels, or none that varies")),
    ]


def _figure(value: float | None, missing: str) -> Cell:
    if value is None:
        return Cell("—", -2.0, tip=missing)
    return Cell(f"{value:.3f}".replace("-", "−"), value, max(0.0, value), "warning" if value < _LOW else "")
