"""Times a file, or lets it answer images, in a process of its own; run by int8_against_others.py.

    python use.py JOB ARGUMENTS        # arguments as JSON; the result is the last line, as JSON

Needs NumPy and the runtime that is asked for, so that any environment can run it: Espalier's own, or another tool's.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np

from core.profiling.runtimes import Settings, runtime
from core.profiling.session import time_block

BATCH = 50


def block(arguments: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the timed runs of one session; arguments as of `core.profiling.session.time_block`."""
    seconds = time_block(arguments, lambda fraction, text: None)["seconds"]
    return {"seconds": seconds, "version": version(runtime(arguments["runtime"]).package)}


def answers(arguments: dict[str, Any]) -> dict[str, Any]:
    """Classes [n] of all images; arguments: model, runtime, images (.npy, float32 [n, c, s, s])."""
    images = np.load(arguments["images"], mmap_mode="r")
    part = np.array(images[: min(BATCH, len(images))])
    found: list[int] = []
    with runtime(arguments["runtime"]).open(Path(arguments["model"]), Settings()) as session:
        run = session.bind(part)
        for start in range(0, len(images), len(part)):
            left = images[start : start + len(part)]
            part[: len(left)] = left
            found += np.asarray(run()).argmax(1)[: len(left)].tolist()
    return {"classes": found}


if __name__ == "__main__":
    print(json.dumps({"block": block, "answers": answers}[sys.argv[1]](json.loads(sys.argv[2]))))
