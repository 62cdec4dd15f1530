"""How long an exported file takes, measured before it takes its place; a person may leave that out while it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.common.control import RunControl
from core.common.errors import Stopped
from core.deploy.formats import jobs
from core.deploy.formats.base import Format
from core.machine.child import Child
from core.machine.measuring_lock import measuring_alone
from core.profiling.latency import latency
from core.profiling.pace import pace_of
from core.profiling.protocol import Block, Budget, Timing
from core.records.reports import Metric
from core.runs.cache import Measurements
from core.runs.home import Home

Tell = Callable[[float, str], None]


class Measuring:
    """The measuring of one export, for a person who watches it on another thread.

    Attributes:
        under_way: whether the file is being measured, so that `skip` ends something.
        skipped: whether a person left it out.
    """

    def __init__(self) -> None:
        self.under_way = False
        self._control = RunControl()

    @property
    def skipped(self) -> bool:
        return self._control.stopping

    def skip(self) -> None:
        """Leave it out, or what is left of it: the file is written without a time of its own."""
        self._control.stop()

    @contextmanager
    def going_on(self, control: RunControl | None) -> Iterator[RunControl]:
        """While the file is measured; what measures it looks at the control that this gives, which `control` stops, too."""
        forget = control.on_stop(self._control.stop) if control is not None else lambda: None
        self.under_way = True
        try:
            yield self._control
        finally:
            self.under_way = False
            forget()


def measured(
    path: Path,
    kind: Format,
    sample: Path,
    log: Path,
    home: Home,
    measuring: Measuring,
    control: RunControl | None,
    tell: Tell,
) -> Metric | None:
    """The median over sessions of the median time of a call, on one thread, in milliseconds; None where a person left it out.

    Args:
        sample: .npy, one image as the file takes it; the reference of the machine's pace is written beside it.
        tell: hears how far it is (0…1) and what is done, waiting for other measurements included.

    Raises:
        Stopped: a person asked to stop the export.
    """
    with measuring.going_on(control) as own:
        try:
            return _latency(path, kind, sample, log, home, own, tell)
        except Stopped:
            if control is not None:
                control.checkpoint()
            return None


def _latency(
    path: Path, kind: Format, sample: Path, log: Path, home: Home, control: RunControl, tell: Tell
) -> Metric:
    budget = Budget()
    arguments = {
        "format": kind.id, "path": str(path), "sample": str(sample), "threads": 1,
        "runs": budget.runs, "seconds": budget.block_seconds, "limit": budget.block_limit,
    }  # fmt: skip
    blocks: list[Block] = []
    batch = 1
    tell(0.0, "Measuring latency")
    with measuring_alone(control, tell), Child(kind.process, log, threads=1) as child:
        tell(0.0, "Measuring how fast this machine is just now")
        pace = pace_of(Measurements(home.cache / "measurements"), sample.parent, child, control)
        arguments |= pace.as_plain() if pace is not None else {}
        for number in range(budget.blocks):
            tell(number / budget.blocks, f"Measuring latency, session {number + 1} of {budget.blocks}")
            result = child.call(jobs.time_block, arguments, control)
            blocks.append(Block.from_answer(result))
            batch = int(result["batch"])
    usable = [block for block in blocks if block.usable]
    spoiled = [block for block in blocks if not block.usable]
    timing = Timing(usable, [], 0.0, wide=False, spoiled=spoiled, busy=len(usable) < budget.few_blocks)
    return latency(timing, f"{kind.runtime}, 1 thread", batch)
