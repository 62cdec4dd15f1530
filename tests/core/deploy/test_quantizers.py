"""Other tools' quantizers: ONNX Runtime's for real, and what is said of those that are not there."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantize_files import CLASSES, logits, quiet, write_small

from core.common.errors import EspalierError
from core.deploy.onnx_export import metadata_of
from core.deploy.quantization.graph import array_of
from core.deploy.quantization.sessions import sqnr
from core.deploy.quantizers import outside
from core.deploy.quantizers.catalogue import OWN, QUANTIZERS, choices
from core.machine.environments import Environment
from core.models.network_facts import NetworkFacts
from core.stages.catalogue import STAGES

STATIC = STAGES["quantize-static"]


@pytest.fixture(scope="module")
def job_arguments(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("float"))


def made_by(quantizer, job_arguments, tmp_path, **settings):
    target = tmp_path / f"{quantizer}.onnx"
    report = outside.quantize(
        {**job_arguments, "target": str(target), "quantizer": quantizer, **settings}, quiet
    )
    return target, report


def test_onnx_runtime_by_its_defaults(job_arguments, tmp_path):
    target, report = made_by("onnxruntime-defaults", job_arguments, tmp_path)
    model = onnx.load(target)
    scales = [
        array_of(model, node.input[1]) for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0].endswith("weight_quantized")
    ]  # fmt: skip
    assert scales and all(scale.size == 1 for scale in scales)  # per tensor
    assert report["quantized_layers"] == report["layers"] == 6 and report["activations"] == "int8"
    assert report["int8_parameters"] == report["parameters"] == 4605
    assert metadata_of(model)["precision"] == "int8" and json.loads(metadata_of(model)["classes"]) == list(
        CLASSES
    )
    assert sqnr(logits(Path(job_arguments["source"])), logits(target)) > 20
    assert report["seconds"]["quantize"] > 0 and report["notes"][0].startswith(
        f"Quantized by ONNX Runtime's quantizer, defaults (onnxruntime {report['quantizer_version']}) in "
    )


def test_onnx_runtime_at_its_best_is_the_nearest_of_three(job_arguments, tmp_path):
    target, report = made_by("onnxruntime-best", job_arguments, tmp_path, keep=["mix"])
    assert report["activations"] == "uint8" and report["quantized_layers"] == 5
    assert ("mix", "kept in float by 'mix'") in report["skipped"]
    said = report["notes"][1]
    found = {name: float(value) for name, value in (
        part.split()[:2] for part in said[said.index("(") + 1 : said.index(")")].split(", ")
    )}  # fmt: skip
    assert set(found) == {"MinMax", "Entropy", "Percentile"}
    best = max(found, key=found.__getitem__)
    assert said.startswith(f"Its calibration {best} was nearest to float on 40 validation images")
    assert sqnr(logits(Path(job_arguments["source"])), logits(target)) == pytest.approx(found[best], abs=0.06)


def test_what_a_tool_says_becomes_a_sentence(job_arguments, tmp_path, monkeypatch):
    script = tmp_path / "failing.py"
    folder = str(QUANTIZERS["nncf"].script.parent)
    script.write_text(
        f"import sys\nsys.path.insert(0, {folder!r})\nfrom job import run\n\n"
        "def quantize(job):\n    raise ValueError('unknown operator Foo')\n\nrun(quantize)\n"
    )
    monkeypatch.setattr(outside, "own_script", lambda path: [sys.executable, str(script)])
    with pytest.raises(EspalierError) as caught:
        made_by("onnxruntime-defaults", job_arguments, tmp_path)
    assert caught.value.message == (
        "ONNX Runtime's quantizer, defaults could not quantize the file: unknown operator Foo."
    )
    script.write_text("raise SystemExit(3)")
    with pytest.raises(EspalierError, match=r"ended without a file \(exit status 3\)"):
        made_by("onnxruntime-defaults", job_arguments, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


def test_integers_of_any_graph_are_counted_by_hand():
    """A weight in integers, one rounded in place, one through a transposition, one float, one that is no constant."""
    weights = {
        "plain": np.zeros((4, 3, 1, 1), np.float32), "stored": np.zeros((4, 3, 1, 1), np.int8),
        "turned": np.zeros((4, 6), np.int8), "scale": np.float32(1), "bias": np.zeros(4, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["stored", "scale"], ["stored_float"]),
        helper.make_node("Conv", ["x", "stored_float", "bias"], ["a"], name="first"),
        helper.make_node("Conv", ["x", "plain"], ["b"], name="second"),
        helper.make_node("DequantizeLinear", ["turned", "scale"], ["turned_float"]),
        helper.make_node("Transpose", ["turned_float"], ["turned_back"]),
        helper.make_node("MatMul", ["y", "turned_back"], ["c"], name="third"),
        helper.make_node("MatMul", ["y", "c"], ["d"], name="attention"),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", [value], [value], initializers))
    assert list(outside.weighted_layers(model)) == [
        ("first", 16, True),
        ("second", 12, False),
        ("third", 24, True),
    ]


def test_a_tool_that_is_not_there_says_what_installs_it(job_arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    quark = STATIC.Settings(quantizer="quark")
    [problem] = STATIC.check(quark, NetworkFacts(None))
    assert problem.message == (
        "Quark needs other versions of libraries than Espalier, and its own environment is not made yet."
    )
    assert (problem.advice, problem.place) == ("Run: espalier quantizers add quark.", ("quantizer",))
    assert (
        QUANTIZERS["nncf"].remedy() == 'Run: pip install "espalier[nncf]", or espalier quantizers add nncf.'
    )
    with pytest.raises(EspalierError, match="its own environment is not made yet"):
        made_by("quark", job_arguments, tmp_path)


def test_settings_that_a_tool_would_pass_over_are_refused():
    assert list(choices()) == [OWN, *QUANTIZERS]
    settings = STATIC.Settings(quantizer="onnxruntime-best", method="entropy", keep="head", images=64)
    [problem] = STATIC.check(settings, NetworkFacts(None))
    assert problem.message == (
        "ONNX Runtime's quantizer, best settings quantizes by its own settings and would pass over 'Calibration'."
    )
    assert problem.place == ("method",)
    assert STATIC.check(STATIC.Settings(method="entropy"), NetworkFacts(None)) == []


def test_the_tools_version_is_part_of_the_key_and_our_own_key_is_as_before():
    own, other = STATIC.Settings(), STATIC.Settings(quantizer="onnxruntime-best")
    assert STATIC.versions(own) == {} and "quantizer" not in own.for_key()
    assert STATIC.versions(other) == {"onnxruntime": QUANTIZERS["onnxruntime-best"].found_version()}
    facts = {"quantizer": "NNCF", "quantizer_version": "3.4.0", "seconds": {"quantize": 12.34}}
    assert STATIC.remark(facts) == "by NNCF 3.4.0, 12.3 s" and STATIC.remark({"seconds": {}}) == ""


@pytest.mark.slow
def test_an_environment_is_made_used_and_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    wheel = tmp_path / "small_tool-1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small_tool.py", "answer = 42\n")
        archive.writestr(
            "small_tool-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: Small.Tool\nVersion: 1.5\n"
        )
        archive.writestr(
            "small_tool-1.5.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("small_tool-1.5.dist-info/RECORD", "")
    environment, said = Environment("trial"), []
    assert not environment.is_made() and environment.version("small-tool") == ""
    environment.make(["--no-index", str(wheel)], said.append)
    assert environment.is_made() and environment.version("Small_Tool") == "1.5" and len(said) == 2
    with pytest.raises(EspalierError, match="pip could not install the packages: "):
        environment.make(["--no-index", "small-tool-that-is-not-there"], said.append)
    assert not environment.is_made()
    environment.remove()
    assert not environment.folder.exists()
