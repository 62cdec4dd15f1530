"""What is tried now, on which models, and the workers that classify."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from core.analysis.tryout import Tally, Trial, Tryout, write_sheet
from core.common.errors import EspalierError
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base.actions import Actions
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Failure, Worker
from gui.tryout import work
from gui.tryout.chooser import Chosen, ModelChooser
from gui.tryout.sources import Camera, FrameSource, why_no_camera
from gui.tryout.view import TryoutView
from gui.tryout.work import LatestFrame, TriedFrame, TriedImage, TryoutImage

_BUSY = QT_TR_NOOP(
    "A run is going on; trying images would disturb its measurements. It can be done when the run has ended."
)
_PASTED = QT_TR_NOOP("Pasted image")


class TryoutPlace(QObject):
    """Owns the view, the list of images and the child process that keeps the models open.

    Signals:
        status_message: a sentence for the status bar.
    """

    status_message = Signal(str)

    def __init__(self, home: Home, actions: Actions, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._messages = messages
        self.view = TryoutView(actions.open_run, actions.run, why_no_camera())
        self.chooser = ModelChooser(self.view.pickers, home, messages, self)
        self._round = self._asked = self._pasted = 0  # asked: the round of the job under way
        self._camera_shows = ""
        self._running = False
        self._tryout: Tryout | None = None
        self._usable: Chosen | None = None  # the models that gave the last answer
        self._earlier: list[Trial | None] | None = None  # their trials, while others have not answered yet
        self.tally = Tally()
        self.source: FrameSource | None = None
        self._frames, self._since = LatestFrame(), 0.0
        self.image_finder, self.predictor, self.opener = Worker(self), Worker(self), LatestJob(self)
        self._connect()
        self._update()

    def _connect(self) -> None:
        view = self.view
        self.chooser.changed.connect(self._models_changed)
        view.model_file_chosen.connect(self.chooser.choose_file)
        view.swap_wanted.connect(self.chooser.swap)
        view.places_chosen.connect(self.try_places)
        view.picture_given.connect(self.try_picture)
        view.camera_wanted.connect(self._camera)
        view.clear_wanted.connect(self.clear)
        view.refused.connect(self.status_message)
        view.truth_given.connect(self._set_truth)
        view.answer_is_true.connect(self._take_answer)
        view.sheet_wanted.connect(self._write_sheet)
        view.table.chosen.connect(self._look_at)
        view.working.stop_wanted.connect(self._stop_list)
        self.image_finder.completed.connect(self._add_items)
        self.image_finder.failed.connect(self._messages.failure)
        self.predictor.happened.connect(self._take)
        self.predictor.failed.connect(self._not_done)
        self.predictor.ended.connect(self._predictor_ended)
        self.opener.done.connect(self._opened)
        self.opener.failed.connect(lambda _item, _failure: self.view.picture.show_nothing())

    def retheme(self) -> None:
        self.view.retheme()

    # models

    def show_run(self, run: RunFolder) -> None:
        """Another run is shown in the window: its models are taken when the place is opened."""
        self.chooser.show_run(run)
        if self.view.isVisible():
            self.chooser.refresh()

    def refresh(self) -> None:
        """The place was opened."""
        self.chooser.refresh()

    def _models_changed(self) -> None:
        """Try the images that are there on the models that are chosen now."""
        if self._earlier is None:
            self._earlier = self.view.table.rows.trials
        self._show_models([])
        if self.predictor.running:
            self.predictor.stop()
        else:
            self._go_on()

    def _show_models(self, trials: Sequence[Trial | None]) -> None:
        """Show the models that are chosen now, and what they answered on the first images."""
        rows, row = self.view.table.rows, max(0, self.view.table.current())
        self._round += 1
        rows.show_models(self.chooser.places, trials)
        self.tally, self._since = Tally.of(rows.done), time.monotonic()
        for card, model in zip(self.view.answers, self.chooser.models, strict=True):
            card.show_model(model.title if model is not None else "")
        self._update()
        if rows.rowCount():
            self.view.table.select(row)

    # images

    def try_places(self, places: list[Path]) -> None:
        """Try image files and whole folders."""
        self._camera(False)
        if self.image_finder.running:
            self.status_message.emit(tr("Still looking for images."))
            return
        self.image_finder.start(tr("looking for images"), partial(work.find_images, places))

    def try_picture(self, picture: QImage) -> None:
        """Try pixels that are in no file."""
        self._camera(False)
        self._pasted += 1
        self._add_items([TryoutImage(f"{tr(_PASTED)} {self._pasted}", picture.copy())])

    def clear(self) -> None:
        """Forget all images."""
        self._round += 1
        self.predictor.stop()
        self.tally, self._earlier = Tally(), self._earlier and []
        self.view.table.rows.clear()
        self.view.only.setChecked(False)
        self._update()

    def set_running(self, running: bool) -> None:
        """Whether a run goes on; nothing is timed meanwhile, and the child process ends to free its memory."""
        self._running = running
        if running:
            self.predictor.stop()
            if not self.predictor.running:
                self.close()
        self._update()
        self._go_on()

    def close(self) -> None:
        """End the camera and the child; the next image starts another."""
        self._camera(False)
        tryout, self._tryout = self._tryout, None
        if tryout is not None:
            tryout.close()

    def _add_items(self, items: list[TryoutImage]) -> None:
        rows = self.view.table.rows
        first = rows.rowCount()
        rows.add(items)
        self._update()
        self.view.table.select(first)
        self._go_on()

    def _stop_list(self) -> None:
        """Leave out what has not been tried yet."""
        self._round += 1
        self.predictor.stop()
        self._earlier = self._earlier and []
        self.view.table.rows.keep_tried()
        self._update()
        self.status_message.emit(tr("Stopped; images that were not tried are left out."))

    def _go_on(self) -> None:
        """Classify what is waiting, unless something goes on already."""
        if self.predictor.running or self._running or not self.chooser.files:
            return
        self._tryout, self._asked = self._tryout or Tryout(), self._round
        if self.source is not None:
            job = partial(work.try_frames, self._tryout, self.chooser.files, self._frames, self._round)
            self.predictor.start(tr("trying the camera"), job)
            return
        waiting = self.view.table.rows.waiting
        if waiting:
            if len(waiting) > 1:
                self.view.working.begin(tr("Trying {count} images", count=len(waiting)))
            job = partial(work.try_items, self._tryout, self.chooser.files, waiting, self._round)
            self.predictor.start(tr("trying images"), job)

    def _take(self, batch: list[TriedImage | TriedFrame]) -> None:
        """Answers came in; the newest is shown, all are counted."""
        rows, live = self.view.table.rows, None
        for answer in batch:
            if answer.round != self._round:
                continue
            self._usable, self._earlier = self.chooser.models, None
            if isinstance(answer, TriedFrame):
                live = replace(answer, trial=replace(answer.trial, truth=self._camera_shows))
                self.tally.add(live.trial)
            else:
                self.tally.add(rows.set_trial(answer.row, answer.trial))
        if self._tryout is not None:
            self.view.show_classes(self._tryout.classes)
        self._show_truth()
        if live is not None:
            self.view.picture.show_pixels(live.frame)
            self.view.show_trial(live.trial, self.chooser.places)
        elif self.view.table.current() >= 0:
            self.view.show_trial(rows.trials[self.view.table.current()], self.chooser.places)
        done = self.tally.tried + self.tally.unreadable
        total = rows.rowCount() or 1
        self.view.working.show_progress(
            done / total, tr("Trying images: {done} of {total}", done=done, total=total)
        )
        self._show_tally()

    def _predictor_ended(self) -> None:
        self.view.working.end()
        if self._running:
            self.close()
        self._go_on()

    def _not_done(self, failure: Failure) -> None:
        """A model cannot be used: say why, go back to those that answered before it, and do not try it again."""
        if self._asked != self._round:
            return  # other models are chosen, or the images are gone
        usable, earlier, self._earlier = self._usable, self._earlier, None
        if usable is not None and usable != self.chooser.models:
            self.chooser.go_back(usable)
            self._show_models(earlier or [])
        else:
            self._camera(False)
            self.view.table.rows.keep_tried()
            self._update()
        self._messages.failure(failure)

    # the current image

    def _look_at(self, row: int) -> None:
        if row < 0 or self.source is not None:
            return
        rows = self.view.table.rows
        item = rows.items[row]
        self.view.picture.show_name(item.name)
        self.view.picture.show_pixels(None)
        self.view.show_trial(rows.trials[row], self.chooser.places)
        self._show_truth()
        self.opener.ask(item, tr("opening {name}", name=item.name), partial(work.open_picture, item))

    def _opened(self, item: Any, picture: Any) -> None:
        row = self.view.table.current()
        if row >= 0 and self.view.table.rows.items[row] is item:
            self.view.picture.show_pixels(picture)

    # what an image shows

    def _show_truth(self) -> None:
        row = self.view.table.current()
        trial = self.view.table.rows.trials[row] if row >= 0 else None
        known = trial.truth if trial is not None else ""
        self.view.show_truth(self._camera_shows if self.source is not None else known)

    def _set_truth(self, truth: str) -> None:
        """A person says which class the current image, or what is before the camera, shows."""
        rows, row = self.view.table.rows, self.view.table.current()
        if self.source is not None:
            self._camera_shows = truth
        elif row >= 0:
            rows.set_truth(row, truth)
            self.view.show_trial(rows.trials[row], self.chooser.places)
            self.tally = Tally.of(rows.done)
        self._show_truth()
        self._show_tally()

    def _take_answer(self, number: int) -> None:
        """The current image shows what the first model's answer of this number says; go on to the next."""
        table, row = self.view.table, self.view.table.current()
        trial = table.rows.trials[row] if row >= 0 and self.source is None else None
        if trial is None or not trial.answers or number >= len(trial.answers[0].best):
            return
        self._set_truth(trial.answers[0].best[number][0])
        table.step(1)

    def _write_sheet(self, path: Path) -> None:
        """Write what came of every image."""
        rows = self.view.table.rows
        tried = [
            (item.name, trial)
            for item, trial in zip(rows.items, rows.trials, strict=True)
            if trial is not None
        ]
        models = [model.title for model in self.chooser.models if model is not None]
        try:
            write_sheet(path, models, [name for name, _ in tried], [trial for _, trial in tried])
        except EspalierError as error:
            self._messages.error(error)
        else:
            self.status_message.emit(tr("Written to {path}.", path=path))

    # the camera

    def use(self, source: FrameSource) -> None:
        """Try what a source of pictures gives, until it is stopped."""
        self.source = source
        self._round += 1
        self.tally, self._since, self._camera_shows = Tally(), time.monotonic(), ""
        source.frame.connect(self._frames.put)
        source.failed.connect(self._no_pictures)
        self.view.picture.show_name(tr("Camera"))
        self.view.show_trial(None, self.chooser.places)
        if self.predictor.running:
            self.predictor.stop()
        self._update()
        source.start()
        self._go_on()

    def _camera(self, on: bool) -> None:
        if on and self.source is None:
            self.use(Camera(self))
        elif not on and self.source is not None:
            source, self.source = self.source, None
            source.stop()
            source.deleteLater()
            self._round += 1
            self.predictor.stop()
            self.tally = Tally.of(self.view.table.rows.done)
            self._update()
            self._look_at(self.view.table.current())

    def _no_pictures(self, why: str) -> None:
        self._camera(False)
        self._messages.inform(tr("No pictures"), why)

    # what is shown

    def _update(self) -> None:
        """What is enabled and what is written, from the state alone."""
        models = (self.chooser.models[0] is not None, self.chooser.models[1] is not None)
        self.view.show_state(models, self.source is not None, tr(_BUSY) if self._running else "")
        self._show_tally()

    def _show_tally(self) -> None:
        live = self.source is not None
        passed = time.monotonic() - self._since
        rate = self.tally.tried / passed if live and passed > 0 else None
        total = self.tally.tried if live else self.view.table.rows.rowCount()
        known = not live and work.trained_among(self.chooser.models, self.view.table.rows.items)
        self.view.show_tally(self.tally, total, rate, known)
        for card, place in zip(self.view.answers, self.chooser.places, strict=True):
            tried = place is not None and self.tally.tried > 0
            card.show_median(self.tally.median_seconds(place) if tried and place is not None else None)
