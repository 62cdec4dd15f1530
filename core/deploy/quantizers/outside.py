"""Static INT8 by another tool: a job of the tool child that hands the file to the tool in a process of its own.

The tool gets the float32 file as it is and the calibration images as the network takes them, the same that our own
quantizer would draw. The time that is told is the tool's own: from the opened images to the written file, without
the start of its process. What comes back is counted and named by us, as every tool counts in its own way.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.common.temporary import temporary_folder
from core.deploy.onnx_export import metadata_of
from core.deploy.quantization.calibration import Sample, draw
from core.deploy.quantization.graph import LAYER_TYPES, finish, layers_of, matching
from core.deploy.quantization.qdq import counts
from core.deploy.quantizers.catalogue import QUANTIZERS, Quantizer
from core.machine.jobs import ProgressCallback
from core.machine.processes import own_script
from core.onnx_graph.float16 import check_float
from core.onnx_graph.layer_names import module_of
from core.onnx_graph.reading import read_onnx

if TYPE_CHECKING:
    import onnx

_TAIL = 3000
_VALIDATION = 256  # images at most that a tool chooses between settings on
_PASSES = ("DequantizeLinear", "QuantizeLinear", "Transpose", "Reshape", "Identity", "Cast")
_ADVICE = "Choose another quantizer for this network; Details has what it said."


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a static INT8 copy of a float32 ONNX file, made by another tool.

    Args (as plain data): quantizer, its id. source, target, keep, images_count, seed and the data set, or images, as for
        `core.deploy.quantization.calibrated.calibrated`. threads: 0 leaves it to the tool.

    Returns: as the static job; quantizer, its title; quantizer_version.

    Raises:
        EspalierError: when the tool is not there, or cannot quantize the file.
    """
    tool = QUANTIZERS[arguments["quantizer"]]
    if reason := tool.missing():
        raise EspalierError(reason, tool.remedy())
    source, target = Path(arguments["source"]), Path(arguments["target"])
    model = read_onnx(source)
    check_float(model)
    kept = matching(layers_of(model), arguments.get("keep", ()))
    sample = draw(model, arguments, "train", arguments["images_count"], arguments["seed"])
    validation = sample
    if "images" not in arguments:
        validation = draw(model, arguments, "validation", _VALIDATION, arguments["seed"])
    with temporary_folder() as folder:
        progress(0.0, "Preparing the calibration images")
        told = {
            "source": str(source), "target": str(folder / "made.onnx"), "scratch": str(folder), "answer": str(folder / "answer.json"),
            "input": model.graph.input[0].name, "batch": sample.batch,
            "keep": [layer.node for layer in layers_of(model) if layer.name in kept],
            "images": str(_written(sample, folder / "images.npy")),
            "validation": str(_written(validation, folder / "validation.npy")),
        }  # fmt: skip
        progress(0.1, f"{tool.title} is quantizing")
        answer = _run(tool, told, folder, int(arguments.get("threads") or 0))
        progress(0.9, "Counting what it made")
        made = read_onnx(folder / "made.onnx")
        report = _report(made, tool, kept)
        finish(made, metadata_of(model), "int8", target)
    return {
        **report,
        "calibration_images": len(sample),
        "quantizer": tool.title,
        "quantizer_version": answer["versions"][tool.package],
        "notes": [sentence for sentence in (_sentence(tool, answer), answer["said"]) if sentence],
        "seconds": {"quantize": answer["seconds"]},
    }


def _written(sample: Sample, target: Path) -> Path:
    """The images as float32 [n, c, s, s] in a .npy file, never all of them in memory."""
    size = sample.preprocess.size
    shape = (len(sample), sample.preprocess.channels, size, size)
    images = np.lib.format.open_memmap(target, "w+", np.float32, shape)
    start = 0
    for block in sample.blocks():
        images[start : start + len(block)] = block
        start += len(block)
    images.flush()
    return target


def _run(tool: Quantizer, told: dict[str, Any], folder: Path, threads: int) -> dict[str, Any]:
    """The tool's answer, from its own process.

    Raises:
        EspalierError: with its reason.
    """
    job = folder / "job.json"
    job.write_text(json.dumps(told), encoding="utf-8")
    beside = tool.is_beside()
    command = own_script(tool.script) if beside else [str(tool.environment.python), str(tool.script)]
    env = {**os.environ, "PYTHONUTF8": "1"} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    if not beside:
        env.pop("PYTHONPATH", None)  # its own libraries, not ours
    done = subprocess.run(
        [*command, str(job)], cwd=folder, env=env, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )  # fmt: skip
    said = f"{done.stdout}\n{done.stderr}"[-_TAIL:]
    answer = folder / "answer.json"
    if not answer.is_file():
        raise EspalierError(
            f"{tool.title} ended without a file (exit status {done.returncode}).", _ADVICE, said
        )
    result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in result:
        reason = reason_of(RuntimeError(result["error"]))
        raise EspalierError(
            f"{tool.title} could not quantize the file: {reason}.", _ADVICE, f"{result['error']}\n{said}"
        )
    return result


def _sentence(tool: Quantizer, answer: dict[str, Any]) -> str:
    versions = ", ".join(f"{package} {number}" for package, number in answer["versions"].items())
    where = "" if tool.is_beside() else " in an environment of its own"
    return f"Quantized by {tool.title} ({versions}{where}) in {answer['seconds']:.1f} s."


def _report(made: "onnx.ModelProto", tool: Quantizer, kept: dict[str, str]) -> dict[str, Any]:
    """What of the file computes with integers, as the static job counts it."""
    layers = list(weighted_layers(made))
    integer, in_float = counts(made)
    skipped = [
        (name, f"kept in float by {kept[name]!r}" if name in kept else f"{tool.title} leaves it in float")
        for name, _, is_integer in layers
        if not is_integer
    ]
    skipped += [(f"{count} × {op}", "computed in float") for op, count in in_float.items()]
    return {
        "quantized": integer, "layers": len(layers), "quantized_layers": sum(done for _, _, done in layers),
        "parameters": sum(size for _, size, _ in layers), "int8_parameters": sum(size for _, size, done in layers if done),
        "skipped": skipped, "activations": _activations(made),
    }  # fmt: skip


def weighted_layers(model: "onnx.ModelProto") -> Iterator[tuple[str, int, bool]]:
    """The layers of any quantized graph: name, weights and biases, and whether it computes with integer weights."""
    constants = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    givers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type not in LAYER_TYPES:
            continue
        sizes, integer = [], False
        for place, name in enumerate(node.input[1:]):
            while name in givers and givers[name].op_type in _PASSES:
                integer |= place == 0 and givers[name].op_type == "DequantizeLinear"
                name = givers[name].input[0]
            sizes.append(constants.get(name, 0))
        if sizes and sizes[0]:
            yield module_of(node) or node.name, sum(sizes), integer


def _activations(model: "onnx.ModelProto") -> str:
    """ "uint8" or "int8": how the first activation is written as integers; "" where none is."""
    import onnx

    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    words = {onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.INT8: "int8"}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in kinds and len(node.input) > 2:
            return words.get(kinds.get(node.input[2], 0), "")
    return ""
