"""Half precision as a deployment: float16 weights and arithmetic, and proof that the file opens.

ONNX Runtime 1.31 crashes natively on half precision vision transformers while it optimises them, so
opening is a job of its own, and after a crash the copy is made again with some operators kept in
float32: with LayerNormalization or Gelu in float32 a small ViT opened, with Softmax, Add or MatMul it
still crashed. Jobs of the tool child.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from core.deploy.export import to_half
from core.deploy.verify import onnx_predictor
from core.machine.jobs import ProgressCallback

CAUTIOUS = ("LayerNormalization", "Gelu")


def convert(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a half precision copy; input and output stay float32.

    Args (as plain data): source, target, .onnx files; cautious, whether the operators of
        `CAUTIOUS` stay float32.

    Returns: kept, nodes that stay float32, by type.

    Raises:
        EspalierError: when the file is no float32 graph.
    """
    from core.onnx_graph.reading import read_onnx

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
