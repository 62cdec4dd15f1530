"""The window: makes its parts, and wires places, document, runs and export together."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow, QMenu

from core.analysis.rows import Row
from core.common.errors import Problem
from core.document import recipes
from core.machine.child import Child
from core.records.reports import Cause
from core.runs.home import Home
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from gui.base.actions import make_actions, make_menus, show_theme
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.theme import Theme, icon, style
from gui.base.translation import tr
from gui.compare.curves_reader import CurvesReader
from gui.compare.reader import RunReader
from gui.compare.remeasuring import Remeasuring
from gui.compare.view import CompareView
from gui.data.place import DataPlace
from gui.editor.check_before_run import CheckBeforeRun
from gui.editor.forecasts import Forecasts
from gui.editor.networks import finished_networks
from gui.editor.trusting import Trusting
from gui.editor.view import EditorView
from gui.export.place import ExportPlace
from gui.inspect.place import InspectPlace
from gui.monitor.view import MonitorView
from gui.runs.notifications import Notifications
from gui.runs.queue_runner import QueueRunner
from gui.runs.run_results import Results
from gui.runs.run_session import Session
from gui.shell import session_memory, window_geometry
from gui.shell.closing import Closing
from gui.shell.command_palette import Command, CommandPalette, menu_commands
from gui.shell.dialogs import Dialogs
from gui.shell.document_files import DocumentFiles
from gui.shell.drop_frame import DropFrame
from gui.shell.dropped_files import DroppedFiles
from gui.shell.edit_menu import EditMenu
from gui.shell.places import Places
from gui.shell.run_actions import show_run_state
from gui.shell.run_controller import RunController
from gui.shell.startup_jobs import StartupJobs
from gui.shell.status_bar import StatusBar
from gui.start.own import OwnStart
from gui.start.place import StartPlace
from gui.start.recent import Recent, left_at, remember
from gui.study.place import StudyPlace
from gui.tryout.place import TryoutPlace

_PATIENCE = 5.0  # seconds for work that is no longer wanted to end, so that the tool process is kept


class MainWindow(QMainWindow):
    """Everything that a person sees; long work belongs to the session and the workers."""

    def __init__(self, opened: OpenedDocument, home: Home, theme: Theme, tool: Child | None = None):
        """PyTorch works in the process `tool` (one of the window's own unless given): here it would hold up the window."""
        super().__init__()
        self.setObjectName("main-window")
        self.setAcceptDrops(True)
        self.theme, self.home = theme, home
        self.tool, self._owns_tool = tool or Child("tool", patience=_PATIENCE), tool is None
        self.messages = Messages(self)
        self.document = Document(opened)
        self.session = Session(home, self)
        self.dialogs = Dialogs(self, home, theme, self.messages, lambda: self.places.current)
        self.session.options = self.dialogs.settings.options
        self.session.cluster = lambda: self.dialogs.settings.cluster
        self.actions_ = make_actions(self)
        self.status = StatusBar(self)
        self.document_files = DocumentFiles(
            self, self.document, self.messages, self.show_opened, self.status.say
        )
        self.dropped_files = DroppedFiles(
            self, self.document, self.document_files, home, self.tool, self.messages
        )
        self.own_start = OwnStart(self, self.document, self.tool, self.messages)
        self._make_places()
        self._make_work()
        self.command_palette = CommandPalette(self, self._commands)
        self.drop_frame = DropFrame(self)
        self._wire_actions()
        self._wire_places()
        self._wire_work()
        self._retheme()
        window_geometry.restore(self)
        self.go("pipeline")
        if opened.run is not None:
            self.run_controller.show(opened.run, replay=True)
        self._update()

    # making

    def _make_places(self) -> None:
        """Every place, in the rail's order; its title stands in `actions.PLACES`."""
        a, document, home, messages = self.actions_, self.document, self.home, self.messages
        self.start = StartPlace(home, a, messages, self)
        self.data = DataPlace(document, home, self.tool, messages, self)
        self.forecasts = Forecasts(document, home, self.tool, self)
        self.trusting = Trusting(self, document, messages)
        self.trusting.trusted.connect(self.forecasts.again)
        self.editor = EditorView(
            document,
            a.run,
            a.check,
            a.resume_run,
            self.forecasts,
            self.trusting,
            partial(finished_networks, home),
        )
        self.monitor = MonitorView(a.run, a.resume_run, a.pause, a.finish, a.stop)
        self.study = StudyPlace(a, self.session, messages, self)
        self.compare = CompareView(a.open_run, a.run)
        self.run_reader = RunReader(home, self)
        self.curves_reader = CurvesReader(self.compare.plots.curves, messages, self)
        self.remeasuring = Remeasuring(self.compare, home, messages, self)
        self.inspect = InspectPlace(home, document, a, messages, self)
        self.export = ExportPlace(a, messages, self)
        self.tryout = TryoutPlace(home, a, messages, self)
        self.places = Places()
        self.setCentralWidget(self.places)  # now: later Qt would style every place once more
        self.places.add("start", self.start.view, self.start)
        self.places.add("data", self.data.view, self.data)
        self.places.add("pipeline", self.editor)
        self.places.add("monitor", self.monitor)
        self.places.add("study", self.study.view, self.study, shown=self.study.refresh)
        self.places.add("compare", self.compare, shown=self._refresh_compare)
        self.places.add("inspect", self.inspect.view, self.inspect, shown=self.inspect.refresh)
        self.places.add("export", self.export.view, self.export)
        self.places.add("tryout", self.tryout.view, self.tryout, shown=self.tryout.refresh)

    def _make_work(self) -> None:
        """What works in the background, and what ends it when the window closes."""
        document, session, messages = self.document, self.session, self.messages
        self.queue_runner = QueueRunner(session, self.dialogs.settings, messages, Notifications(self), self)
        self.monitor.attach_queue(self.queue_runner.queue, self.queue_runner.start_next)
        self.startup_jobs = StartupJobs(self.home, self.tool, messages, self)
        self.check_before_run = CheckBeforeRun(
            self.editor.check_panel, document, self.forecasts, self.home, self.startup_jobs.estimator, self
        )
        self.run_controller = RunController(
            self,
            document,
            session,
            self.queue_runner,
            self.check_before_run,
            self.places,
            messages,
        )
        self.run_controller.settle = self.trusting.settle
        self.closing = Closing(
            self, session, messages, self.document_files.may_close, self.status.say,
            lambda: len(self.queue_runner.queue.entries),
        )  # fmt: skip

    # wiring

    def _wire_actions(self) -> None:
        a, files, runs, dialogs = self.actions_, self.document_files, self.run_controller, self.dialogs

        def with_typed(slot: Callable[[], object]) -> Callable[[], None]:
            """What is being typed belongs to the document that is saved, checked or run."""

            def act() -> None:
                self.editor.take_over()
                slot()

            return act

        for action, slot in (
            (a.new, files.new), (a.duplicate, with_typed(files.duplicate)),
            (a.open, files.open_file), (a.open_run, runs.open), (a.save, with_typed(files.save)),
            (a.save_as, with_typed(files.save_as)), (a.commands, self.command_palette.open), (a.quit, self.close), (a.run, with_typed(runs.run)),
            (a.resume_run, runs.resume), (a.pause, runs.pause), (a.stop, runs.stop),
            (a.finish, runs.finish_stage), (a.check, with_typed(runs.check)), (a.about, dialogs.show_about),
            (a.settings, dialogs.show_settings), (a.guide, dialogs.show_guide),
            (a.reference, dialogs.show_reference), (a.doctor, dialogs.check_installation),
        ):  # fmt: skip
            action.triggered.connect(lambda _checked=False, slot=slot: slot())
        self.menu_bar = self.menuBar()  # kept: styled parts are known by reference
        style(self.menu_bar)
        make_menus(
            self, a, recipes.recipes(), files.open_path, self.go, self.theme, self._fill_edit_menu,
        )  # fmt: skip
        self.theme.changed.connect(self._retheme)

    def _fill_edit_menu(self, menu: QMenu) -> None:
        self.edit_menu = EditMenu(menu, self.actions_, self.editor, lambda: self.places.current)

    def _commands(self) -> list[Command]:
        """What the command palette offers: cards, and everything in the menus."""
        self.edit_menu.update()
        cards = [
            Command(card.title, tr("Card of the pipeline"), partial(self._edit, card.kind, card.id), card.summary,
                    icon=icon(card.icon))
            for card in self.editor.model.cards
        ]  # fmt: skip
        return [*menu_commands(self.menu_bar), *cards]

    def _wire_places(self) -> None:
        """Connect the places with each other."""
        self.start.path_chosen.connect(self.document_files.open_path)
        self.start.way_chosen.connect(self._begin)
        self.start.compare_wanted.connect(self._compare)
        self.places.stack.currentChanged.connect(lambda _index: self._remember_place())
        self.own_start.made.connect(self.document_files.open_made)
        self.dropped_files.data_dropped.connect(self._take_data)
        self.data.settings_wanted.connect(lambda: self._edit("data"))
        self.study.opened.connect(self.document_files.open_document)
        self.study.resume_wanted.connect(self.run_controller.go_on_with)
        self.inspect.edited.connect(lambda id: self._edit("stage", id))
        self.inspect.correcting.corrected.connect(self.data.open_again)
        self.data.correcting.corrected.connect(self.inspect.show_noted)
        self.run_reader.attach(self.compare)
        self.compare.run_chosen.connect(self.run_controller.choose)
        self.compare.table.inspect_wanted.connect(self._inspect_row)
        self.compare.panes.notes.mend_wanted.connect(self._mend)
        self.monitor.stages.inspect_wanted.connect(self._inspect_stage)
        for part in (
            self.places,
            self.run_reader,
            self.remeasuring,
            self.dropped_files,
            self.run_controller,
            self.queue_runner,
        ):
            part.status_message.connect(self.status.say)

    def _wire_work(self) -> None:
        session, jobs, queue_runner = self.session, self.startup_jobs, self.queue_runner
        for part in (self.document, session, queue_runner.queue):
            part.changed.connect(self._update)
        for measuring in (self.inspect, self.tryout, self.forecasts, self.remeasuring):
            session.running_changed.connect(measuring.set_running)
        self.document.undo_stack.indexChanged.connect(self.status.show_step)
        session.run_ended.connect(lambda _how: self.run_reader.list_runs())
        session.run_ended.connect(self.closing.run_ended)
        self.run_controller.shown.connect(self._show_results)
        self.run_controller.problem_wanted.connect(self._go_to)
        self.run_controller.series_ended.connect(self._compare)
        self.run_reader.failed.connect(self.messages.failure)
        self.dialogs.settings.changed.connect(self._settings_changed)
        jobs.tool_starter.completed.connect(lambda _words: self.forecasts.start(measures=True))
        jobs.device_found.connect(self.status.show_device)
        jobs.running_found.connect(self._attach)
        queue_runner.awake.changed.connect(lambda: self.status.show_awake(queue_runner.awake.words))

    # showing

    def go(self, place: str) -> None:
        """Show a place."""
        self.places.go(place)

    def _begin(self, way: str) -> None:
        """One of the ways in of the place Start."""
        if way == "tour":
            self.document_files.open_path(recipes.FIRST)
        elif way == "images":
            self.own_start.images()
        else:
            self.own_start.model()

    def _compare(self, folders: list[Path]) -> None:
        """Show these runs side by side, the first as the current one."""
        self.run_controller.choose(folders[0])
        self.go("compare")  # which shows the current one first
        self.compare.compare_with([str(folder) for folder in folders])

    def _refresh_compare(self) -> None:
        self.run_reader.refresh(self.compare.chosen.folders)
        self.run_reader.list_runs()

    def _retheme(self) -> None:
        self.actions_.retheme(self.session.paused)
        self.edit_menu.retheme()
        self.dialogs.retheme()
        show_theme(self, self.theme.choice)
        self.places.retheme()

    def _update(self) -> None:
        """What is enabled and what is written, from the state alone."""
        session, document = self.session, self.document
        show_run_state(self.actions_, session, document)
        self.setWindowTitle(f"{document.name}[*] — Espalier")
        self.setWindowModified(document.modified)
        finishing = session.finishing and session.steered == "running"
        self.monitor.show_state(session.state, "finishing" if finishing else session.steered)
        self.status.show(session, document.modified, len(document.problems))
        self.editor.show_running(session.state.pipeline if session.steered != "idle" else "")
        self.start.view.show_document(document.name)

    def _show_results(self, results: Results) -> None:
        ways: dict[str, Callable[[], None]] = {
            "compare": partial(self.compare.show_results, results),
            "export": partial(self.export.show_results, results),
        }
        for name, place in (("study", self.study), ("inspect", self.inspect), ("tryout", self.tryout)):
            ways[name] = partial(place.show_run, results.run)
        self.places.show_results(ways)

    def show_opened(self, opened: OpenedDocument) -> None:
        """Show what was opened: a run with its results and curves, a pipeline in the editor."""
        self.editor.select("stage", opened.pipeline.stages[0].id)
        left = left_at(opened.path) if opened.path is not None else None
        if opened.run is not None:
            self.run_controller.show(opened.run, replay=True)
            results = self.run_controller.results
            self.go("compare" if results is not None and results.reports else "monitor")
        elif left is not None and left.place in self.places.views:
            self.editor.select(left.kind, left.id)
            self.go(left.place)
        else:
            self.go("pipeline")
        self._remember_place()
        self.session.look_for_unfinished(opened.pipeline)
        self.status.say(
            tr("Opened {name}.", name=opened.pipeline.name)
            if not self.document.made
            else tr("Made “{name}”. It is not saved yet.", name=opened.pipeline.name)
        )

    def _remember_place(self) -> None:
        """Where the open file is left, for the next time."""
        path, card = self.document.path, self.editor.selected
        if path is not None and self.places.current not in ("", "start"):
            kind, id = (card.kind, card.id) if card is not None else ("", "")
            remember(Recent(str(path), self.places.current, kind, id))

    def _edit(self, kind: str, id: str = "") -> None:
        """Open a card of the pipeline."""
        self.go("pipeline")
        self.editor.select(kind, id)

    def _mend(self, cause: Cause) -> None:
        """Change the pipeline so that a cause of a stage's figures is removed."""
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
        if self.dropped_files.takes(paths):
            event.setDropAction(Qt.DropAction.CopyAction)  # whatever is proposed: nothing is moved away
            event.accept()
            self.drop_frame.show_over(self.places)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_frame.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_frame.hide()
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        path = Path(event.mimeData().urls()[0].toLocalFile())
        QTimer.singleShot(0, self, lambda: self.dropped_files.take(path))

    def _take_data(self, path: Path) -> None:
        self.go("data")
        self.data.take(path)

    # starting and closing

    def warm_up(self) -> None:
        """What can wait until the window is visible; a window that is closed by then needs none of it."""
        if self.closing.is_closing:
            return
        self.startup_jobs.warm_up(self.session.options())
        self.startup_jobs.find_running()
        self.session.look_for_unfinished(self.document.pipeline)

    def _attach(self, run: RunFolder) -> None:
        """Follow a run that goes on; a window that was opened without a document of its own shows it."""
        if self.session.steered != "idle" or self.closing.is_closing:
            return
        self.run_controller.show(run, replay=True)
        if self.document.path is None:
            self.go("monitor")
        self.status.say(tr("Following {run}, which goes on.", run=run.name))

    def _settings_changed(self) -> None:
        """The next run, and what the status bar says of the device, take the new settings."""
        if self.isVisible():
            self.startup_jobs.warm_up(self.session.options())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Leave only when a person agrees and no work is left."""
        if self.closing.may_close():
            window_geometry.remember(self)
            session_memory.remember(self.document, self.session, self.editor, self.places.current)
            self._remember_place()
            self.dialogs.close()
            self.tryout.close()
            self.inspect.close()
            if self._owns_tool:
                self.tool.close()
            event.accept()
        else:
            event.ignore()
