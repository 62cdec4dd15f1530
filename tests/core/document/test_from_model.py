"""A pipeline that starts from a model file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from model_files import onnx_file
from onnx import numpy_helper

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.settings import DataSettings
from core.document import from_model
from core.document import pipeline as documents
from core.document.from_model import Match, OnnxDescription, describe_onnx, describe_weights
from core.stages.catalogue import STAGES


def test_weights_are_recognised(weights: Path, few_backbones: None) -> None:
    said: list[str] = []
    found = describe_weights(weights, RunControl(), said.append, lambda: 10)
    assert found.matches[0] == Match("resnet20", 1.0) and found.sure
    # ResNet-32 has the same names and shapes for the first blocks of each stage, and twelve more convolutions.
    assert found.matches[1].backbone == "resnet32" and 0.5 < found.matches[1].share < 0.7
    assert found.classes == 7 and found.data_classes == 10 and found.fresh_head and found.fem == "none"
    assert said[0] == "Reading best.pth" and any("ResNet-32" in words for words in said)


def test_an_onnx_file_says_its_size(tmp_path: Path) -> None:
    assert describe_onnx(onnx_file(tmp_path / "a.onnx")) == OnnxDescription(False, 24)
    assert describe_onnx(onnx_file(tmp_path / "b.onnx", 32, True)) == OnnxDescription(True, 32)


def test_made_pipelines_have_no_problem() -> None:
    data = DataSettings(image_size=64)
    made = [
        from_model.onnx_pipeline(Path("/m/net.onnx"), OnnxDescription(False, 24), data),
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


def test_an_onnx_file_says_what_is_unusual(tmp_path: Path) -> None:
    usual = onnx.load(onnx_file(tmp_path / "a.onnx"))
    usual.graph.node.append(onnx.helper.make_node("MatMul", ["flat", "weight"], ["other"]))
    second = usual.graph.output.add()
    second.CopyFrom(usual.graph.output[0])
    second.name = "other"
    onnx.save(usual, tmp_path / "two.onnx")
    about = describe_onnx(tmp_path / "two.onnx")
    assert "several outputs" in about.notes[0] and "Output" in about.notes[0] and not about.quantized
    entry = usual.graph.input[0].type.tensor_type.shape.dim
    entry[2].dim_value = 12
    onnx.save(usual, tmp_path / "wide.onnx")
    with pytest.raises(EspalierError, match="no batch of square images"):
        describe_onnx(tmp_path / "wide.onnx")


def test_a_quantized_file_is_only_measured(tmp_path: Path) -> None:
    model = onnx.load(onnx_file(tmp_path / "a.onnx"))
    [weight, *_] = [one for one in model.graph.initializer if len(one.dims) > 1] or model.graph.initializer
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    onnx.save(model, tmp_path / "half.onnx")
    about = describe_onnx(tmp_path / "half.onnx")
    assert about.quantized and "half precision" in about.notes[0]
    made = from_model.onnx_pipeline(tmp_path / "half.onnx", about, DataSettings())
    assert [node.kind for node in made.stages] == ["as-given"]
