"""Pictures of every place of the real window, light and dark, on real results.

    python packaging/gallery.py docs/gallery                 runs the Quick tour first
    python packaging/gallery.py docs/gallery --run FOLDER    shows a run from before
    python packaging/gallery.py docs/gallery --graphs        networks of other kinds as graphs; runs graphs.espalier.yaml first

Needs a display (or `xvfb-run`, or QT_QPA_PLATFORM=offscreen); writes NAME-THEME.png, with a palette each so
that they stay small, and a page that shows them beside the folder (`docs/gallery.md`).
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
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QImage
from PySide6.QtWidgets import QApplication, QWidget

from core.data.store import open_data
from core.document import edits, stage_tree
from gui.app import make_application, make_window
from gui.base.worker import Worker
from gui.editor.palette import NEW
from gui.shell.main_window import MainWindow

_RUN_LIMIT_MS = 30 * 60 * 1000
THEMES = ("light", "dark")
_COMMON, _RARE = 24, 40  # colours of a picture: the commonest exactly, and some for all the others
_SCENES = {
    "start": "Start: recipes, runs from before, and a model of your own.",
    "data-images": "Data: the images, their classes and splits.",
    "data-augmentation": "Data: what augmentation makes of an image.",
    "data-check": "Data: duplicates, leaks between splits, odd files and labels, looked for before training.",
    "pipeline-network": "Pipeline: the network that the chain starts from, with its parameters, MACs and predicted latency.",
    "pipeline-stage": "Pipeline: the settings of a stage, and what it would leave.",
    "pipeline-branches": "Pipeline: a branch, and a stage that is switched off.",
    "pipeline-dragging": "Pipeline: a stage dragged onto a card starts a branch.",
    "pipeline-grid": "Pipeline: a grid over settings of a stage.",
    "pipeline-problem": "Pipeline: a problem, where it is and what mends it.",
    "pipeline-check": "Pipeline: every stage tried on a few images before a run, and what the run will cost.",
    "monitor-running": "Monitor: a run under way.",
    "monitor": "Monitor: curves, stages and log of a run.",
    "compare": "Compare: every stage's exported file, measured, each with its change and what is measurable.",
    "compare-curves": "Compare: the training curves of a run's stages.",
    "compare-limits": "Compare: limits of a device; what does not fit is greyed out.",
    "inspect-layers": "Inspect: the time of every layer, and the number format in which it computed.",
    "inspect-architecture": "Inspect: the network as a graph, before and after side by side.",
    "graph-resnet50-pruned": "The graph of ResNet-50, before and after channel pruning.",
    "graph-resnet50-int8": "The graph of ResNet-50, before and after pruning and static INT8.",
    "graph-lite0-pruned": "The graph of EfficientNet-Lite0, before and after channel pruning.",
    "graph-lite0-int8": "The graph of EfficientNet-Lite0, before and after pruning and static INT8.",
    "inspect-changes": "Inspect: what became of every layer, as a table.",
    "inspect-distributions": "Inspect: weights and activations of a layer, before and after.",
    "inspect-similarity": "Inspect: how alike both networks represent the same images, layer by layer.",
    "inspect-sensitivity": "Inspect: what each layer can spare.",
    "inspect-calibration": "Inspect: how many calibration images are enough for INT8.",
    "inspect-classes": "Inspect: the confusion matrix, and its change.",
    "inspect-flips": "Inspect: the images that a stage answers otherwise.",
    "export": "Export: the ladder from the network to the file.",
    "export-card": "Export: the model card.",
    "export-verified": "Export: a file that was written, opened again and verified.",
    "tryout": "Try-out: own images on two models, with what is right.",
    "settings-general": "Settings.",
    "settings-computing": "Settings: device, threads and power.",
    "help": "Help: the guide opens at the place that one is in.",
}


class Gallery:
    """Takes pictures of one window."""

    def __init__(self, window: MainWindow, out: Path):
        self.window, self.out = window, out
        self.scenes = (
            self.start, self.data, self.places, self.comparison, self.inspection, self.exporting, self.trying,
            self.beside, self.problems, self.editing,
        )  # fmt: skip

    def take(self, name: str, what: QWidget | None = None) -> None:
        """A picture of the window (or of a dialog) in the theme in force."""
        if (focused := QApplication.focusWidget()) is not None:
            focused.clearFocus()
        wait(250)
        grabbed = (what or self.window).grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(grabbed.constBits(), np.uint8).reshape(grabbed.height(), grabbed.bytesPerLine())
        pixels = rows[:, : 3 * grabbed.width()].reshape(grabbed.height(), grabbed.width(), 3)
        file = self.out / f"{name}-{self.window.theme.choice}.png"
        with_palette(pixels).save(file, optimize=True)

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
        self.window.run_controller.start()
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
            ("source", window.document.pipeline.sources[0].id, "pipeline-network"),
            ("stage", window.document.pipeline.stages[-1].id, "pipeline-stage"),
        ):  # fmt: skip
            window.go("pipeline")
            editor.select(kind, id)
            self.take(name)
        for place in ("monitor", "compare"):
            window.go(place)
            wait(2500)  # until the meters have looked twice
            self.take(place)

    def start(self) -> None:
        """Recipes, and the runs of the home with the newest one chosen."""
        place = self.window.start
        self.window.go("start")
        self.until_idle(place)
        place.view.table.selectRow(0)
        self.take("start")

    def data(self) -> None:
        """Every view of the document's data set."""
        place = self.window.data
        self.window.go("data")
        self.until_idle(place)
        for index, name in enumerate(("images", "augmentation", "check")):
            place.view.tabs.setCurrentIndex(index)
            self.until_idle(place)
            self.take(f"data-{name}")
        place.view.tabs.setCurrentIndex(0)

    def until_idle(self, place: QObject) -> None:
        """Until no worker of a place works."""
        wait(600)
        while any(worker.running for worker in place.findChildren(Worker)):
            wait(50)

    def comparison(self) -> None:
        """The comparison desk with a limit."""
        window, desk = self.window, self.window.compare
        window.go("compare")
        desk.plots.tabs.setCurrentWidget(desk.plots.curves)
        wait(100)
        self.until_idle(window.curves_reader)
        self.take("compare-curves")
        desk.plots.tabs.setCurrentIndex(0)
        desk.panes.tabs.setCurrentWidget(desk.panes.limits)
        worst = max(row.metrics["latency_ms"].value or 0 for row in desk.model.rows)
        desk.change(limits={"latency_ms": 0.9 * worst})
        self.take("compare-limits")
        desk.change(limits={})
        desk.panes.tabs.setCurrentWidget(desk.panes.notes)

    def inspection(self) -> None:
        """Every tab of the Inspector, on the first stage that changed the network's channels."""
        window, place = self.window, self.window.inspect
        subjects = window.run_controller.results.reports if window.run_controller.results else []
        pruned = next((report.key for report in subjects if report.kind == "prune-channels"), "")
        if window.run_controller.results is None or not subjects:
            return
        window.inspect_file(window.run_controller.results.run.folder, pruned or subjects[-1].key)
        if not place.view.sensitivity.result:
            place.view.go("sensitivity")
            place.view.sensitivity.start.click()
        calibration = place.view.calibration
        if calibration.result is None:
            self.until_idle(place)
            calibration.draws.setValue(3)
            calibration.start.click()
        for tab in (
            "layers",
            "architecture",
            "distributions",
            "similarity",
            "sensitivity",
            "calibration",
            "classes",
            "flips",
        ):
            place.view.go(tab)
            wait(100)
            self.until_idle(place)
            self.take(f"inspect-{tab}")
            if tab == "architecture":
                place.view.architecture.as_table.click()
                self.take("inspect-changes")
                place.view.architecture.as_graph.click()

    def graphs(self) -> None:
        """Every file of the graphs' run that is no baseline, beside its baseline, unfolded where it changed."""
        window, place = self.window, self.window.inspect
        assert window.run_controller.results is not None
        run = window.run_controller.results
        for report in run.reports:
            if not report.id.endswith(("pruned", "int8")):
                continue
            window.inspect_file(run.run.folder, report.key)
            place.view.go("architecture")
            wait(100)
            self.until_idle(place)
            place.view.architecture.graph.colour_box.setCurrentIndex(0)
            self.take(f"graph-{report.id}")

    def exporting(self) -> None:
        """What is known of a file, its model card, and an archive that was written and verified."""
        window, place = self.window, self.window.export
        window.go("export")
        self.until_idle(place)
        self.take("export")
        place.view.tabs.setCurrentIndex(1)
        self.take("export-card")
        place.view.tabs.setCurrentIndex(0)
        with tempfile.TemporaryDirectory() as folder:
            place.view.settings_edited.emit(("format",), "zip", False)
            place.view.target.setText(str(Path(folder) / Path(place.view.target.text()).name))
            place.view.button.click()
            self.until_idle(place)
            self.take("export-verified")
        place.view.settings_edited.emit(("format",), "onnx", True)

    def trying(self) -> None:
        """Test images of the document's data set on the baseline and on the result."""
        window, place, document = self.window, self.window.tryout, self.window.document
        data = open_data(document.pipeline.data, window.home.data, document.base)
        with tempfile.TemporaryDirectory() as folder:
            for row in data.split("test")[:60]:
                pixels = np.asarray(data.images[row])
                shown = Path(folder) / data.classes[int(data.labels[row])].replace("/", "-")
                shown.mkdir(exist_ok=True)
                Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(
                    shown / f"{row}.png"
                )
            window.go("tryout")
            place.try_places([Path(folder)])
            self.until_idle(place)
            self.take("tryout")
            place.clear()

    def beside(self) -> None:
        """What opens beside the window: settings, and the guide at the monitor."""
        window = self.window
        for page in ("General", "Computing"):
            dialog = window.dialogs.show_settings(page)
            wait(800)
            self.take(f"settings-{page.lower()}", dialog)
            dialog.close()
        window.go("monitor")
        help = window.dialogs.show_guide()
        self.take("help", help)
        help.close()

    def problems(self) -> None:
        """A branched pipeline, and one that cannot run."""
        window, before = self.window, self.window.document.pipeline
        branched, id = stage_tree.duplicate_stage(before, before.stages[-2].id)
        window.document.apply(edits.set_enabled(branched, before.stages[1].id, False), "Branch")
        window.go("pipeline")
        window.editor.select("stage", id)
        self.until_idle(window.forecasts)
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
        self.until_idle(window.forecasts)
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
            window.document.apply(edits.set_grid(before, 0, grid), "Grid")
            editor.select("pipeline")
            self.take("pipeline-grid")
            window.document.undo_stack.undo()
        window.check_before_run.check(window.session.options())
        self.until_idle(window.startup_jobs)
        self.take("pipeline-check")
        editor.check_panel.close_panel()


def with_palette(pixels: np.ndarray) -> Image.Image:
    """The picture in few colours, without dithering: text and grounds keep theirs exactly."""
    colours, places, counts = np.unique(
        pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts)
    palette, rare = colours[order[:_COMMON]], colours[order[_COMMON:]]
    if len(rare):
        found = Image.fromarray(rare[None]).quantize(_RARE, kmeans=2).getpalette() or []
        palette = np.concatenate([palette, np.array(found, np.uint8).reshape(-1, 3)[:_RARE]])
    distances = [((colours.astype(int) - colour) ** 2).sum(1) for colour in palette.astype(int)]
    nearest = np.argmin(distances, axis=0).astype(np.uint8)
    picture = Image.fromarray(nearest[places.reshape(-1)].reshape(pixels.shape[:2]), "P")
    picture.putpalette(palette.tobytes())
    return picture


def write_page(out: Path) -> None:
    """A page that shows the pictures, light and dark side by side."""
    lines = ["# The window in pictures", "", "Made by `packaging/gallery.py` from a finished run.", ""]
    for name, words in _SCENES.items():
        if all((out / f"{name}-{choice}.png").is_file() for choice in THEMES):
            shown = " | ".join(f"![{words} ({choice})]({out.name}/{name}-{choice}.png)" for choice in THEMES)
            lines += [f"**{words}**", "", "| Light | Dark |", "|---|---|", f"| {shown} |", ""]
    (out.parent / f"{out.name}.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


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
    parser.add_argument(
        "--graphs",
        action="store_true",
        help="only the graphs of graphs.espalier.yaml, which lies beside this file",
    )
    parser.add_argument("--pipeline", type=Path, help="another pipeline than the Quick tour")
    parser.add_argument("--size", default="1280x800")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    app = make_application()
    with tempfile.TemporaryDirectory() as settings:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, settings)
        graphs = Path(__file__).with_name("graphs.espalier.yaml") if arguments.graphs else None
        window = make_window(app, arguments.run or graphs or arguments.pipeline)
        window.resize(*map(int, arguments.size.split("x")))
        window.show()
        window.warm_up()
        gallery = Gallery(window, arguments.out)
        gallery.until_idle(window.startup_jobs)
        gallery.until_idle(window.forecasts)
        if arguments.run is None:
            gallery.run()
        for scene in (gallery.graphs,) if arguments.graphs else gallery.scenes:
            gallery.in_both_themes(scene)
        window.document.undo_stack.setClean()
        while window.startup_jobs.tool_starter.running or window.run_reader.worker.running:
            wait(50)
        window.close()
    write_page(arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
