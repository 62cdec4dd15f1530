"""The Inspector on a small finished run: every tab shows what its files say, and scans reach the editor."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import artefact, report
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from core import pipeline as documents
from core.errors import EspalierError
from core.reports import StageReport
from core.runs import Home, RunFolder
from gui.actions import make_actions
from gui.document import Document
from gui.files import Opened
from gui.inspect import overrides
from gui.inspect.bar_table import BarTable, Cell, Column
from gui.inspect.confusion_view import DEEPEST, mixed, written_on
from gui.inspect.kept import Kept
from gui.inspect.lane import Lane
from gui.inspect.place import InspectPlace
from gui.inspect.subject import counterpart, find, subjects_of
from gui.inspect.top_five import EnlargedFlip
from gui.inspect.work import ScanRequest
from gui.main_window import MainWindow
from gui.messages import MessageDialog, Messages
from gui.monitor.stage_table import StageTable
from gui.monitor.state import RunState, StageState
from gui.theme import DARK, LIGHT, Colours, Theme, contrast

PIPELINE = """
espalier: 1
name: Small
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 64, test_images: 40}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.5, training: {epochs: 1}}}
  - {id: int8, kind: quantize-static, name: Quantized}
"""
LOST, WON = (0, 1, 2), (30,)  # images that the pruned stage lost and won


def save_network(folder: Path, pruned: bool, data: Any) -> None:
    """A checkpoint, its export, and answers that are right but for a few images."""
    import torch

    from core.checkpoint import Checkpoint, save_checkpoint
    from core.data.preprocess import make_preprocess
    from core.deploy.export import describe, export_module
    from core.models.catalogue import BACKBONES
    from core.models.settings import BackboneSettings
    from core.surgery.groups import channel_groups

    pipeline = documents.loads(PIPELINE)
    network = BackboneSettings(backbone="resnet20")
    torch.manual_seed(3)
    model = BACKBONES["resnet20"].build(network, 10).eval()
    if pruned:
        groups, _ = channel_groups(model, 16, BACKBONES["resnet20"].blocks, "block-internal")
        groups[0].prune(range(8))
    preprocess = make_preprocess(pipeline.data, data)
    save_checkpoint(folder / "checkpoint", Checkpoint(model, network, preprocess, data.classes))
    about = describe(data.classes, preprocess, "float32", {})
    export_module(model, preprocess, folder / "artefacts" / "float32.onnx", about)


def save_answers(folder: Path, name: str, labels: np.ndarray, wrong: tuple[int, ...]) -> None:
    """Logits whose first answer is the label, and the class after it on the wrong images, surer and surer."""
    folder.mkdir(parents=True, exist_ok=True)
    guesses = labels.copy()
    guesses[list(wrong)] = (labels[list(wrong)] + 1) % 10
    logits = np.zeros((len(labels), 10), np.float32)
    logits[np.arange(len(labels)), guesses] = 2.0 + 0.1 * np.arange(len(labels))
    np.save(folder / f"{name}.logits.npy", logits)
    np.save(folder / "labels.npy", labels)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a finished run: FP32, pruned, and an INT8 file that nobody exported (answers only)."""
    from core.data.store import open_data

    home = Home(tmp_path_factory.mktemp("inspect"))
    pipeline = documents.loads(PIPELINE)
    run = RunFolder.create(pipeline, home.folder, home, home.runs / "20260101-000000-small")
    data = open_data(pipeline.data, home.data)
    labels = np.asarray(data.labels[data.split("test")], np.int64)
    sources = {"fp32": "network", "pruned": "fp32", "int8": "pruned"}
    for key, wrong in (("fp32", WON), ("pruned", LOST), ("int8", (5,))):
        folder = run.stage_folder(key)
        if key != "int8":
            save_network(folder, key == "pruned", data)
        name = "int8" if key == "int8" else "float32"
        save_answers(folder / "artefacts", name, labels, wrong)
        made = artefact(key, 90.0, 1.0, 1.0).model_copy(
            update={"id": name, "path": f"stages/{key}/artefacts/{name}.onnx", "precision": name}
        )
        if key == "int8":
            (folder / "artefacts" / "int8.onnx").write_bytes(b"")
        told = report(key, pipeline.stage(key).title, pipeline.stage(key).kind, made)
        facts = {"ranking": [["body.conv1", 12.5], ["head", 40.0]]} if key == "int8" else {}
        run.write_report(
            StageReport.model_validate({**told.model_dump(), "source": sources[key], "facts": facts})
        )
    run.update_info(status="completed")
    return home


@pytest.fixture
def opened(finished: Home) -> Path:
    return finished.runs / "20260101-000000-small"


class Told(Messages):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    def failure(self, found: Any, title: str = "") -> MessageDialog:
        self.failures.append(found.message)
        return MessageDialog(None, "error", title, found.message)


@pytest.fixture
def place(qtbot: Any, theme: Theme, finished: Home) -> Iterator[InspectPlace]:
    from PySide6.QtWidgets import QMainWindow

    window = QMainWindow()
    qtbot.addWidget(window)
    actions = make_actions(window)
    pipeline = documents.loads(PIPELINE)
    window.document = Document(pipeline, None, finished.folder)  # type: ignore[attr-defined]
    window.told = Told()  # type: ignore[attr-defined]
    made = InspectPlace(finished, window.document, actions, window.told, window)  # type: ignore[attr-defined]
    window.setCentralWidget(made.view)
    window.resize(1186, 746)
    window.show()
    qtbot.waitExposed(window)
    yield made
    for worker in made.workers:
        assert worker.close(30), worker.title
    for dialog in window.findChildren(QDialog):
        dialog.close()


def done(qtbot: Any, place: InspectPlace) -> None:
    """Wait until nothing is under way."""
    qtbot.waitUntil(lambda: not any(worker.running for worker in place.workers), timeout=60_000)


# choosing


def test_the_result_is_looked_at_first_against_the_stage_before_it(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    assert place.view.empty.isVisible() and "Run the pipeline" in place.view.empty.advice.text()
    place.view.go("architecture")
    assert place.open(opened)
    done(qtbot, place)
    assert place.view.header.title.text() == "Inspect · Quantized against Pruned"
    assert [place.view.model.files.itemText(n) for n in range(3)] == [
        "FP32 · ONNX float32", "Pruned · ONNX float32", "Quantized · ONNX float32",
    ]  # fmt: skip
    assert place.view.other.files.currentText() == "Pruned · ONNX float32"
    assert place.view.model.runs.currentText().endswith(" · Small")


def test_models_can_be_chosen_and_swapped(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("architecture")
    place.open(opened, "pruned")
    done(qtbot, place)
    qtbot.mouseClick(place.view.swap, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert place.view.header.title.text() == "Inspect · FP32 against Pruned"
    files = place.view.other.files
    files.setCurrentIndex(0)
    files.activated.emit(0)
    assert place.other is None and not place.view.swap.isEnabled()
    done(qtbot, place)
    assert place.view.architecture.empty.title.text() == "Nothing to compare with"


def test_subjects_know_their_network_and_their_counterpart(opened: Path) -> None:
    subjects = subjects_of(RunFolder(opened))
    fp32, pruned, int8 = subjects
    assert counterpart(int8, subjects) == pruned and counterpart(pruned, subjects) == fp32
    assert counterpart(fp32, subjects) is None
    assert int8.checkpoint is None and int8.network == pruned.checkpoint
    assert int8.float_file == pruned.file and int8.input_size == 16
    assert find(subjects, "pruned", "float16") is None
    assert fp32.images == int8.images and len(fp32.images) == 64


# tabs


def test_layers_are_measured_searched_and_sorted(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.layers
    assert "ms in all" in page.words.whole and "20 layers with weights" in page.words.whole
    names = page.table.texts(0)
    assert names[:2] == ["body.conv1", "body.layer1.0.conv1"]
    row = names.index("body.layer1.0.conv1")
    assert page.table.texts(2)[row] == "16 → 8" and page.table.texts(7)[row] == "float32"
    assert float(page.table.texts(6)[row]) > 0
    qtbot.keyClicks(page.search, "layer3.2")
    assert page.table.texts(0) == ["body.layer3.2.conv1", "body.layer3.2.conv2"]
    page.search.clear()
    page.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    figures = [int(text.replace("\u202f", "")) for text in page.table.texts(4) if text != "—"]
    assert figures == sorted(figures, reverse=True)


def test_while_a_run_goes_on_layers_are_counted_only(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.set_running(True)
    place.open(opened, "fp32")
    done(qtbot, place)
    page = place.view.layers
    assert not page.measure.isEnabled() and "A run is going on" in page.measure.toolTip()
    assert set(page.table.texts(6)) == {"—"} and "ms in all" not in page.words.whole
    assert not place.view.sensitivity.start.isEnabled()
    place.set_running(False)
    done(qtbot, place)
    assert "ms in all" in page.words.whole and page.measure.isEnabled()


def test_the_ranking_of_a_mixed_stage_stands_in_the_layer_table(place: InspectPlace, opened: Path) -> None:
    place.view.go("sensitivity")
    place.open(opened, "int8")
    assert place.model is not None
    known = place.scanning.sensitivity(place.model)
    assert known is not None and known.unit == "dB" and known.values["head"] == 40.0
    assert known.share(12.5) == 1.0 and known.share(40.0) == 0.0


def test_the_architecture_shows_what_was_pruned(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("architecture")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.architecture
    assert page.table.texts(0) == ["body.layer1.0.conv1", "body.layer1.0.conv2"]
    assert page.table.texts(2) == ["Narrower", "Narrower"]
    assert page.table.texts(3) == ["16 → 16", "16 → 16"] and page.table.texts(4) == ["16 → 8", "8 → 16"]
    page.only.setChecked(False)
    assert len(page.table.texts(0)) == 20 and page.table.texts(2).count("As it was") == 18


def test_distributions_of_weights_and_activations(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("distributions")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.distributions
    assert page.layers.count() == 20 and page.layer == "body.conv1"
    page.choose("body.layer1.0.conv1")
    done(qtbot, place)
    legend = page.plot.legend.text()
    assert "Pruned" in legend and "1\u202f152 values" in legend and "2\u202f304 values" in legend
    assert page.source.whole.startswith("Weights of the network")
    page.what.setCurrentIndex(1)
    page.ask()
    done(qtbot, place)
    assert page.source.whole.startswith("What the layer gives on 32 validation images")
    assert not page.working.isVisible()


def test_classes_and_their_difference(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("classes")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.classes
    assert [page.which.itemText(n) for n in range(3)] == ["Pruned", "FP32", "Difference: Pruned − FP32"]
    values = page.matrix.matrix.values
    assert values.sum() == 40 and values.trace() == 37
    page.which.setCurrentIndex(2)
    page.which.activated.emit(2)
    assert page.matrix.matrix.values.trace() == -2  # three lost, one won
    page.unit.setCurrentIndex(1)
    page.unit.activated.emit(1)
    assert page.matrix.matrix.percent and abs(page.matrix.matrix.values.sum()) < 1e-9
    assert any(text.startswith("▼ −") for text in page.table.texts(3))


def test_a_click_on_a_cell_shows_its_images(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("classes")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.classes
    wrong = [(r, c) for r, c in np.argwhere(page.matrix.matrix.values > 0).tolist() if r != c]
    true, guess = wrong[0]
    index = page.matrix.matrix.index(true, guess)
    page.matrix.scrollTo(index)
    qtbot.mouseClick(
        page.matrix.viewport(), Qt.MouseButton.LeftButton, pos=page.matrix.visualRect(index).center()
    )
    done(qtbot, place)
    flips = place.view.flips
    assert place.view.tab == "flips"
    count = int(page.matrix.matrix.values[true, guess])
    assert len(flips.gallery.cards.images) == count
    assert flips.kind.currentData() == "all" and flips.true.currentData() == true


def test_flips_are_the_very_images(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("flips")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.flips
    cards = page.gallery.cards
    assert page.kind.currentText() == "Right before, wrong now (3)"
    assert cards.images.tolist() == [2, 1, 0]  # the surest wrong answers first
    assert cards.data_ is not None and cards.index(0).data(Qt.ItemDataRole.DecorationRole) is not None
    lines = [words for words, _ in cards.lines(2)]
    assert lines[0].startswith("is ") and lines[1].startswith("✓ was ") and lines[2].startswith("✖ now ")
    assert len(page.look.after.shown) == 5 and len(page.look.before.shown) == 5
    assert page.look.caption.whole.endswith("test image 2")
    assert page.look.before.shown[0][2] and not page.look.after.shown[0][2]  # true then, not now
    page.kind.setCurrentIndex(1)
    page.kind.activated.emit(1)
    assert cards.images.tolist() == [30]
    label = int(cards.pair.after.labels[30]) if cards.pair is not None else 0
    page.true.setCurrentIndex((label + 1) % 10 + 1)
    page.true.activated.emit(page.true.currentIndex())
    assert page.empty.isVisible() and not page.gallery.isVisible()


def test_an_image_can_be_enlarged_and_arrows_lead_on(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("flips")
    place.open(opened, "pruned")
    done(qtbot, place)
    page = place.view.flips
    page.gallery.setFocus()
    qtbot.keyClick(page.gallery, Qt.Key.Key_Return)
    dialog = page.findChild(EnlargedFlip)
    assert dialog is not None and dialog.place.text() == "1 of 3" and not dialog.before.isEnabled()
    qtbot.mouseClick(dialog.after, Qt.MouseButton.LeftButton)
    assert dialog.place.text() == "2 of 3" and dialog.look.caption.whole.endswith("test image 1")
    assert dialog.look.before_name.whole == "Before: FP32"
    dialog.close()


def test_models_of_other_images_are_not_compared(
    qtbot: Any, place: InspectPlace, opened: Path, finished: Home
) -> None:
    pipeline = documents.loads(PIPELINE.replace("test_images: 40", "test_images: 20"))
    other = RunFolder.create(pipeline, finished.folder, finished, finished.runs / "20260102-000000-other")
    try:
        source = subjects_of(RunFolder(opened))[0]
        folder = other.stage_folder("fp32") / "artefacts"
        save_answers(folder, "float32", np.arange(20) % 10, ())
        (folder / "float32.onnx").write_bytes(b"")
        (other.stage_folder("fp32") / "checkpoint").symlink_to(source.run.stage_folder("fp32") / "checkpoint")
        other.write_report(source.report)
        place.view.go("classes")
        place.open(opened, "pruned")
        done(qtbot, place)
        place._choose_run(place.view.other, other.folder)
        done(qtbot, place)
        assert "tested on different images (20 and 40)" in place._messages.failures[0]  # type: ignore[attr-defined]
        assert place.other is None and place.view.classes.which.count() == 1
    finally:
        import shutil

        shutil.rmtree(other.folder)


# scans and the editor


def test_a_scan_is_shown_and_sent_into_the_pipeline_as_one_edit(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    place.view.go("sensitivity")
    place.open(opened, "fp32")
    page = place.view.sensitivity
    assert page.empty.isVisible()
    page.images.setValue(32)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    assert not page.start.isEnabled()
    done(qtbot, place)
    assert page.table.texts(0)[0] == "body.layer1.0.conv1" and len(page.table.texts(0)) == 9
    assert "of 32 validation images are right" in page.words.whole
    page.loss.setValue(100.0)
    assert set(page.table.texts(5)) == {"75 %"}
    assert [page.target.itemText(n) for n in range(page.target.count())] == [
        "Pruned", "A new stage 'Prune channels' after 'FP32'",
    ]  # fmt: skip
    document: Document = place.view.window().document  # type: ignore[attr-defined]
    before = document.text
    with qtbot.waitSignal(place.edited) as signal:
        qtbot.mouseClick(page.send, Qt.MouseButton.LeftButton)
    assert signal.args == ["pruned"]
    own = document.pipeline.stage("pruned").settings["own_ratios"]
    assert own.startswith("body.layer1.0.conv1=0.75, ") and own.count("=") == 9
    document.undo_stack.undo()
    assert document.text == before
    assert place.model is not None and place.scanning.sensitivity(place.model).unit == "points"  # type: ignore[union-attr]


def test_a_scan_can_be_cancelled(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("sensitivity")
    place.open(opened, "fp32")
    page = place.view.sensitivity
    place.scanning._scan(ScanRequest("quantize", "", 64))
    qtbot.waitUntil(lambda: page.working.isVisible(), timeout=30_000)
    started = time.monotonic()
    qtbot.mouseClick(page.working.stop, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert time.monotonic() - started < 10
    assert page.scan is None and page.start.isEnabled() and not page.working.isVisible()


def test_layers_to_keep_go_into_a_quantization_or_a_new_one() -> None:
    pipeline = documents.loads(PIPELINE)
    found = overrides.targets(pipeline, overrides.KEEP_FIELD, "pruned")
    assert [target.title for target in found] == [
        "Quantized", "A new stage 'Quantize (static INT8)' after 'Pruned'",
    ]  # fmt: skip
    changed, id = overrides.with_override(pipeline, found[0], "keep", "body.conv1, head", "pruned")
    assert id == "int8" and changed.stage("int8").settings["keep"] == "body.conv1, head"
    fresh, id = overrides.with_override(pipeline, found[1], "keep", "head", "pruned")
    assert id not in pipeline.stage_ids and fresh.stage(id).settings == {"keep": "head"}
    new = overrides.targets(pipeline, overrides.PRUNE_FIELD, "fp32")[-1]
    pruned, id = overrides.with_override(pipeline, new, "own_ratios", "a=0.5", "fp32", "whole-groups")
    assert pruned.stage(id).settings == {"scope": "whole-groups", "own_ratios": "a=0.5"}


# parts


def test_a_newer_request_replaces_the_one_under_way(qtbot: Any, qapp: QApplication) -> None:
    lane = Lane(qapp)
    seen: list[tuple[Any, Any]] = []
    lane.done.connect(lambda request, result: seen.append((request, result)))

    def slow(control: Any, say: Callable[[Any], None]) -> str:
        while True:
            control.checkpoint()
            time.sleep(0.005)

    lane.ask("first", "slow work", slow)
    lane.ask("second", "quick work", lambda control, say: "result")
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    assert seen == [("second", "result")]
    qtbot.waitUntil(lambda: not lane.busy, timeout=5000)
    failed: list[str] = []
    lane.failed.connect(lambda request, failure: failed.append(failure.message))

    def fails(control: Any, say: Callable[[Any], None]) -> None:
        raise EspalierError("It did not work.")

    lane.ask("third", "failing work", fails)
    qtbot.waitUntil(lambda: bool(failed), timeout=5000)
    assert failed == ["It did not work."]


def test_only_the_newest_results_are_kept() -> None:
    kept = Kept({"answers": 2})
    for number in range(3):
        kept[("answers", number)] = number
    assert ("answers", 0) not in kept and kept.get(("answers", 2)) == 2 and kept[("answers", 1)] == 1
    kept.forget(("answers", 2))
    assert kept.get(("answers", 2)) is None


def test_missing_figures_sort_behind_and_bars_have_a_word(qtbot: Any, theme: Theme) -> None:
    table = BarTable("t", "Table")
    qtbot.addWidget(table)
    table.show_rows(
        (Column("Name", number=False), Column("Figure")),
        [[Cell("b"), Cell("2", 2.0, 0.5)], [Cell("a"), Cell("—")], [Cell("c"), Cell("10", 10.0, 1.0)]],
    )
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert table.texts(1) == ["10", "2", "—"]
    table.select(0)
    assert table.current() == 0
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("tone", ["accent", "good", "bad"])
def test_figures_can_be_read_on_every_ground_of_the_matrix(colours: Colours, tone: str) -> None:
    for part in np.linspace(0.0, DEEPEST, 30):
        ground = mixed(colours.surface, getattr(colours, tone), float(part))
        assert contrast(written_on(ground), ground) >= 4.5


# the window


def test_the_rail_and_the_comparison_lead_here(
    qtbot: Any, make_window: Callable[..., MainWindow], opened: Path, finished: Home, monkeypatch: Any
) -> None:
    run = RunFolder(opened)
    window = make_window(Opened(documents.loads(PIPELINE), None, finished.folder, run))
    window.inspect._home = finished
    window.go("inspect")
    done(qtbot, window.inspect)
    assert window.inspect.view.isVisible() and window.inspect.model is not None
    window.inspect_file(opened, "fp32")
    done(qtbot, window.inspect)
    assert window.inspect.view.header.title.text() == "Inspect · FP32"
    window.inspect_file(opened, "nowhere")
    assert window.inspect.view.header.title.text() == "Inspect · FP32"


def test_a_double_click_in_the_comparison_leads_here(
    qtbot: Any, make_window: Callable[..., MainWindow], opened: Path, finished: Home
) -> None:
    window = make_window(Opened(documents.loads(PIPELINE), None, finished.folder, RunFolder(opened)))
    window.inspect._home = finished
    window.go("compare")
    table = window.compare.table
    qtbot.waitUntil(lambda: table.metrics.rowCount() == 3, timeout=20_000)
    index = table.metrics.index(1, 0)
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(index).center())
    qtbot.keyClick(table, Qt.Key.Key_Return)
    done(qtbot, window.inspect)
    assert window.inspect.view.isVisible()
    assert window.inspect.view.header.title.text() == "Inspect · Pruned against FP32"


def test_a_finished_stage_of_the_monitor_leads_here(qtbot: Any, theme: Theme) -> None:
    table = StageTable()
    qtbot.addWidget(table)
    state = RunState()
    state.stages = {
        "fp32": StageState("fp32", "FP32", status="done"),
        "pruned": StageState("pruned", "Pruned", status="running"),
    }
    table.show_state(state)
    table.show()
    rows = {key: table.findChild(QWidget, f"stage-state-{key}") for key in state.stages}
    with qtbot.assertNotEmitted(table.inspect_wanted):
        qtbot.mouseDClick(rows["pruned"], Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(table.inspect_wanted) as signal:
        qtbot.mouseDClick(rows["fp32"], Qt.MouseButton.LeftButton)
    assert signal.args == ["fp32"]
    rows["fp32"].setFocus()
    with qtbot.waitSignal(table.inspect_wanted):
        qtbot.keyClick(rows["fp32"], Qt.Key.Key_Return)
