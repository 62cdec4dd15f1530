"""Jobs of the children: open a model in a runtime, warm it up, time it, weigh it, close it.

What is common to all runtimes; each of them has its own file in `runtimes`. `b` images in a
batch, `c` channels, `s` pixels a side.
"""

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from core.common.logs import in_a_line
from core.machine.interruptions import Runs, Timed, Watch, unwatched
from core.machine.jobs import ProgressCallback, quick
from core.profiling.preparing import preparer
from core.profiling.runtimes import DEFAULT, RUNTIMES, Run, Runtime, Session, Settings, runtime
from core.profiling.runtimes.onnxruntime_cpu import OnnxSession, open_session

_log = logging.getLogger(__name__)

__all__ = [
    "bound",
    "chosen",
    "describe",
    "memory",
    "missing",
    "noise",
    "open_session",
    "opened",
    "paced_runs",
    "peak_bytes",
    "release",
    "time_block",
    "timed",
    "timed_runs",
    "warm_up",
]

_WINDOW = 5  # runs whose median is compared with the window before it
_WARM_SECONDS = 0.03  # at least this long
_WARM_LIMIT = 1.0  # and not longer than this, once it ran twice
_WARM_AGREEMENT = 0.03
_TURN = 0.005  # seconds of a model's runs between two runs of the reference
_TURN_LIMIT = 0.05  # where they are interrupted
_REFERENCE_RUNS, _REFERENCE_LIMIT = 4, 0.05
_HOPELESS = 20  # runs


@quick
def missing(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: why runtimes cannot run here.

    Args (as plain data): runtimes, ids of those that belong into this process.

    Returns: missing, a sentence by id; empty where the runtime works.
    """
    return {"missing": {name: RUNTIMES[name].missing() for name in arguments["runtimes"]}}


@quick
def describe(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: what a model takes.

    Args (as plain data): model, runtime and the settings as for `time_block`.

    Returns: shape, [b, c, s, s] with None where any size goes; about, what the file says of itself.

    Raises:
        EspalierError: when the model cannot be opened or takes no images.
    """
    with opened(arguments) as session:
        return {"shape": list(session.shape), "about": dict(session.about)}


@quick
def time_block(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: one block of timed runs in a session of its own.

    Args (as plain data):
        model: .onnx file or checkpoint folder. runtime: id; ONNX Runtime on the processor unless given.
        threads, device, precision: see `runtimes.Settings`.
        sample: .npy, float32 [1, c, s, s]; without it noise of `shape` [c, s, s], or of the model's own.
        batch: 1 unless given; the sample is repeated.
        prepare: a decoded image [h, w] in pixels and `preprocess`, which is timed with every run (batch 1).
        runs: at least this many timed runs. seconds: at least this long.
        limit: no run starts after this many seconds of timed runs, once 5 are done.
        warm_limit: the warm-up ends after this many seconds; 1 unless given.
        reference, usual: the machine's pace is taken, see `core.profiling.pace`.

    Returns: as `timed`; open_seconds (until the first answer), device (peak bytes on a GPU, or None).

    Raises:
        EspalierError: when the model cannot be opened or does not take the sample.
    """
    started = time.perf_counter()
    with opened(arguments) as session:
        run = bound(session, arguments)
        ready = time.perf_counter() - started
        alone = chosen(arguments)[1].threads == 1 and session.gpu is None
        times, peak = timed(run, arguments, alone), session.device_peak()
        del run
    gc.collect()
    return {**times, "open_seconds": ready, "device": peak}


def timed(run: Callable[[], object], arguments: dict[str, Any], alone: bool) -> dict[str, Any]:
    """A block of timed runs, warmed up and without garbage collection.

    Args:
        arguments: runs, seconds, limit, warm_limit, reference, usual as for `time_block`.
        alone: whether one thread computes, on a processor.

    Returns: seconds (one figure a timed run that nobody interrupted, at the machine's usual pace where that is to be
        taken), disturbed ([by the wall clock, on a processor] seconds of each that somebody did), pace (the machine's
        meanwhile as a share of the usual, or None), warm_runs, settled.
    """
    lasting = int(arguments["runs"]), float(arguments["seconds"]), float(arguments["limit"])
    with Watch(alone) as watch:
        warm_runs, settled = warm_up(run, float(arguments.get("warm_limit", _WARM_LIMIT)), watch.timed)
        if "reference" not in arguments:
            with _no_collection():
                runs, pace = timed_runs(run, *lasting, timed=watch.timed), None
        else:
            reference = _reference(Path(arguments["reference"]))
            warm_up(reference, _WARM_SECONDS, watch.timed)
            with _no_collection():
                usual = float(arguments["usual"])
                runs, pace = paced_runs(run, reference, usual, *lasting, timed=watch.timed)
    return {
        "seconds": runs.whole,
        "disturbed": runs.disturbed,
        "pace": pace,
        "warm_runs": warm_runs,
        "settled": settled,
    }


def _reference(path: Path) -> Run:
    """A call that runs the reference of `core.profiling.pace` once, on one thread."""
    session = OnnxSession(open_session(path, 1))
    return session.bind(noise(tuple(side or 1 for side in session.shape[1:])))


@quick
def release(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: let go of what a runtime kept between blocks. Args (as plain data): runtime."""
    runtime(arguments["runtime"]).release()
    gc.collect()
    return {}


@quick
def memory(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job, for a fresh process: peak memory before and after two batches.

    Args (as plain data): model, runtime, sample or shape, threads, batch as for `time_block`.

    Returns: before and after in bytes of resident memory: the peak once the runtime's library and the
        sample are loaded, and the peak once the session is open and has run twice; device, the peak
        bytes on a GPU, or None.
    """
    chosen(arguments)[0].load()
    if "sample" in arguments:
        np.load(arguments["sample"])
    gc.collect()
    reset_peak()
    before = peak_bytes()
    with opened(arguments) as session:
        run = bound(session, arguments)
        run()
        run()
        return {"before": before, "after": peak_bytes(), "device": session.device_peak()}


def chosen(arguments: dict[str, Any]) -> tuple[Runtime, Settings]:
    """The runtime that a job's arguments ask for, and what is left of the settings in it.

    Raises:
        EspalierError: there is no such runtime.
    """
    selected = runtime(arguments.get("runtime", DEFAULT))
    settings = Settings(
        int(arguments.get("threads", 1)),
        arguments.get("device", "cpu"),
        arguments.get("precision", "float32"),
    )
    return selected, selected.settings(settings)


@contextmanager
def opened(arguments: dict[str, Any]) -> Iterator[Session]:
    """The session that a job's arguments ask for.

    Raises:
        EspalierError: when the model cannot be opened.
    """
    selected, settings = chosen(arguments)
    with selected.open(Path(arguments["model"]), settings) as session:
        yield session


def bound(session: Session, arguments: dict[str, Any]) -> Run:
    """A call that runs the session once on the images that the arguments describe."""
    if "sample" in arguments:
        single = np.load(arguments["sample"])
    else:
        single = noise(tuple(arguments.get("shape") or (side or 1 for side in session.shape[1:])))
    images = np.repeat(single, int(arguments.get("batch", 1)), axis=0)
    run = session.bind(images)
    if "prepare" not in arguments:
        return run
    return _with_preparing(run, images, arguments["prepare"])


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """The seeded image that models are timed on where there is none: float32 [1, *shape]."""
    return np.random.default_rng(20_261_121).standard_normal((1, *shape)).astype(np.float32)


def _with_preparing(run: Run, images: np.ndarray, arguments: dict[str, Any]) -> Run:
    """Every run first makes its input [1, c, s, s] out of a decoded image."""
    height, width = arguments["image"]
    decoded = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    prepare = preparer(arguments["preprocess"])

    def prepared() -> object:
        images[0] = prepare(decoded)
        return run()

    return prepared


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside, whose pauses are not the model's."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def warm_up(
    run: Callable[[], object], limit: float = _WARM_LIMIT, timed: Timed = unwatched
) -> tuple[int, bool]:
    """Run until the medians of the last three windows agree, or the limit in seconds is reached.

    Returns: how many runs that took, and whether they agreed.
    """
    windows: list[float] = []
    runs = 0
    started = time.perf_counter()
    while True:
        window = timed_runs(run, _WINDOW, 0.0, limit, 2, timed)
        runs += len(window)
        windows.append(median(window.own))
        spent = time.perf_counter() - started
        last = windows[-3:]
        settled = len(last) == 3 and max(last) - min(last) <= _WARM_AGREEMENT * min(last)
        if (settled and spent >= _WARM_SECONDS) or spent >= limit:
            return runs, settled


def timed_runs(
    run: Callable[[], object],
    runs: int,
    seconds: float,
    limit: float,
    least: int = 5,
    timed: Timed = unwatched,
) -> Runs:
    """Until at least `runs` runs that nobody interrupted last at least `seconds` together.

    It ends with what it has after `limit` seconds, once that is `least` runs, and where the first `_HOPELESS` were all
    interrupted.
    """
    clock = time.perf_counter
    times = Runs()
    started, spent = clock(), 0.0
    while True:
        spent += times.take(*timed(run))
        if len(times.whole) >= runs and spent >= seconds:
            return times
        if (len(times) >= least and clock() - started >= limit) or _hopeless(times):
            return times


def paced_runs(
    run: Callable[[], object],
    reference: Callable[[], object],
    usual: float,
    runs: int,
    seconds: float,
    limit: float,
    timed: Timed = unwatched,
) -> tuple[Runs, float | None]:
    """As `timed_runs`, in turns of some milliseconds with the reference, at the machine's usual pace.

    What disturbs for longer than such a turn slows both alike. Short runs begin each turn with one that does not
    count, because the other has been in the caches.

    Args:
        usual: seconds that the reference usually takes.

    Returns: seconds of each run × pace around it, and the median pace as a share of the usual, None where no turn had
        one.
    """
    times, paces = Runs(), list[float]()
    started, spent, brief = time.perf_counter(), 0.0, False

    def beside() -> float | None:
        """Seconds of the reference now; None where hardly one of its runs was left whole."""
        reference()
        whole = timed_runs(reference, _REFERENCE_RUNS, 0.0, _REFERENCE_LIMIT, timed=timed).whole
        return median(whole) if len(whole) > 1 else None

    before = beside()
    while not (len(times.whole) >= runs and spent >= seconds):
        if (len(times) >= 5 and time.perf_counter() - started >= limit) or _hopeless(times):
            break
        if brief:
            run()
        turn = timed_runs(run, 1, _TURN, _TURN_LIMIT, 1, timed)
        brief = min(turn.own) < _TURN / 4
        after = beside()
        pace = 2 * usual / (before + after) if before and after else None
        times.add(turn, pace)
        paces += [pace] if pace is not None else []
        spent, before = spent + sum(turn.whole), after
    return times, median(paces) if paces else None


def _hopeless(times: Runs) -> bool:
    """Whether so many runs were interrupted, and none left whole, that more of them would be no better."""
    return not times.whole and len(times) >= _HOPELESS


def reset_peak() -> None:
    """Let the peak begin anew where the system can (Linux); elsewhere it stays what it was."""
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError as error:
            _log.debug("The peak of memory does not begin anew: %s", in_a_line(error))


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
