"""INT8 by NNCF for OpenVINO, as its guide does it: `nncf.quantize` on the converted model, its defaults.

Run by int8_against_others.py in an environment with nncf and openvino.

    python nncf_quantize.py FLOAT.onnx CALIBRATION.npy TARGET.xml

Calibration is float32 [n, c, s, s], as the network takes it; NNCF sees one image after the other.
Source: OpenVINO's guide "Basic Quantization Flow", https://docs.openvino.ai
"""

import os
import sys
from importlib.metadata import version

os.environ["NNCF_CI"] = "1"  # NNCF's own switch that keeps it from reporting its use

import nncf
import numpy as np
import openvino


def main() -> None:
    source, calibration, target = sys.argv[1:]
    images = np.load(calibration)
    data = nncf.Dataset([image[None] for image in images])
    made = nncf.quantize(openvino.convert_model(source), data, subset_size=len(images))
    openvino.save_model(made, target, compress_to_fp16=False)
    print(f"NNCF {version('nncf')}, OpenVINO {version('openvino')}")


if __name__ == "__main__":
    main()
