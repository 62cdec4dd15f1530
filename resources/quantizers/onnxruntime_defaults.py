"""Static INT8 by ONNX Runtime's own quantizer, called without any setting.

Source: `onnxruntime.quantization.quantize_static`, whose only other argument here is which nodes a person keeps in float.
"""

from job import Job, run
from reader import Reader


def quantize(job: Job) -> str:
    from onnxruntime.quantization import quantize_static

    quantize_static(job.source, job.target, Reader(job, job.images), nodes_to_exclude=job.keep)
    return ""


if __name__ == "__main__":
    run(quantize, "onnxruntime")
