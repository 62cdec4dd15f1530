"""The window: places, document, run and export are wired together here."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMainWindow, QSplitter, QStackedWidget, QWidget

from core.analysis.table import Row
from core.errors import EspalierError, Problem
from core.runs import Home, RunFolder
from gui import files
from gui.actions import make_actions, make_menus, show_theme
from gui.aids import Aids
from gui.compare.reader import Reader
from gui.compare.view import CompareView
from gui.data.place import DataPlace
from gui.desk import Desk
from gui.document import Document
from gui.editor.before import Before
from gui.editor.networks import finished_networks
from gui.editor.outlook import Outlook
from gui.editor.view import EditorView
from gui.export.view import ExportView
from gui.files import Opened
from gui.inspect.place import InspectPlace
from gui.jobs import Jobs
from gui.leaving import Leaving
from gui.messages import Messages
from gui.monitor.conductor import Conductor
from gui.monitor.view import MonitorView
from gui.notices import Notices
from gui.rail import Rail
from gui.results import Results, read_results
from gui.session import Session
from gui.start.intake import Intake
from gui.start.place import StartPlace
from gui.status import Status
from gui.theme import Theme


class MainWindow(QMainWindow):
    """Everything that a person sees; long work is the session's and the workers'."""

    def __init__(self, opened: Opened, home: Home, theme: Theme):
        super().__init__()
        self.setObjectName("main-window")
        self.setMinimumSize(1080, 680)
        self.setAcceptDrops(True)
        self.theme, self.home = theme, home
        self.messages = Messages(self)
        self.document = Document(opened.pipeline, opened.path, opened.base)
        self.session = Session(home, self)
        self.aids = Aids(self, home, theme, self.messages)
        self.session.options = self.aids.settings.options
        self.results: Results | None = None
        self.actions_ = make_actions(self)
        self.status = Status(self)
        self.desk = Desk(self, self.document, self.messages, self.show_opened, self.status.say)
        self.start = StartPlace(home, self.actions_, self.messages, self)
        self.data = DataPlace(self.document, home, self.messages, self)
        self.inspect = InspectPlace(home, self.document, self.actions_, self.messages, self)
        self.intake = Intake(self, self.document, self.desk, home, self.messages)
        self.outlook = Outlook(self.document, home, self)
        self._build()
        self.conductor = Conductor(
            self.session, self.aids.settings, self.messages, Notices(self),
            lambda: self.show_run(self.session.run), self.status.say, self,
        )  # fmt: skip
        self.monitor.attach_queue(self.conductor.queue, self.conductor.start_next)
        self.jobs = Jobs(self.export, self.messages, self)
        self.reader = Reader(home, self)
        workers = (
            self.session.worker, self.jobs.exporter, self.jobs.warmer, self.jobs.estimator, self.outlook.worker,
            self.reader.worker, self.reader.writer, *self.start.workers, *self.data.workers, *self.intake.workers,
            *self.aids.workers,
            *self.inspect.workers,
        )  # fmt: skip
        self.before = Before(self, self.document, self.outlook, home, self.jobs.estimator)
        self.leaving = Leaving(
            self, workers, self.messages, self.desk.may_leave, self.status.say,
            lambda: len(self.conductor.queue.entries),
        )  # fmt: skip
        self._connect()
        self._retheme()
        self._restore()
        self.go("pipeline")
        if opened.run is not None:
            self.show_run(opened.run, replay=True)
        self._update()

    # building

    def _build(self) -> None:
        a = self.actions_
        self.editor = EditorView(
            self.document, a.run, a.check, a.resume_run, self.outlook, lambda: finished_networks(self.home)
        )
        self.monitor = MonitorView(a.run, a.resume_run, a.pause, a.finish, a.stop)
        self.compare = CompareView(a.open_run, a.run)
        self.export = ExportView(a.open_run, a.run)
        self.places = {
            "start": self.start.view,
            "data": self.data.view,
            "pipeline": self.editor,
            "monitor": self.monitor,
            "compare": self.compare,
            "inspect": self.inspect.view,
            "export": self.export,
        }
        self.stack = QStackedWidget()
        for view in self.places.values():
            self.stack.addWidget(view)
        self.rail = Rail()
        middle = QWidget()
        layout = QHBoxLayout(middle)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        layout.addWidget(self.stack, 1)
        self.setCentralWidget(middle)
        make_menus(
            self, a, files.recipes(), self.desk.open_path, self.go, self.theme.choose,
            self.theme.choice, self.editor.commands.undo, self.editor.commands.redo,
        )  # fmt: skip

    def _connect(self) -> None:
        a, session = self.actions_, self.session
        for action, slot in (
            (a.open, self.desk.open_file), (a.open_run, self._open_run), (a.save, self.desk.save),
            (a.save_as, self.desk.save_as), (a.quit, self.close),
            (a.run, lambda: self.before.run(session.options()) if session.steered == "idle" else self.start_run()),
            (a.resume_run, self.resume_run), (a.pause, self.pause), (a.stop, session.stop),
            (a.finish, self._finish_stage), (a.check, self._check), (a.about, self.aids.show_about),
            (a.settings, self.aids.show_settings), (a.guide, self.aids.show_guide),
            (a.reference, self.aids.show_reference), (a.doctor, self.aids.check_installation),
        ):  # fmt: skip
            action.triggered.connect(lambda _checked=False, slot=slot: slot())
        self.rail.chosen.connect(self.go)
        self.document.changed.connect(self._update)
        session.changed.connect(self._update)
        session.stage_done.connect(self._stage_done)
        session.run_ended.connect(self._run_ended)
        session.failed.connect(self.messages.failure)
        self.theme.changed.connect(self._retheme)
        self.reader.attach(self.compare)
        self.reader.failed.connect(self.messages.failure)
        self.start.path_chosen.connect(self.desk.open_path)
        self.intake.made.connect(self.show_opened)
        self.intake.data_dropped.connect(self._take_data)
        self.data.settings_wanted.connect(self._show_data_settings)
        self.inspect.edited.connect(self._show_stage)
        self.compare.table.inspect_wanted.connect(self._inspect_row)
        self.monitor.stages.inspect_wanted.connect(self._inspect_stage)
        for place in (
            self.editor, self.compare, self.reader, self.start, self.data, self.intake, self.inspect,
        ):  # fmt: skip
            place.said.connect(self.status.say)
        self.compare.run_chosen.connect(self._choose_run)
        self.jobs.said.connect(self.status.say)
        self.jobs.warmer.completed.connect(lambda _words: self.outlook.start())
        self.before.ready.connect(self.start_run)
        self.before.go_wanted.connect(self._go_to)
        self.before.said.connect(self.status.say)
        self.jobs.device_found.connect(self.status.show_device)
        self.aids.settings.changed.connect(self._settings_changed)
        self.conductor.awake.changed.connect(lambda: self.status.show_awake(self.conductor.awake.words))
        self.conductor.queue.changed.connect(self._update)

    def go(self, place: str) -> None:
        """Show a place."""
        self.stack.setCurrentWidget(self.places[place])
        self.rail.show_place(place)
        if place == "compare":
            self.reader.refresh(self.compare.chosen.folders)
        elif place == "inspect":
            self.inspect.refresh()

    def _retheme(self) -> None:
        self.actions_.retheme(self.session.paused)
        self.aids.retheme()
        show_theme(self, self.theme.choice)
        for part in (
            self.rail,
            self.start,
            self.data,
            self.editor,
            self.monitor,
            self.compare,
            self.inspect,
            self.export,
        ):
            part.retheme()

    def _update(self) -> None:
        """What is enabled and what is written, from the state alone."""
        a, session, document = self.actions_, self.session, self.document
        steered, problems = session.steered, document.problems
        active = steered in ("running", "paused")
        resumable = session.resumable(document.text) is not None
        a.run.setEnabled(not problems)
        a.run.setText("Queue &run" if steered != "idle" else "Run &anew" if resumable else "&Run")
        reason = f"First solve: {problems[0].message}" if problems else ""
        if steered != "idle" and not problems:
            reason = "A run is going on; let this pipeline wait for its turn"
        a.run.setToolTip(reason or "Train, compress, export and measure every stage")
        a.check.setEnabled(bool(problems) or steered == "idle")
        a.resume_run.setVisible(resumable)
        a.resume_run.setEnabled(resumable and not problems)
        for action in (a.pause, a.finish, a.stop):
            action.setVisible(steered != "idle")
            action.setEnabled(active)
        a.finish.setEnabled(steered == "running" and session.state.training)
        paused = steered == "paused"
        if a.pause.property("paused") != paused:
            a.pause.setProperty("paused", paused)
            a.pause.setText("&Resume" if paused else "&Pause")
            a.pause.setToolTip("Go on with the run" if paused else "Hold the run where it is")
            a.retheme(paused)
        self.setWindowTitle(f"{document.name}[*] — Espalier")
        self.setWindowModified(document.modified)
        self.monitor.show_state(session.state, steered)
        self.status.show(session, document.modified, len(problems))
        self.start.view.show_document(document.name)
        self.inspect.set_running(steered != "idle")

    # dragging in

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls()]
        if self.intake.takes(paths):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        path = Path(event.mimeData().urls()[0].toLocalFile())
        QTimer.singleShot(0, self, lambda: self.intake.take(path))

    def _take_data(self, path: Path) -> None:
        self.go("data")
        self.data.take(path)

    def _show_data_settings(self) -> None:
        self.go("pipeline")
        self.editor.select("data")

    def inspect_file(self, folder: Path, key: str, artefact_id: str = "") -> None:
        """Look into a stage's file."""
        if self.inspect.open(folder, key, artefact_id):
            self.go("inspect")
        else:
            self.status.say("This stage has no file to look into yet.")

    def _inspect_row(self, row: Row) -> None:
        if row.report is not None and row.artefact is not None and row.origin is not None:
            self.inspect_file(Path(row.origin.folder), row.report.key, row.artefact.id)

    def _inspect_stage(self, key: str) -> None:
        if self.session.run is not None:
            self.inspect_file(self.session.run.folder, key)

    def _show_stage(self, id: str) -> None:
        self.go("pipeline")
        self.editor.select("stage", id)

    def show_opened(self, opened: Opened) -> None:
        """Show what was opened: a run with its results and curves, a pipeline in the editor."""
        self.editor.select("stage", opened.pipeline.stages[0].id)
        if opened.run is not None:
            self.show_run(opened.run, replay=True)
            self.go("compare" if self.results is not None and self.results.reports else "monitor")
        else:
            self.go("pipeline")
        self.session.look_for_unfinished(opened.pipeline)
        self.status.say(f"Opened {opened.pipeline.name}.")

    # runs

    def start_run(self) -> None:
        """Run the document as it is now; while a run goes on, offer to queue it."""
        if self.session.steered != "idle":
            self.conductor.offer_to_queue(self.document.pipeline, self.document.base)
            return
        self._begin(lambda: self.session.start(self.document.pipeline, self.document.base))

    def resume_run(self) -> None:
        """Go on with the stopped run of this document."""
        run = self.session.resumable(self.document.text)
        if run is not None:
            self._begin(lambda: self.session.resume_run(run))

    def _begin(self, start: Any) -> None:
        try:
            start()
        except EspalierError as error:
            self.messages.error(error)
            return
        self.show_run(self.session.run)
        self.go("monitor")

    def pause(self) -> None:
        """Pause, or go on."""
        if self.session.paused:
            self.session.go_on()
        else:
            self.session.pause()

    def _finish_stage(self) -> None:
        self.session.finish_stage()
        self.status.say("This stage's training ends after the current epoch.")

    def _settings_changed(self) -> None:
        """The next run, and what the status bar says of the device, take the new settings."""
        if self.isVisible():
            self.jobs.warm_up(self.session.options())

    def _stage_done(self) -> None:
        shown = self.results.run.folder if self.results else None
        if self.session.run is not None and shown == self.session.run.folder:
            self.show_run(self.session.run)

    def _run_ended(self, how: str) -> None:
        self._stage_done()
        queued = bool(self.conductor.queue.entries)
        if how == "completed" and self.stack.currentWidget() is self.monitor and not queued:
            self.go("compare")
        self.status.say(
            {"completed": "The run is complete.", "stopped": "Stopped; Resume run goes on where it was."}.get(
                how, "The run failed."
            )
        )
        self.leaving.run_ended(how)

    def _open_run(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open the folder of a run", str(self.home.runs))
        if chosen:
            self._choose_run(Path(chosen))

    def _choose_run(self, folder: Path) -> None:
        try:
            self.show_run(RunFolder.open(folder))
        except EspalierError as error:
            self.messages.error(error)

    def show_run(self, run: RunFolder | None, replay: bool = False) -> None:
        """Show a run's results; `replay` also shows its curves where nothing runs."""
        if run is None:
            return
        try:
            self.results = read_results(run)
            if replay and self.session.steered == "idle":
                self.session.show(run)
        except EspalierError as error:
            self.messages.error(error)
            return
        self.compare.show_results(self.results)
        self.export.show_results(self.results)
        self.inspect.show_run(run)

    def warm_up(self) -> None:
        """What can wait until the window is visible."""
        self.jobs.warm_up(self.session.options())
        self.session.look_for_unfinished(self.document.pipeline)

    def _check(self) -> None:
        """Lead to the first problem; where there is none, try every stage and estimate the cost."""
        problems = self.document.problems
        if problems:
            self._go_to(problems[0])
            self.status.say("See the problems below the list.")
        else:
            self.before.check(self.session.options())

    def _go_to(self, problem: Problem) -> None:
        self.go("pipeline")
        self.editor.go_to(problem)

    # closing

    def closeEvent(self, event: QCloseEvent) -> None:
        """Leave only when a person agrees and no work is left."""
        if self.leaving.may_close():
            self._remember()
            self.aids.close()
            event.accept()
        else:
            event.ignore()

    def _remember(self) -> None:
        settings = QSettings()
        settings.setValue("geometry", self.saveGeometry())
        for splitter in self.findChildren(QSplitter):
            settings.setValue(f"splitter/{splitter.objectName()}", splitter.saveState())

    def _restore(self) -> None:
        settings = QSettings()
        geometry = settings.value("geometry")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            self.resize(1280, 800)
        for splitter in self.findChildren(QSplitter):
            state = settings.value(f"splitter/{splitter.objectName()}")
            if isinstance(state, QByteArray):
                splitter.restoreState(state)
