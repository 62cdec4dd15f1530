"""What the Inspector looks at now, and who fills its tabs: each when it comes to the front."""

from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.common.errors import EspalierError
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile, counterpart, final, find, runs_to_inspect
from gui.base.actions import Actions
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Failure
from gui.inspect import work
from gui.inspect.progress_line import ProgressLine
from gui.inspect.run_files import RunFiles
from gui.inspect.scanning import Scanning
from gui.inspect.view import InspectView

_BUSY = QT_TR_NOOP(
    "A run is going on; this would disturb its measurements. It starts when the run has ended."
)


class InspectPlace(QObject):
    """Owns the view and the workers behind it.

    Signals:
        said: a sentence for the status bar.
        edited: the id of a stage of the open pipeline that took an override.
    """

    said = Signal(str)
    edited = Signal(str)

    def __init__(self, home: Home, document: Document, actions: Actions, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.view = view = InspectView(actions.open_run, actions.run)
        self._home, self._messages = home, messages
        self.model: StageFile | None = None
        self.other: StageFile | None = None
        self._following: Path | None = None
        self._shelf = RunFiles(messages)
        self._known = ResultCache({"answers": 1, "images": 1})
        self._filled: dict[str, Hashable] = {}
        self._running = False
        self.reader, self.measurer, self.sampler, self.opener = (
            LatestJob(self),
            LatestJob(self),
            LatestJob(self),
            LatestJob(self),
        )
        self.scanning = Scanning(view.sensitivity, home, document, messages, self)
        self._lanes = {
            self.reader: None, self.measurer: view.layers.working, self.sampler: view.distributions.working,
            self.opener: view.flips.working,
        }  # fmt: skip
        self._connect()

    def _connect(self) -> None:
        view = self.view
        for lane, line in self._lanes.items():
            lane.done.connect(self._take)
            lane.failed.connect(self._not_done)
            if line is not None:
                lane.moved.connect(line.show_progress)
                lane.changed.connect(partial(_follow, lane, line))
                line.stop_wanted.connect(lane.stop)
        for picker, choose in ((view.model, self._choose_model), (view.other, self._choose_other)):
            picker.chosen.connect(choose)
            picker.run_chosen.connect(partial(self._choose_run, picker))
        view.swap_wanted.connect(self._swap)
        view.tab_shown.connect(lambda _tab: self._fill())
        view.layers.measure_wanted.connect(self._measure_again)
        view.layers.stop_wanted.connect(self.measurer.stop)
        view.distributions.wanted.connect(self._distribution)
        self.scanning.known.connect(self._scanned)
        self.scanning.said.connect(self.said)
        self.scanning.edited.connect(self.edited)

    def retheme(self) -> None:
        self.view.retheme()

    # choosing

    def open(self, folder: Path, key: str = "", artefact_id: str = "") -> bool:
        """Look at a stage's file (the result where no stage is named); False when there is none."""
        self._following = None
        subjects = self._shelf.read(folder)
        chosen = find(subjects, key, artefact_id) if key else final(subjects)
        if chosen is None:
            return False
        self._show(chosen, counterpart(chosen, subjects))
        return True

    def show_run(self, run: RunFolder) -> None:
        """Another run is shown in the window: look at its result when the place comes to the front."""
        self._shelf.forget(run.folder)
        if self.model is None or self.model.folder != run.folder:
            self._following = run.folder
        if self.view.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """The place came to the front."""
        following, self._following = self._following, None
        if following is None or not self.open(following):
            self._offer()
            self._fill()

    def set_running(self, running: bool) -> None:
        """Whether a run goes on; nothing is timed or scanned meanwhile."""
        self._running = running
        reason = tr(_BUSY) if running else ""
        self.view.layers.allow_measuring(reason)
        self.scanning.set_running(reason)
        if not running:
            self._fill()

    def _choose_run(self, picker: Any, folder: Path) -> None:
        chosen = final(self._shelf.read(folder))
        if chosen is None:
            self.said.emit(tr("This run has no finished stage yet."))
            self._offer()
        elif picker is self.view.model:
            self._show(chosen, self.other)
        else:
            self._show(self.model, chosen)

    def _choose_model(self, chosen: StageFile | None) -> None:
        if chosen is not None:
            self._show(
                chosen,
                self.other if self.other != chosen else counterpart(chosen, self._shelf.of(chosen.folder)),
            )

    def _choose_other(self, chosen: StageFile | None) -> None:
        self._show(self.model, chosen if chosen != self.model else None)

    def _swap(self) -> None:
        if self.model is not None and self.other is not None:
            self._show(self.other, self.model)

    def _show(self, model: StageFile | None, other: StageFile | None) -> None:
        self.model, self.other = model, other
        self._filled.clear()
        self.view.show_chosen(model, other)
        self.scanning.show(model)
        self._offer()
        self._fill()

    def _offer(self) -> None:
        """What can be chosen."""
        entries = runs_to_inspect(self._home)
        for picker, chosen in ((self.view.model, self.model), (self.view.other, self.other)):
            shown = chosen or self.model
            folder = shown.folder if shown is not None else None
            picker.show_runs(entries, folder, shown.pipeline.name if shown is not None else "")
            subjects = self._shelf.of(shown.folder) if shown is not None else []
            if picker is self.view.other:
                subjects = [each for each in subjects if each != self.model]
            picker.show_subjects(subjects, chosen)

    # filling the tabs

    def _fill(self) -> None:
        """Fill the tab in front, unless it shows these models already."""
        model, other, tab = self.model, self.other, self.view.tab
        if model is None or tab == "sensitivity" or not self.view.isVisible():
            return
        state = (model, other, self._running if tab == "layers" else None)
        if self._filled.get(tab) == state:
            return
        self._filled[tab] = state
        fill = {
            "layers": self._fill_layers, "architecture": self._fill_architecture,
            "distributions": self._fill_distributions,
            "classes": self._fill_answers, "flips": self._fill_answers,
        }[tab]  # fmt: skip
        fill(model, other)

    def _ask(self, lane: LatestJob, request: tuple[Hashable, ...], title: str, job: Any) -> None:
        """Show what is known already, or do the work."""
        if request in self._known:
            self._take(request, self._known[request])
        else:
            lane.ask(request, title, job)

    def _fill_layers(self, model: StageFile, _other: StageFile | None) -> None:
        measure = not self._running
        request = ("layers", model, measure)
        if not measure and ("layers", model, True) in self._known:
            request = ("layers", model, True)
        if request not in self._known:
            self.view.layers.clear()
        self._ask(
            self.measurer, request, tr("measuring layers"), partial(work.measure_layers, model, measure)
        )

    def _measure_again(self) -> None:
        if self.model is not None:
            self._known.forget(("layers", self.model, True))
            self._filled.pop("layers", None)
            self._fill()

    def _fill_architecture(self, model: StageFile, other: StageFile | None) -> None:
        if other is None:
            self.view.architecture.show_nothing(
                tr("Nothing to compare with"),
                tr("Choose another stage behind 'against' to see what changed in the network."),
            )
            return
        request = ("architecture", model, other)
        self._ask(
            self.reader, request, tr("reading networks"), lambda _c, _s: work.read_difference(model, other)
        )

    def _fill_distributions(self, model: StageFile, other: StageFile | None) -> None:
        page = self.view.distributions
        try:
            names = work.layer_names(model, other)
        except EspalierError as error:
            self._messages.error(error)
            names = []
        measured = self._known.get(("layers", model, True)) or self._known.get(("layers", model, False))
        if not names and measured is not None:
            names = [layer["layer"] for layer in measured["layers"] if layer["params"]]
        page.show_names(names)

    def _distribution(self, what: Any, layer: str) -> None:
        subjects = tuple(each for each in (self.model, self.other) if each is not None)
        if subjects:
            job = partial(work.distribution, what, layer, subjects, self._home)
            self._ask(
                self.sampler, ("distribution", what, layer, subjects), tr("reading {layer}", layer=layer), job
            )

    def _fill_answers(self, model: StageFile, other: StageFile | None) -> None:
        request = ("answers", model, other)
        if request not in self._known:
            self.view.classes.clear()
            self.view.flips.clear()
        self._ask(
            self.reader,
            request,
            tr("reading answers"),
            lambda _c, _s: work.read_pair(model, other, self._home),
        )
        if self.view.tab == "flips":
            images = ("images", model.images)
            self.view.flips.show_data(self._known.get(images))
            self._ask(self.opener, images, tr("opening images"), partial(work.open_images, model, self._home))

    # taking results

    def _take(self, request: Any, result: Any) -> None:
        """Keep a result, and show it where it is still wanted."""
        self._known[request] = result
        kind, view = request[0], self.view
        if kind == "images":
            view.flips.show_data(result)
        elif kind == "distribution":
            if request[3] == tuple(each for each in (self.model, self.other) if each is not None):
                view.distributions.show_distribution(result, [each.short for each in request[3]])
        elif request[1] != self.model:
            return
        elif kind == "layers":
            view.layers.show_layers(
                result,
                request[1].artefact.precision,
                self.scanning.sensitivity(request[1]),
                dict(request[1].report.skipped),
            )
        elif request[2] != self.other:
            return
        elif kind == "architecture":
            view.architecture.show_difference(result)
        else:
            names = request[1].short, request[2].short if request[2] is not None else ""
            view.classes.show_pair(result, *names)
            view.flips.show_pair(result, *names)
            self._filled["classes"] = self._filled["flips"] = (self.model, self.other, None)
            if view.tab == "classes":
                self._filled.pop("flips")  # its images are not open yet

    def _not_done(self, request: Any, failure: Failure) -> None:
        self._filled.pop(self.view.tab, None)
        if request[0] == "architecture":
            self.view.architecture.show_nothing(failure.message, failure.advice)
        elif request[0] == "answers":
            self._choose_nothing_after(failure)
        else:
            self._messages.failure(failure)

    def _choose_nothing_after(self, failure: Failure) -> None:
        """Two models that cannot be compared: go on with the one alone, and say why."""
        self._messages.failure(failure)
        if self.other is not None:
            self._show(self.model, None)

    def _scanned(self, model: StageFile) -> None:
        if model == self.model:
            self.view.layers.show_sensitivity(self.scanning.sensitivity(model))


def _follow(lane: LatestJob, line: ProgressLine) -> None:
    """Show that a lane works, or that it has ended."""
    if lane.busy:
        line.begin(lane.title)
    else:
        line.end()
