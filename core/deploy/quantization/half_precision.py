"""Half precision as a deployment: float16 weights and arithmetic, and proof that the file opens.

ONNX Runtime 1.31 crashes natively on half precision vision transformers while it optimises them, so
opening is a job of its own, and after a crash the copy is made again with some operators kept in
float32: with LayerNormalization or Gelu in float32 a small ViT opened, with Softmax, Add or MatMul it
still crashed. Jobs of the tool child.

Source: onnxconverter-common's float16 conversion (`core.onnx_graph.float16`).
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from core.deploy.onnx_export import annotate, file_facts, metadata_of, save_checked
from core.deploy.verify import onnx_predictor
from core.machine.jobs import ProgressCallback
from core.onnx_graph.float16 import check_float, half_of
from core.onnx_graph.reading import read_onnx

CAUTIOUS = ("LayerNormalization", "Gelu")


def to_half(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a half precision copy of a float32 ONNX file; input and output stay float32.

    Weights beyond ±65504 become that; ones closer to zero than 1e-7 become ±1e-7.

    Args (as plain data): source and target, .onnx files; metadata, further texts; keep, operators that stay float32.

    Returns: path, bytes, sha256, opset, nodes.

    Raises:
        EspalierError: when the file is no float32 graph.
    """
    progress(0.0, "Converting to half precision")
    source, target = Path(arguments["source"]), Path(arguments["target"])
    model = read_onnx(source)
    check_float(model)
    metadata = metadata_of(model)
    model = half_of(model, arguments.get("keep", ()))
    annotate(model, {**metadata, **arguments.get("metadata", {}), "precision": "float16"})
    save_checked(model, target)
    progress(1.0, "Converted to half precision")
    return file_facts(target)


def convert(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a half precision copy; input and output stay float32.

    Args (as plain data): source, target, .onnx files; cautious, whether the operators of
        `CAUTIOUS` stay float32.

    Returns: kept, nodes that stay float32, by type.

    Raises:
        EspalierError: when the file is no float32 graph.
    """
    keep = CAUTIOUS if arguments.get("cautious") else ()
    to_half({"source": arguments["source"], "target": arguments["target"], "keep": keep}, progress)
    operators = Counter(node.op_type for node in read_onnx(Path(arguments["target"])).graph.node)
    return {"kept": {op: operators[op] for op in sorted(keep) if operators[op]}}


def answers(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: open a file and let it answer one grey image; crashes where ONNX Runtime does.

    Args (as plain data): path, .onnx file. threads. preprocess, where the file does not say it.

    Returns: finite, whether every logit is a finite number.

    Raises:
        EspalierError: when the file cannot be opened.
    """
    predictor = onnx_predictor(
        Path(arguments["path"]), int(arguments.get("threads", 0)), arguments.get("preprocess")
    )
    size = predictor.preprocess.size
    logits = predictor.network(np.full((1, size, size, predictor.preprocess.channels), 128, np.uint8))
    progress(1.0, "Opened")
    return {"finite": bool(np.isfinite(logits).all())}
