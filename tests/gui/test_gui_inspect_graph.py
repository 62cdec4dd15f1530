"""The network as a graph in the Inspector."""

from pathlib import Path
from typing import Any

from inspecting import done
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from gui.base import theme
from gui.inspect.place import InspectPlace


def shown(qtbot: Any, place: InspectPlace, opened: Path, key: str = "pruned") -> Any:
    place.view.go("architecture")
    assert place.open(opened, key)
    done(qtbot, place)
    return place.view.architecture.graph


def test_before_and_after_stand_side_by_side_with_what_went(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    graph = shown(qtbot, place, opened)
    assert {name for name, pane in graph.panes.items() if pane.isVisible()} == {"model", "reference"}
    model, reference = graph.panes["model"], graph.panes["reference"]
    changes = model.picture["changes"]
    assert "narrower" in changes.values() and "same" in changes.values()
    narrower = next(item for item in model.canvas.items_.values() if item.change == "narrower")
    narrower.setSelected(True)
    assert "parameters" in graph.about.whole and "narrower" in graph.about.whole
    selected = reference.canvas.scene().selectedItems()
    assert len(selected) == 1
    keys = {reference.picture["keys"][id] for id in selected[0].node["members"]}  # type: ignore[attr-defined]
    assert keys & {model.picture["keys"][id] for id in narrower.node["members"]}
    place.close()


def test_blocks_fold_by_keys_and_the_search_marks_what_it_finds(
    qtbot: Any, place: InspectPlace, opened: Path
) -> None:
    graph = shown(qtbot, place, opened)
    graph.fold.click()
    done(qtbot, place)
    canvas = graph.panes["model"].canvas
    count = len(canvas.items_)
    block = next(item for item in canvas.items_.values() if item.node["block"])
    block.setSelected(True)
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Return)
    done(qtbot, place)
    assert len(canvas.items_) > count
    graph.search.setText("conv1")
    found = [item for item in canvas.items_.values() if item.found]
    assert 0 < len(found) < len(canvas.items_) and "found" in graph.found.text()
    place.close()


def test_colours_follow_what_is_known(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    graph = shown(qtbot, place, opened)
    items = graph.panes["model"].canvas.items_.values()
    graph.colour_box.setCurrentIndex(graph.colour_box.findData("macs"))
    assert max(item.heat or 0 for item in items) > 0 and max(item.heat or 0 for item in items) <= 1
    hot = max(items, key=lambda item: item.heat or 0)
    assert hot._ground() != QColor(theme.colours().surface)
    graph.colour_box.setCurrentIndex(graph.colour_box.findData("ms"))
    done(qtbot, place)
    assert any(graph.panes["model"].times.values())
    assert any(item.heat for item in items)
    place.close()


def test_any_file_is_opened_to_look_at(qtbot: Any, place: InspectPlace, opened: Path, tmp_path: Path) -> None:
    graph = shown(qtbot, place, opened)
    file = next((opened / "stages" / "fp32" / "artefacts").glob("*.onnx"))
    place.graphs.look_at(file)
    done(qtbot, place)
    assert graph.panes["model"].title.whole == file.name and not graph.panes["reference"].isVisible()
    assert graph.back.isVisible()
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    place.graphs.look_at(tmp_path / "bad.onnx")
    done(qtbot, place)
    told = place._messages.said  # type: ignore[attr-defined]
    assert told and "bad.onnx" in told[-1] and not graph.back.isVisible()
    done(qtbot, place)
    place.close()


def test_the_classes_that_lost_most_stand_first(qtbot: Any, place: InspectPlace, opened: Path) -> None:
    place.view.go("classes")
    assert place.open(opened, "pruned")
    done(qtbot, place)
    model = place.view.classes.table.model()
    changes = [model.index(row, 3).data() for row in range(model.rowCount())]
    assert changes[0].startswith("▼")
    lost = [text.startswith("▼") for text in changes]
    assert lost == sorted(lost, reverse=True)
    place.close()
