"""How long a call of an exported file takes, measured before it takes its place."""

from pathlib import Path

from core.common.control import RunControl
from core.deploy.formats import jobs
from core.deploy.formats.base import Format
from core.machine.child import Child
from core.machine.jobs import ProgressCallback
from core.machine.measuring_lock import measuring_alone
from core.profiling.latency import latency
from core.profiling.pace import pace_of
from core.profiling.protocol import Block, Budget, Timing
from core.records.reports import Metric
from core.runs.cache import Measurements
from core.runs.home import Home


def measured(
    path: Path, kind: Format, sample: Path, log: Path, home: Home, control: RunControl, tell: ProgressCallback
) -> Metric:
    """The median over sessions of the median time of a call, on one thread, in milliseconds.

    Args:
        sample: .npy, one image as the file takes it; the reference of the machine's pace is written beside it.
        tell: hears how far it is (0…1) and what is done, waiting for other measurements included.

    Raises:
        Stopped: a person asked to stop.
    """
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
