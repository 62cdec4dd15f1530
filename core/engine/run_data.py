"""The images of a run: opened once, held against those that it was started with, looked at again at its end."""

import shutil
import time
from pathlib import Path

from core.common.control import RunControl
from core.data.entry import CacheRefusedError
from core.data.image_data import ImageData
from core.data.store import changed_since, open_data
from core.document.pipeline import Pipeline
from core.records.events import Listener, Note, PhaseStarted
from core.runs.home import Home
from core.runs.resuming import check_same_data
from core.runs.run_folder import RunFolder

_IMAGES = "images"  # below a run's scratch, where the home takes no decoded images
_TELL_SECONDS = 1.0  # between two sentences about decoding


class RunData:
    """The data set of one run.

    Attributes:
        folder: of the decoded images, where it is not the home's.
    """

    def __init__(self, run: RunFolder, home: Home, pipeline: Pipeline, control: RunControl, emit: Listener):
        self.run, self.home, self.pipeline = run, home, pipeline
        self.control, self.emit = control, emit
        self.folder: Path | None = None

    def open(self) -> ImageData:
        """The data set; its images are decoded into the run folder where the home takes nothing.

        Raises:
            EspalierError: it cannot be opened, is another than the run was started with, or lacks images that training needs.
            Stopped: a person asked to stop.
        """
        self.emit(PhaseStarted("", "data", "Opening the data set"))
        data = self._opened()
        check_same_data(self.run, data)
        if any(node.stage.epochs(node.parameters) for node in self.pipeline.active):
            data.check_training_classes()
        self.run.update_info(data=data.opened.as_plain())
        for note in data.notes:
            self.emit(Note("", "info", note))
        for sentence in data.left_out():
            self.emit(Note("", "warning", sentence))
        return data

    def note_changes(self, data: ImageData) -> None:
        """Say that the images have changed: the run has worked with those that were there when it began."""
        if changed_since(self.pipeline.data, self.run.base, data.opened, self.control):
            self.emit(Note(
                "", "warning",
                "The images of the data set have changed, or are gone, since this run opened them. All its results "
                "are of the images as they were then; a new run takes them as they are now.",
            ))  # fmt: skip

    def forget_images(self) -> None:
        """Remove the images that the home did not take."""
        shutil.rmtree(self.run.scratch / _IMAGES, ignore_errors=True)

    def _opened(self) -> ImageData:
        try:
            return self._opened_in(self.home.data)
        except CacheRefusedError as error:
            text = f"{error.message} They are kept in the run folder while the run goes on."
            self.emit(Note("", "warning", text))
            self.folder = self.run.scratch / _IMAGES
            return self._opened_in(self.folder)

    def _opened_in(self, cache: Path) -> ImageData:
        told = 0.0

        def tell(done: float, text: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self.emit(PhaseStarted("", "data", text))

        return open_data(self.pipeline.data, cache, self.run.base, self.control, tell)
