"""Jobs for the tests of the child processes; seen there as `core.trial_jobs`."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.common.errors import EspalierError
from core.machine.jobs import JobContext

Progress = Callable[[float, str], None]


def echo(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress(0.25, "a quarter")
    progress(1.0, "all")
    return {"arguments": arguments, "pid": os.getpid()}


def pollute(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Writes to standard output in every way that a library may."""
    sys.stdout.write('{"id": 1, "result": {"forged": true}}\n')
    sys.stdout.flush()
    os.write(1, b"straight to the descriptor\n")
    subprocess.run(["echo", "from a grandchild"], check=True)
    ctypes.CDLL(None).puts(b"from C")
    sys.stderr.write("to standard error\n")
    return {"stdin": sys.stdin.read()}


def modules(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"torch": "torch" in sys.modules, "pydantic": "pydantic" in sys.modules}


def import_torch(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    import torch

    return {"version": torch.__version__}


def import_onnxruntime(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    import onnxruntime

    return {"version": onnxruntime.__version__, "torch": "torch" in sys.modules}


def environment(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {name: os.environ.get(name) for name in arguments["names"]}


def expected_failure(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise EspalierError("Expected a pear, received a plum.", "Plant a pear.", "the roots")


def unexpected_failure(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"never": 1 / 0}


def no_memory(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise MemoryError


def not_plain(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"thing": object()}


def segfault(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os.write(1, b"just before the crash\n")
    ctypes.string_at(0)
    return {}


def kill_self(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    return {}


def exit_with(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os._exit(arguments["code"])


def sleep(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress(0.1, "sleeping")
    time.sleep(arguments["seconds"])
    return {}


def multiply(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A matrix product of minutes: one native call."""
    import numpy as np

    big = np.ones((7_000, 7_000))
    progress(0.1, "multiplying")
    return {"sum": float((big @ big).sum())}


def grandchild(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    progress(1.0, str(other.pid))
    time.sleep(60)
    return {}


def _hidden(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {}


def count_until_stopped(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Sends numbers; ends by itself when it is asked to, and leaves a file behind."""
    for number in range(10_000):
        context.send_part({"number": number})
        time.sleep(0.01)
        if context.control.stopping:
            Path(arguments["file"]).touch()
        context.control.checkpoint()
    return {}
