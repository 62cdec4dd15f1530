"""Pictures of every place of the real window, light and dark, on real results.

    python packaging/gallery.py docs/gallery                 runs the Quick tour first
    python packaging/gallery.py docs/gallery --run FOLDER    shows a run from before

Needs a display (or `xvfb-run`, or QT_QPA_PLATFORM=offscreen); writes NAME-THEME.png.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image
from PySide6.QtCore import QEventLoop, QMimeData, QObject, QSettings, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent
from PySide6.QtWidgets import QApplication, QWidget

from core.data.store import open_data
from gui.app import make_application, make_window
from gui.editor import edits
from gui.editor.palette import NEW
from gui.main_window import MainWindow
from gui.worker import Worker

_RUN_LIMIT_MS = 30 * 60 * 1000
THEMES = ("light", "dark")


class Gallery:
    """Takes pictures of one window."""

    def __init__(self, window: MainWindow, out: Path):
        self.window, self.out = window, out

    def take(self, name: str, what: QWidget | None = None) -> None:
        """A picture of the window (or of a dialog) in the theme in force."""
        wait(250)
        (what or self.window).grab().save(str(self.out / f"{name}-{self.window.theme.choice}.png"))

    def in_both_themes(self, scene: Callable[[], None]) -> None:
        """Show a scene light and dark."""
        for choice in THEMES:
            self.window.theme.choose(choice)  # type: ignore[arg-type]
            scene()

    def run(self) -> None:
        """Run the document; the monitor is taken in the middle."""
        done = QEventLoop()
        self.window.session.run_ended.connect(done.quit)
        self.window.session.stage_done.connect(self._at_half_time)
        self.window.steering.start()
        QTimer.singleShot(_RUN_LIMIT_MS, done.quit)
        done.exec()
        self.window.session.stage_done.disconnect(self._at_half_time)

    def _at_half_time(self) -> None:
        finished = [stage for stage in self.window.session.state.stages.values() if stage.report]
        if len(finished) == 2:
            QTimer.singleShot(6000, self.window, self._running)

    def _running(self) -> None:
        def scene() -> None:
            self.window.go("monitor")
            self.take("monitor-running")

        self.in_both_themes(scene)

    def places(self) -> None:
        """Every place, with the panels of the editor."""
        window, editor = self.window, self.window.editor
        for kind, id, name in (
            ("pipeline", "", "pipeline-document"), ("data", "", "pipeline-data"),
            ("source", window.document.pipeline.sources[0].id, "pipeline-network"),
            ("stage", window.document.pipeline.stages[-1].id, "pipeline-stage"),
        ):  # fmt: skip
            window.go("pipeline")
            editor.select(kind, id)
            self.take(name)
        for place in ("monitor", "compare"):
            window.go(place)
            self.take(place)

    def start(self) -> None:
        """Recipes, and the runs of the home with the newest one chosen."""
        place = self.window.start
        self.window.go("start")
        self._until_idle(place)
        place.view.table.selectRow(0)
        self.take("start")

    def data(self) -> None:
        """Every view of the document's data set."""
        place = self.window.data
        self.window.go("data")
        self._until_idle(place)
        for index, name in enumerate(("images", "augmentation", "check", "files")):
            place.view.tabs.setCurrentIndex(index)
            self._until_idle(place)
            self.take(f"data-{name}")
        place.view.tabs.setCurrentIndex(0)

    def _until_idle(self, place: QObject) -> None:
        wait(100)
        while any(worker.running for worker in place.findChildren(Worker)):
            wait(50)

    def comparison(self) -> None:
        """The comparison desk: settings that differ, limits, another baseline."""
        window, desk = self.window, self.window.compare
        window.go("compare")
        rows = [row.id for row in desk.model.rows]
        desk.panes.tabs.setCurrentWidget(desk.panes.settings)
        desk.select(rows[0], rows[-1])
        self.take("compare-settings")
        desk.panes.tabs.setCurrentWidget(desk.panes.limits)
        desk.table.clearSelection()
        worst = max(row.metrics["latency_ms"].value or 0 for row in desk.model.rows)
        desk.change(limits={"latency_ms": 0.9 * worst})
        self.take("compare-limits")
        desk.change(limits={}, pin=rows[-1])
        desk.panes.tabs.setCurrentWidget(desk.panes.notes)
        self.take("compare-pinned")
        desk.change(pin="")

    def inspection(self) -> None:
        """Every tab of the Inspector, on the first stage that changed the network's channels."""
        window, place = self.window, self.window.inspect
        subjects = window.steering.results.reports if window.steering.results else []
        pruned = next((report.key for report in subjects if report.kind == "prune-channels"), "")
        if window.steering.results is None or not subjects:
            return
        window.inspect_file(window.steering.results.run.folder, pruned or subjects[-1].key)
        if not place.view.sensitivity.scan:
            place.view.go("sensitivity")
            place.view.sensitivity.start.click()
        for tab in ("layers", "architecture", "distributions", "sensitivity", "classes", "flips"):
            place.view.go(tab)
            wait(100)
            self._until_idle(place)
            self.take(f"inspect-{tab}")

    def exporting(self) -> None:
        """What is known of a file, its model card, and an archive that was written and verified."""
        window, place = self.window, self.window.export
        window.go("export")
        self._until_idle(place)
        self.take("export")
        place.view.tabs.setCurrentIndex(1)
        self.take("export-card")
        place.view.tabs.setCurrentIndex(0)
        with tempfile.TemporaryDirectory() as folder:
            place.view.settings_edited.emit(("format",), "zip", False)
            place.view.target.setText(str(Path(folder) / Path(place.view.target.text()).name))
            place.view.button.click()
            self._until_idle(place)
            self.take("export-verified")
        place.view.settings_edited.emit(("format",), "onnx", True)

    def trying(self) -> None:
        """Test images of the document's data set on the baseline and on the result."""
        window, place, document = self.window, self.window.tryout, self.window.document
        data = open_data(document.pipeline.data, window.home.data, document.base)
        with tempfile.TemporaryDirectory() as folder:
            for row in data.split("test")[:60]:
                pixels = np.asarray(data.images[row])
                name = f"{data.classes[int(data.labels[row])]}-{row}.png".replace("/", "-")
                Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(Path(folder) / name)
            window.go("tryout")
            self.take("tryout-empty")
            place.try_places([Path(folder)])
            self._until_idle(place)
            self.take("tryout")
            place.view.only.setChecked(True)
            place.view.table.selectRow(0)
            self._until_idle(place)
            self.take("tryout-differ")
            place.clear()

    def beside(self) -> None:
        """What opens beside the window: settings, and the guide at the monitor."""
        window = self.window
        for page in ("General", "Computing", "Storage"):
            dialog = window.aids.show_settings(page)
            wait(800)
            self.take(f"settings-{page.lower()}", dialog)
            dialog.close()
        window.go("monitor")
        help = window.aids.show_guide()
        self.take("help", help)
        help.close()

    def problems(self) -> None:
        """A branched pipeline, and one that cannot run."""
        window, before = self.window, self.window.document.pipeline
        branched, id = edits.duplicate_stage(before, before.stages[-2].id)
        window.document.apply(edits.set_enabled(branched, before.stages[1].id, False), "Branch")
        window.go("pipeline")
        window.editor.select("stage", id)
        self._until_idle(window.outlook)
        self.take("pipeline-branches")
        window.document.apply(
            edits.set_setting(before, before.stages[-1].id, ("teacher",), "nobody"), "Break"
        )
        window.editor.select("stage", before.stages[-1].id)
        self.take("pipeline-problem")
        window.document.undo_stack.undo()
        window.document.undo_stack.undo()

    def editing(self) -> None:
        """A stage dragged onto a card, a grid over a setting, and the check before a run."""
        window, editor, before = self.window, self.window.editor, self.window.document.pipeline
        window.go("pipeline")
        self._until_idle(window.outlook)
        baseline = editor.model.row_of("stage", before.stages[0].id)
        place = editor.list.visualRect(editor.model.index(baseline)).center()
        carried, action = QMimeData(), Qt.DropAction.CopyAction
        carried.setData(NEW, b"stage:prune-channels")
        buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        for kind in (QDragEnterEvent, QDragMoveEvent):
            QApplication.sendEvent(editor.list.viewport(), kind(place, action, carried, buttons, keys))
        self.take("pipeline-dragging")
        QApplication.sendEvent(editor.list.viewport(), QDragLeaveEvent())
        stage = next((node for node in before.stages if "ratio" in node.settings), None)
        if stage is not None:
            grid = {"stage": stage.id, "settings": {"ratio": [0.3, 0.5, 0.65]}, "images": 1000}
            window.document.apply(edits.set_axes(before, before.axes.seed, grid), "Grid")
            editor.select("pipeline")
            self.take("pipeline-grid")
            window.document.undo_stack.undo()
        window.before.check(window.session.options())
        self._until_idle(window.jobs)
        if window.before.dialog is not None:
            self.take("pipeline-check", window.before.dialog)
            window.before.dialog.reject()


def wait(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--run", type=Path, help="the folder of a finished run")
    parser.add_argument("--pipeline", type=Path, help="another pipeline than the Quick tour")
    parser.add_argument("--size", default="1280x800")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    app = make_application()
    with tempfile.TemporaryDirectory() as settings:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, settings)
        window = make_window(app, arguments.run or arguments.pipeline)
        window.resize(*map(int, arguments.size.split("x")))
        window.show()
        window.warm_up()
        gallery = Gallery(window, arguments.out)
        if arguments.run is None:
            gallery.run()
        gallery.in_both_themes(gallery.start)
        gallery.in_both_themes(gallery.data)
        gallery.in_both_themes(gallery.places)
        gallery.in_both_themes(gallery.comparison)
        gallery.in_both_themes(gallery.inspection)
        gallery.in_both_themes(gallery.exporting)
        gallery.in_both_themes(gallery.trying)
        gallery.in_both_themes(gallery.beside)
        gallery.in_both_themes(gallery.problems)
        gallery.in_both_themes(gallery.editing)
        window.document.undo_stack.setClean()
        while window.jobs.warmer.running or window.reader.worker.running:
            wait(50)
        window.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
