"""The Inspector: a model and what it is compared with above, what is known of them in tabs below."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from core.runs.stage_files import StageFile
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.architecture_page import ArchitecturePage
from gui.inspect.calibration_page import CalibrationPage
from gui.inspect.classes_page import ClassesPage
from gui.inspect.distributions_page import DistributionsPage
from gui.inspect.flips_page import FlipsPage
from gui.inspect.layers_page import LayersPage
from gui.inspect.picker import SubjectPicker
from gui.inspect.sensitivity_page import SensitivityPage
from gui.inspect.similarity_page import SimilarityPage
from gui.widgets.buttons import ActionButton, EmptyState, Header
from gui.widgets.narrow_layout import TurningRow, beside
from gui.widgets.tabs import Tabs

TABS = (
    ("layers", QT_TR_NOOP("Layers")),
    ("architecture", QT_TR_NOOP("Architecture")),
    ("distributions", QT_TR_NOOP("Distributions")),
    ("similarity", QT_TR_NOOP("Similarity")),
    ("sensitivity", QT_TR_NOOP("Sensitivity")),
    ("calibration", QT_TR_NOOP("Calibration")),
    ("classes", QT_TR_NOOP("Classes")),
    ("flips", QT_TR_NOOP("Flips")),
)


class InspectView(QWidget):
    """Builds the tabs; the `InspectPlace` fills them.

    Signals:
        tab_shown: the name of the current tab.
        swap_wanted: the two models change places.
    """

    tab_shown = Signal(str)
    swap_wanted = Signal()

    def __init__(self, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-inspect")
        self.header = Header(tr("Inspect"), ActionButton(open_run))
        self.model, self.reference = (
            SubjectPicker("inspect", tr("Model")),
            SubjectPicker("against", "against", True),
        )
        self.swap = QPushButton()
        self.swap.setObjectName("inspect-swap")
        self.swap.setAccessibleName(tr("Swap the two models"))
        self.swap.setToolTip(tr("Swap the two models"))
        self.swap.clicked.connect(self.swap_wanted)
        self.layers, self.architecture = LayersPage(), ArchitecturePage()
        self.distributions, self.sensitivity = DistributionsPage(), SensitivityPage()
        self.similarity, self.calibration = SimilarityPage(), CalibrationPage()
        self.classes, self.flips = ClassesPage(), FlipsPage()
        self.tabs = Tabs("inspect-tabs", tr("What is shown of the model"))
        for name, title in TABS:
            self.tabs.addTab(getattr(self, name), tr(title))
        self.tabs.currentChanged.connect(lambda index: self.tab_shown.emit(TABS[index][0]))
        for page in (self.layers, self.architecture):
            page.layer_wanted.connect(self.show_layer)
        self.classes.cell_chosen.connect(self._show_cell)
        self.empty = EmptyState(
            "inspect",
            tr("Nothing to inspect yet"),
            tr(
                "Every finished stage of a run can be looked into here: its layers, what changed in them, and the "
                "very images that it lost. Run the pipeline, or open a run from before."
            ),
            ActionButton(run, primary=True),
        )
        self._build()
        self.retheme()
        self.show_chosen(None, None)

    def _build(self) -> None:
        pickers = TurningRow(beside(self.model, self.swap, gap=10), self.reference, gap=10)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(pickers)
        column.addWidget(self.tabs, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(12)
        layout.addWidget(self.header)
        layout.addWidget(self._stack, 1)
        pages = (self.tabs.widget(index) for index in range(self.tabs.count()))
        self.styled_parts = (self.header, self.empty, pickers, self.tabs.tabBar(), *pages)

    @property
    def tab(self) -> str:
        """The name of the current tab."""
        return TABS[self.tabs.currentIndex()][0]

    def go(self, tab: str) -> None:
        """Open a tab."""
        self.tabs.setCurrentIndex([name for name, _ in TABS].index(tab))

    def show_chosen(self, model: StageFile | None, reference: StageFile | None) -> None:
        """Show what is looked at; nothing shows what to do next."""
        self._stack.setCurrentIndex(0 if model is None else 1)
        self.swap.setEnabled(model is not None and reference is not None)
        if model is None:
            self.header.show_texts(tr("Inspect"), tr("Look into any finished stage of any run."))
        else:
            against = tr(" against {name}", name=reference.short) if reference is not None else ""
            self.header.show_texts(
                tr("Inspect · {short}{against}", short=model.short, against=against),
                f"{model.pipeline.name} · {model.run.name}",
            )

    def show_layer(self, layer: str) -> None:
        """Show a layer's distributions."""
        self.go("distributions")
        self.distributions.choose(layer)

    def retheme(self) -> None:
        self.swap.setIcon(theme.icon("swap"))
        for name, _ in TABS:
            getattr(self, name).retheme()

    def _show_cell(self, true: int, guess: int, before: bool) -> None:
        self.go("flips")
        self.flips.show_cell(true, guess, before)
