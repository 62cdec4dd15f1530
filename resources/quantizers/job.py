"""What the scripts beside this one share: the job that they are given, and the answer that they write.

They run in whatever environment their tool lives in, so that they need NumPy and their tool only.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 16  # images a call, where the file takes any number


class Job:
    """A file to quantize.

    Attributes:
        source: float32 ONNX file. target: the ONNX file to write. scratch: a folder for whatever else is written.
        name: of the file's input. keep: names of nodes that are to stay float. fixed: images a call, or None.
        images: calibration images, float32 [n, c, s, s]; validation: others, to choose between settings.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.source, self.target = Path(told["source"]), Path(told["target"])
        self.scratch, self.name = Path(told["scratch"]), str(told["input"])
        self.keep: list[str] = list(told["keep"])
        self.fixed: int | None = told["batch"]
        self.images, self.validation = (
            np.load(told[name], mmap_mode="r") for name in ("images", "validation")
        )

    def feeds(self, images: np.ndarray, batch: int = BATCH) -> Iterator[dict[str, np.ndarray]]:
        """The images as the file takes them, a batch after the other."""
        size = self.fixed or batch
        for start in range(0, len(images), size):
            yield {self.name: np.ascontiguousarray(images[start : start + size])}


def run(quantize: Callable[[Job], str], *packages: str) -> None:
    """Do the job that the command line names and write its answer; what goes wrong is a part of it.

    Args:
        quantize: writes the target; gives a sentence on what was chosen, or "".
        packages: whose versions are told.
    """
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    job = Job(told)
    started = time.perf_counter()
    try:
        said = quantize(job)
        answer: dict[str, Any] = {
            "seconds": time.perf_counter() - started,
            "versions": {package: version(package) for package in packages},
            "said": said,
        }
    except Exception as error:  # a tool can raise anything; the job says it in a sentence
        answer = {"error": f"{type(error).__name__}: {error}"}
    Path(told["answer"]).write_text(json.dumps(answer), encoding="utf-8")
