"""What only a GPU can show: `python3 dev.py gpu`, under ten minutes. Without a GPU every test is skipped, and says so."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.batches import Batches, BatchForm, Draws
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.document import pipeline as documents
from core.engine.coverage import Cell, coverage, methods
from core.engine.engine import Engine
from core.engine.options import Options
from core.engine.reproducible import reproducible
from core.machine import nvidia
from core.profiling.runtimes import RUNTIMES, Settings
from core.records.events import RunDone
from core.runs.home import Home
from core.runs.new_run import create_run
from core.training import loop
from core.training.hooks import Hooks
from core.training.loop import TrainingContext, train
from core.training.losses import cross_entropy
from core.training.settings import TrainingSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU on this machine"),
]

DATA = DataSettings(source="fashion-mnist-sample", train_images=512, validation_images=128, test_images=64)
EVERYTHING = Augmentation(
    flip=True,
    vertical_flip=True,
    rotation=10,
    shift=2,
    scale=0.1,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
)
TINY = """
espalier: 1
name: On a GPU
data: {source: fashion-mnist-sample, train_images: 512, validation_images: 128, test_images: 128}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 2, learning_rate: 0.005}}}
  - {id: mixed, kind: train-mixed, name: Mixed, settings: {precision: mixed, training: {epochs: 2}}}
"""


def network(device: str = "cuda") -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    ).to(device)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return open_data(DATA, tmp_path_factory.mktemp("cache"))


def batches(data, split: str, augmentation: Augmentation | None = None) -> Batches:
    preprocess = make_preprocess(DATA, data)
    return Batches(data, split, preprocess, BatchForm(64, "cuda"), Draws(1, "key"), augmentation)


def context(state: Path | None = None, control: RunControl | None = None) -> TrainingContext:
    return TrainingContext("stage", 1, "key", "cuda", control or RunControl(), lambda event: None, state)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("optimiser", ["adamax", "adam", "adamw", "sgd"])
def test_no_step_makes_the_gpu_wait(data, optimiser, precision):
    how = TrainingSettings(
        epochs=1, batch_size=64, optimiser=optimiser, precision=precision, scale_penalty=1e-4
    )
    training = batches(data, "train", EVERYTHING)
    made = loop._Loop(
        network(), training, batches(data, "validation"), how, context(), cross_entropy(0.1), Hooks()
    )
    if made.precision.scaled and optimiser == "adamax":
        pytest.skip(
            "an older GPU scales gradients of float16, and Adamax has no pass that takes the scale itself"
        )
    for images, labels in training.epoch(1):  # the first steps prepare kernels and memory
        made._run_step(images, labels)
    steps = 0
    torch.cuda.synchronize()
    for images, labels in training.epoch(2):
        torch.cuda.set_sync_debug_mode("error")
        try:
            made._run_step(images, labels)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        steps += 1
    assert steps == training.steps > 3


def test_mixed_precision_learns_and_says_what_it_was(data):
    how = TrainingSettings(epochs=3, batch_size=64, learning_rate=0.01, precision="mixed")
    result = train(network(), batches(data, "train"), batches(data, "validation"), how, context())
    newer = torch.cuda.get_device_capability() >= (8, 0)
    assert result.precision.name == ("bfloat16" if newer else "float16")
    assert math.isfinite(result.history[-1]["val_loss"]) and result.best_top1 > 15


def test_training_repeats_and_resumes_to_the_bit(data, tmp_path):
    how = TrainingSettings(epochs=3, batch_size=64, learning_rate=0.01)

    def trained(state: Path | None = None, stop_after: int = 0) -> nn.Module:
        model, control, done = network(), RunControl(), 0

        def count(_model: nn.Module) -> None:
            nonlocal done
            done += 1
            if done == stop_after:
                control.stop()

        train(
            model, batches(data, "train", EVERYTHING), batches(data, "validation"), how, context(state, control),
            hooks=Hooks(after_step=count),
        )  # fmt: skip
        return model

    with reproducible(1):
        whole, again = trained(), trained()
        with pytest.raises(Stopped):
            trained(tmp_path / "state", stop_after=11)
        resumed = trained(tmp_path / "state")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]) and torch.equal(
            tensor, resumed.state_dict()[name]
        )


def test_memory_does_not_grow_with_the_steps(data):
    how = TrainingSettings(epochs=1, batch_size=64)
    training = batches(data, "train", EVERYTHING)
    made = loop._Loop(
        network(), training, batches(data, "validation"), how, context(), cross_entropy(0.1), Hooks()
    )
    peaks = []
    for epoch in (1, 2, 3):
        torch.cuda.reset_peak_memory_stats()
        for images, labels in training.epoch(epoch):
            made._run_step(images, labels)
        made._collect()
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[2] <= 1.02 * peaks[1]


def test_the_driver_tells_what_this_process_holds():
    kept = torch.zeros(64_000_000, device="cuda")
    torch.cuda.synchronize()
    assert nvidia.present()
    held = nvidia.process_bytes(0)
    assert held is None or held > kept.nbytes  # some drivers do not tell of processes in containers


def test_onnx_runtime_answers_on_the_gpu_as_on_the_processor(tmp_path):
    cuda, cpu = RUNTIMES["onnxruntime-cuda"], RUNTIMES["onnxruntime-cpu"]
    if cuda.missing():
        pytest.skip(cuda.missing())
    draw = np.random.default_rng(0)
    weights = numpy_helper.from_array(draw.standard_normal((192, 10)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])], "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 10])], [weights],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "m.onnx",
    )
    images, answers = draw.standard_normal((4, 3, 8, 8)).astype(np.float32), []
    for runtime, settings in ((cuda, Settings(1, "cuda:0")), (cpu, Settings(1))):
        with runtime.open(tmp_path / "m.onnx", settings) as session:
            session.bind(images)()
            answers.append(session.session.run(None, {"x": images})[0])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-3, atol=1e-3)


def test_a_run_on_the_gpu(tmp_path):
    home = Home(tmp_path / "home")
    run = create_run(documents.loads(TINY), tmp_path, home)
    done = Engine(run, home, Options("cuda", 1)).run()
    assert isinstance(done, RunDone) and done.status == "completed", done.message
    assert [report.key for report in run.reports()] == ["fp32", "mixed"] and run.info.device == "cuda"


def test_every_stage_on_the_gpu(tmp_path):
    said: list[Cell] = []
    cells = coverage(["resnet20"], list(methods()), Home(tmp_path / "home"), Options("cuda", 1), said.append)
    assert not [cell.sentence for cell in cells if cell.state == "fails"]
