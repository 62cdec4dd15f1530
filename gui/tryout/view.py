"""The Try-out place: two models above, the image and both answers in the middle, the images below."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import (  # fmt: skip
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.analysis.tryout import BEST, Tally, Trial
from core.data.layout import IMAGE_ENDINGS
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.picker import SubjectPicker
from gui.tryout.answers import AnswerCard
from gui.tryout.picture import PictureCard
from gui.tryout.sources import paths_in, picture_in
from gui.tryout.tried_table import TriedTable
from gui.tryout.verdict import VerdictLine, in_words
from gui.widgets.buttons import ActionButton, EmptyState, Header, card, text
from gui.widgets.combo import Combo
from gui.widgets.narrow_layout import TurningRow, beside
from gui.widgets.progress_line import ProgressLine

ROLES = (QT_TR_NOOP("Baseline"), QT_TR_NOOP("Compressed"))
_TIMING = QT_TR_NOOP(
    "Times: the model alone in ONNX Runtime on one thread of this processor, one model after the other."
)
_KNOWN = QT_TR_NOOP(
    "Images lie in the data folder of the model's run: it may have trained on them, so that more answers are right than elsewhere."
)
_NO_MODEL = QT_TR_NOOP(
    "Choose a model above: any stage of a finished run, or an ONNX file that Espalier made. Run the pipeline, or "
    "open a run from before."
)
_NO_IMAGE = QT_TR_NOOP(
    "Drag images or a folder here. Or choose them, paste one (Ctrl+V), or use the camera: both models answer, "
    "side by side, with the time they take."
)
_TRUTH = QT_TR_NOOP(
    "The class that the image shows: its folder's name where that is a class, or what you choose. Keys 1 to 5 take that answer of "
    "the first model and go to the next image, 0 means unknown. With the camera it holds for every picture until you change it."
)


class TryoutView(QWidget):
    """Builds the place; the `TryoutPlace` classifies.

    Signals:
        places_chosen: images and folders to try, as paths.
        picture_given: pixels to try.
        model_file_chosen: which model (0 or 1), and an ONNX file for it.
        camera_wanted: the camera is to begin (True) or to end.
        clear_wanted: forget the images.
        swap_wanted: the two models change places.
        refused: why something cannot be tried, in a sentence.
        truth_given: the class that the current image shows, or "" for unknown.
        answer_is_true: the current image shows the n-th of the first model's answers.
        sheet_wanted: a file that the answers are to be written to.
    """

    places_chosen = Signal(list)
    picture_given = Signal(QImage)
    model_file_chosen = Signal(int, Path)
    camera_wanted = Signal(bool)
    clear_wanted = Signal()
    swap_wanted = Signal()
    refused = Signal(str)
    truth_given = Signal(str)
    answer_is_true = Signal(int)
    sheet_wanted = Signal(Path)

    def __init__(self, open_run: QAction, run: QAction, no_camera: str):
        super().__init__()
        self.setObjectName("place-tryout")
        self.setAcceptDrops(True)
        self._no_camera, self._blocked, self._models = no_camera, "", (False, False)
        self.images = self._button("images", "file", tr("Images…"), tr("Choose images to try"))
        self.folder = self._button("folder", "folder", tr("Folder…"), tr("Try every image of a folder"))
        self.paste = self._button(
            "paste", "paste", tr("Paste"), tr("Try the image on the clipboard  (Ctrl+V)")
        )
        self.camera = self._button("camera", "camera", tr("Camera"), no_camera)
        self.camera.setCheckable(True)
        self.sheet = self._button(
            "sheet", "save", tr("Save sheet…"), tr("Save every image's class and answers as CSV")
        )
        self.truth = Combo("tryout-truth", tr("The class that the image shows"))
        self.truth.setToolTip(tr(_TRUTH))
        self.truth.setMinimumWidth(150)
        self.truth.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.clear = self._button("clear", "remove", tr("Clear"), tr("Forget these images"))
        self.header = Header(
            tr("Try-out"), self.images, self.folder, self.paste, self.camera, ActionButton(open_run)
        )
        self.pickers = (
            SubjectPicker("tryout-first", tr(ROLES[0])),
            SubjectPicker("tryout-second", tr(ROLES[1]), True),
        )
        self.files = tuple(self._file_tool(number) for number in (0, 1))
        self.swap = self._tool("swap", "swap", tr("Swap the two models"), tr("Swap the two models"))
        self.picture = PictureCard()
        self.answers = (AnswerCard("first", tr(ROLES[0])), AnswerCard("second", tr(ROLES[1])))
        self.table = TriedTable()
        self.verdict = VerdictLine()
        self.summary = text("", "", wrap=True)
        self.summary.setObjectName("tryout-summary")
        self.only = QCheckBox(tr("Only where they differ"))
        self.only.setObjectName("tryout-only-differing")
        self.working = ProgressLine("tryout", tr("Progress of trying the images"))
        self.no_model = EmptyState(
            "tryout", tr("Nothing to try yet"), tr(_NO_MODEL), ActionButton(run, primary=True)
        )
        self.choose = self._button("choose", "tryout", tr("Choose images…"), tr("Choose images to try"))
        self.choose.setProperty("primary", True)
        self.no_image = EmptyState("tryout-images", tr("Drop images here"), tr(_NO_IMAGE), self.choose)
        self._drop_icon = QLabel()
        self._build()
        self._connect()
        self.retheme()
        self.show_tally(Tally(), 0)

    @staticmethod
    def _button(name: str, icon: str, words: str, tip: str) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(f"tryout-{name}")
        button.setAccessibleName(words.strip("…") or tip)
        button.setToolTip(tip)
        button.setProperty("icon_name", icon)
        return button

    @staticmethod
    def _tool(name: str, icon: str, label: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName(f"tryout-{name}")
        button.setAccessibleName(label)
        button.setToolTip(tip)
        button.setProperty("icon_name", icon)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def _file_tool(self, number: int) -> QToolButton:
        tip = tr("{role}: choose an ONNX file that Espalier made", role=tr(ROLES[number]))
        button = self._tool(f"file-{number + 1}", "file", tip, tip)
        button.clicked.connect(lambda: self._choose_file(number))
        return button

    def _build(self) -> None:
        first = beside(self.pickers[0], self.files[0], self.swap)
        chosen = TurningRow(first, beside(self.pickers[1], self.files[1]), gap=8)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.verdict)
        column.addWidget(TurningRow(*self.answers), 1)
        middle = TurningRow(self.picture, right)
        foot = TurningRow(
            self.summary,
            TurningRow(
                beside(text(tr("Shows"), "muted"), self.truth, self.only),
                beside(self.sheet, self.clear),
                gap=8,
            ),
            gap=10,
            stretch=(1, 0),
        )
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(middle)
        column.addWidget(text(tr(_TIMING), "help", wrap=True))
        column.addWidget(foot)
        column.addWidget(self.table, 1)
        self._stack = QStackedWidget()
        for page in (self.no_model, self._drop_area(), body):
            self._stack.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addWidget(chosen)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.working)

    def _drop_area(self) -> QWidget:
        """What is seen while there is no image."""
        column = self.no_image.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(1, self._drop_icon, 0, Qt.AlignmentFlag.AlignHCenter)
        area = card("drop")
        QVBoxLayout(area).addWidget(self.no_image)
        return area

    def _connect(self) -> None:
        for button in (self.images, self.choose):
            button.clicked.connect(self._choose_images)
        self.folder.clicked.connect(self._choose_folder)
        self.paste.clicked.connect(self._paste)
        self.camera.clicked.connect(self.camera_wanted)
        self.clear.clicked.connect(self.clear_wanted)
        self.swap.clicked.connect(self.swap_wanted)
        self.only.toggled.connect(self.table.only_differing)
        self.sheet.clicked.connect(self._choose_sheet)
        self.truth.activated.connect(lambda index: self.truth_given.emit(self.truth.itemData(index)))
        for number in range(BEST + 1):
            digit = QShortcut(QKeySequence(str(number)), self)
            digit.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            digit.activated.connect(partial(self._digit, number))
        keys = QShortcut(QKeySequence(QKeySequence.StandardKey.Paste), self)
        keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        keys.activated.connect(self._paste)

    # what is shown

    def show_state(self, models: tuple[bool, bool], live: bool, blocked: str) -> None:
        """What is enabled and which page is seen.

        Args:
            models: which models are chosen. live: the camera is on. blocked: why nothing can be tried now.
        """
        self._models, self._blocked = models, blocked
        count = self.table.rows.rowCount()
        self._stack.setCurrentIndex(0 if not any(models) else 2 if count or live else 1)
        ready = any(models) and not blocked
        for button in (self.images, self.choose, self.folder, self.paste):
            button.setEnabled(ready)
        self.camera.setEnabled(ready and not self._no_camera)
        self.camera.setChecked(live)
        self.camera.setText(tr("Stop camera") if live else tr("Camera"))
        self.camera.setToolTip(self._no_camera or tr("Try what the camera sees"))
        self.clear.setEnabled(bool(count) and not live)
        self.only.setEnabled(all(models) and bool(count) and not live)
        self.sheet.setEnabled(bool(count) and not live)
        self.truth.setEnabled(self.truth.count() > 1)
        self.table.setVisible(not live)
        self.swap.setEnabled(all(models))
        self.answers[0].setVisible(models[0])
        self.answers[1].setVisible(models[1])
        self.header.show_texts(
            tr("Try-out"), blocked or tr("Any model on any image: what it answers, and how fast.")
        )
        more = f"\n\n{self._no_camera}" if self._no_camera else ""
        self.no_image.advice.setText(blocked or tr(_NO_IMAGE) + more)

    def show_trial(self, trial: Trial | None, places: Sequence[int | None]) -> None:
        """Show an image's answers; `places` say where each model's stands in the trial."""
        words = tr("Waiting for its turn …") if trial is None else tr("No answer")
        for answer_card, place in zip(self.answers, places, strict=True):
            shown = trial is not None and place is not None and not trial.problem
            answer_card.show_answer(
                trial.answers[place] if shown and trial and place is not None else None, words
            )
        size = (
            tr("{width} × {height} pixels. ", width=trial.width, height=trial.height)
            if trial is not None and trial.width
            else ""
        )
        self.picture.show_notes(size + " ".join(trial.notes) if trial is not None else "")
        self.verdict.show_trial(trial)

    def show_classes(self, classes: Sequence[str]) -> None:
        """Offer these classes as what an image may show."""
        if [self.truth.itemData(index) for index in range(1, self.truth.count())] == list(classes):
            return
        self.truth.clear()
        for name, value in ((tr("unknown"), ""), *((name, name) for name in classes)):
            self.truth.addItem(name, value)
        self.truth.setEnabled(self.truth.count() > 1)

    def show_truth(self, truth: str) -> None:
        """Show which class the image shows, "" for unknown."""
        self.truth.setCurrentIndex(max(0, self.truth.findData(truth)))

    def show_tally(self, tally: Tally, total: int, rate: float | None = None, known: bool = False) -> None:
        """Say what came of all images; `rate`: pictures a second of the camera that are tried; `known`: images are among
        those that the model's run worked with."""
        words = in_words(tally, total, all(self._models), rate)
        self.summary.setText(f"{words} · ⚠ {tr(_KNOWN)}" if known else words)

    def retheme(self) -> None:
        for button in (
            self.images,
            self.folder,
            self.paste,
            self.camera,
            self.clear,
            self.sheet,
            self.swap,
            *self.files,
        ):
            button.setIcon(theme.icon(str(button.property("icon_name"))))
        self.choose.setIcon(theme.icon("tryout", "on_accent"))
        self._drop_icon.setPixmap(theme.pixmap("tryout", "muted", 48, self.devicePixelRatioF()))
        self.verdict.retheme()

    # what a person gives

    def take(self, mime: QMimeData) -> bool:
        """Try what was dropped or pasted; False when it holds no image."""
        paths, picture = paths_in(mime), picture_in(mime)
        if not any(self._models) or self._blocked:
            self.refused.emit(self._blocked or tr("Choose a model first."))
        elif paths:
            self.places_chosen.emit(paths)
        elif picture is not None:
            self.picture_given.emit(picture)
        else:
            return False
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Images and folders are tried here; what else there is goes to the window."""
        if any(self._models) and (paths_in(event.mimeData()) or picture_in(event.mimeData()) is not None):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        if self.take(event.mimeData()):
            event.acceptProposedAction()

    def _paste(self) -> None:
        held = QApplication.clipboard().mimeData()  # None where nothing was copied yet, on some systems
        if not self.take(held or QMimeData()):
            self.refused.emit(tr("The clipboard holds no image."))

    def _choose_images(self) -> None:
        kinds = " ".join(f"*{ending}" for ending in sorted(IMAGE_ENDINGS))
        chosen, _ = QFileDialog.getOpenFileNames(
            self, tr("Choose images"), "", tr("Images ({kinds})", kinds=kinds)
        )
        if chosen:
            self.places_chosen.emit([Path(name) for name in chosen])

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose a folder of images"))
        if chosen:
            self.places_chosen.emit([Path(chosen)])

    def _digit(self, number: int) -> None:
        if number:
            self.answer_is_true.emit(number - 1)
        else:
            self.truth_given.emit("")

    def _choose_sheet(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save the sheet"), "tried.csv", tr("CSV (*.csv)"))
        if chosen:
            self.sheet_wanted.emit(Path(chosen).with_suffix(".csv"))

    def _choose_file(self, number: int) -> None:
        title = tr("{role}: choose an ONNX file", role=tr(ROLES[number]))
        chosen, _ = QFileDialog.getOpenFileName(self, title, "", tr("ONNX models (*.onnx)"))
        if chosen:
            self.model_file_chosen.emit(number, Path(chosen))
