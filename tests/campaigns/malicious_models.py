"""The models, weights, checkpoints and code of `malice.py`; see `malicious_files`."""

import io
import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from malicious_files import Runs, write

# Models


def _model(nodes: list[Any], inputs: dict[str, list[Any]], initializers: list[Any], folder: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])], initializers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    onnx.load_from_string((folder / "m.onnx").read_bytes())
    return folder / "m.onnx"


def _classifier(folder: Path, weight: Any) -> Path:
    from onnx import helper

    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["logits"]),
    ]
    return _model(nodes, {"input": ["n", 3, 32, 32]}, [weight], folder)


def _external(location: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, marker: Path) -> Path:
        from onnx import TensorProto

        weight = TensorProto(
            name="w", data_type=TensorProto.FLOAT, dims=[3, 10], data_location=TensorProto.EXTERNAL
        )
        for key, value in (("location", location), ("offset", "0"), ("length", "120")):
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
        return _classifier(folder, weight)

    return make


def _huge(folder: Path, marker: Path) -> Path:
    """A constant of a million million numbers, made by a node."""
    from onnx import helper, numpy_helper

    shape = numpy_helper.from_array(np.array([1_000_000, 1_000_000], np.int64), "s")
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["one"], keepdims=0),
        helper.make_node("GlobalAveragePool", ["input"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "one"], ["logits"]),
    ]
    weight = numpy_helper.from_array(np.zeros((3, 10), np.float32), "w")
    return _model(nodes, {"input": ["n", 3, 32, 32]}, [shape, weight], folder)


def _endless(folder: Path, marker: Path) -> Path:
    """A loop of 2^62 rounds."""
    from onnx import TensorProto, helper, numpy_helper

    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_again"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on_again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Loop", ["rounds", "go", "f"], ["looped"], body=body),
        helper.make_node("MatMul", ["looped", "w"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(2**62, np.int64), "rounds"),
        numpy_helper.from_array(np.array(True), "go"),
        numpy_helper.from_array(np.zeros((3, 10), np.float32), "w"),
    ]
    return _model(nodes, {"input": ["n", 3, 32, 32]}, constants, folder)


def _describing(text: str) -> Callable[[Path, Path], Path]:
    """A classifier whose metadata say how images are prepared."""

    def make(folder: Path, marker: Path) -> Path:
        import onnx
        from onnx import numpy_helper

        path = _classifier(folder, numpy_helper.from_array(np.zeros((3, 10), np.float32), "w"))
        model = onnx.load(path)
        onnx.helper.set_model_props(model, {"preprocess": text, "classes": text})
        onnx.save(model, path)
        return path

    return make


MODELS: dict[str, Callable[[Path, Path], Path]] = {
    "weights from elsewhere": _external("../../../../../../../../etc/passwd"),
    "weights from an absolute path": _external("/etc/passwd"),
    "a tensor larger than any memory": _huge,
    "a loop without end": _endless,
    "a pointer to a file": lambda folder, marker: write(folder / "m.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
    "a web page": lambda folder, marker: write(folder / "m.onnx", b"<!DOCTYPE html><html>Sign in</html>"),
    "nothing": lambda folder, marker: write(folder / "m.onnx", b""),
    "noise": lambda folder, marker: write(folder / "m.onnx", random.Random(1).randbytes(100_000)),
    "a pickle": lambda folder, marker: write(folder / "m.onnx", pickle.dumps(Runs(marker))),
}  # fmt: skip


DESCRIBED: dict[str, Callable[[Path, Path], Path]] = {
    "metadata that are no JSON": _describing("{size: 32"),
    "metadata without end": _describing("[" * 100_000),
    "metadata of another kind": _describing('["size", "mean"]'),
    "metadata with a huge size": _describing('{"size": 100000000, "channels": 3, "mean": [0, 0, 0], "std": [1, 1, 1], "resize": "crop"}'),
    "metadata with numbers that are none": _describing('{"size": 32, "channels": 3, "mean": [NaN, 0, 0], "std": [Infinity, 1, 1], "resize": "crop"}'),
}  # fmt: skip


# What a pipeline starts from


def _weights(name: str, content: Callable[[Path], bytes] | bytes) -> Callable[[Path, Path], str]:
    def make(folder: Path, marker: Path) -> str:
        path = write(folder / name, content(marker) if callable(content) else content)
        return f"{{id: network, settings: {{backbone: plain-cnn-tiny, weights: file, weights_file: {path}}}}}"

    return make


def _weights_at(put: Callable[[Path], Path]) -> Callable[[Path, Path], str]:
    return lambda folder, marker: (
        f"{{id: network, settings: {{backbone: plain-cnn-tiny, weights: file, weights_file: {put(folder)}}}}}"
    )


def _torch_file(marker: Path) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"state_dict": {}, "extra": Runs(marker)}, file)
    return file.getvalue()


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _documents(folder: Path, marker: Path) -> str:
    (folder / "docs" / ".ssh").mkdir(parents=True)
    (folder / "docs" / ".ssh" / "id_rsa").write_text("topsecret")
    (folder / "docs" / "film.mp4").write_bytes(b"topsecret" + bytes(1_000_000))
    return f"{{id: network, kind: checkpoint, settings: {{path: {folder / 'docs'}}}}}"


def _checkpoint(change: Callable[[Path, dict[str, Any]], None]) -> Callable[[Path, Path], str]:
    """A checkpoint that a person was given, with its manifest gone."""

    def make(folder: Path, marker: Path) -> str:
        from core.data.preprocess import Preprocess
        from core.models.catalogue import backbone
        from core.models.checkpoint import Checkpoint, save_checkpoint
        from core.models.settings import BackboneSettings

        settings, classes = BackboneSettings(backbone="plain-cnn-tiny"), tuple("abcdefghij")
        model = backbone(settings.backbone).build(settings, len(classes), 32)
        place = folder / "checkpoint"
        save_checkpoint(place, Checkpoint(model, settings, Preprocess(32), classes))
        (place / "manifest.json").unlink(missing_ok=True)
        (place / "id_rsa").write_text("topsecret")
        architecture = json.loads((place / "architecture.json").read_text())
        change(place, architecture)
        (place / "architecture.json").write_text(json.dumps(architecture))
        return f"{{id: network, kind: checkpoint, settings: {{path: {place}}}}}"

    return make


def _set(name: str, value: Any) -> Callable[[Path, Path], str]:
    return _checkpoint(lambda place, architecture: architecture.update({name: value}))


def _endless_weights(place: Path, architecture: dict[str, Any]) -> None:
    (place / "weights.safetensors").unlink()
    (place / "weights.safetensors").symlink_to("/dev/zero")


def _own_code(place: Path, architecture: dict[str, Any]) -> None:
    """A network of somebody's own, whose code makes the marker."""
    import hashlib

    marker = place.parents[1] / "it-ran"
    code = f"import os\nos.mkdir({str(marker)!r})\ndef make(classes):\n    pass\n".encode()
    call = {"file": "n.py", "factory": "make", "classes_argument": "classes", "arguments": {}, "blocks": []}
    (place / "network.py").write_bytes(code)
    (place / "network.json").write_text(json.dumps(call))
    content = hashlib.sha256(code).hexdigest() + json.dumps(call, sort_keys=True)
    architecture["network"]["backbone"] = "python:" + hashlib.sha256(content.encode()).hexdigest()


def _python(folder: Path, marker: Path) -> str:
    write(folder / "n.py", f"import os\nos.mkdir({str(marker)!r})\ndef make(num_classes): pass\n".encode())
    return f"{{id: network, kind: python, settings: {{path: {folder / 'n.py'}, factory: make}}}}"


_HUGE_LAYER = {
    "head": {"type": "Linear", "arguments": {"in_features": 10**7, "out_features": 10**7, "bias": False}}
}
SOURCES: dict[str, Callable[[Path, Path], str]] = {
    "weights that run": _weights("w.pth", _torch_file),
    "weights that are a plain pickle": _weights("w.pt", lambda marker: pickle.dumps(Runs(marker))),
    "weights that are a pointer": _weights("w.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
    "weights that are a web page": _weights("w.safetensors", b"<html>404</html>"),
    "weights that are nothing": _weights("w.safetensors", b""),
    "weights with a header of exabytes": _weights("w.safetensors", struct.pack("<Q", 2**62) + b"{}"),
    "weights that are cut off": _weights("w.safetensors", struct.pack("<Q", 80) + b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}'.ljust(80)),
    "weights that are noise": _weights("w.pth", random.Random(1).randbytes(50_000)),
    "weights that are a device": _weights_at(lambda folder: Path("/dev/zero")),
    "weights that are a named pipe": _weights_at(lambda folder: _fifo(folder / "w.pth")),
    "a folder of documents": _documents,
    "a checkpoint with an endless probe": _set("probe", [[float("inf")] * 10] * 2),
    "a checkpoint with a mean that is no number": _set("preprocess", {"size": 32, "channels": 3, "mean": [float("nan")] * 3, "std": [1.0] * 3, "resize": "crop"}),
    "a checkpoint for a huge side": _set("preprocess", {"size": 10**8, "channels": 3, "mean": [0.0] * 3, "std": [1.0] * 3, "resize": "crop"}),
    "a checkpoint with a layer larger than memory": _set("diff", _HUGE_LAYER),
    "a checkpoint with a module from elsewhere": _set("diff", {"head": {"type": "os.system", "arguments": {"command": "x"}}}),
    "a checkpoint with endless weights": _checkpoint(_endless_weights),
    "a checkpoint with code": _checkpoint(_own_code),
    "a Python file that nobody trusts": _python,
}  # fmt: skip
