"""Static INT8 by AMD's Quark for ONNX Runtime: its configuration A8W8 (8-bit activations and weights) as it stands.

Source: https://quark.docs.amd.com (quark.onnx)
"""

import sys

from job import Job, run
from reader import Reader

sys.path.pop(0)  # this file is called as the tool is


def quantize(job: Job) -> str:
    from quark.onnx import ModelQuantizer
    from quark.onnx.quantization.config.config import Config
    from quark.onnx.quantization.config.custom_config import get_default_config

    quantizer = ModelQuantizer(Config(global_quant_config=get_default_config("A8W8")))
    quantizer.quantize_model(str(job.source), str(job.target), Reader(job, job.images))
    return ""


if __name__ == "__main__":
    run(quantize, "amd-quark")
