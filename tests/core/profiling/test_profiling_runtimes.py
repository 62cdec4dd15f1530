"""Runtimes: the same model gives the same logits in all of them, and what is missing is said in words."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnx_files
import pytest
import torch
from onnx import TensorProto, helper

from core.commands.main import main
from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.machine.child import Child
from core.models.catalogue import BACKBONES
from core.models.checkpoint import Checkpoint, save_checkpoint
from core.models.settings import BackboneSettings
from core.profiling.latency import profile_checkpoint
from core.profiling.protocol import Benchmark, Budget, measure
from core.profiling.runtimes import RUNTIMES, Settings, runtime
from core.profiling.runtimes.base import as_input
from core.profiling.session import memory, missing, noise

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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    network = BackboneSettings(backbone="resnet20")
    model = BACKBONES["resnet20"].build(network, 4).eval()
    folder = tmp_path_factory.mktemp("runtimes") / "checkpoint"
    save_checkpoint(folder, Checkpoint(model, network, Preprocess(16), ("a", "b", "c", "d")))
    return folder


def logits(name: str, model: Path, images: np.ndarray, settings: Settings | None = None) -> np.ndarray:
    with runtime(name).open(model, settings or Settings()) as session:
        run = session.bind(images)
        run()
        made = run()
        return np.asarray(made.float() if isinstance(made, torch.Tensor) else made).copy()


def test_every_runtime_has_its_own_name_and_place():
    assert list(RUNTIMES) == [
        "onnxruntime", "onnxruntime-cuda", "openvino", "pytorch", "pytorch-channels-last", "pytorch-compile",
    ]  # fmt: skip
    assert {each.child for each in RUNTIMES.values() if each.takes == "onnx"} == {"measure"}
    assert {each.child for each in RUNTIMES.values() if each.takes == "checkpoint"} == {"tool"}
    with pytest.raises(EspalierError, match=r"Expected a runtime, received 'tensorrt'"):
        runtime("tensorrt")


def test_the_command_line_offers_every_runtime(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # names are not broken at their hyphens
    with pytest.raises(SystemExit):
        main(["profile", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(RUNTIMES) <= set(words)


def test_the_catalogue_loads_no_library():
    program = (
        "import sys, core.profiling.runtimes\n"
        "print([name for name in ('torch', 'onnxruntime', 'openvino', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_run_says_why():
    with Child("measure") as child:
        names = ["onnxruntime", "onnxruntime-cuda", "openvino"]
        reasons = child.call(missing, {"runtimes": names})["missing"]
    assert reasons["onnxruntime"] == ""
    if not find_spec("openvino"):
        assert reasons["openvino"] == 'OpenVINO is not installed (pip install "espalier[openvino]").'
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert "no CUDA provider" in reasons["onnxruntime-cuda"]


def test_torch_compile_asks_for_a_compiler(monkeypatch):
    from torch._inductor import cpp_builder

    def none() -> str:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    assert "needs a C++ compiler" in runtime("pytorch-compile").missing()


def test_onnx_runtime_against_pytorch(tmp_path):
    path = onnx_files.write(tmp_path / "small.onnx", width=4, size=8)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    images = noise((3, 8, 8)).repeat(2, axis=0)
    conv = torch.nn.functional.conv2d
    x = torch.from_numpy(images)
    bias = torch.tensor(weights["stem.bias"])
    x = torch.relu(conv(x, torch.tensor(weights["stem.weight"]), bias, 2, 1))
    x = conv(x, torch.tensor(weights["block1.weight"]), None, 1, 1).mean((2, 3))
    expected = x @ torch.tensor(weights["head.weight"]).T
    np.testing.assert_allclose(logits("onnxruntime", path, images), expected.numpy(), atol=1e-4)


@pytest.mark.skipif(not find_spec("openvino"), reason="needs OpenVINO")
def test_openvino_against_onnx_runtime(tmp_path):
    path = onnx_files.write(tmp_path / "small.onnx", width=16, size=8)
    images = noise((3, 8, 8)).repeat(2, axis=0)
    expected = logits("onnxruntime", path, images)
    np.testing.assert_allclose(logits("openvino", path, images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "tolerance"), [("pytorch", 0.0), ("pytorch-channels-last", 1e-4)])
def test_pytorch_gives_the_networks_logits(checkpoint, name, tolerance):
    from core.models.checkpoint import load_checkpoint

    images = noise((3, 16, 16)).repeat(3, axis=0)
    with torch.inference_mode():
        expected = load_checkpoint(checkpoint).model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits(name, checkpoint, images), expected, rtol=tolerance, atol=tolerance)
    runtime(name).release()


@pytest.mark.slow
def test_the_compiled_network_gives_the_same_logits(checkpoint):
    if reason := runtime("pytorch-compile").missing():
        pytest.skip(reason)
    images = noise((3, 16, 16)).repeat(3, axis=0)
    expected = logits("pytorch", checkpoint, images)
    np.testing.assert_allclose(logits("pytorch-compile", checkpoint, images), expected, rtol=1e-3, atol=1e-3)
    runtime("pytorch-compile").release()


def test_the_next_image_may_be_written_into_the_bound_ones(tmp_path, checkpoint):
    path = onnx_files.write(tmp_path / "small.onnx", width=4, size=16)
    for name, model in (("onnxruntime", path), ("pytorch", checkpoint)):
        first, second = noise((3, 16, 16)), -noise((3, 16, 16))
        expected = logits(name, model, second)
        with runtime(name).open(model, Settings()) as session:
            run = session.bind(first)
            first[:] = second
            np.testing.assert_array_equal(np.asarray(run()), expected)
    runtime("pytorch").release()


def test_pytorch_keeps_networks_until_told_and_leaves_the_threads(checkpoint):
    pytorch, threads = runtime("pytorch"), torch.get_num_threads()
    with pytorch.open(checkpoint, Settings(threads=threads + 1)) as first:
        assert torch.get_num_threads() == threads + 1
    with pytorch.open(checkpoint, Settings(threads=threads + 1)) as second:
        assert second._network is first._network
    assert torch.get_num_threads() == threads and not torch.is_inference_mode_enabled()
    pytorch.release()
    with pytorch.open(checkpoint, Settings(threads=threads + 1)) as third:
        assert third._network is not first._network
    pytorch.release()


def test_autocast_computes_in_its_precision(checkpoint):
    images = noise((3, 16, 16))
    whole = logits("pytorch", checkpoint, images)
    half = logits("pytorch", checkpoint, images, Settings(precision="bfloat16"))
    assert 0 < np.abs(whole - half).max() < 0.1 * np.abs(whole).max()
    with (
        pytest.raises(EspalierError, match="received 'float8'"),
        runtime("pytorch").open(checkpoint, Settings(precision="float8")),
    ):
        pass
    runtime("pytorch").release()


@pytest.mark.slow
def test_figures_of_a_checkpoint(checkpoint):
    fractions: list[float] = []
    with Child("tool") as child:
        metrics = profile_checkpoint(
            child, checkpoint, precision="bfloat16", on_progress=lambda part, text: fractions.append(part), budget=QUICK
        )  # fmt: skip
        peak = child.call(memory, {"model": str(checkpoint), "runtime": "pytorch", "threads": 1})
    assert set(metrics) == {"latency_ms", "throughput"} and fractions[-1] == 1.0
    latency, throughput = metrics["latency_ms"], metrics["throughput"]
    assert latency.low <= latency.value <= latency.high and throughput.value > 0
    assert "PyTorch" in latency.how and "the CPU, 1 thread, bfloat16 autocast, batch 1" in latency.how
    assert peak["after"] >= peak["before"] > 0 and peak["device"] is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_figures_on_a_gpu(checkpoint):
    with Child("tool") as child:
        metrics = profile_checkpoint(child, checkpoint, "cuda", budget=QUICK)
    assert metrics["memory_mb"].value > 0
    assert torch.cuda.get_device_name(0) in metrics["memory_mb"].how


def test_a_model_with_two_inputs_is_refused(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])], "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "ab"],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 3, 4, 4])],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
        tmp_path / "two.onnx",
    )
    with (
        pytest.raises(EspalierError, match=r"one input of images .*, received a tensor\(float\)"),
        runtime("onnxruntime").open(tmp_path / "two.onnx", Settings()),
    ):
        pass


def test_images_as_a_models_element_type():
    images = np.array([[-9.0, 0.0, 1.0, 9.0]], np.float32)
    assert as_input(images, "uint8").tolist() == [[0, 128, 160, 255]]
    assert as_input(images, "int8").tolist() == [[-128, 0, 32, 127]]
    assert as_input(images, "float32") is images and as_input(images, "float16").dtype == np.float16


def test_a_bench_counts_what_a_block_reports(tmp_path):
    path = onnx_files.write(tmp_path / "small.onnx", width=4, size=8)
    with Child("measure") as child:
        benchmark = Benchmark(child, path, images={"shape": [3, 8, 8]}, budget=QUICK)
        prepare = {"image": [20, 30], "preprocess": Preprocess(8).as_dict()}
        timing = measure(benchmark.blocks(1, 1), False, QUICK)
        prepared = measure(benchmark.blocks(1, 1, prepare), False, QUICK)
    assert timing.runs == 10 and benchmark.ready_seconds > 0 and benchmark.device_bytes is None
    assert prepared.interval.value > timing.interval.value
