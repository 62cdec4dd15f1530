"""Static INT8 by AIMET for ONNX Runtime: its simulation with 8-bit weights and activations, written as QDQ.

AIMET's defaults: ranges from the lowest to the highest value, weights per channel. Weights and biases are stored as
integers, without which the file is no smaller and not faster. Source: https://quic.github.io/aimet-pages
"""

from job import Job, run


def quantize(job: Job) -> str:
    import aimet_onnx
    import onnx
    from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight

    model = onnx.load(job.source)
    fold_all_batch_norms_to_weight(model)
    simulation = aimet_onnx.QuantizationSimModel(
        model, param_type=aimet_onnx.int8, activation_type=aimet_onnx.int8, providers=["CPUExecutionProvider"]
    )
    simulation.compute_encodings(list(job.feeds(job.images)))
    onnx.save(simulation.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True), job.target)
    return ""


if __name__ == "__main__":
    run(quantize, "aimet-onnx")
