"""Formats: what each can hold, said before work starts; and changes to the ONNX graph, number by number."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from edge_files import PREPROCESS, answers, make_data, write_model

from core.commands.main import main
from core.common.errors import EspalierError
from core.common.params import choices_of
from core.deploy.formats.base import Subject
from core.deploy.formats.catalogue import FORMATS, format_called, format_for
from core.deploy.formats.graph import convert, opset_of
from core.deploy.formats.settings import ExportSettings
from core.deploy.onnx_export import metadata_of
from core.records.reports import Artefact, StageReport


def subject(precision: str, checkpoint: bool = False) -> Subject:
    artefact = Artefact(id=precision, label=precision, precision=precision, path="", sha256="", bytes=1)
    report = StageReport(key="a", id="a", source="", seed=1, name="A", kind="train", artefacts=[artefact])
    return Subject(report, artefact, Path("a.onnx"), Path("checkpoint") if checkpoint else None)


def reason(name: str, of: Subject, **settings: Any) -> str:
    return FORMATS[name].reason_against(of, ExportSettings(format=name, **settings))


def test_the_settings_offer_every_format() -> None:
    assert list(choices_of(ExportSettings.model_fields["format"])) == list(FORMATS)
    with pytest.raises(EspalierError, match="received 'gguf'"):
        format_called("gguf")


def test_the_command_line_offers_every_format(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # names are not broken at their hyphens
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert f"{{{','.join(FORMATS)}}}" in capsys.readouterr().out


def test_formats_are_listed_without_torch() -> None:
    code = "import core.export.export, sys; assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["torch-export", "torchscript", "safetensors"])
def test_what_holds_a_network_says_why_it_cannot_hold_a_file(name: str) -> None:
    assert reason(name, subject("float32", checkpoint=True)) == ""
    assert "quantized file exists as ONNX only" in reason(name, subject("int8"))
    assert "conversion of the ONNX file" in reason(name, subject("float16"))
    assert "was given as ONNX" in reason(name, subject("given"))
    assert reason(name, subject("float32", checkpoint=True), preprocessing=True)


@pytest.mark.parametrize("name", ["onnx", "zip"])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "mixed", "given"])
def test_onnx_holds_everything(name: str, precision: str) -> None:
    assert reason(name, subject(precision)) == ""
    assert reason(name, subject(precision), preprocessing=True, opset=18) == ""
    assert "needs operator set 18" in reason(name, subject(precision), preprocessing=True, opset=17)


def test_weights_hold_no_program() -> None:
    assert "hold no program" in reason("safetensors", subject("float32", checkpoint=True), batch=4)


def test_openvino_says_that_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.machine.optional_packages.find_spec", lambda name: None)
    assert 'pip install "espalier[openvino]"' in reason("openvino", subject("int8"))
    monkeypatch.setattr("core.machine.optional_packages.find_spec", lambda name: name)
    assert reason("openvino", subject("int8")) == ""
    assert "leaves out the smoothing" in reason("openvino", subject("int8"), preprocessing=True)


def converted(folder: Path, **arguments: Any) -> Path:
    """A tiny model after `convert`."""
    source, target = folder / "source.onnx", folder / "target.onnx"
    write_model(source)
    convert({"source": str(source), "target": str(target), **arguments}, lambda fraction, text: None)
    return target


@pytest.mark.parametrize("size", [(12, 12), (20, 16), (9, 30), (5, 5), (61, 37)])
def test_preprocessing_inside_does_what_it_does_outside(tmp_path: Path, size: tuple[int, int]) -> None:
    path = converted(tmp_path, preprocessing=True, about={"run": "r1"})
    images = make_data(size).images[:7]
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    assert (entry.name, entry.type, entry.shape) == (
        "pixels",
        "tensor(uint8)",
        ["batch", "height", "width", 3],
    )
    found = session.run(None, {"pixels": images})[0]
    np.testing.assert_allclose(found, answers(tmp_path / "source.onnx", images), atol=2e-5)
    told = metadata_of(onnx.load(path))
    assert told["prepares"] == "pixels" and told["run"] == "r1" and "classes" in told


def test_preprocessing_inside_needs_a_resize_that_smooths(tmp_path: Path) -> None:
    with pytest.raises(EspalierError, match="operator set 18 or newer, the file has 17"):
        converted(tmp_path, preprocessing=True, opset=17)


def test_a_fixed_batch_takes_exactly_that_many(tmp_path: Path) -> None:
    path = converted(tmp_path, batch=4)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == session.get_outputs()[0].shape[0] == 4
    images = make_data((12, 12)).images[:4]
    found = session.run(None, {"images": PREPROCESS(images).numpy()})[0]
    np.testing.assert_array_equal(found, answers(tmp_path / "source.onnx", images))
    with pytest.raises(EspalierError, match="takes 4 images in a call"):
        convert({"source": str(path), "target": str(tmp_path / "b.onnx"), "batch": 2}, lambda f, t: None)


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_another_operator_set_answers_the_same(tmp_path: Path, opset: int) -> None:
    path = converted(tmp_path, opset=opset)
    model = onnx.load(path)
    assert opset_of(model) == opset and model.ir_version <= 9
    images = make_data((12, 12)).images[:4]
    np.testing.assert_allclose(answers(path, images), answers(tmp_path / "source.onnx", images), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.onnx", "onnx"), ("v1.2.zip", "zip"), ("a.pt2", "torch-export"), ("a.pt", "torchscript"), ("a.xml", "openvino"), ("a.onnxh", "huffman")],
)  # fmt: skip
def test_the_ending_of_a_name_says_the_format(name: str, format: str) -> None:
    assert format_for(Path(name)).id == format


@pytest.mark.parametrize("name", ["model", "model.safetensors", "model.ONX"])
def test_an_ending_that_no_format_has_is_refused(name: str) -> None:
    with pytest.raises(EspalierError, match="--format safetensors") as caught:
        format_for(Path(name))
    assert repr(name) in str(caught.value)


def test_a_huffman_coded_file_is_written_and_opened_as_the_onnx_file(tmp_path: Path) -> None:
    write_model(tmp_path / "a.onnx")
    stage_file = subject("float32")
    there = Subject(stage_file.report, stage_file.artefact, tmp_path / "a.onnx", None)

    def in_this_process(job: Any, arguments: Any) -> dict[str, Any]:
        done: dict[str, Any] = job(dict(arguments), lambda fraction, text: None)
        return done

    target = tmp_path / "b.onnxh"
    FORMATS["huffman"].write(there, ExportSettings(format="huffman"), {}, target, in_this_process)
    assert not (tmp_path / "b.onnx").exists()
    opened = FORMATS["huffman"].open(target, 1)
    images = make_data((12, 12)).images[:4]
    found = opened.answer(PREPROCESS(images).numpy())
    np.testing.assert_array_equal(found, answers(tmp_path / "a.onnx", images))
    assert opened.preprocess == PREPROCESS
