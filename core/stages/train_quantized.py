"""Quantization-aware training: the network learns with the rounding that INT8 will give it.

Source: Jacob et al. 2018, arXiv 1712.05877; Musa et al.: 2 epochs of retraining on the INT8 grid, batches of 32. The simulated
arithmetic is in `core.surgery.fake_quant`.

Where we depart: the calibrated network before any training is a candidate too ("epoch 0"), so that
training can only help on validation. The stage leaves the trained float network, and the INT8 file
made from it with the learned ranges, in the same form as static quantization writes.
torchao's PT2E, the usual tool, was not taken: its file keeps every convolution in front of a residual
addition in float, and ResNet-20 was then 1.26 times *slower* than float (this form: 0.49 of float's time).

What it does badly: it needs labels and training, in which rounding is simulated and every step takes longer than in float. Where static INT8 loses nothing it has
nothing to give back.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from core.common.params import Params, param
from core.models.memory_format import to_channels_last
from core.stages.base import Effect, ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import INT8
from core.stages.result import DeployedFile, StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from core.surgery.fake_quant import Simulation

_BATCH = 64


class TrainQuantizedParams(Params):
    images: int = param(
        256,
        "Calibration images",
        "Training images, drawn evenly over the classes, on which the first ranges of activations are measured.",
        unit="images",
        ge=1,
        le=10_000,
        step=64,
    )
    training: TrainingSettings = param(
        TrainingSettings(epochs=2, batch_size=32, learning_rate=1e-4),
        "Training",
        "How the network is trained with simulated INT8.",
    )


class TrainQuantized(ModelStage[TrainQuantizedParams]):
    id = "train-quantized"
    title = "Train quantized (INT8)"
    group = "Quantization"
    icon = "quantize"
    help = "Trains with simulated 8-bit arithmetic and writes the INT8 file; only deployment can follow."
    Settings = TrainQuantizedParams
    effect: ClassVar[Effect] = "quantized"
    keeps_shape = True
    causes = ("signed-activations", "float-fallback")

    def epochs(self, settings: TrainQuantizedParams) -> float:
        return settings.training.epochs * 1.8  # rounding in every layer

    def bytes_per_weight(self, settings: TrainQuantizedParams) -> tuple[int, int]:
        return INT8

    def leaves_weights(self, settings: TrainQuantizedParams) -> bool:
        return settings.training.epochs == 0

    def coverage(self) -> tuple[CoverageCase, ...]:
        return (CoverageCase("quantization-aware", "Quantization-aware training", saves="bytes"),)

    def run(self, model: "nn.Module", settings: TrainQuantizedParams, context: StageContext) -> StageResult:
        rows = _calibration_rows(settings.images, context)
        result, learned = train_rounded(model, rows, settings.training, context)
        _write(result, learned, rows, context)
        return result


def train_rounded(
    model: "nn.Module", rows: "np.ndarray", training: TrainingSettings, context: StageContext
) -> tuple[StageResult, dict[str, Any]]:
    """Calibrate on the images at `rows` and train with rounding, which is off again afterwards.

    Returns: the result with the float network, and the ranges as `Simulation.learned` gives them.
    """
    from core.surgery.fake_quant import Simulation

    context.phase("calibrate", "Measuring the ranges of activations")
    to_channels_last(model, context.device)  # as it is trained
    simulation = Simulation(model, next(_batches(rows[:2], context)))
    try:
        result = _train(model, simulation, rows, training, context)
        learned = simulation.learned()
    finally:
        simulation.remove()
    result.skipped += [
        (path, "used several times: not rounded while training") for path in simulation.repeated
    ]
    return result, learned


def _train(
    model: "nn.Module",
    simulation: "Simulation",
    rows: "np.ndarray",
    settings: TrainingSettings,
    context: StageContext,
) -> StageResult:
    """Calibrate, train, and leave the better of both in `model`, by validation accuracy."""
    import torch

    model.eval()
    with simulation.measuring(), torch.no_grad():
        for images in _batches(rows, context):
            context.control.checkpoint()
            model(images)
    start = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    calibrated = _validation_top1(model, context)
    result = StageResult(model, facts={"calibrated_val_top1": calibrated})
    training = run_training(model, settings, context)
    result.add_training(training)
    if training.history and training.best_top1 <= calibrated:
        model.load_state_dict(start)
        result.facts |= {"best_epoch": 0, "best_val_top1": calibrated}
        result.notes.append(
            f"No epoch was better on validation than the calibrated network ({calibrated:.2f} %), which is kept."
        )
    elif training.history:
        result.notes.append(
            f"With simulated INT8, validation accuracy went from {calibrated:.2f} % (calibrated only) to "
            f"{training.best_top1:.2f} %."
        )
    return result


def _calibration_rows(count: int, context: StageContext) -> "np.ndarray":
    from core.data.randomness import derive_seed
    from core.data.splits import limit

    seed = derive_seed(context.seed, context.key, "calibration")
    return limit(context.data.split("train"), context.data.labels, count, seed)


def _batches(rows: "np.ndarray", context: StageContext) -> "Iterator[Tensor]":
    """Images at `rows` as the network takes them: float32 [b, c, s, s]."""
    import numpy as np

    for start in range(0, len(rows), _BATCH):
        yield context.preprocess(
            np.asarray(context.data.images[rows[start : start + _BATCH]]), context.device
        )


def _validation_top1(model: "nn.Module", context: StageContext) -> float:
    from core.data.batches import Batches, BatchForm, Draws
    from core.training.evaluation import evaluate
    from core.training.precision import resolve_precision

    form, draws = BatchForm(_BATCH, context.device), Draws(context.seed, context.key)
    batches = Batches(context.data, "validation", context.preprocess, form, draws)
    return evaluate(model.eval(), batches, resolve_precision("float32", context.device), context.control)[1]


def _write(result: StageResult, learned: dict[str, Any], rows: "np.ndarray", context: StageContext) -> None:
    """Export the trained network and quantize the file with the learned ranges, in a child process."""
    import numpy as np

    from core.deploy.onnx_export import export_onnx
    from core.deploy.quantization.static import quantize
    from core.machine.child import Child
    from core.models.checkpoint import Checkpoint, save_checkpoint

    context.phase("export", "Writing the INT8 file")
    folder = context.scratch / "quantized"
    checkpoint = Checkpoint(result.model.cpu(), context.network, context.preprocess, context.data.classes)
    save_checkpoint(folder / "checkpoint", checkpoint)
    np.save(folder / "images.npy", np.asarray(context.data.images[rows]), allow_pickle=False)
    source, target = folder / "float32.onnx", folder / "int8.onnx"
    with Child("tool", folder / "tool.log") as tool:
        exported = {"checkpoint": str(folder / "checkpoint"), "target": str(source)}
        tool.call(export_onnx, exported, context.control)
        report = tool.call(
            quantize,
            {
                "source": str(source), "target": str(target), "images": str(folder / "images.npy"),
                "images_count": len(rows), "seed": context.seed, "method": "minmax", "percentile": 100.0,
                "activations": "uint8", "learned": learned,
            },
            context.control,
        )  # fmt: skip
    result.notes += report["notes"]
    result.skipped += [(str(name), str(reason)) for name, reason in report["skipped"]]
    names = ("quantized", "layers", "quantized_layers", "parameters", "int8_parameters", "activations")
    result.facts |= {name: report[name] for name in names}
    result.deployed = DeployedFile(target, "int8", "ONNX INT8, trained")
