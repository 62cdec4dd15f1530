"""Predicted latencies: from tables of layer times that this machine has measured, or will."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.keys import make_key
from core.common.temporary import temporary_folder
from core.machine.child import Child
from core.machine.jobs import ProgressCallback
from core.models.forecast import Build, Forecast, TimedNetwork
from core.profiling.latency_table import LatencyTable, Shape
from core.runs.cache import Measurements
from core.runs.home import Home
from core.whatif.network_timer import NetworkTimer, table_key, unfolded

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A network whose layers this machine has not timed yet; `key` tells it from others."""

    key: str
    build: Build


def build_of(shape: "ImageClassifier", size: int, subject: Callable[[], TimedNetwork]) -> Build:
    """What has to be timed for a network; `shape` is it without numbers, `subject` makes it with some."""
    return Build(table_key(unfolded(shape), size), lambda: _unfolded(subject()))


def _unfolded(subject: TimedNetwork) -> TimedNetwork:
    return replace(subject, model=unfolded(subject.model))


@dataclass(slots=True)
class Latencies:
    """Tables by build, and those that are missing.

    Attributes:
        missing: by key, what the last answers lacked.
    """

    memory: Measurements
    missing: dict[str, Unmeasured] = field(default_factory=dict)
    _tables: dict[str, LatencyTable] = field(default_factory=dict)

    def table(self, build: Build | None) -> LatencyTable | None:
        """The table of a build, or None where this machine has not measured it."""
        if build is None:
            return None
        key = make_key(build.key)
        if key not in self._tables:
            plain = self.memory.get(build.key)
            if plain is None:
                self.missing[key] = Unmeasured(key, build)
                return None
            self._tables[key] = LatencyTable.from_plain(plain)
        return self._tables[key]

    def with_latency(
        self, forecast: Forecast, build: Build | None, layers: Callable[[], dict[str, Shape]] | None
    ) -> Forecast:
        """The forecast with the latency of a float32 network of these layers, as far as it is known."""
        if build is None or layers is None:
            return forecast
        table = self.table(build)
        if table is None:
            return replace(forecast, measuring=True)
        shapes = layers()
        if not table.knows(shapes):
            return forecast
        prediction = table.predict(shapes)
        return replace(forecast, latency_ms=prediction.milliseconds, latency_error=prediction.error)


def measure(
    home: Home,
    missing: Sequence[Unmeasured],
    control: RunControl | None = None,
    on_progress: ProgressCallback | None = None,
) -> list[str]:
    """Time the layers of these networks; what is found is remembered for this machine.

    Returns: why networks could not be timed, a sentence each.

    Raises:
        Stopped: a person asked to stop; what was finished is kept.
    """
    report_progress = on_progress or (lambda done, text: None)
    refused = []
    with temporary_folder() as folder, Child("tool") as tool:
        timer = NetworkTimer(tool, Measurements(home.cache / "measurements"), folder, control)
        for number, unmeasured in enumerate(missing):

            def part(done: float, text: str, number: int = number) -> None:
                report_progress((number + done) / len(missing), text)

            try:
                timer.table(unmeasured.build.timed(), part)
            except EspalierError as error:
                refused.append(error.message)
    return refused
