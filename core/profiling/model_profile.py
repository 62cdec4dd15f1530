"""The profile of one model in one or many runtimes: what `espalier profile` measures.

Any ONNX image classifier, also one that Espalier did not make, or a checkpoint, or both of one stage. The input
is noise of the shape that the model says; the scope is the model only, with a second figure that begins at a decoded image.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.temporary import temporary_folder
from core.data.preprocess import IMAGENET, Preprocess
from core.machine.child import Child
from core.machine.fingerprint import fingerprint, usable_cores
from core.machine.jobs import ProgressCallback
from core.machine.measuring_lock import measuring_alone
from core.profiling import PROTOCOL_VERSION, per_layer, session
from core.profiling.counting import count
from core.profiling.energy import CORE_WATTS, energy, estimated, measured
from core.profiling.latency import (
    BATCH,
    change,
    device_memory,
    forward,
    latency_metrics,
    measure_memory,
    prepared,
    size,
    throughput,
    weights,
)
from core.profiling.pace import MeasurementStore, Pace, pace_of
from core.profiling.protocol import Benchmark, Budget, measure
from core.profiling.runtimes import DEFAULT, RUNTIMES, Runtime
from core.profiling.runtimes.base import count_threads
from core.profiling.throughput import BATCHES, Grid, measure_grid
from core.records.reports import Metric

_PHOTO = (375, 500)  # height and width in pixels, the usual ones of ImageNet's images
_SMALL = 64  # pixels; networks up to this size are fed images of their own size
OPEN_SIZE = 224  # pixels a side, for models that take any size


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in the forms that there are of it.

    Attributes:
        onnx: its file. checkpoint: the folder of its network.
    """

    name: str
    onnx: Path | None = None
    checkpoint: Path | None = None

    def path(self, runtime: Runtime) -> Path | None:
        """What that runtime runs."""
        return self.onnx if runtime.takes == "onnx" else self.checkpoint


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure.

    Attributes:
        runtimes: ids; of those that cannot run here, the reason stands in the result.
        threads, batches: every pair of them; without both: one image on one thread, on all cores, and batches
            of 32 on all cores.
        size: pixels a side, for models that take any.
        core_watts: power of one busy core, for energy where it is not counted.
    """

    subject: Subject
    against: Subject | None = None
    runtimes: tuple[str, ...] = (DEFAULT,)
    threads: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    size: int = OPEN_SIZE
    per_layer: bool = False
    grid: bool = False
    core_watts: float = CORE_WATTS
    budget: Budget = field(default_factory=Budget)

    def pairs(self) -> list[tuple[int, int]]:
        """(threads, batch), the headline first."""
        cores = usable_cores()
        if not self.threads and not self.batches:
            return list(dict.fromkeys([(1, 1), (cores, 1), (cores, BATCH)]))
        return [(t, b) for b in self.batches or (1,) for t in self.threads or (1,)]


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """Figures of one number of threads and one batch size; `change` is against the other model."""

    threads: int
    batch: int
    metrics: dict[str, Metric]
    change: dict[str, Metric]


@dataclass(slots=True)
class RuntimeProfile:
    """A model in one runtime.

    Attributes:
        missing: why it could not be measured; the rest is empty then.
        metrics: what does not depend on threads and batch: memory_mb, energy_mj, power_w,
            latency_ms_prepared (from a decoded image on), ready_s.
    """

    id: str
    label: str
    missing: str = ""
    lines: list[ProfileRow] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    grid: Grid | None = None


@dataclass(slots=True)
class ModelProfile:
    """Everything that was measured of a model.

    Attributes:
        shape: [c, s, s] that was run. facts: size_mb, weights_mb, params, macs.
        layers: what `core.profiling.per_layer` found, or None.
    """

    name: str
    against: str
    shape: list[int]
    facts: dict[str, Metric]
    runtimes: list[RuntimeProfile]
    layers: dict[str, Any] | None
    machine: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        plain = asdict(self, dict_factory=_plain)
        return {**plain, "input": "random", "protocol": PROTOCOL_VERSION}


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    def value(each: Any) -> Any:
        if isinstance(each, Metric):
            return each.model_dump()
        return {name: value(one) for name, one in each.items()} if isinstance(each, dict) else each

    return {name: value(each) for name, each in pairs}


def profile_model(
    request: Request,
    measurements: MeasurementStore | None = None,
    control: RunControl | None = None,
    on_progress: ProgressCallback | None = None,
) -> ModelProfile:
    """Measure a model.

    Args:
        measurements: of this machine, from which its pace is known; None gives times as they are.

    Raises:
        EspalierError: when the model, or what it is compared with, cannot be opened, or no runtime runs it.
        Stopped: a person asked to stop.
    """
    with ExitStack() as stack:
        job = _Job(request, measurements, control, on_progress or (lambda fraction, text: None), stack)
        return job.run()


class _Job:
    """One request on its way; the children are started when they are first needed."""

    def __init__(
        self,
        request: Request,
        measurements: MeasurementStore | None,
        control: RunControl | None,
        tell: ProgressCallback,
        stack: ExitStack,
    ):
        self.request, self.control, self._tell, self._stack = request, control, forward(tell), stack
        self._measurements = measurements
        self._last_pace: float | None = None
        self._children: dict[str, Child] = {}

    def run(self) -> ModelProfile:
        request = self.request
        chosen = [RUNTIMES[name] for name in request.runtimes]
        reasons = {runtime.id: self._reason(runtime) for runtime in chosen}
        if all(reasons.values()):
            raise EspalierError(
                f"None of the runtimes can run {request.subject.name} here.", " ".join(reasons.values())
            )
        shape, fixed, preprocess = self._described()
        profiles = []
        for index, runtime in enumerate(chosen):
            start, share = index / len(chosen), 1 / len(chosen)

            def report(part: float, text: str, start: float = start, share: float = share) -> None:
                self._tell(0.95 * (start + share * part), text)

            profile = RuntimeProfile(runtime.id, runtime.label, reasons[runtime.id])
            if not profile.missing:
                try:
                    with measuring_alone(self.control, report):
                        self._measure(runtime, profile, shape, fixed, preprocess, report)
                except EspalierError as error:
                    if len(chosen) == 1:
                        raise
                    profile = RuntimeProfile(
                        runtime.id, runtime.label, f"{error.message} {error.advice}".strip()
                    )
            profiles.append(profile)
        self._tell(0.95, "Counting")
        against = request.against.name if request.against else ""
        facts, layers = self._facts(shape), self._layers(shape)
        self._tell(1.0, "Measured")
        return ModelProfile(request.subject.name, against, shape, facts, profiles, layers, fingerprint())

    @cached_property
    def _pace(self) -> Pace | None:
        """The machine's, where its measurements are known."""
        if self._measurements is None:
            return None
        folder = self._stack.enter_context(temporary_folder())
        return pace_of(self._measurements, folder, self._child("measure"), self.control)

    def _child(self, kind: Any) -> Child:
        if kind not in self._children:
            self._children[kind] = self._stack.enter_context(Child(kind))
        return self._children[kind]

    def _reason(self, runtime: Runtime) -> str:
        """Why a runtime cannot run this model here; empty where it can."""
        for subject in (self.request.subject, self.request.against):
            if subject is not None and subject.path(runtime) is None:
                kinds = {"onnx": "an ONNX file", "checkpoint": "a checkpoint"}
                required = kinds.pop(runtime.takes)
                return f"{runtime.label} runs {required}; of {subject.name} there is only {', '.join(kinds.values())}."
        arguments = {"runtimes": [runtime.id]}
        answer = self._child(runtime.child).call(session.missing, arguments, self.control)
        return str(answer["missing"][runtime.id])

    def _described(self) -> tuple[list[int], int | None, dict[str, Any] | None]:
        """The input's shape [c, s, s], a batch size that the model insists on, and how images are prepared."""
        subject = self.request.subject
        runtime = RUNTIMES[DEFAULT if subject.onnx else "pytorch"]
        path = subject.path(runtime)
        assert path is not None
        benchmark = Benchmark(self._child(runtime.child), path, control=self.control, runtime=runtime)
        description = benchmark.call(session.describe)
        batch, *sides = description["shape"]
        shape = [side or self.request.size for side in sides]
        if sides[0] is None and sides[2] not in (1, 3):  # [c, h, w] with all of them open
            shape[0] = 3
        if "preprocess" in description["about"]:
            return shape, batch, Preprocess.from_json(description["about"]["preprocess"]).as_dict()
        if shape[0] == 3 and shape[1] == shape[2]:
            return shape, batch, Preprocess(shape[1], 3, *IMAGENET).as_dict()
        return shape, batch, None

    def _measure(
        self,
        runtime: Runtime,
        profile: RuntimeProfile,
        shape: list[int],
        fixed: int | None,
        preprocess: dict[str, Any] | None,
        tell: ProgressCallback,
    ) -> None:
        request = self.request
        model, baseline = (
            each.path(runtime) if each is not None else None for each in (request.subject, request.against)
        )
        assert model is not None
        images = {"shape": shape}
        benchmark = Benchmark(
            self._child(runtime.child), model, baseline, images, request.budget, self.control, runtime
        )
        benchmark.tell = lambda _part, text: tell(0.0, text)
        if not benchmark.on_gpu:
            benchmark.pace = self._pace
        pairs = list(dict.fromkeys((t, fixed or b) for t, b in request.pairs()))
        for index, (threads, batch) in enumerate(pairs):
            tell(0.6 * index / len(pairs), f"{runtime.label}: batch {batch}, {count_threads(threads)}")
            profile.lines.append(self._line(benchmark, threads, batch))
        tell(0.6, f"{runtime.label}: energy and memory")
        profile.metrics = self._beside(
            benchmark, profile.lines[0], preprocess if fixed in (None, 1) else None
        )
        profile.metrics["memory_mb"] = (
            device_memory(benchmark)
            if benchmark.on_gpu
            else measure_memory(
                model, images, None, self.control, request.budget.memory_processes, runtime.id, fixed or 1
            )
        )
        if request.grid:
            batches = [fixed] if fixed else request.batches or BATCHES
            counts = request.threads or _powers(usable_cores())
            report = lambda part, text: tell(0.7 + 0.3 * part, f"{runtime.label}: {text}")  # noqa: E731
            profile.grid = measure_grid(replace(benchmark, pace=None), batches, counts, report)
        benchmark.call(session.release)

    def _line(self, benchmark: Benchmark, threads: int, batch: int) -> ProfileRow:
        block, compare = benchmark.blocks(threads, batch, fresh=True), benchmark.baseline is not None
        timing = measure(block, compare, self.request.budget, wait=benchmark.wait)
        if benchmark.pace is not None:  # the processor's pace is not a GPU's
            timing = timing.at(self._last_pace)
            self._last_pace = timing.pace
        metrics = latency_metrics(timing, benchmark.words(threads), batch)
        metrics["throughput"] = throughput(timing, benchmark.words(threads), batch)
        return ProfileRow(
            threads, batch, metrics, {**change("latency_ms", timing), **change("throughput", timing)}
        )

    def _beside(
        self, benchmark: Benchmark, headline: ProfileRow, preprocess: dict[str, Any] | None
    ) -> dict[str, Metric]:
        """Energy, the figure with preprocessing, and how long it takes until the first answer."""
        request, threads = self.request, headline.threads
        metrics = {
            "ready_s": Metric(
                value=benchmark.ready_seconds,
                unit="s",
                n=1,
                how="from opening the model to its first answer, at most",
            )
        }
        reading = benchmark.call(energy) if headline.batch == 1 else {}
        on_gpu = benchmark.on_gpu
        if reading:
            metrics |= measured(reading)
        elif headline.batch == 1 and threads == 1 and not on_gpu:
            metrics |= estimated(headline.metrics["latency_ms"], request.core_watts)
        else:
            why = "not available: no energy counter can be read, and a power is stated for one image on one thread only"
            metrics["energy_mj"] = Metric(value=None, unit="mJ", how=why)
        metrics["latency_ms_prepared"] = self._prepared(benchmark, threads, preprocess, on_gpu)
        return metrics

    def _prepared(
        self, benchmark: Benchmark, threads: int, preprocess: dict[str, Any] | None, on_gpu: bool
    ) -> Metric:
        """The latency that begins at a decoded image in memory."""
        if preprocess is None or on_gpu:
            why = (
                "on a GPU only the model is timed"
                if on_gpu
                else "the file does not say how images are prepared"
            )
            return Metric(value=None, unit="ms", how=f"not available: {why}")
        height, width = _PHOTO if preprocess["size"] > _SMALL else (preprocess["size"],) * 2
        prepare = {"image": [height, width], "preprocess": preprocess}
        return prepared(benchmark, prepare, self.request.budget, threads)

    def _facts(self, shape: list[int]) -> dict[str, Metric]:
        """What lies in the file: size, weights, parameters, MACs."""
        onnx = self.request.subject.onnx
        if onnx is None:
            return {}
        child = self._child("measure")
        arguments = {"model": str(onnx), "input_size": shape[1]}
        counted = child.call(count, arguments, self.control)
        how = "counted on the graph: convolutions and matrix products"
        if counted["uncounted"]:
            how += f"; {len(counted['uncounted'])} nodes not counted, such as {' ('.join(counted['uncounted'][0])})"
        return {
            "size_mb": size(onnx, _beside(onnx)),
            "weights_mb": weights(child, onnx, self.control),
            "params": Metric(value=counted["params"], how="weights in the file"),
            "macs": Metric(value=counted["macs"], how=how),
        }

    def _layers(self, shape: list[int]) -> dict[str, Any] | None:
        onnx = self.request.subject.onnx
        if not self.request.per_layer:
            return None
        if onnx is None:
            raise EspalierError(
                "Layers are timed in the exported file, and there is none here.",
                "Name an ONNX file, or a stage as RUN:STAGE.",
            )
        self._tell(0.97, "Timing every layer")
        arguments = {"model": str(onnx), "input_size": shape[1]}
        with measuring_alone(self.control):
            return self._child("measure").call(per_layer.profile, arguments, self.control)


def _beside(model: Path) -> list[Path]:
    """The files beside a model that hold its weights."""
    from core.onnx_graph.reading import files_beside, read_onnx

    return [model.parent / name for name in files_beside(read_onnx(model, weights=False))]


def _powers(cores: int) -> Sequence[int]:
    """1, 2, 4, … and all cores."""
    return sorted({1 << n for n in range(cores.bit_length()) if 1 << n <= cores} | {cores})
