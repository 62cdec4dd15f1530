"""Jobs of the measuring child: open a session, warm it up, time it, weigh it, close it.

NumPy and ONNX Runtime only. A session computes on the CPU with every graph optimisation, as many
threads as asked inside an operator, one across operators, and no spinning threads, so that what
is timed does not depend on what idles beside it. `b` images in a batch, `s` pixels a side.
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from core.child_server import ProgressCallback
from core.errors import EspalierError

if TYPE_CHECKING:
    import onnxruntime as ort

_WINDOW = 5  # runs whose median is compared with the window before it
_WARM_SECONDS = 0.03  # at least this long
_WARM_LIMIT = 1.0  # and not longer than this, or three windows where those take longer
_WARM_AGREEMENT = 0.03


def time_block(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: one block of timed runs in a session of its own.

    Args (as plain data):
        model: .onnx file. sample: .npy, float32 [1, c, s, s]. batch: 1 unless given; the sample is
            repeated. threads: inside an operator.
        runs: at least this many timed runs. seconds: at least this long.
        limit: no run starts after this many seconds of timed runs, once 5 are done.

    Returns: seconds (one figure a timed run), warm_runs, settled (whether the warm-up settled),
        open_seconds (opening the session).

    Raises:
        EspalierError: when the session cannot be opened or does not take the sample.
    """
    started = time.perf_counter()
    session = open_session(Path(arguments["model"]), int(arguments["threads"]))
    opened = time.perf_counter() - started
    run = bound_run(session, Path(arguments["sample"]), int(arguments.get("batch", 1)))
    warm_runs, settled = warm_up(run)
    collecting = gc.isenabled()
    gc.disable()
    try:
        seconds = timed_runs(
            run, int(arguments["runs"]), float(arguments["seconds"]), float(arguments["limit"])
        )
    finally:
        if collecting:
            gc.enable()
    del run, session
    gc.collect()
    return {"seconds": seconds, "warm_runs": warm_runs, "settled": settled, "open_seconds": opened}


def memory(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job, for a fresh process: peak resident memory before and after one image.

    Args (as plain data): model, sample, threads as for `time_block`.

    Returns: before and after in bytes: the peak once ONNX Runtime and the sample are loaded, and
        the peak once the session is open and has run a batch of 1 twice.
    """
    import onnxruntime  # noqa: F401  its own weight is not the model's

    sample = Path(arguments["sample"])
    np.load(sample)
    gc.collect()
    reset_peak()
    before = peak_bytes()
    session = open_session(Path(arguments["model"]), int(arguments["threads"]))
    run = bound_run(session, sample, 1)
    run()
    run()
    return {"before": before, "after": peak_bytes()}


def open_session(model: Path, threads: int) -> "ort.InferenceSession":
    """A session on the CPU; see the module's text for its settings.

    Raises:
        EspalierError: when ONNX Runtime cannot open the file.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EspalierError(
            f"ONNX Runtime could not open {model.name} to measure it.",
            "The details say what it missed; export the model again or with another precision.",
            str(error),
        ) from error


def bound_run(session: "ort.InferenceSession", sample: Path, batch: int) -> Callable[[], None]:
    """A call that runs the session once on the sample, repeated to `batch` images in memory.

    Raises:
        EspalierError: when the session does not take that shape.
    """
    entry = session.get_inputs()[0]
    images = np.repeat(np.load(sample), batch, axis=0)
    kind = np.float16 if entry.type == "tensor(float16)" else np.float32
    feed = {entry.name: np.ascontiguousarray(images, dtype=kind)}
    names = [output.name for output in session.get_outputs()]

    def run() -> None:
        session.run(names, feed)

    try:
        run()
    except Exception as error:
        raise EspalierError(
            f"The model takes images of shape {entry.shape}, the measurement gave {list(images.shape)}.",
            "Only models with an open batch size can be measured in batches.",
            str(error),
        ) from error
    return run


def warm_up(run: Callable[[], None]) -> tuple[int, bool]:
    """Run until the medians of the last three windows agree, or the limit is reached.

    Returns: how many runs that took, and whether they agreed.
    """
    windows: list[float] = []
    started = time.perf_counter()
    while True:
        windows.append(median(timed_runs(run, _WINDOW, 0.0, _WARM_LIMIT)))
        spent = time.perf_counter() - started
        last = windows[-3:]
        settled = len(last) == 3 and max(last) - min(last) <= _WARM_AGREEMENT * min(last)
        if (settled and spent >= _WARM_SECONDS) or (len(windows) >= 3 and spent >= _WARM_LIMIT):
            return len(windows) * _WINDOW, settled


def timed_runs(run: Callable[[], None], runs: int, seconds: float, limit: float) -> list[float]:
    """Seconds of each of at least `runs` runs that last at least `seconds` together.

    After `limit` seconds it ends with what it has, once that is 5 runs.
    """
    clock = time.perf_counter
    found: list[float] = []
    started = clock()
    while True:
        before = clock()
        run()
        after = clock()
        found.append(after - before)
        spent = after - started
        if (len(found) >= runs and spent >= seconds) or (len(found) >= 5 and spent >= limit):
            return found


def reset_peak() -> None:
    """Let the peak begin anew where the system can (Linux); elsewhere it stays what it was."""
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return


def peak_bytes() -> int:
    """This process's largest resident memory so far, in bytes.

    On Linux from /proc, because getrusage hands a parent's peak down to its children.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
