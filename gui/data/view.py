"""The Data place: choosing a data set, its classes, its images, its augmentation, its check."""

from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (  # fmt: skip
    QFileDialog,
    QMenu,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.common.numbers import grouped
from core.data.catalogue import SOURCES
from core.data.class_names import order_words
from core.data.guess_source import ENDINGS
from core.data.image_data import ImageData
from core.data.inspection import Finding
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.data.augmentation import AugmentationPane
from gui.data.classes import LABEL, ClassTable
from gui.data.findings import FindingsPane
from gui.data.gallery import Gallery
from gui.data.jobs import DataCheck
from gui.data.left_out import LeftOutPane
from gui.data.noted_line import NotedLine
from gui.data.thumbnails import Rows
from gui.widgets.buttons import EmptyState, Header, card
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.tabs import Tabs

EMPTY, OPENING, SHOWN = range(3)
IMAGES, AUGMENTATION, CHECK, FILES = range(4)
_FILES = QT_TR_NOOP("Data sets ({endings});;All files (*)")


class DataView(QWidget):
    """Shows an opened data set.

    Signals:
        seen: the place has come into view.
        picked: a folder or a file that a person picked as the data set.
        sample_wanted: the bundled data set.
        stop_wanted: opening shall end.
        settings_wanted: the settings of the data set shall be shown.
        augmentation_seen: the preview has come into view.
    """

    seen = Signal()
    picked = Signal(object)
    sample_wanted = Signal()
    stop_wanted = Signal()
    settings_wanted = Signal()
    augmentation_seen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("place-data")
        self.choose = self._choose_button("data-choose", tr("Choose data"))
        self.settings = QPushButton(tr("Data settings…"))
        self.settings.setObjectName("data-settings")
        self.settings.setToolTip(tr("Splits, image size, normalisation and augmentation"))
        self.settings.clicked.connect(self.settings_wanted)
        self.header = Header(tr("Data"), self.settings, self.choose)
        self.empty = EmptyState(
            "data", "", "", self._choose_button("data-choose-empty", tr("Choose data"), True)
        )
        self.classes, self.gallery = ClassTable(), Gallery()
        self.augmentation, self.check, self.files = AugmentationPane(), FindingsPane(), LeftOutPane()
        self.classes.selectionModel().currentRowChanged.connect(self._class_chosen)
        self.check.images_wanted.connect(self._show_finding)
        self.noted = NotedLine()
        self.noted.images_wanted.connect(self._show_images)
        self._stack = QStackedWidget()
        for page in (self.empty, self._opening(), self._body()):
            self._stack.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(12)
        layout.addWidget(self.header)
        layout.addWidget(self.noted)
        layout.addWidget(self._stack, 1)
        self.retheme()

    def _choose_button(self, name: str, words: str, primary: bool = False) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setProperty("hasmenu", True)
        button.setProperty("primary", primary)
        menu = QMenu(button)
        for key, title, slot in (
            ("folder", tr("A folder…"), self._pick_folder),
            ("file", tr("A zip, CSV or archive file…"), self._pick_file),
            ("sample", tr("The bundled Fashion-MNIST sample"), self.sample_wanted.emit),
        ):
            menu.addAction(title, slot).setObjectName(f"{name}-{key}")
        button.setMenu(menu)
        return button

    def _opening(self) -> QWidget:
        stop = QPushButton(tr("Cancel"))
        stop.setObjectName("data-cancel")
        stop.clicked.connect(self.stop_wanted)
        self.opening = EmptyState("data-opening", tr("Opening the data set …"), "", stop)
        self.bar = QProgressBar()
        self.bar.setObjectName("data-progress")
        self.bar.setAccessibleName(tr("Progress of opening the data set"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(420)
        column = self.opening.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(3, self.bar, 0, Qt.AlignmentFlag.AlignHCenter)
        return self.opening

    def _body(self) -> QWidget:
        left, right = card(), card()
        for frame, inside in ((left, self.classes), (right, self._tabs())):
            column = QVBoxLayout(frame)
            column.setContentsMargins(1, 1, 1, 1)
            column.addWidget(inside)
        left.setMinimumWidth(290)
        right.setMinimumWidth(440)
        body = TurningSplitter("data-splitter", left, right)
        body.setSizes([420, 730])
        body.setStretchFactor(1, 1)
        return body

    def _tabs(self) -> Tabs:
        self.tabs = Tabs("data-tabs", tr("Views of the data set"))
        pages = (
            (self.gallery, tr("Images")),
            (self.augmentation, tr("Augmentation")),
            (self.check, tr("Check")),
            (self.files, tr("Files")),
        )
        for page, title in pages:
            self.tabs.addTab(page, title)
        self.tabs.currentChanged.connect(self._tab_chosen)
        return self.tabs

    # what is shown

    @property
    def showing(self) -> bool:
        """Whether a data set is on the screen."""
        return self._stack.currentIndex() == SHOWN

    def show_empty(self, title: str, advice: str) -> None:
        """Nothing is open: why, and what to do."""
        self.header.show_texts(tr("Data"), "")
        self.noted.hide()
        self.empty.title.setText(title)
        self.empty.advice.setText(advice)
        self._stack.setCurrentIndex(EMPTY)

    def show_opening(self, fraction: float, words: str) -> None:
        """How far opening is."""
        self.opening.advice.setText(words)
        self.bar.setValue(round(fraction * 1000))
        self._stack.setCurrentIndex(OPENING)

    def show_data(self, data: ImageData, path: str, place: Path) -> None:
        """Show the data set that was opened from `path`, which is at `place`."""
        self.header.show_texts(data.title, about(data))
        self.noted.show_data(data, place)
        self.gallery.show_data(data)
        self.classes.show_data(data)
        self.files.show_files(facts(data, path), data.problems, data.notes)
        count = len(data.problems)
        self.tabs.setTabText(FILES, tr("Files ({count})", count=count) if count else tr("Files"))
        self.tabs.setTabIcon(
            FILES, theme.icon("warning", "warning") if count else theme.icon("file", "muted")
        )
        self._stack.setCurrentIndex(SHOWN)

    def show_checking(self, fraction: float, words: str) -> None:
        """The check goes on."""
        self.check.show_progress(fraction, words)
        self.tabs.setTabText(CHECK, tr("Check …"))
        self.tabs.setTabIcon(CHECK, theme.icon("running", "muted"))

    def show_checked(self, checked: DataCheck) -> None:
        """The check is done."""
        self.check.show_findings(checked.findings)
        self.gallery.grid.pictures.show_names(checked.names)
        self._mark_check()

    def _mark_check(self) -> None:
        warnings = sum(finding.level == "warning" for finding in self.check.findings)
        self.tabs.setTabText(CHECK, tr("Check ({warnings})", warnings=warnings) if warnings else tr("Check"))
        name, colour = ("warning", "warning") if warnings else ("done", "good")
        self.tabs.setTabIcon(CHECK, theme.icon(name, colour))

    def retheme(self) -> None:
        """Take icons and colours of the theme."""
        self.choose.setIcon(theme.icon("folder"))
        self.settings.setIcon(theme.icon("data"))
        self.tabs.setTabIcon(IMAGES, theme.icon("data", "muted"))
        self.tabs.setTabIcon(AUGMENTATION, theme.icon("reset", "muted"))
        warned = self.files.files.rowCount() > 0
        self.tabs.setTabIcon(
            FILES, theme.icon("warning", "warning") if warned else theme.icon("file", "muted")
        )
        self.augmentation.retheme()
        self.files.retheme()
        self.check.retheme()
        if self.check.findings:
            self._mark_check()
        self.classes.viewport().update()

    # what a person does

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.seen.emit()

    def _pick_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose the folder of a data set"))
        if chosen:
            self.picked.emit(Path(chosen))

    def _pick_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self,
            tr("Choose the file of a data set"),
            "",
            tr(_FILES, endings=" ".join(f"*{ending}" for ending in ENDINGS)),
        )
        if chosen:
            self.picked.emit(Path(chosen))

    def _class_chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid():
            self.gallery.show_class(int(now.data(LABEL)))

    def _show_finding(self, finding: Finding) -> None:
        self._show_images(finding.images, finding.title)

    def _show_images(self, images: Rows, title: str) -> None:
        self.gallery.show_rows(images, title)
        self.tabs.setCurrentIndex(IMAGES)

    def _tab_chosen(self, index: int) -> None:
        if index == AUGMENTATION:
            self.augmentation_seen.emit()


def about(data: ImageData) -> str:
    """The data set in one line."""
    height, width = data.size
    counts = " · ".join(f"{grouped(len(rows))} {name}" for name, rows in data.splits.items())
    kind = "grey" if data.channels == 1 else "colour"
    stored = (
        tr("{amount} decoded", amount=amount(data.images.nbytes))
        if data.decoded
        else tr("{amount} encoded", amount=amount(data.images.nbytes))
    )
    return tr(
        "{count} classes · {width} × {height} px, {kind} · {counts} · {stored}",
        count=len(data.classes),
        width=width,
        height=height,
        kind=kind,
        counts=counts,
        stored=stored,
    )


def facts(data: ImageData, path: str) -> list[tuple[str, str]]:
    """What is known of the data set, title and text."""
    height, width = data.size
    used = sum(len(rows) for rows in data.splits.values())
    return [
        (tr("Kind"), SOURCES[data.source].title),
        (tr("Place"), path or tr("Comes with Espalier")),
        (
            tr("Images"),
            tr(
                "{used} used of {readable} readable ones",
                used=grouped(used),
                readable=grouped(len(data.images)),
            ),
        ),
        (
            tr("Stored as"),
            tr(
                "{width} × {height} px, {amount} in the cache",
                width=width,
                height=height,
                amount=amount(data.images.nbytes),
            )
            if data.decoded
            else tr("as their files hold them, {amount} in the cache", amount=amount(data.images.nbytes)),
        ),
        (tr("Order of classes"), order_words(data.classes)),
        (
            tr("Mean and deviation"),
            tr(
                "{mean} and {deviation} of the range, over the training images",
                mean=shares(data.mean),
                deviation=shares(data.std),
            ),
        ),
    ]


def shares(values: tuple[float, ...]) -> str:
    """One number a channel."""
    return ", ".join(f"{value:.3f}" for value in values)


def amount(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
