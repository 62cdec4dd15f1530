"""Half precision as a deployment: float16 weights and arithmetic, and proof that the file opens.

ONNX Runtime 1.31 crashes natively on half precision vision transformers while it optimises them, so
opening is a job of its own, and after a crash the copy is made again with some operators kept in
float32: with LayerNormalization or Gelu in float32 a small ViT opened, with Softmax, Add or MatMul it
still crashed. Jobs of the tool child.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from core.deploy.export import metadata_of, to_half
from core.deploy.quantization.graph import finish
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
    import onnx
    from onnxconverter_common import float16

    if not arguments.get("cautious"):
        to_half(arguments, progress)
        return {"kept": {}}
    source = onnx.load(arguments["source"])
    metadata = metadata_of(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a line per weight that is rounded to the smallest half
        blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *CAUTIOUS]
        model = float16.convert_float_to_float16(source, keep_io_types=True, op_block_list=blocked)
    finish(model, metadata, "float16", Path(arguments["target"]))
    progress(1.0, "Converted to half precision")
    float_types = [node.op_type for node in model.graph.node if node.op_type in CAUTIOUS]
    return {"kept": {op: float_types.count(op) for op in sorted(set(float_types))}}


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
