"""Model files as people have them, for tests of what starts from them."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from core.document import from_model
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings


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
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if described:
        helper.set_model_props(model, {"preprocess": "{}"})
    onnx.save(model, path)
    return path
