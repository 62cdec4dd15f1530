"""The window: makes its parts, and wires places, document, runs and export together."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow

from core.analysis.rows import Row
from core.common.errors import Problem
from core.document import recipes
from core.records.reports import Cause
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from gui.base.actions import make_actions, make_menus, show_theme
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.theme import Theme, style
from gui.base.translation import tr
from gui.compare.reader import Reader
from gui.compare.view import CompareView
from gui.data.place import DataPlace
from gui.editor.check_before_run import CheckBeforeRun
from gui.editor.forecasts import Forecasts
from gui.editor.networks import finished_networks
from gui.editor.view import EditorView
from gui.export.place import ExportPlace
from gui.inspect.place import InspectPlace
from gui.monitor.view import MonitorView
from gui.runs.notifications import Notifications
from gui.runs.queue_runner import QueueRunner
from gui.runs.run_results import Results
from gui.runs.run_session import Session
from gui.shell import window_geometry as shape
from gui.shell.closing import Closing
from gui.shell.dialogs import Dialogs
from gui.shell.document_files import DocumentFiles
from gui.shell.dropped_files import DroppedFiles
from gui.shell.places import Places
from gui.shell.run_actions import show_run_state
from gui.shell.run_controller import RunController
from gui.shell.startup_jobs import Jobs
from gui.shell.status_bar import Status
from gui.start.place import StartPlace
from gui.tryout.place import TryoutPlace


class MainWindow(QMainWindow):
    """Everything that a person sees; long work is the session's and the workers'."""

    def __init__(self, opened: OpenedDocument, home: Home, theme: Theme):
        super().__init__()
        self.setObjectName("main-window")
        self.setMinimumSize(1080, 680)
        self.setAcceptDrops(True)
        self.theme, self.home = theme, home
        self.messages = Messages(self)
        self.document = Document(opened.pipeline, opened.path, opened.base)
        self.session = Session(home, self)
        self.aids = Dialogs(self, home, theme, self.messages, lambda: self.places.current)
        self.session.options = self.aids.settings.options
        self.actions_ = make_actions(self)
        self.status = Status(self)
        self.desk = DocumentFiles(self, self.document, self.messages, self.show_opened, self.status.say)
        self.dropped = DroppedFiles(self, self.document, self.desk, home, self.messages)
        self._make_places()
        self._make_work()
        self._wire_actions()
        self._wire_places()
        self._wire_work()
        self._retheme()
        shape.restore(self)
        self.go("pipeline")
        if opened.run is not None:
            self.steering.show(opened.run, replay=True)
        self._update()

    # making

    def _make_places(self) -> None:
        """Every place, in the rail's order; its title stands in `actions.PLACES`."""
        a, document, home, messages = self.actions_, self.document, self.home, self.messages
        self.start = StartPlace(home, a, messages, self)
        self.data = DataPlace(document, home, messages, self)
        self.outlook = Forecasts(document, home, self)
        self.editor = EditorView(
            document, a.run, a.check, a.resume_run, self.outlook, partial(finished_networks, home)
        )
        self.monitor = MonitorView(a.run, a.resume_run, a.pause, a.finish, a.stop)
        self.compare = CompareView(a.open_run, a.run)
        self.reader = Reader(home, self)
        self.inspect = InspectPlace(home, document, a, messages, self)
        self.export = ExportPlace(a, messages, self)
        self.tryout = TryoutPlace(home, a, messages, self)
        self.places = Places()
        self.setCentralWidget(self.places)  # now: later Qt would style every place once more
        self.places.add("start", self.start.view, self.start)
        self.places.add("data", self.data.view, self.data)
        self.places.add("pipeline", self.editor)
        self.places.add("monitor", self.monitor)
        self.places.add("compare", self.compare, shown=self._refresh_compare)
        self.places.add("inspect", self.inspect.view, self.inspect, shown=self.inspect.refresh)
        self.places.add("export", self.export.view, self.export)
        self.places.add("tryout", self.tryout.view, self.tryout, shown=self.tryout.refresh)

    def _make_work(self) -> None:
        """What runs beside the window, and what ends it when the window closes."""
        document, session, messages = self.document, self.session, self.messages
        self.conductor = QueueRunner(session, self.aids.settings, messages, Notifications(self), self)
        self.monitor.attach_queue(self.conductor.queue, self.conductor.start_next)
        self.jobs = Jobs(self.home, messages, self)
        self.before = CheckBeforeRun(self, document, self.outlook, self.home, self.jobs.estimator)
        self.steering = RunController(
            self, document, session, self.conductor, self.before, self.places, messages
        )
        self.leaving = Closing(
            self, session, messages, self.desk.may_leave, self.status.say,
            lambda: len(self.conductor.queue.entries),
        )  # fmt: skip

    # wiring

    def _wire_actions(self) -> None:
        a, desk, steering, aids = self.actions_, self.desk, self.steering, self.aids
        for action, slot in (
            (a.open, desk.open_file), (a.open_run, steering.open), (a.save, desk.save),
            (a.save_as, desk.save_as), (a.quit, self.close), (a.run, steering.run),
            (a.resume_run, steering.resume), (a.pause, steering.pause), (a.stop, steering.stop),
            (a.finish, steering.finish_stage), (a.check, steering.check), (a.about, aids.show_about),
            (a.settings, aids.show_settings), (a.guide, aids.show_guide),
            (a.reference, aids.show_reference), (a.doctor, aids.check_installation),
        ):  # fmt: skip
            action.triggered.connect(lambda _checked=False, slot=slot: slot())
        self.menu_bar = self.menuBar()  # kept: styled parts are known by reference
        style(self.menu_bar)
        make_menus(
            self, a, recipes.recipes(), desk.open_path, self.go, self.theme,
            (self.editor.commands.undo, self.editor.commands.redo),
        )  # fmt: skip
        self.theme.changed.connect(self._retheme)

    def _wire_places(self) -> None:
        """From place to place."""
        self.start.path_chosen.connect(self.desk.open_path)
        self.dropped.made.connect(self.show_opened)
        self.dropped.data_dropped.connect(self._take_data)
        self.data.settings_wanted.connect(lambda: self._edit("data"))
        self.inspect.edited.connect(lambda id: self._edit("stage", id))
        self.reader.attach(self.compare)
        self.compare.run_chosen.connect(self.steering.choose)
        self.compare.table.inspect_wanted.connect(self._inspect_row)
        self.compare.panes.notes.mend_wanted.connect(self._mend)
        self.monitor.stages.inspect_wanted.connect(self._inspect_stage)
        for speaker in (self.places, self.reader, self.dropped, self.steering, self.conductor):
            speaker.said.connect(self.status.say)

    def _wire_work(self) -> None:
        session, jobs, conductor = self.session, self.jobs, self.conductor
        for changing in (self.document, session, conductor.queue):
            changing.changed.connect(self._update)
        for timing in (self.inspect, self.tryout, self.outlook):
            session.running_changed.connect(timing.set_running)
        session.run_ended.connect(lambda _how: self.reader.list_runs())
        session.run_ended.connect(self.leaving.run_ended)
        self.steering.shown.connect(self._show_results)
        self.steering.problem_wanted.connect(self._go_to)
        self.reader.failed.connect(self.messages.failure)
        self.aids.settings.changed.connect(self._settings_changed)
        jobs.warmer.completed.connect(lambda _words: self.outlook.start(measures=True))
        jobs.device_found.connect(self.status.show_device)
        jobs.running_found.connect(self._attach)
        conductor.awake.changed.connect(lambda: self.status.show_awake(conductor.awake.words))

    # showing

    def go(self, place: str) -> None:
        """Show a place."""
        self.places.go(place)

    def _refresh_compare(self) -> None:
        self.reader.refresh(self.compare.chosen.folders)
        self.reader.list_runs()

    def _retheme(self) -> None:
        self.actions_.retheme(self.session.paused)
        self.aids.retheme()
        show_theme(self, self.theme.choice)
        self.places.retheme()

    def _update(self) -> None:
        """What is enabled and what is written, from the state alone."""
        session, document = self.session, self.document
        show_run_state(self.actions_, session, document)
        self.setWindowTitle(f"{document.name}[*] — Espalier")
        self.setWindowModified(document.modified)
        self.monitor.show_state(session.state, session.steered)
        self.status.show(session, document.modified, len(document.problems))
        self.start.view.show_document(document.name)

    def _show_results(self, results: Results) -> None:
        self.compare.show_results(results)
        self.export.show_results(results)
        for place in (self.inspect, self.tryout):
            place.show_run(results.run)

    def show_opened(self, opened: OpenedDocument) -> None:
        """Show what was opened: a run with its results and curves, a pipeline in the editor."""
        self.editor.select("stage", opened.pipeline.stages[0].id)
        if opened.run is not None:
            self.steering.show(opened.run, replay=True)
            results = self.steering.results
            self.go("compare" if results is not None and results.reports else "monitor")
        else:
            self.go("pipeline")
        self.session.look_for_unfinished(opened.pipeline)
        self.status.say(tr("Opened {name}.", name=opened.pipeline.name))

    def _edit(self, kind: str, id: str = "") -> None:
        """Lead to a card of the pipeline."""
        self.go("pipeline")
        self.editor.select(kind, id)

    def _mend(self, cause: Cause) -> None:
        """Change the pipeline so that a cause of a stage's figures goes."""
        if cause.fix is not None:
            self._edit("stage", cause.fix.stage)
            self.editor.commands.mend_cause(cause)

    def _go_to(self, problem: Problem) -> None:
        self.go("pipeline")
        self.editor.go_to(problem)

    def inspect_file(self, folder: Path, key: str, artefact_id: str = "") -> None:
        """Look into a stage's file."""
        if self.inspect.open(folder, key, artefact_id):
            self.go("inspect")
        else:
            self.status.say(tr("This stage has no file to look into yet."))

    def _inspect_row(self, row: Row) -> None:
        if row.report is not None and row.artefact is not None and row.origin is not None:
            self.inspect_file(Path(row.origin.folder), row.report.key, row.artefact.id)

    def _inspect_stage(self, key: str) -> None:
        if self.session.run is not None:
            self.inspect_file(self.session.run.folder, key)

    # dragging in

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls()]
        if self.dropped.takes(paths):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        path = Path(event.mimeData().urls()[0].toLocalFile())
        QTimer.singleShot(0, self, lambda: self.dropped.take(path))

    def _take_data(self, path: Path) -> None:
        self.go("data")
        self.data.take(path)

    # starting and closing

    def warm_up(self) -> None:
        """What can wait until the window is visible; a window that is closed by then needs none of it."""
        if self.leaving.going:
            return
        self.jobs.warm_up(self.session.options())
        self.jobs.find_running()
        self.session.look_for_unfinished(self.document.pipeline)

    def _attach(self, run: RunFolder) -> None:
        """Follow a run that goes on; a window that was opened without a document of its own shows it."""
        if self.session.steered != "idle" or self.leaving.going:
            return
        self.steering.show(run, replay=True)
        if self.document.path is None:
            self.go("monitor")
        self.status.say(tr("Following {run}, which goes on.", run=run.name))

    def _settings_changed(self) -> None:
        """The next run, and what the status bar says of the device, take the new settings."""
        if self.isVisible():
            self.jobs.warm_up(self.session.options())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Leave only when a person agrees and no work is left."""
        if self.leaving.may_close():
            shape.remember(self)
            self.aids.close()
            self.tryout.close()
            event.accept()
        else:
            event.ignore()
