"""The timing protocol: blocks of runs, alternating, until they say enough.

A measurement is a row of *blocks*: each opens a session of its own in a child process, warms it up,
times some 30 runs and closes it. Two models that are compared take turns (A B, B A, A B, …) and never
have sessions open together. Measuring goes on until the interval is narrow or the budget is spent: on a
noisy machine it takes longer, and where that does not help the figure says so.

A timed run counts only when nobody interrupted it (`core.machine.interruptions`). A round in which hardly a run was
left whole does not count either: measuring waits, up to `Budget.patience`, for the machine to become quieter. Where it
does not, the figure is a range, and no change is stated.

Latencies drift: the headline's rounds each have a process of their own, and figures are given at the machine's
usual pace (`core.profiling.pace`).

Measured here: two sessions alive together, two threads each, made ratios of a file against itself
of 0.60 to 1.67; blocks with one session each 0.99 to 1.02.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.common.control import RunControl
from core.machine.child import Child
from core.machine.fingerprint import fingerprint
from core.machine.jobs import Job, ProgressCallback
from core.machine.measuring_lock import WAITING, patience
from core.profiling.pace import Pace
from core.profiling.runtimes import DEFAULT, RUNTIMES, Runtime, Settings
from core.profiling.session import time_block
from core.profiling.statistics import Interval, median_interval, ratio_interval, relative_half_width

Which = Literal["baseline", "candidate"]
_WARM_SECONDS = 1.0  # at most
_WHOLE = 3  # runs that have to be left whole in a block
_PAUSE, _LOOK = (
    2.0,
    0.1,
)  # seconds of the first pause while the machine is busy; how often a wish to stop is heard
_BRIEFLY, _HOLDS = 4.0, 600.0  # seconds to wait where that was in vain before, and for how long that is so
_PATIENCE = 60.0  # seconds
_vain_waits: list[float] = []  # when waiting ended in vain, in this process
_WARM_BRIEFLY = 0.1  # batches, whose runs are long, and networks that ran in this process before


@dataclass(frozen=True, slots=True)
class Budget:
    """How long and how exactly to measure.

    Attributes:
        blocks: blocks of each file at least; 8 are needed for a 99 % interval of a median.
        most_blocks: and at most.
        few_blocks: enough once `limit` seconds are spent: large models.
        runs: timed runs in a block at least. block_seconds: a block's timed runs last at least
            this long. block_limit: and no run starts after this, once 5 are done.
        width: half the interval's width, as a share, at which measuring ends.
        seconds: after this no block beyond `blocks` begins. limit: see `few_blocks`.
        patience: seconds to wait at most, all together, while the machine is too busy to measure, 60 unless the environment
            variable ESPALIER_PATIENCE says otherwise; fewer where that was in vain a short while ago.
        memory_processes: fresh processes that memory is measured in.
    """

    blocks: int = 8
    most_blocks: int = 32
    few_blocks: int = 4
    runs: int = 30
    block_seconds: float = 0.05
    block_limit: float = 10.0
    width: float = 0.03
    seconds: float = 10.0
    limit: float = 45.0
    patience: float = field(default_factory=lambda: patience(_PATIENCE))
    memory_processes: int = 3

    def first_half(self) -> "Budget":
        """For a measurement that goes on later: half the blocks, and no more."""
        half = self.blocks // 2
        return replace(
            self, blocks=half, most_blocks=half, few_blocks=min(self.few_blocks, half), limit=self.limit / 2
        )

    def beside(self) -> "Budget":
        """For figures beside the headline: fewer blocks, the same rules."""
        fewer = max(self.few_blocks, 5)
        return replace(
            self, blocks=min(self.blocks, fewer), most_blocks=self.blocks, seconds=self.seconds / 2
        )


@dataclass(frozen=True, slots=True)
class Block:
    """The timed runs of one session.

    Attributes:
        seconds: of each run that nobody interrupted, at the machine's usual pace where its pace was taken.
        pace: the machine's meanwhile, as a share of the usual; None where it was not taken.
        disturbed: [by the wall clock, on a processor] seconds of each run that was interrupted.
    """

    seconds: list[float]
    pace: float | None = None
    disturbed: Sequence[Sequence[float]] = ()

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Block":
        """As `core.profiling.session.timed` answers."""
        seconds = [float(each) for each in answer["seconds"]]
        return cls(seconds, answer["pace"], [tuple(pair) for pair in answer["disturbed"]])

    @property
    def usable(self) -> bool:
        """Whether enough runs were left whole."""
        return len(self.seconds) >= _WHOLE

    @property
    def median(self) -> float:
        """Seconds; of a block that is not usable an estimate from the time that its runs had a processor."""
        return float(
            np.median(self.seconds if self.usable else [*self.seconds, *(own for _, own in self.disturbed)])
        )


TimeBlock = Callable[[Which], Block]


@dataclass(frozen=True, slots=True)
class Timing:
    """Blocks of a file and, block by block beside them, of the baseline (empty without one).

    Attributes:
        wide: whether the budget ended before the interval was as narrow as wanted.
        spoiled: blocks that do not count, because hardly a run of them was left whole.
        busy: whether the machine stayed too busy to measure; the blocks that count are then too few.
        compares: whether a baseline takes turns with the candidate.
    """

    candidate: list[Block]
    baseline: list[Block]
    seconds: float
    wide: bool
    spoiled: list[Block] = field(default_factory=list)
    busy: bool = False
    compares: bool = False

    @property
    def pace(self) -> float | None:
        """The machine's pace while this was measured, as a share of the usual; None where it was not taken."""
        paces = [block.pace for block in self.candidate if block.pace is not None]
        return float(np.median(paces)) if paces else None

    def at(self, pace: float | None) -> "Timing":
        """The same at the machine's usual pace, by a pace that was taken shortly before; itself where its own was taken."""
        if pace is None or self.pace is not None:
            return self

        def paced(blocks: list[Block]) -> list[Block]:
            return [
                Block(
                    [pace * seconds for seconds in block.seconds],
                    pace,
                    [(pace * wall, pace * own) for wall, own in block.disturbed],
                )
                for block in blocks
            ]

        return replace(
            self,
            candidate=paced(self.candidate),
            baseline=paced(self.baseline),
            spoiled=paced(self.spoiled),
        )

    @property
    def runs(self) -> int:
        """Timed runs of the candidate that count; of a machine that was too busy all that there are."""
        if self.busy:
            return sum(
                len(block.seconds) + len(block.disturbed) for block in [*self.candidate, *self.spoiled]
            )
        return sum(len(block.seconds) for block in self.candidate)

    @property
    def interrupted(self) -> float:
        """The share of all timed runs that somebody interrupted."""
        blocks = [*self.candidate, *self.baseline, *self.spoiled]
        disturbed = sum(len(block.disturbed) for block in blocks)
        return disturbed / max(disturbed + sum(len(block.seconds) for block in blocks), 1)

    @property
    def interval(self) -> Interval:
        """The median over the blocks of each block's median, seconds.

        Of a machine that is too busy it is a range: from the shortest time that a run had a processor to what nine of
        ten took by the wall clock; 0 without bounds where none had one for as long as its clock can tell.
        """
        if not self.busy:
            return median_interval([block.median for block in self.candidate])
        blocks = [*self.candidate, *self.spoiled]
        whole = [seconds for block in blocks for seconds in block.seconds]
        own = [*whole, *(mine for block in blocks for _, mine in block.disturbed if mine > 0)]
        if not own:
            return Interval(0.0, None, None, None)
        wall = [*whole, *(seconds for block in blocks for seconds, _ in block.disturbed)]
        return Interval(float(np.median(own)), min(own), float(np.quantile(wall, 0.9)), None)

    @property
    def ratio(self) -> Interval | None:
        """Candidate's time / baseline's time; None without a baseline, and where the machine is too busy to tell."""
        if not self.baseline or self.busy:
            return None
        return ratio_interval(
            [block.median for block in self.baseline], [block.median for block in self.candidate]
        )

    @property
    def width(self) -> float:
        """The wider of the two intervals' relative half-widths."""
        widths = [relative_half_width(self.interval)]
        if self.ratio is not None:
            widths.append(relative_half_width(self.ratio))
        return max(widths)


@dataclass(slots=True)
class Benchmark:
    """A model in a runtime, what it is compared with, and how long a block lasts.

    Attributes:
        candidate, baseline: .onnx files or checkpoint folders, as the runtime takes them.
        images: what is run, as `core.profiling.session.time_block` takes it: {"sample": path} or {"shape": [c, s, s]};
            empty takes noise of the model's own shape.
        pace: the machine's, which is taken with one thread; None takes times as they are.
        tell: hears of waiting.
        device_bytes: the largest device memory that a block of the candidate reported.
        ready_seconds: the longest time from opening to the first answer; that is where compiling shows.
    """

    child: Child
    candidate: Path
    baseline: Path | None = None
    images: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    control: RunControl | None = None
    runtime: Runtime = RUNTIMES[DEFAULT]
    device: str = "cpu"
    precision: str = "float32"
    pace: Pace | None = None
    tell: ProgressCallback = lambda fraction, text: None
    device_bytes: int | None = None
    ready_seconds: float = 0.0
    _warm: set[tuple[Any, ...]] = field(default_factory=set)
    _waited: float = 0.0

    @property
    def on_gpu(self) -> bool:
        """Whether the runtime computes on a GPU."""
        return self.runtime.settings(Settings(1, self.device, self.precision)).gpu is not None

    def blocks(
        self, threads: int, batch: int, prepare: dict[str, Any] | None = None, fresh: bool = False
    ) -> TimeBlock:
        """Times one block of either file with so many threads and images.

        Args:
            fresh: every round in a process of its own: where a process lies in memory is part of the scatter.
            prepare: a decoded image to prepare before every run, see `core.profiling.session.time_block`.
        """
        runs = self.budget.runs if batch == 1 else max(5, self.budget.runs // 5)
        turns = 1 if self.baseline is None else 2  # of a round
        more = {"prepare": prepare} if prepare else {}
        if self.pace is not None and threads == 1:
            more |= self.pace.as_plain()
        done = 0

        def block(which: Which) -> Block:
            nonlocal done
            if fresh and done % turns == 0 and not self.runtime.keeps:
                self.child.renew()
            done += 1
            model = self.baseline if which == "baseline" else self.candidate
            key = (model, threads, batch)
            brief = batch > 1 or (self.runtime.keeps and key in self._warm)
            self._warm.add(key)
            result = self.call(
                time_block, model, threads, batch=batch, runs=runs, **more,
                seconds=self.budget.block_seconds, limit=self.budget.block_limit,
                warm_limit=_WARM_BRIEFLY if brief else _WARM_SECONDS,
            )  # fmt: skip
            if which == "candidate":
                self.device_bytes = max(self.device_bytes or 0, result["device"] or 0) or None
                self.ready_seconds = max(self.ready_seconds, result["open_seconds"])
            return Block.from_answer(result)

        return block

    def wait(self) -> bool:
        """Wait a while for the machine to become quieter; False where that was done for long enough.

        Raises:
            Stopped: a person asked to stop.
        """
        patience = self.budget.patience
        if _vain_waits and time.monotonic() - _vain_waits[-1] < _HOLDS:
            patience = min(patience, _BRIEFLY)
        left = patience - self._waited
        if left <= 0:
            _vain_waits.append(time.monotonic())
            return False
        pause = min(max(_PAUSE, self._waited), left)  # as long again as before
        self.tell(self._waited / patience, f"{WAITING}: the machine is too busy to measure")
        until = time.monotonic() + pause
        while (rest := until - time.monotonic()) > 0:
            if self.control is not None:
                self.control.checkpoint()
            time.sleep(min(rest, _LOOK))
        self._waited += pause
        return True

    def call(self, job: Job, model: Path | None = None, threads: int = 1, **more: Any) -> dict[str, Any]:
        """A job such as those of `core.profiling.session` on a model (the candidate unless given) in this runtime."""
        arguments = {
            "model": str(model or self.candidate), "runtime": self.runtime.id, "threads": threads,
            "device": self.device, "precision": self.precision, **self.images, **more,
        }  # fmt: skip
        return self.child.call(job, arguments, self.control)

    def words(self, threads: int) -> str:
        """Runtime, version, place and threads."""
        return self.runtime.words(Settings(threads, self.device, self.precision), fingerprint()["gpu"])


def measure(
    block: TimeBlock,
    compare: bool,
    budget: Budget,
    begun: Timing | None = None,
    wait: Callable[[], bool] = lambda: False,
) -> Timing:
    """Blocks of the candidate, and in turns of the baseline, until they say enough.

    Args:
        block: times one block of either file.
        begun: a measurement that is to go on.
        wait: waits a while for the machine to become quieter, False where it does not any more (`Benchmark.wait`).
    """
    if begun is not None and begun.busy:
        return begun
    candidate, baseline, spoiled = (
        (list(begun.candidate), list(begun.baseline), list(begun.spoiled)) if begun else ([], [], [])
    )
    started, waited = time.monotonic() - (begun.seconds if begun else 0.0), 0.0
    while True:
        both: tuple[Which, ...] = ("baseline", "candidate") if compare else ("candidate",)
        turns = both if len(candidate) % 2 == 0 else both[::-1]
        timed = {which: block(which) for which in turns}
        seconds = time.monotonic() - started - waited
        if all(each.usable for each in timed.values()):
            candidate.append(timed["candidate"])
            baseline += [timed["baseline"]] if compare else []
            timing = Timing(candidate, baseline, seconds, False, spoiled, compares=compare)
            narrow = timing.width <= budget.width
            if _enough(timing, narrow, budget):
                return replace(timing, wide=not narrow)
            continue
        spoiled.append(timed["candidate"])
        paused = time.monotonic()
        if not wait():
            few = len(candidate) < min(budget.few_blocks, budget.blocks)
            return Timing(candidate, baseline, seconds, True, spoiled, busy=few, compares=compare)
        waited += time.monotonic() - paused


def _enough(timing: Timing, narrow: bool, budget: Budget) -> bool:
    done = len(timing.candidate)
    if done < budget.few_blocks:
        return False
    if done < budget.blocks:
        return timing.seconds >= budget.limit
    return narrow or done >= budget.most_blocks or timing.seconds >= budget.seconds
