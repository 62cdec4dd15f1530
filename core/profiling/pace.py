"""The machine's pace: how fast it is now, as a share of how fast it usually is.

Processors change their clock and machines share them, so that a latency is true for the seconds in which it was
measured: ResNet-20's moved by 10 % within four minutes where this was written, on a machine that did nothing else.
Therefore the runs of a network take turns, every few milliseconds, with those of a *reference*, a small network that
is the same everywhere, and times are given at the machine's usual pace: time × usual time of the reference ÷ time of
the reference around it. The reference's usual time is measured once a machine and remembered with the other
measurements.

Measured there, 518 rounds within 240 s, network and a reference after each other: medians of 8 rounds lay between 0.94 and
1.22 of the median of all as they were timed, between 0.99 and 1.04 at the usual pace; their 99 % intervals contained the
median of all in 64 % and in 100 %. In turns of milliseconds the rounds of a disturbed machine scatter half as much (4
instead of 9 %). Of four references this one slows down most like ResNet-20 and ResNet-18 do.

What it does badly: it corrects what slows every network alike. One that waits for memory suffers otherwise than the
reference, which lies in the processor's caches (MobileNetV2 at 64 × 64 moved by 20 % and still by 15 % at the usual pace),
and several threads otherwise than one. Several threads are not timed in turns with it: those that slept
meanwhile woke slowly (INT8 ResNet-50 on two threads, 5.1 times faster than float32, was 4.6 times faster in turns), and threads
that stay awake would take the reference's core. Their times
are taken to the usual pace by the one that was taken with one thread shortly before.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from core.machine.jobs import ProgressCallback, quick
from core.profiling.runtimes import DEFAULT
from core.profiling.session import time_block

if TYPE_CHECKING:
    from core.common.control import RunControl
    from core.machine.child import Child

_log = logging.getLogger(__name__)

_VERSION = 1  # of the reference
_SIDE, _CHANNELS, _BLOCKS = 32, 16, 5
# The usual time: of so many sessions within two seconds the one at this quantile; processors raise their clock for a second.
_SESSION = {"threads": 1, "runs": 20, "seconds": 0.1, "limit": 1.0, "warm_limit": 0.1}
_SESSIONS, _SHARE = 12, 0.25
_TRIES = 4  # times as many sessions, where hardly a run of one is left whole


class MeasurementStore(Protocol):
    """Measurements of this machine, by what was measured (`core.runs.cache.Measurements`)."""

    def get_or_measure(
        self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> tuple[dict[str, Any], bool]: ...


class _TooBusy(Exception):
    """Hardly a run of the reference was left whole."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The reference, and what one image in it usually takes here on one thread.

    Attributes:
        reference: its .onnx file. usual: seconds.
    """

    reference: Path
    usual: float

    def as_plain(self) -> dict[str, Any]:
        """As `core.profiling.session.timed` takes it."""
        return {"reference": str(self.reference), "usual": self.usual}


def pace_of(
    measurements: MeasurementStore, folder: Path, child: "Child", control: "RunControl | None" = None
) -> Pace | None:
    """This machine's pace; None while it is so busy that its usual time cannot be taken.

    Args:
        measurements: what is known of this machine; the usual time is taken now where it is not.
        folder: where the reference is written. child: one that has ONNX Runtime.

    Raises:
        Stopped: a person asked to stop.
    """
    path = folder / "reference.onnx"
    child.call(write, {"path": str(path)}, control)

    def sessions() -> Iterator[float]:
        """Median seconds of sessions of which enough runs were left whole."""
        for _ in range(_TRIES * _SESSIONS):
            arguments = {"model": str(path), "runtime": DEFAULT, **_SESSION}
            whole = child.call(time_block, arguments, control)["seconds"]
            if len(whole) >= _SESSION["runs"] / 2:
                yield float(np.median(whole))

    def take() -> dict[str, Any]:
        """The faster sessions: a machine that is disturbed while the time is taken would look fast ever after."""
        seconds = list(islice(sessions(), _SESSIONS))
        if len(seconds) < _SESSIONS / 2:
            raise _TooBusy
        return {"seconds": float(np.quantile(seconds, _SHARE))}

    try:
        usual, _ = measurements.get_or_measure({"pace": _VERSION}, take)
    except _TooBusy:
        _log.warning(
            "The machine is too busy to find out how fast it usually is: times are given as they are."
        )
        return None
    return Pace(path, usual["seconds"])


@quick
def write(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: write the reference: five residual blocks of two 3 × 3 convolutions with 16 channels, on one image of 32 × 32.

    Args (as plain data): path.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    numbers = np.random.default_rng(_VERSION)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def convolved(entry: str, inputs: int, scale: float) -> str:
        name = f"sum{len(weights)}"
        values = numbers.standard_normal((_CHANNELS, inputs, 3, 3)) * scale / np.sqrt(9 * inputs)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"weight{len(weights)}"))
        nodes.append(helper.make_node("Conv", [entry, weights[-1].name], [name], pads=[1, 1, 1, 1]))
        return name

    def rectified(entry: str) -> str:
        nodes.append(helper.make_node("Relu", [entry], [f"{entry}_rectified"]))
        return f"{entry}_rectified"

    stream = rectified(convolved("images", 3, 1.4))
    for _ in range(_BLOCKS):
        inner = convolved(rectified(convolved(stream, _CHANNELS, 1.4)), _CHANNELS, 0.5)
        nodes.append(helper.make_node("Add", [stream, inner], [f"{inner}_added"]))
        stream = rectified(f"{inner}_added")
    shapes = {"images": [1, 3, _SIDE, _SIDE], stream: [1, _CHANNELS, _SIDE, _SIDE]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "reference", ends[:1], ends[1:], weights)
    onnx.save(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]),
        arguments["path"],
    )
    return {}
