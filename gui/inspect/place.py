"""The models that the Inspector shows, and the workers that fill its tabs: each tab when it is opened."""

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
from gui.data.correcting import Correcting, noted
from gui.inspect import work
from gui.inspect.advising import Advising
from gui.inspect.graphs import Graphs
from gui.inspect.run_files import RunFiles
from gui.inspect.scanning import Scanning
from gui.inspect.view import InspectView
from gui.widgets.progress_line import ProgressLine

_BUSY = QT_TR_NOOP(
    "A run is going on; this would disturb its measurements. It starts when the current run has ended."
)
_ASKED = ("sensitivity", "calibration")  # tabs that begin to work when a person says so


class InspectPlace(QObject):
    """Owns the view and the workers behind it.

    Signals:
        status_message: a sentence for the status bar.
        edited: the id of a stage of the open pipeline that took an override.
    """

    status_message = Signal(str)
    edited = Signal(str)

    def __init__(self, home: Home, document: Document, actions: Actions, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.view = view = InspectView(actions.open_run, actions.run)
        self._home, self._messages = home, messages
        self.model: StageFile | None = None
        self.reference: StageFile | None = None
        self._following: Path | None = None
        self._run_files = RunFiles(messages)
        self._results = ResultCache({"answers": 1, "images": 1})
        self._filled: dict[str, Hashable] = {}
        self._running = False
        self.reader, self.measurer, self.sampler = LatestJob(self), LatestJob(self), LatestJob(self)
        self.comparer, self.opener = LatestJob(self), LatestJob(self)
        self.graphs = Graphs(view.architecture.graph, messages, self)
        self.scanning = Scanning(view.sensitivity, home, document, messages, self)
        self.advising = Advising(view.calibration, home, document, messages, self)
        self._progress_lines = {
            self.reader: None, self.measurer: view.layers.working, self.sampler: view.distributions.working,
            self.comparer: view.similarity.working, self.opener: view.flips.working,
        }  # fmt: skip
        self._images: work.OpenedImages | None = None
        self.correcting = Correcting(messages, self)
        self._connect()

    def _connect(self) -> None:
        view = self.view
        view.flips.correction_wanted.connect(self._correct)
        self.correcting.status_message.connect(self.status_message)
        self.correcting.corrected.connect(self.show_noted)
        for worker, line in self._progress_lines.items():
            worker.done.connect(self._take)
            worker.failed.connect(self._not_done)
            if line is not None:
                worker.moved.connect(line.show_progress)
                worker.changed.connect(partial(_follow, worker, line))
                line.stop_wanted.connect(worker.stop)
        for picker, choose in ((view.model, self._choose_model), (view.reference, self._choose_reference)):
            picker.chosen.connect(choose)
            picker.run_chosen.connect(partial(self._choose_run, picker))
        view.swap_wanted.connect(self._swap)
        view.tab_shown.connect(lambda _tab: self._fill())
        view.layers.measure_wanted.connect(self._measure_again)
        view.distributions.wanted.connect(self._distribution)
        view.architecture.graph.times_wanted.connect(self._time_graphs)
        self.graphs.shown.connect(self._show_graph_values)
        self.scanning.scanned.connect(self._scanned)
        for part in (self.scanning, self.advising):
            part.status_message.connect(self.status_message)
            part.edited.connect(self.edited)

    def retheme(self) -> None:
        self.view.retheme()

    def close(self) -> None:
        """End the process that makes graphs."""
        self.graphs.close()

    # choosing

    def open(self, folder: Path, key: str = "", artefact_id: str = "") -> bool:
        """Look at a stage's file (the result where no stage is named); False when there is none."""
        self._following = None
        subjects = self._run_files.read(folder)
        chosen = find(subjects, key, artefact_id) if key else final(subjects)
        if chosen is None:
            return False
        self._show(chosen, counterpart(chosen, subjects))
        return True

    def show_run(self, run: RunFolder) -> None:
        """Another run is shown in the window: show its result when the place is opened."""
        self._run_files.forget(run.folder)
        looking = self.view.isVisible() and self.model is not None  # at what a person chose
        if not looking and (self.model is None or self.model.folder != run.folder):
            self._following = run.folder
        if self.view.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """The place was opened."""
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
        self.advising.set_running(reason)
        if not running:
            self._fill()

    def _choose_run(self, picker: Any, folder: Path) -> None:
        chosen = final(self._run_files.read(folder))
        if chosen is None:
            self.status_message.emit(tr("This run has no finished stage yet."))
            self._offer()
        elif picker is self.view.model:
            self._show(chosen, self.reference)
        else:
            self._show(self.model, chosen)

    def _choose_model(self, chosen: StageFile | None) -> None:
        if chosen is not None:
            self._show(
                chosen,
                self.reference
                if self.reference != chosen
                else counterpart(chosen, self._run_files.of(chosen.folder)),
            )

    def _choose_reference(self, chosen: StageFile | None) -> None:
        self._show(self.model, chosen if chosen != self.model else None)

    def _swap(self) -> None:
        if self.model is not None and self.reference is not None:
            self._show(self.reference, self.model)

    def _show(self, model: StageFile | None, reference: StageFile | None) -> None:
        self.model, self.reference = model, reference
        self._filled.clear()
        self.view.show_chosen(model, reference)
        self.scanning.show(model)
        self.advising.show(model)
        self.view.calibration.show_validation_images(model.validation_images if model is not None else None)
        self._offer()
        self._fill()

    def _offer(self) -> None:
        """What can be chosen."""
        entries = runs_to_inspect(self._home)
        for picker, chosen in ((self.view.model, self.model), (self.view.reference, self.reference)):
            shown = chosen or self.model
            folder = shown.folder if shown is not None else None
            picker.show_runs(entries, folder, shown.pipeline.name if shown is not None else "")
            subjects = self._run_files.of(shown.folder) if shown is not None else []
            if picker is self.view.reference:
                subjects = [subject for subject in subjects if subject != self.model]
            picker.show_subjects(subjects, chosen)

    # filling the tabs

    def _fill(self) -> None:
        """Fill the current tab, unless it shows these models already."""
        model, reference, tab = self.model, self.reference, self.view.tab
        if model is None or tab in _ASKED or not self.view.isVisible():
            return
        state = (model, reference, self._running if tab == "layers" else None)
        if self._filled.get(tab) == state:
            return
        self._filled[tab] = state
        fill = {
            "layers": self._fill_layers, "architecture": self._fill_architecture,
            "distributions": self._fill_distributions, "similarity": self._fill_similarity,
            "classes": self._fill_answers, "flips": self._fill_answers,
        }[tab]  # fmt: skip
        fill(model, reference)

    def _ask(self, worker: LatestJob, request: tuple[Hashable, ...], title: str, job: Any) -> None:
        """Show what is known already, or do the work."""
        if request in self._results:
            self._take(request, self._results[request])
        else:
            worker.ask(request, title, job)

    def _fill_layers(self, model: StageFile, _other: StageFile | None) -> None:
        measure = not self._running
        request = ("layers", model, measure)
        if not measure and ("layers", model, True) in self._results:
            request = ("layers", model, True)
        if request not in self._results:
            self.view.layers.clear()
        self._ask(
            self.measurer, request, tr("measuring layers"), partial(work.measure_layers, model, measure)
        )

    def _measure_again(self) -> None:
        if self.model is not None:
            self._results.forget(("layers", self.model, True))
            self._filled.pop("layers", None)
            self._fill()

    def _fill_architecture(self, model: StageFile, reference: StageFile | None) -> None:
        self.graphs.show(model, reference)
        if reference is None:
            self.view.architecture.show_nothing(
                tr("Nothing to compare with"),
                tr("Choose another stage behind 'against' to see what changed in the network."),
            )
            return
        request = ("architecture", model, reference)
        self._ask(
            self.reader,
            request,
            tr("reading networks"),
            lambda _c, _s: work.read_difference(model, reference),
        )

    def _time_graphs(self) -> None:
        """Time the layers of the model, for the colours of its graph."""
        if self.model is not None and not self._running:
            self._fill_layers(self.model, None)

    def _show_graph_values(self) -> None:
        """Give the graphs what was measured and scanned."""
        graph = self.view.architecture.graph
        if self.model is None or self.graphs.file is not None:
            return
        graph.show_sensitivity(self.scanning.sensitivity(self.model))
        for name, subject in (("model", self.model), ("reference", self.reference)):
            measured = self._results.get(("layers", subject, True))
            if measured is not None:
                graph.show_times(name, measured["layers"])

    def _fill_distributions(self, model: StageFile, reference: StageFile | None) -> None:
        page = self.view.distributions
        try:
            names = work.layer_names(model, reference)
        except EspalierError as error:
            self._messages.error(error)
            names = []
        measured = self._results.get(("layers", model, True)) or self._results.get(("layers", model, False))
        if not names and measured is not None:
            names = [layer["layer"] for layer in measured["layers"] if layer["params"]]
        page.show_names(names)

    def _fill_similarity(self, model: StageFile, reference: StageFile | None) -> None:
        page = self.view.similarity
        if reference is None:
            page.show_nothing(
                tr("Nothing to compare with"),
                tr(
                    "Choose another stage behind 'against' to see how alike the two represent the same images."
                ),
            )
            return
        request = ("similarity", model, reference)
        if request not in self._results:
            page.clear()
        self._ask(
            self.comparer,
            request,
            tr("comparing layers"),
            partial(work.similarity, model, reference, self._home),
        )

    @property
    def _subjects(self) -> tuple[StageFile, ...]:
        """The models that are chosen."""
        return tuple(subject for subject in (self.model, self.reference) if subject is not None)

    def _distribution(self, what: Any, layer: str) -> None:
        subjects = self._subjects
        if subjects:
            job = partial(work.distribution, what, layer, subjects, self._home)
            self._ask(
                self.sampler, ("distribution", what, layer, subjects), tr("reading {layer}", layer=layer), job
            )

    def _fill_answers(self, model: StageFile, reference: StageFile | None) -> None:
        request = ("answers", model, reference)
        if request not in self._results:
            self.view.classes.clear()
            self.view.flips.clear()
        self._ask(
            self.reader,
            request,
            tr("reading answers"),
            lambda _c, _s: work.read_pair(model, reference, self._home),
        )
        if self.view.tab == "flips":
            images = ("images", model.images)
            self._show_images(self._results.get(images))
            self._ask(self.opener, images, tr("opening images"), partial(work.open_images, model, self._home))

    def _show_images(self, images: work.OpenedImages | None) -> None:
        self._images = images
        self.view.flips.show_data(*((images.data, images.names) if images is not None else (None,)))
        self.show_noted()

    def show_noted(self) -> None:
        """Mark the images of which something is noted."""
        place = self._images.place if self._images is not None else None
        self.view.flips.show_noted(noted(place) if place is not None else {})

    def _correct(self, image: str, present: str) -> None:
        """A label is wrong."""
        images = self._images
        if images is not None and images.place is not None:
            pixels = images.pixels_of_file(image)
            self.correcting.ask(self.view.window(), images.place, image, present, images.data.classes, pixels)

    # taking results

    def _take(self, request: Any, result: Any) -> None:
        """Keep a result, and show it where it is still wanted."""
        self._results[request] = result
        kind, view = request[0], self.view
        if kind == "images":
            self._show_images(result)
        elif kind == "distribution":
            if request[3] == self._subjects:
                view.distributions.show_distribution(result, [subject.short for subject in request[3]])
        elif request[1] != self.model:
            return
        elif kind == "layers":
            view.layers.show_layers(
                result,
                request[1].artefact.precision,
                self.scanning.sensitivity(request[1]),
                dict(request[1].report.skipped),
            )
            self._show_graph_values()
        elif request[2] != self.reference:
            return
        elif kind == "architecture":
            view.architecture.show_difference(result)
        elif kind == "similarity":
            view.similarity.show_similarity(result, request[1].short, request[2].short)
        else:
            names = request[1].short, request[2].short if request[2] is not None else ""
            view.classes.show_pair(result, *names)
            view.flips.show_pair(result, *names)
            self._filled["classes"] = self._filled["flips"] = (self.model, self.reference, None)
            if view.tab == "classes":
                self._filled.pop("flips")  # its images are not open yet

    def _not_done(self, request: Any, failure: Failure) -> None:
        self._filled.pop(self.view.tab, None)
        if request[0] in ("architecture", "similarity"):
            getattr(self.view, request[0]).show_nothing(failure.message, failure.advice)
        elif request[0] == "answers":
            self._choose_nothing_after(failure)
        else:
            self._messages.failure(failure)

    def _choose_nothing_after(self, failure: Failure) -> None:
        """Two models that cannot be compared: go on with the one alone, and say why."""
        self._messages.failure(failure)
        if self.reference is not None:
            self._show(self.model, None)

    def _scanned(self, model: StageFile) -> None:
        if model == self.model:
            self.view.layers.show_sensitivity(self.scanning.sensitivity(model))
            self._show_graph_values()


def _follow(worker: LatestJob, line: ProgressLine) -> None:
    """Show that a worker works, or that it has ended."""
    if worker.busy:
        line.begin(worker.title)
    else:
        line.end()
