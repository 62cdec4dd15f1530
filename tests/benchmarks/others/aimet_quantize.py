"""INT8 by AIMET for ONNX Runtime: its simulation with 8-bit weights and activations, written as QDQ.

Run by int8_against_others.py in an environment with aimet-onnx.

    python aimet_quantize.py FLOAT.onnx CALIBRATION.npy TARGET.onnx

Calibration is float32 [n, c, s, s], as the network takes it. AIMET's defaults: ranges from the lowest to the highest
value, weights per channel. Weights and biases are stored as integers, without which the file is no smaller and not faster.
Source: https://quic.github.io/aimet-pages (aimet_onnx.QuantizationSimModel)
"""

import sys
from importlib.metadata import version

import aimet_onnx
import numpy as np
import onnx
from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight

BATCH = 64


def main() -> None:
    source, calibration, target = sys.argv[1:]
    images, model = np.load(calibration), onnx.load(source)
    fold_all_batch_norms_to_weight(model)
    simulation = aimet_onnx.QuantizationSimModel(
        model, param_type=aimet_onnx.int8, activation_type=aimet_onnx.int8, providers=["CPUExecutionProvider"]
    )
    name = model.graph.input[0].name
    simulation.compute_encodings([{name: images[at : at + BATCH]} for at in range(0, len(images), BATCH)])
    onnx.save(simulation.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True), target)
    print(f"AIMET {version('aimet-onnx')}")


if __name__ == "__main__":
    main()
