"""What a pipeline will cost on this machine, from a few measured training steps.

The steps run in the tool child with the real training loop on the real images: the network of
every stage is made (pruned, too, but untrained) and trained for a few steps, so that the
estimate follows from what will happen and not from a formula.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.durations import rough_duration
from core.common.temporary import temporary_folder
from core.data.access import DataAccess
from core.document import dimensions
from core.document import pipeline as documents
from core.document.expansion import expanded
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.step_timer import StepTimer
from core.machine.child import Child
from core.runs.home import Home


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """Expected cost of one stage; `steps` says what it rests on, `epoch_seconds` what an epoch takes of `seconds`."""

    id: str
    name: str
    seconds: float
    disk_mb: float
    steps: int
    epoch_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchEstimate:
    """Expected cost of a search beside that of the pipeline as it stands.

    Attributes:
        trials: of the budget; None where only hours are set. each, confirming: seconds of a trial, of all finalists.
    """

    trials: int | None
    hours: float | None
    each: float
    confirming: float

    @property
    def seconds(self) -> float:
        """Of all of it; trials that are refused or known cost nothing."""
        ways = [self.trials * self.each] if self.trials is not None else []
        ways += [self.hours * 3600] if self.hours is not None else []
        return min(ways) + self.confirming

    @property
    def line(self) -> str:
        """It in words."""
        many = f"{self.trials} trials" if self.trials is not None else f"trials for {self.hours:g} h"
        return f"  Search: {many} of about {rough_duration(self.each)} each, finalists {rough_duration(self.confirming)}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected cost of a pipeline on this machine, at most: early stopping can only shorten it.

    Attributes:
        data: `ImageData.kept`. data_sets: how many the pipeline runs on; the stages' figures are of all.
    """

    stages: tuple[StageEstimate, ...]
    seeds: int
    memory_mb: float
    device: str
    search: SearchEstimate | None = None
    data: str = ""
    data_sets: int = 1

    @property
    def seconds(self) -> float:
        searching = self.search.seconds if self.search is not None else 0.0
        return self.seeds * sum(stage.seconds for stage in self.stages) + searching

    @property
    def disk_mb(self) -> float:
        return self.seeds * sum(stage.disk_mb for stage in self.stages)

    def lines(self) -> list[str]:
        """The estimate in words."""
        shown = [
            f"  {stage.name}: {rough_duration(stage.seconds)}, {stage.disk_mb:.0f} MB on disk"
            for stage in self.stages
        ]
        shown += [self.search.line] if self.search is not None else []
        total = f"At most {rough_duration(self.seconds)} on {self.device} while nothing else runs, {self.disk_mb:.0f} MB on disk, {self.memory_mb:.0f} MB of memory while training"
        counts = ((self.data_sets, "data sets"), (self.seeds, "seeds"))
        repeated = ", ".join(f"{count} {what}" for count, what in counts if count > 1)
        seeds = f" ({repeated})" if repeated else ""
        shown += [f"  {self.data}"] if self.data else []
        return [*shown, f"{total}{seeds}; measured on a few training steps per stage."]


def estimate(
    pipeline: Pipeline,
    base: Path,
    home: Home,
    options: Options,
    on_progress: Callable[[float, str], None] | None = None,
    control: RunControl | None = None,
) -> Estimate:
    """Measure a few steps of every stage in a child process.

    Raises:
        EspalierError: when the data or the weights cannot be read, or the device is not there.
        Stopped: a person asked to stop.
    """
    options, pipeline = options.resolved(), expanded(pipeline)
    arguments = {
        **DataAccess(pipeline.data, home.data, base, options.threads).as_plain(),
        "pipeline": documents.dumps(pipeline),
        "device": options.device,
    }
    with Child("tool") as tool:
        plain = tool.call(measure_steps, arguments, control, on_progress)
    stages = tuple(StageEstimate(**stage) for stage in plain["stages"])
    return Estimate(
        stages,
        len(_seeds(pipeline)),
        plain["memory_mb"],
        options.device,
        of_search(pipeline, stages),
        plain["data"],
    )


def _seeds(pipeline: Pipeline) -> tuple[int, ...]:
    """The seeds that its stages are made with in the end."""
    return (pipeline.search.seeds if pipeline.search is not None else ()) or pipeline.axes.seed


def of_search(pipeline: Pipeline, stages: tuple[StageEstimate, ...]) -> SearchEstimate | None:
    """Of a search, from its stages as they stand in the file: what differs between trials is made for each."""
    search = pipeline.search
    if search is None:
        return None
    varying, wanted = dimensions.varying(pipeline), {node.id for node in dimensions.needed(pipeline)}
    full = sum(stage.seconds for stage in stages if stage.id in varying & wanted)
    budget: float = search.budget
    if search.sampler == "grid":
        budget = min(budget, math.prod(len(one.values() or ()) for one in dimensions.dimensions(pipeline)))
    seeds = len(_seeds(pipeline))
    return SearchEstimate(
        int(budget) if math.isfinite(budget) else None, search.hours, full * search.fidelity.epochs,
        full * seeds * search.finalists,
    )  # fmt: skip


def measure_steps(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job of the tool child: seconds per image of every stage, and the process's peak memory.

    Args (as plain data): pipeline (YAML text), device; data, data_cache, base, threads of `DataAccess.as_plain`.
    """
    import torch

    from core.profiling.session import peak_bytes

    access = DataAccess.from_plain(arguments)
    torch.set_num_threads(access.threads)
    pipeline, data = documents.loads(arguments["pipeline"]), access.open()
    stages = []
    with temporary_folder() as scratch:
        timer = StepTimer(pipeline, data, Path(arguments["base"]), arguments["device"], scratch)
        for index, node in enumerate(pipeline.active):
            progress(index / len(pipeline.active), f"Measuring a few steps of {node.title}")
            stages.append(timer.stage(node))
    cuda = arguments["device"].startswith("cuda")
    memory = torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_bytes() / 1e6
    return json.loads(json.dumps({"stages": stages, "memory_mb": memory, "data": data.kept}))
