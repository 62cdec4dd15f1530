"""ONNX files that people bring: read rightly, or refused in one sentence that says what they have."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import colour_files
import numpy as np
import onnx
import pytest
from colour_files import MEAN, SIDE, STD, behind, colours, in_front, node, save, value
from onnx import TensorProto, helper, numpy_helper
from received_files import (
    FORMS,
    ODD,
    PREPARE,
    REFUSED,
    answers,
    any_length_as_a_number,
    endless,
    make,
    quiet,
    received,
    refused,
    untrue_shapes,
    untrue_types,
)
from refused_files import MORE_REFUSED

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.deploy.onnx_export import metadata_of
from core.deploy.quantization import dynamic, half_precision, static
from core.deploy.verify import onnx_predictor


@pytest.fixture(autouse=True)
def nothing_is_left_where_the_process_stands(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """ONNX Runtime's inference of symbolic shapes saves what it could not end in the current folder."""
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    yield
    assert not list(here.iterdir())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_other_forms_are_read_and_what_was_changed_is_said(form: Any, tmp_path: Path) -> None:
    file, notes = received(save(form(), tmp_path / "m.onnx"))
    assert FORMS[form] in " ".join(notes)
    assert answers(file) == ["blue", "green", "red"] * 2
    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file)
    assert len(model.graph.input) == len(model.graph.output) == 1
    entry = model.graph.input[0].type.tensor_type
    assert entry.elem_type == TensorProto.FLOAT and len(entry.shape.dim) == 4


@pytest.mark.parametrize("batch", ["n", "", 1])
@pytest.mark.parametrize("size", [SIDE, "s"])
@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_usual_forms_pass_without_a_word(
    batch: str | int, size: str | int, opset: int, tmp_path: Path
) -> None:
    file, notes = received(save(colours(opset, batch=batch or None, size=size), tmp_path / "m.onnx"))
    assert notes == []
    assert answers(file) == ["blue", "green", "red"] * 2


def test_a_fixed_number_of_images_is_opened_where_that_is_true(tmp_path: Path) -> None:
    file, notes = received(save(colours(batch=4), tmp_path / "m.onnx"), alone=True)
    assert "declares 4 images in a call and takes any number" in notes[0]
    assert answers(file) == ["blue", "green", "red"] * 2
    assert onnx.load(file).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    baked = colours(batch=4)
    node(baked, "flat").CopyFrom(make("Reshape", ["p", "row"], ["f"], name="flat"))
    baked.graph.initializer.append(numpy_helper.from_array(np.array([4, 3], np.int64), "row"))
    path = save(baked, tmp_path / "b.onnx")
    refused(path, r"b\.onnx takes exactly 4 images in a call.*batch size of 1", alone=True)
    file, notes = received(path)  # its accuracy can be found all the same
    assert notes == [] and answers(file) == ["blue", "green", "red"] * 2


def test_what_is_in_the_usual_form_and_described_is_left_alone(tmp_path: Path) -> None:
    file, _ = received(save(colours(), tmp_path / "m.onnx"))
    again, notes = received(file.rename(tmp_path / "described.onnx"), preprocess=None)
    assert again.name == "described.onnx" and notes == []


def test_weights_beside_the_file_are_read_from_its_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    onnx.save(
        colours(), folder / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0
    )
    file, notes = received(folder / "m.onnx")
    assert "m.onnx.data" in notes[0] and answers(file) == ["blue", "green", "red"] * 2
    data = folder / "m.onnx.data"
    content = data.read_bytes()
    data.write_bytes(content[: len(content) // 2])
    refused(folder / "m.onnx", "m.onnx.data, which holds weights of m.onnx, is cut short")
    data.rename(tmp_path / "elsewhere.data")
    refused(folder / "m.onnx", r"second file, m\.onnx\.data, which is not beside it")
    data.symlink_to(tmp_path / "elsewhere.data")
    refused(folder / "m.onnx", "outside of its folder")
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    for entry in (
        one for tensor in model.graph.initializer for one in tensor.external_data if one.key == "location"
    ):
        entry.value = "../elsewhere.data"
    save(model, folder / "m.onnx")
    refused(folder / "m.onnx", r"outside of its folder \(\.\./elsewhere\.data\)")


def test_two_outputs_of_one_shape_are_a_persons_choice(tmp_path: Path) -> None:
    model = behind(colours(), [value("aux", ["n", 3]), value("logits", ["n", 3])], make("MatMul", ["f", "other"], ["aux"], name="aux"))  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.eye(3, dtype=np.float32), "other"))
    path = save(model, tmp_path / "m.onnx")
    refused(path, r"several outputs.*aux \(float \[n, 3\]\), logits.*Output, --output")
    file, notes = received(path, output="logits")
    assert answers(file) == ["blue", "green", "red"] * 2 and "aux" in notes[0]
    assert "other" not in {tensor.name for tensor in onnx.load(file).graph.initializer}
    refused(path, "output 'nothing' of m.onnx", output="nothing")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("classes", json.dumps(["red", "blue", "green"])),
        ("names", "{0: 'Red', 1: 'Blue', 2: 'Green'}"),
        ("id2label", json.dumps({"0": "red", "1": "blue", "2": "green"})),
        ("labels", "red\nblue\ngreen"),
        ("classNames", "red|blue|green"),
        ("Label_Map", "{1: 'red', 2: 'blue', 3: 'green'}"),
        ("label2id", json.dumps({"green": 2, "red": 0, "blue": 1})),
        ("config", json.dumps({"id2label": {"0": "red", "1": "blue", "2": "green"}, "depths": [2, 2]})),
        (
            "categories",
            json.dumps([{"id": 3, "name": "green"}, {"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]),
        ),
        ("classes", json.dumps([{"name": "red"}, {"name": "blue"}, {"name": "green"}])),
    ],
)
def test_classes_of_a_files_own_list_are_matched_by_name(key: str, text: str, tmp_path: Path) -> None:
    model = colours(order=(2, 0, 1))
    helper.set_model_props(model, {key: text})
    path = save(model, tmp_path / "m.onnx")
    file, notes = received(path)
    assert answers(file) == ["blue", "green", "red"] * 2 and "matched by name" in notes[0]
    refused(path, "different classes.*red, blue, green|different classes.*Red", classes=("a", "b", "c"))
    assert json.loads(metadata_of(onnx.load(received(path, ("a", "b", "c"), match_names=False)[0]))["classes"]) == ["a", "b", "c"]  # fmt: skip


@pytest.mark.parametrize("form", ODD)
def test_odd_files_go_all_the_way(form: str, tmp_path: Path) -> None:
    """As given, static and dynamic INT8 and half precision answer right, and no layer counts twice."""
    file, _ = received(save(ODD[form](), tmp_path / "m.onnx"))
    np.save(tmp_path / "images.npy", colour_files.images(24))
    right = ["blue", "green", "red"] * 2
    assert answers(file) == right
    calibration = {
        "images": str(tmp_path / "images.npy"), "images_count": 24, "seed": 1, "method": "minmax", "percentile": 99.9,
        "activations": "uint8", "threads": 1,
    }  # fmt: skip
    for job, settings in (
        (static.quantize, calibration),
        (dynamic.quantize, {"scope": "all"}),
        (half_precision.convert, {}),
    ):
        target = tmp_path / "made.onnx"
        report = job({"source": str(file), "target": str(target), **settings}, quiet)
        assert answers(target) == right, job
        if "layers" in report:
            assert report["quantized_layers"] == report["layers"] > 0
            assert 0 < report["int8_parameters"] <= report["parameters"]


def test_a_file_that_is_optimised_for_the_runtime_is_said(tmp_path: Path) -> None:
    model = colours()
    fused = make(
        "FusedConv",
        ["input", "conv1.weight"],
        ["r1"],
        name="conv1",
        domain="com.microsoft",
        activation="Relu",
        pads=[1] * 4,
    )
    model.graph.node.remove(node(model, "relu1"))
    node(model, "conv1").CopyFrom(fused)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    file, _ = received(save(model, tmp_path / "m.onnx"))
    np.save(tmp_path / "images.npy", colour_files.images(24))
    arguments = {
        "source": str(file), "target": str(tmp_path / "q.onnx"), "images": str(tmp_path / "images.npy"), "images_count": 24,
        "seed": 1, "method": "minmax", "percentile": 99.9, "activations": "uint8", "threads": 1,
    }  # fmt: skip
    with pytest.raises(EspalierError, match=r"optimised for ONNX Runtime already \(FusedConv\)"):
        static.quantize(arguments, quiet)


@pytest.mark.parametrize("form", [*REFUSED, *MORE_REFUSED], ids=lambda form: form.__name__)
def test_what_cannot_be_read_is_said_in_a_sentence(form: Any, tmp_path: Path) -> None:
    refused(save(form(), tmp_path / "m.onnx"), {**REFUSED, **MORE_REFUSED}[form])


@pytest.mark.parametrize(
    "form", [untrue_shapes, untrue_types, any_length_as_a_number], ids=lambda form: form.__name__
)
def test_declarations_that_are_not_true_are_dropped(form: Any, tmp_path: Path) -> None:
    file, notes = received(save(form(), tmp_path / "m.onnx"))
    assert notes == [] and answers(file) == ["blue", "green", "red"] * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "m.onnx is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 45\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"\xff\xff\xff", "cannot be read as one"),
        ("wörter".encode(), "is a text that begins with 'wörter'"),
    ],
)
def test_files_that_are_something_else_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refused(tmp_path / "m.onnx", words)


def test_grey_images_are_normalised_by_brightness_and_said(tmp_path: Path) -> None:
    entry = value("input", ["n", 1, SIDE, SIDE])
    model = in_front(colours(), entry, make("Concat", ["input"] * 3, ["x"], name="three", axis=1))
    file, notes = received(save(model, tmp_path / "m.onnx"), preprocess=Preprocess(SIDE, 3, (0.2, 0.4, 0.6), (0.1, 0.1, 0.1)))  # fmt: skip
    prepare = onnx_predictor(file, 1).preprocess
    assert (
        prepare.channels == 1 and prepare.mean == pytest.approx((0.363,), abs=0.001) and prepare.std == (0.1,)
    )
    assert "grey images" in notes[0]
    assert len(answers(file)) == 6


def test_a_row_of_grey_pixels_is_laid_out(tmp_path: Path) -> None:
    model = in_front(
        colours(), value("input", ["n", SIDE * SIDE]),
        make("Reshape", ["input", "shape"], ["grey"], name="lay"), make("Concat", ["grey"] * 3, ["x"], name="three", axis=1),
    )  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, SIDE, SIDE], np.int64), "shape"))
    file, notes = received(save(model, tmp_path / "m.onnx"))
    assert "row of 64 grey pixels" in notes[0] and len(answers(file)) == 6
    model.graph.input[0].CopyFrom(value("input", ["n", 3 * SIDE * SIDE]))
    refused(save(model, tmp_path / "m.onnx"), "no batch of square images")


def test_missing_settings_and_wrong_sizes_say_what_the_file_takes(tmp_path: Path) -> None:
    path = save(colours(), tmp_path / "m.onnx")
    refused(
        path,
        r"does not say how images.*image size \(its input is 8 × 8 pixels\) and the normalisation",
        preprocess=None,
    )
    refused(path, r"m\.onnx takes images of 8 × 8 pixels", preprocess=Preprocess(12, 3, MEAN, STD))
    refused(path, r"gives 3 numbers for an image.*data set has 5 classes", classes=tuple("abcde"))
    binary = behind(
        colours(), [value("p", ["n", 1])], make("ReduceMax", ["logits"], ["p"], name="max", axes=[1])
    )
    refused(save(binary, tmp_path / "b.onnx"), "One number is a yes or no", classes=("a", "b"))


def test_a_loop_without_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("core.deploy.trial_answers.LONGEST_ANSWER", 0.3)
    refused(
        save(endless(), tmp_path / "m.onnx"), r"cannot run m\.onnx on .*no answer came within 0\.3 seconds"
    )


@pytest.mark.parametrize("text", ['["resize", "normalize"]', '{"mean": [0.5], "std": [0.5]}'])
def test_how_other_programs_note_their_preprocessing_is_passed_over(text: str, tmp_path: Path) -> None:
    model = colours()
    helper.set_model_props(model, {"preprocess": text})
    path = save(model, tmp_path / "m.onnx")
    refused(path, "does not say how images have to be prepared", preprocess=None)
    assert answers(received(path)[0]) == ["blue", "green", "red"] * 2


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '["size"]', '{"size": 1e9}', json.dumps({**PREPARE.as_dict(), "size": 10**8})]
)
def test_metadata_that_say_nothing_sensible_are_refused(tmp_path, text):
    model = colours()
    helper.set_model_props(model, {"preprocess": text})
    with pytest.raises(EspalierError):
        received(save(model, tmp_path / "m.onnx"), preprocess=None)
