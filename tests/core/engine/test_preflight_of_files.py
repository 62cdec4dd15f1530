"""Files from others in a check: how they were read is said, and what cannot be is refused before any stage."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.preflight import Preflight, preflight
from core.runs.home import Home

COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}


def pictures(folder: Path) -> Path:
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (8, 8), tuple(max(0, part - index) for part in colour)).save(
                folder / name / f"{index}.png"
            )
    return folder


def model(order: tuple[int, int] = (0, 1), broken: bool = False, outputs: int = 1) -> onnx.ModelProto:
    """[n, 8, 8, 3] to red against blue, in operator set 11."""
    weight = np.array([[-1, 1], [0, 0], [1, -1]], np.float32)[::-1, list(order)] * -1
    weight[0, 0] = np.nan if broken else weight[0, 0]
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], name="t", perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["planes"], ["mean"], name="pool"),
        helper.make_node("Flatten", ["mean"], ["row"], name="flat"),
        helper.make_node("MatMul", ["row", "weight"], ["logits"], name="fc"),
        helper.make_node("MatMul", ["row", "weight"], ["other"], name="aux"),
    ]
    graph = helper.make_graph(
        nodes[: 3 + outputs], "g", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("logits", "other")[:outputs]],
        [numpy_helper.from_array(np.ascontiguousarray(weight), "weight")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


@pytest.fixture
def check(tmp_path: Path) -> Any:
    data = pictures(tmp_path / "data")

    def check(models: dict[str, onnx.ModelProto], **settings: object) -> Preflight:
        for name, content in models.items():
            onnx.save(content, tmp_path / f"{name}.onnx")
        about = {"image_size": 8, "normalisation": "half", **settings}
        pipeline = Pipeline.parse({
            "espalier": 1, "name": "Files", "data": {"source": "folder", "path": str(data)},
            "sources": [{"id": name, "kind": "onnx", "settings": {"path": f"{name}.onnx", **about}} for name in models],
            "stages": [
                stage for name in models for stage in (
                    {"id": f"given-{name}", "kind": "as-given", "from": name},
                    {"id": f"int8-{name}", "kind": "quantize-static", "from": name, "settings": {"images": 8}},
                )
            ],
        })  # fmt: skip
        return preflight(pipeline, tmp_path, Home(tmp_path / "home"), Options("cpu", 1))

    return check


def test_how_files_were_read_is_said_and_what_cannot_be_is_named(check: Any) -> None:
    """One check for all, for it starts a process."""
    beside = model()
    helper.set_model_props(beside, {"labels": "red, blue"})
    found = check({"whole": model(), "broken": model(broken=True), "two": model(outputs=2), "named": beside})
    states = {trial.id: trial.state for trial in found.trials}
    assert [states[f"{kind}-{name}"] for name in ("whole", "named") for kind in ("given", "int8")] == [
        "passed"
    ] * 4
    assert [states[f"given-{name}"] for name in ("broken", "two")] == ["skipped"] * 2
    assert any(
        note.startswith("whole: Its input is [batch, height, width, channels]") for note in found.notes
    )
    assert any(note.startswith("named: ") and "matched by name" in note for note in found.notes)
    broken, two = found.general
    assert "broken.onnx holds weights that are not a number (NaN): weight (1 of 6)" in broken.message
    assert broken.place == ("sources", 1)
    assert "two.onnx has several outputs" in two.message and two.place[:3] == ("sources", 2, "settings")
    assert any("height, width, channels" in line for line in found.lines())
