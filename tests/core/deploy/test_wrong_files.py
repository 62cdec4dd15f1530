"""A wrong ONNX file is called the same in every place that opens one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from core.analysis import network_graph
from core.analysis.tryout import classify
from core.common.errors import EspalierError
from core.common.shown_text import shortened
from core.deploy.received_onnx import usual_form
from core.deploy.verify import onnx_predictor
from core.document.from_model import describe_onnx
from core.profiling.per_layer import profile
from core.profiling.session import open_session
from tests.core.small_models import write_model


def try_out(file: Path) -> object:
    Image.new("RGB", (16, 16)).save(file.with_name("image.png"))
    arguments = {"models": [str(file)], "image": str(file.with_name("image.png"))}
    return classify(arguments, lambda part, words: None)


LOOKS = {"Inspect": network_graph.read}
RUNS = {
    "Start": describe_onnx,
    "a pipeline's source": lambda file: usual_form(file, 3),
    "Try-out": try_out,
    "verify": lambda file: onnx_predictor(file, 1),
}
MEASURES = {
    "measuring": lambda file: open_session(file, 1),
    "layers": lambda file: profile({"model": str(file), "input_size": 8}, lambda part, words: None),
}
PLACES: dict[str, Callable[[Path], object]] = {**LOOKS, **RUNS, **MEASURES}
WRONG = {
    "a text": (b"Dear all,\nhere it is.", "m.onnx is a text that begins with 'Dear all,'"),
    "a long text": (
        b"x" + "ö".encode() * 200,
        f"m.onnx is a text that begins with {shortened('x' + 'ö' * 127)}",
    ),
    "an archive": (b"PK\x03\x04" + bytes(90), "m.onnx is a zip archive"),
    "bytes": (bytes(range(256)), "m.onnx cannot be read as one: it is damaged, or something else"),
    "nothing": (b"", "m.onnx is empty: it has 0 bytes"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 45\n",
        "m.onnx is a Git LFS pointer, a text that stands for the file",
    ),
    "no network": (onnx.ModelProto(ir_version=8).SerializeToString(), "m.onnx holds no network"),
}


def said(place: str, file: Path) -> EspalierError:
    with pytest.raises(EspalierError) as caught:
        PLACES[place](file)
    return caught.value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_onnx_file_is_called_what_it_is(place: str, kind: str, tmp_path: Path) -> None:
    content, words = WRONG[kind]
    (tmp_path / "m.onnx").write_bytes(content)
    error = said(place, tmp_path / "m.onnx")
    assert error.message == f"Expected an ONNX file, but {words}."
    assert error.advice and error.advice == said("Start", tmp_path / "m.onnx").advice


@pytest.mark.parametrize("place", PLACES)
def test_a_part_of_a_file_is_called_damaged(place: str, tmp_path: Path) -> None:
    whole = write_model(tmp_path / "m.onnx", np.eye(3)).read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[: len(whole) // 2])
    assert "m.onnx cannot be read as one: it is damaged" in said(place, tmp_path / "m.onnx").message


@pytest.mark.parametrize("place", RUNS)
def test_what_is_no_classifier_is_called_what_it_is(place: str, tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    entry, output = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 7]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [entry], [output])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), file)
    error = said(place, file)
    assert error.message.startswith(
        "Expected an ONNX file of an image classifier, but the input of m.onnx is x"
    )
    assert str(error) == str(said("Start", file))


def test_a_foreign_file_is_led_to_where_it_can_be_used(tmp_path: Path) -> None:
    file = write_model(tmp_path / "m.onnx", np.eye(3), None)
    error = said("Try-out", file)
    assert "m.onnx does not say how images have to be prepared" in error.message
    assert "Start, My ONNX model" in error.advice
