"""Static INT8 by ONNX Runtime's own quantizer with what its documentation advises for x86, calibrated in its three ways.

The graph is prepared (`quant_pre_process`), activations are unsigned and weights signed, with a scale for every channel.
Of the files by the lowest and highest value, by entropy and by percentile that one is taken whose logits on validation
images have the least noise against float's. Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from pathlib import Path

import numpy as np
from job import Job, run
from reader import Reader


def quantize(job: Job) -> str:
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = job.scratch / "prepared.onnx"
    try:
        quant_pre_process(job.source, prepared)
    except Exception:  # symbolic shapes are a help that it can do without
        quant_pre_process(job.source, prepared, skip_symbolic_shape=True)
    expected = _answers(job, job.source)
    found: dict[str, tuple[float, Path]] = {}
    for method in CalibrationMethod.MinMax, CalibrationMethod.Entropy, CalibrationMethod.Percentile:
        file = job.scratch / f"{method.name}.onnx"
        quantize_static(
            prepared, file, Reader(job, job.images), per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=method, nodes_to_exclude=job.keep,
            extra_options={"CalibStridedMinMax": 1},
        )  # fmt: skip
        noise = float(np.square(expected - _answers(job, file)).sum())
        found[method.name] = (noise if np.isfinite(noise) else float("inf"), file)
    best = min(found, key=lambda name: found[name][0])
    found[best][1].replace(job.target)
    signal = float(np.square(expected).sum())
    told = ", ".join(
        f"{name} {10 * np.log10(signal / max(noise, 1e-30)):.1f} dB" for name, (noise, _) in found.items()
    )
    return f"Its calibration {best} was nearest to float on {len(job.validation)} validation images ({told})."


def _answers(job: Job, file: Path) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    parts = [session.run(None, feed)[0] for feed in job.feeds(job.validation)]
    logits: np.ndarray = np.concatenate(parts).astype(np.float64)
    return logits


if __name__ == "__main__":
    run(quantize, "onnxruntime")
