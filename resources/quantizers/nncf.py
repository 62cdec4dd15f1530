"""Static INT8 by NNCF on the ONNX file, as its guide does it: `nncf.quantize` with its defaults.

NNCF sees one image after the other, or as many as the file takes. Nothing is reported to its makers.
Source: https://github.com/openvinotoolkit/nncf (post-training quantization of ONNX models)
"""

import os
import sys

os.environ["NNCF_CI"] = "1"  # NNCF's own switch that keeps it from reporting its use

from job import Job, run

sys.path.pop(0)  # this file is called as the tool is


def quantize(job: Job) -> str:
    import nncf
    import onnx

    calls = list(job.feeds(job.images, batch=1))
    scope = nncf.IgnoredScope(names=job.keep) if job.keep else None
    made = nncf.quantize(
        onnx.load(job.source), nncf.Dataset(calls), subset_size=len(calls), ignored_scope=scope
    )
    onnx.save(made, job.target)
    return ""


if __name__ == "__main__":
    run(quantize, "nncf")
