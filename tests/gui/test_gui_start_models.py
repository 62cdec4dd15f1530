"""A model dragged into the window starts a pipeline from it."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from core.common.control import RunControl
from core.data.settings import DataSettings
from core.document import from_model
from core.document import pipeline as documents
from core.document.from_model import Match, OnnxLook, WeightsLook, look_into_onnx, look_into_weights
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.stages.catalogue import STAGES
from gui.shell.main_window import MainWindow
from gui.start.backbone_dialog import BackboneDialog, classes_in_words, in_words


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-20 for 7 classes, with published names, as people save them."""
    path = tmp_path_factory.mktemp("weights") / "best.pth"
    chosen = BACKBONES["resnet20"]
    state = chosen.build(BackboneSettings(backbone="resnet20"), 7).state_dict()
    names = {name: name.replace("body.", "", 1).replace("head.", "linear.", 1) for name in state}
    torch.save({"state_dict": {f"module.{names[name]}": tensor for name, tensor in state.items()}}, path)
    return path


@pytest.fixture
def few_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with a few, which is quick."""
    few = {id: BACKBONES[id] for id in ("resnet32", "resnet20", "plain-cnn-tiny")}
    monkeypatch.setattr(from_model, "BACKBONES", few)


def onnx_file(path: Path, side: int = 24, described: bool = False) -> Path:
    """A network that averages and multiplies: enough to be a classifier of 10 classes."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 10])],
        [helper.make_tensor("weight", TensorProto.FLOAT, [3, 10], [0.1] * 30)],
    )  # fmt: skip
    model = helper.make_model(graph)
    if described:
        helper.set_model_props(model, {"preprocess": "{}"})
    onnx.save(model, path)
    return path


def test_weights_are_recognised(weights: Path, few_backbones: None) -> None:
    said: list[str] = []
    found = look_into_weights(weights, RunControl(), said.append, lambda: 10)
    assert found.matches[0] == Match("resnet20", 1.0) and found.sure
    # ResNet-32 has the same names and shapes for the first blocks of each stage, and twelve more convolutions.
    assert found.matches[1].backbone == "resnet32" and 0.5 < found.matches[1].share < 0.7
    assert found.classes == 7 and found.data_classes == 10 and found.fresh_head and found.fem == "none"
    assert said[0] == "Reading best.pth" and any("ResNet-32" in words for words in said)


def test_an_onnx_file_says_its_size(tmp_path: Path) -> None:
    assert look_into_onnx(onnx_file(tmp_path / "a.onnx")) == OnnxLook(False, 24)
    assert look_into_onnx(onnx_file(tmp_path / "b.onnx", 32, True)) == OnnxLook(True, 32)


def test_made_pipelines_have_no_problem() -> None:
    data = DataSettings(image_size=64)
    made = [
        from_model.onnx_pipeline(Path("/m/net.onnx"), OnnxLook(False, 24), data),
        from_model.checkpoint_pipeline(Path("/m/folder"), data),
        from_model.weights_pipeline(Path("/m/w.pth"), "resnet20", False, "none", data),
        from_model.weights_pipeline(Path("/m/w.pth"), "resnet20", True, "pooled", data),
    ]
    for pipeline in made:
        assert documents.check(pipeline) == [] and pipeline.data.image_size == 64
    assert made[0].sources[0].settings == {"path": "/m/net.onnx", "image_size": 24}
    wanted = ["as-given"] + (["quantize-static"] if "quantize-static" in STAGES else [])
    assert [node.kind for node in made[0].stages] == wanted
    assert made[2].stages[0].settings == {"training": {"epochs": 0}}
    assert (
        made[3].sources[0].settings["fem"] == {"place": "pooled"}
        and made[3].sources[0].settings["fresh_head"]
    )


def test_a_dropped_onnx_file_starts_a_pipeline(window: MainWindow, tmp_path: Path, qtbot: Any) -> None:
    with qtbot.waitSignal(window.dropped.made, timeout=30_000):
        window.dropped.take(onnx_file(tmp_path / "net.onnx"))
    pipeline = window.document.pipeline
    assert pipeline.name == "net" and pipeline.sources[0].kind == "onnx" and not window.document.problems
    assert pipeline.sources[0].settings["path"] == str(tmp_path / "net.onnx")
    assert window.places.current == "pipeline"


def test_dropped_weights_ask_for_the_backbone(
    window: MainWindow, weights: Path, few_backbones: None, qtbot: Any
) -> None:
    shown: list[tuple[str, bool]] = []

    def agree(dialog: BackboneDialog) -> bool:
        shown.append((dialog.box.currentText(), dialog.fresh.isChecked()))
        return True

    window.dropped.ask_with = agree
    with qtbot.waitSignal(window.dropped.made, timeout=60_000):
        window.dropped.take(weights)
    assert shown == [("ResNet-20 (CIFAR) · 100 % of the tensors fit", True)]
    settings = window.document.pipeline.sources[0].settings
    assert settings["backbone"] == "resnet20" and settings["weights_file"] == str(weights)
    assert settings["fresh_head"] is True and not window.document.problems


def test_saying_no_changes_nothing(
    window: MainWindow, weights: Path, few_backbones: None, qtbot: Any
) -> None:
    before = window.document.text
    window.dropped.ask_with = lambda _dialog: False
    with qtbot.waitSignal(window.dropped.looker.ended, timeout=60_000):
        window.dropped.take(weights)
    assert window.document.text == before


def test_a_file_that_is_no_model_is_explained(
    window: MainWindow, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    said: list[str] = []
    window.dropped.looker.failed.disconnect()
    window.dropped.looker.failed.connect(lambda failure: said.append(failure.message))
    with qtbot.waitSignal(window.dropped.looker.ended, timeout=30_000):
        window.dropped.take(tmp_path / "broken.onnx")
    assert said == ["broken.onnx cannot be read as an ONNX file."]


def look(share: float, classes: int | None, data: int | None) -> WeightsLook:
    return WeightsLook(10, (Match("resnet18", share),) if share else (), classes, data)


@pytest.mark.parametrize(
    ("found", "words", "count", "fresh"),
    [
        (look(1.0, 10, 10), "Every one of its 10 tensors fits ResNet-18", "as many as", False),
        (look(0.8, 1000, 10), "comes nearest to ResNet-18: 80 %", "the open data set has 10", True),
        (look(0.0, None, 10), "No backbone of the list fits", "could not be told", False),
        (look(1.0, 10, None), "Every one", "could not be counted", False),
    ],
)
def test_the_dialog_says_what_is_known(
    qtbot: Any, found: WeightsLook, words: str, count: str, fresh: bool
) -> None:
    assert words in in_words(found) and count in classes_in_words(found)
    dialog = BackboneDialog(None, Path("x.pth"), found)
    qtbot.addWidget(dialog)
    assert dialog.fresh_head is fresh and dialog.backbone in BACKBONES
    assert dialog.box.count() == len(BACKBONES)
