"""The process of a run whose stages a cluster makes: it asks for them, tells what workers do as the run's events, and then works as always.

So such a run is followed, paused, stopped and attached to like any other, from the command line and from the window.
"""

import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from core.cluster.client import Begun, Heard, Made, check_makeable, fill_caches
from core.cluster.plans import Plan
from core.cluster.security import Cluster
from core.document.pipeline import Pipeline
from core.document.stage_keys import stage_key, stage_keys
from core.engine.options import Options
from core.engine.run_follower import RunFollower, Starter, start_run
from core.engine.run_process import main as run_process
from core.engine.stage_inputs import RunContext
from core.machine.processes import RUN_FLAG, own_program
from core.records.events import Event, Listener, Note, PhaseStarted, Progress, StageStarted
from core.runs.home import Home
from core.runs.run_folder import RunFolder


def start_run_by_cluster(
    run: RunFolder, home: Home, options: Options, cluster: Cluster, stay: bool, after: int = 0
) -> RunFollower:
    """Start the process of a run whose stages a cluster makes; arguments as of `start_run`.

    Raises:
        EspalierError: when the run is none that a cluster can make, or no process can be started.
    """
    check_makeable(run)
    about = {name: str(value) if value else None for name, value in asdict(cluster).items()}
    starter = Starter(own_program("core.cluster.run_process", RUN_FLAG), {"cluster": about})
    return start_run(run, home, options, stay, after, starter)


class Telling:
    """Tells a run's events of what workers do, under the run's own stages."""

    def __init__(self, pipeline: Pipeline, emit: Listener):
        self._pipeline, self._emit = pipeline, emit
        self._keys = stage_keys(pipeline)
        self._fractions: dict[str, float] = {}
        self._begun: set[str] = set()

    def say(self, text: str) -> None:
        self._emit(Note("", "info", text))

    def event(self, worker: str, plan: Plan, event: Event) -> None:
        """Take an event in of the stage that a worker makes by a plan."""
        node = self._pipeline.stage(list(plan.ids.values())[-1])
        key = stage_key(self._pipeline, node.id, plan.seed)
        if key not in self._begun:  # also where this run came to it later
            self._begun.add(key)
            self._emit(StageStarted(key, node.title, node.kind, self._keys.index(key), len(self._keys)))
        if isinstance(event, Begun):
            self._emit(PhaseStarted(key, "elsewhere", f"{worker} makes it"))
            self._emit(Note(key, "info", f"{worker} makes it."))
        elif isinstance(event, Made):
            self._progress(key, 1.0)
            self._emit(PhaseStarted(key, "elsewhere", f"Made by {worker}; to be measured here"))
        elif isinstance(event, Progress):
            self._progress(key, event.stage_fraction)
        elif any(field.name == "stage" for field in fields(event)):
            self._emit(replace(event, stage=key))  # type: ignore[call-arg]

    def _progress(self, key: str, fraction: float) -> None:
        self._fractions[key] = max(fraction, self._fractions.get(key, 0.0))
        whole = sum(self._fractions.values()) / len(self._keys)
        self._emit(Progress(key, self._fractions[key], whole, None, None))


def _made_by(cluster: Cluster, context: RunContext, options: Options, emit: Listener) -> None:
    telling = Telling(context.pipeline, emit)
    heard = Heard(telling.say, telling.event)
    fill_caches(context.run, context.home, options, cluster, heard, context.control)
    telling.say("All stages are made; this machine takes them over and measures.")


def main(argv: list[str]) -> int:
    """Entry point; as of `core.engine.run_process`, the request with `cluster`: its address and the folder of its certificates."""

    def beforehand(request: dict[str, Any]) -> Any:
        about = request["cluster"]
        cluster = Cluster(about["address"], Path(about["tls"]) if about["tls"] else None)
        return lambda context, options, emit: _made_by(cluster, context, options, emit)

    return run_process(argv, beforehand)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
