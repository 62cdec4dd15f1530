"""Keeps the Data place up to date with the document: opens, checks and augments on workers."""

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.control import RunControl
from core.data.access import DataAccess
from core.data.catalogue import SOURCES
from core.data.image_data import ImageData
from core.data.settings import DataSettings, settings_path
from core.document import edits
from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.runs.home import Home
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker
from gui.data import jobs
from gui.data.correcting import Correcting
from gui.data.view import AUGMENTATION, DataView

_NOT_FOR_OPENING = {"augmentation", "normalisation", "balance"}


class DataPlace(QObject):
    """Everything is computed from the document; work under way is stopped when the document has changed.

    Args:
        tool: the window's tool process.

    Signals:
        status_message: a sentence for the status bar.
        settings_wanted: the data section of the document shall be shown for editing.
    """

    status_message = Signal(str)
    settings_wanted = Signal()

    def __init__(self, document: Document, home: Home, tool: Child, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.document, self.home, self.messages = document, home, messages
        self._tool = tool
        self.view = DataView()
        self.data: ImageData | None = None
        self._opened_key = self._wanted_key = self._refused_key = self._opening_key = ""
        self._checked = ResultCache({})
        self._check_key = self._checking_key = self._drawn_key = ""
        self._shift = self._roll = 0
        self.correcting = Correcting(messages, self)
        self.guesser, self.opener, self.checker, self.augmenter = (Worker(self) for _ in range(4))
        self._connect()

    def _connect(self) -> None:
        view = self.view
        view.seen.connect(self._seen)
        view.picked.connect(self.take)
        view.sample_wanted.connect(lambda: self._choose("fashion-mnist-sample", None))
        view.stop_wanted.connect(self.opener.stop)
        view.settings_wanted.connect(self.settings_wanted)
        view.augmentation_seen.connect(self._draw)
        view.augmentation.settings_wanted.connect(self.settings_wanted)
        view.augmentation.roll_wanted.connect(lambda: self._redraw(0, 1))
        view.gallery.correction_wanted.connect(self._correct)
        self.correcting.corrected.connect(self.open_again)
        self.correcting.status_message.connect(self.status_message)
        view.augmentation.others_wanted.connect(lambda: self._redraw(1, 0))
        self.document.changed.connect(self._document_changed)
        self.guesser.completed.connect(lambda guess: self._choose(*guess))
        self.guesser.failed.connect(self.messages.failure)
        self.opener.happened.connect(lambda reports: view.show_opening(*reports[-1]))
        self.opener.completed.connect(self._show)
        self.opener.failed.connect(self._not_opened)
        self.opener.stopped.connect(self._stopped)
        self.opener.ended.connect(self._refresh_if_changed)
        self.checker.happened.connect(lambda reports: view.show_checking(*reports[-1]))
        self.checker.completed.connect(self._show_checked)
        self.checker.failed.connect(lambda failure: view.check.show_findings([], failure.message))
        self.checker.ended.connect(self._check)
        self.augmenter.completed.connect(view.augmentation.show_images)
        self.augmenter.failed.connect(
            lambda failure: view.augmentation.show_busy(failure.message, failure.advice)
        )
        self.augmenter.ended.connect(self._draw)

    # choosing

    def take(self, path: Path) -> None:
        """Make what lies at `path` the document's data set; its kind is guessed."""
        if not self.guesser.running:
            self.guesser.start(tr("looking at the data"), partial(jobs.guess_job, path))

    def _choose(self, source: str, path: Path | None) -> None:
        """One step to undo: another data set, whose classes are all used."""
        pipeline = edits.set_data(self.document.pipeline, ("source",), source)
        pipeline = edits.set_data(pipeline, ("path",), str(path) if path else None, path is None)
        pipeline = edits.set_data(pipeline, ("classes",), None, True)
        self._refused_key = ""
        self.document.apply(pipeline, tr("Choose data"))
        if self.view.isVisible():
            self.refresh()
        chosen = SOURCES[source].title + (f", {path.name}" if path else "")
        self.status_message.emit(tr("The pipeline's data set: {chosen}.", chosen=chosen))

    def _correct(self, image: str, present: str) -> None:
        """A label is wrong."""
        if self.data is not None:
            pixels = self.view.gallery.grid.pictures.pixels_of_file(image)
            self.correcting.ask(self.view.window(), self._place, image, present, self.data.classes, pixels)

    def open_again(self) -> None:
        """The images are other ones now: open them again, with the list; when they are looked at."""
        self._opened_key = self._opening_key = ""  # one that is under way began before
        if self.view.isVisible():
            self.refresh()

    # opening

    def _seen(self) -> None:
        """Try again what could not be opened."""
        self._refused_key = ""
        self.refresh()

    def _document_changed(self) -> None:
        if self.view.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Open the document's data set unless it is open; bring check and preview up to date."""
        settings, base = self.document.pipeline.data, self.document.base
        key = self._wanted_key = _key(settings, base)
        if self.opener.running:
            if key != self._opening_key:
                self.opener.stop()
        elif key == self._opened_key:
            self._shown()
        elif key != self._refused_key:
            self._open(key, settings, base)

    def _open(self, key: str, settings: DataSettings, base: Path) -> None:
        source = SOURCES.get(settings.source)
        if source is not None and source.path_kind != "none" and not settings.path.strip():
            self.view.show_empty(
                tr("No images yet"),
                tr(
                    "Drop a folder, a zip file or a CSV file of images here, or choose one. “{title}” needs "
                    "to know where the images are.",
                    title=source.title,
                ),
            )
            return

        def job(control: RunControl, say: Say) -> Any:
            return jobs.open_job(settings, self.home.data, base, control, say)

        self._opening_key = key
        self.view.show_opening(0.0, tr("Listing the images"))
        self.opener.start(tr("opening the data set"), job)

    def _refresh_if_changed(self) -> None:
        """The document may have changed while its data was being opened."""
        if self._wanted_key != self._opening_key and self.view.isVisible():
            self.refresh()

    def _show(self, data: ImageData) -> None:
        self.data, self._opened_key, self._refused_key = data, self._opening_key, ""
        self._drawn_key = self._check_key = ""
        self._shift = self._roll = 0
        if self._opened_key == self._wanted_key:
            self._show_open(data)
            self._shown()

    def _shown(self) -> None:
        if self.data is not None and not self.view.showing:
            self._show_open(self.data)
        self.view.augmentation.show_settings(self.document.pipeline.data.augmentation)
        self._check()
        self._draw()

    def _show_open(self, data: ImageData) -> None:
        self.view.show_data(data, self.document.pipeline.data.path, self._place)

    @property
    def _place(self) -> Path:
        """Where the document's data set lies."""
        return settings_path(self.document.pipeline.data.path, self.document.base)

    def _not_opened(self, failure: Failure) -> None:
        self._refused_key = self._opening_key
        self.view.show_empty(failure.message, failure.advice)

    def _stopped(self) -> None:
        if self._wanted_key == self._opening_key:
            self._refused_key = self._opening_key
            self.view.show_empty(
                tr("Not opened"), tr("Opening was cancelled. Choose the data again to open it.")
            )

    # checking

    def _check(self) -> None:
        """Check the open data against the document as it is now; answers are kept."""
        if self.data is None or self._opened_key != self._wanted_key:
            return
        pipeline, data, access, tool = self.document.pipeline, self.data, self._access(), self._tool
        key = _check_key(pipeline, data)
        if key == self._check_key:
            return
        if ("check", key) in self._checked:
            self._check_key = key
            self.view.show_checked(self._checked["check", key])
        elif self.checker.running:
            self.checker.stop()
        else:
            self._check_key = self._checking_key = key
            self.view.show_checking(0.0, tr("Looking at the images …"))
            self.checker.start(
                tr("checking the data"),
                lambda control, say: jobs.check_job(pipeline, data, access, tool, control, say),
            )

    def _show_checked(self, checked: jobs.DataCheck) -> None:
        self._checked["check", self._checking_key] = checked
        if self._checking_key == self._check_key:
            self.view.show_checked(checked)

    # augmenting

    def _redraw(self, shift: int, roll: int) -> None:
        self._shift, self._roll = self._shift + shift, self._roll + roll
        self._draw()

    def _draw(self) -> None:
        """Draw the preview when it is in view and not the one that is wanted."""
        data, settings = self.data, self.document.pipeline.data
        if (
            data is None
            or self._opened_key != self._wanted_key
            or self.view.tabs.currentIndex() != AUGMENTATION
        ):
            return
        access, tool, shift, roll = self._access(), self._tool, self._shift, self._roll
        key = f"{self._opened_key}/{settings.model_dump_json()}/{shift}/{roll}"
        if key == self._drawn_key or self.augmenter.running:
            return
        if not self._drawn_key:
            self.view.augmentation.show_busy(tr("Drawing …"))
        self._drawn_key = key
        self.augmenter.start(
            tr("the augmentation preview"),
            lambda control, _say: jobs.augment_job(access, tool, shift, roll, control),
        )

    def _access(self) -> DataAccess:
        return DataAccess(self.document.pipeline.data, self.home.data, self.document.base)

    def retheme(self) -> None:
        self.view.retheme()


def _key(settings: DataSettings, base: Path) -> str:
    """What opening depends on."""
    random_crop = settings.augmentation.random_crop  # needs whole images
    return f"{base}/{random_crop}/{settings.model_dump_json(exclude=_NOT_FOR_OPENING)}"


def _check_key(pipeline: Pipeline, data: ImageData) -> str:
    """What the check depends on."""
    parts = [source.model_dump_json() for source in pipeline.sources]
    chosen = pipeline.data.model_dump_json(include={"normalisation", "balance", "image_size"})
    return "/".join([data.fingerprint, chosen, *parts])
