"""Static INT8: weights and activations are integers, with ranges fixed on calibration images.

Sources: Jacob et al. 2018, arXiv 1712.05877 (integer arithmetic); Krishnamoorthi 2018, arXiv
1806.08342 (per-channel weights); ONNX Runtime's quantization. A job of the tool child.
"""

import time
from pathlib import Path
from typing import Any

from core.deploy.quantization.calibrated import calibrated
from core.machine.jobs import ProgressCallback


def quantize(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: a static INT8 copy of a float32 ONNX file.

    Args (as plain data): as for `calibrated`, and target: the .onnx file to write.

    Returns: quantized (nodes by type), layers, quantized_layers, parameters, int8_parameters,
        skipped (name and reason), activations, notes, calibration_images, seconds (by phase).

    Raises:
        EspalierError: when the file, the data or a pattern does not fit.
    """
    graph = calibrated(arguments, lambda done, text: progress(0.7 * done, text))
    started = time.monotonic()
    progress(0.7, "Quantizing")
    model, sentence = graph.quantized((), lambda done, text: progress(0.7 + 0.3 * done, text))
    report = graph.write(model, "int8", Path(arguments["target"]), {}, [sentence])
    progress(1.0, "Quantized")
    return {
        **report,
        "seconds": {"calibrate": graph.seconds, "quantize": time.monotonic() - started},
    }
