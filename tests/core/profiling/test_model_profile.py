"""Profiling any model: shapes from the graph, figures beside the headline, text and plain data."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.commands.main import main
from core.commands.profile import subject_of
from core.common.errors import EspalierError
from core.profiling.model_profile import Request, Subject, profile_model
from core.profiling.profile_text import as_text, interval
from core.profiling.protocol import Budget
from core.records.reports import Metric

QUICK = Budget(
    blocks=2,
    most_blocks=2,
    few_blocks=1,
    runs=5,
    block_seconds=0.0,
    seconds=0.0,
    memory_processes=1,
    patience=0.0,
)


def foreign(path: Path) -> Path:
    """A file as others make them: bytes in [b, h, w, c], any size, another name for its input."""
    weight = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x:0"], ["f"], "cast", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f", "axes"], ["m"], "mean", keepdims=0),
        helper.make_node("Gemm", ["m", "w"], ["y"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "foreign",
        [helper.make_tensor_value_info("x:0", TensorProto.UINT8, [2, "height", "width", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 5])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1, 2]), "axes")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_files.write(tmp_path_factory.mktemp("models") / "small.onnx", width=4, size=8)


def test_a_model_against_another_with_everything(small, tmp_path):
    baseline = onnx_files.write(tmp_path / "other.onnx", width=512, size=8)  # some hundred times the work
    fractions: list[float] = []
    measured = profile_model(
        Request(Subject("small", small), Subject("other", baseline), threads=(1,), batches=(1, 4), per_layer=True,
                grid=True, budget=QUICK),
        on_progress=lambda part, text: fractions.append(part),
    )  # fmt: skip
    [runtime] = measured.runtimes
    assert [(line.threads, line.batch) for line in runtime.lines] == [(1, 1), (1, 4)]
    first = runtime.lines[0]
    assert {"latency_ms", "latency_ms_p90", "latency_ms_p99", "throughput"} == set(first.metrics)
    assert first.change["latency_ms"].value < 1 and first.metrics["latency_ms"].n == 10
    assert {"memory_mb", "energy_mj", "power_w", "latency_ms_prepared", "ready_s"} == set(runtime.metrics)
    prepared = runtime.metrics["latency_ms_prepared"]
    assert prepared.value > 0 and "resized and normalised" in prepared.how
    weights = 4 * (4 * 27 + 4 + 4 * 36 + 5 * 4 + 5) + 16  # bytes of float32, and of the shape of two int64
    assert measured.facts["weights_mb"].value == pytest.approx(weights / 1e6)
    assert measured.facts["macs"].value == 16 * 4 * 27 + 16 * 4 * 36 + 20
    assert [layer["layer"] for layer in measured.layers["layers"] if layer["params"]] == [
        "stem",
        "block1",
        "head",
    ]
    assert runtime.grid is not None and {cell.batch for cell in runtime.grid.cells} == {1, 4}
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    plain = json.loads(json.dumps(measured.as_dict()))
    assert (
        plain["input"] == "random"
        and plain["runtimes"][0]["lines"][1]["metrics"]["latency_ms"]["unit"] == "ms"
    )
    assert plain["runtimes"][0]["grid"]["sweet"]["batch"] in (1, 4)
    text = as_text(measured)
    for part in (
        "small against other",
        "★ Batches of",
        "Random input of 3 × 8 × 8",
        "block1",
        "With preprocessing",
    ):
        assert part in text
    assert text.splitlines()[-1].strip().startswith("GPU: ") and measured.machine["processor"] in text


def test_a_file_that_espalier_did_not_make(tmp_path):
    path = foreign(tmp_path / "foreign.onnx")
    found = profile_model(Request(Subject("foreign", path), size=20, budget=QUICK, per_layer=True))
    [runtime] = found.runtimes
    assert found.shape == [20, 20, 3]
    assert {line.batch for line in runtime.lines} == {2}  # the only one that it takes
    prepared, energy = (runtime.metrics[name] for name in ("latency_ms_prepared", "energy_mj"))
    assert prepared.value is None and "does not say how images are prepared" in prepared.how
    assert energy.value is None and energy.how.startswith("not available")
    assert runtime.metrics["memory_mb"].value is not None and "batch 2" in runtime.metrics["memory_mb"].how


def test_runtimes_that_cannot_run_it_are_named(small, tmp_path):
    request = Request(
        Subject("small", small), runtimes=("onnxruntime", "pytorch"), threads=(1,), budget=QUICK
    )
    measured = profile_model(request)
    assert [bool(each.missing) for each in measured.runtimes] == [False, True]
    assert (
        "PyTorch: not measured. PyTorch runs a checkpoint; of small there is only an ONNX file."
        in as_text(measured)
    )
    with pytest.raises(EspalierError, match="None of the runtimes can run small here"):
        profile_model(Request(Subject("small", small), runtimes=("pytorch",), budget=QUICK))
    (tmp_path / "no.onnx").write_bytes(b"not a model")
    with pytest.raises(EspalierError, match=r"Expected an ONNX file, but no\.onnx is a text"):
        profile_model(Request(Subject("no", tmp_path / "no.onnx"), budget=QUICK))


def test_what_a_person_can_name(small, tmp_path):
    assert subject_of(str(small)).onnx == small
    (tmp_path / "architecture.json").write_text("{}", encoding="utf-8")
    assert subject_of(str(tmp_path)).checkpoint == tmp_path
    with pytest.raises(EspalierError, match="Expected an ONNX file, a checkpoint's folder or RUN:STAGE"):
        subject_of("nothing.onnx")
    with pytest.raises(EspalierError, match="Expected one run of the list"):
        subject_of("no-such-run:fp32")


def test_bad_options_are_refused(small, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["profile", str(small), "--threads", "0"])
    assert ended.value.code == 2 and "--threads" in capsys.readouterr().err
    assert main(["profile", str(small), "--runtime", "tensorrt"]) == 2
    assert "received 'tensorrt'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(small, capsys):
    assert main(["profile", str(small), "--against", str(small), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["runtimes"][0]["lines"][0]["metrics"]["latency_ms"]["level"] == 0.99
    change = plain["runtimes"][0]["lines"][0]["change"]["latency_ms"]
    assert "alternating pairs of sessions" in change["how"] and plain["against"] == small.name
    assert plain["machine"]["processor"]


def test_an_interval_says_its_level_where_it_is_lower():
    assert interval(Metric(value=2.0, low=1.5, high=2.5, level=0.99)) == "1.500 … 2.500"
    assert interval(Metric(value=2.0, low=0.5, high=2.5, level=0.875)) == "0.5000 … 2.500 (88 %)"
    assert interval(Metric(value=2.0)) == "none (1 session)"
    assert interval(Metric(value=2.0, low=0.5, high=6.5)) == "0.5000 … 6.500 (range)"
