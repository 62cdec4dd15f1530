"""What an estimate says of the document as it is now, which has been edited since.

A stage's time stands as long as its steps are the same ones: the network that it starts from and makes, the images, and the
settings that a step's time depends on. Another number of epochs is counted with what an epoch takes.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from core.document.pipeline import Pipeline
from core.engine.cost_estimate import StageEstimate
from core.engine.step_timer import NO_MATTER, epochs_of
from core.stages.base import ModelStage


class KnownTimes:
    """The times of an estimate of `pipeline`, whose relative paths start at `base`."""

    def __init__(self, pipeline: Pipeline, base: Path, stages: Iterable[StageEstimate]):
        self._base, self._stages = base, tuple(stages)
        self._measured = _steps(pipeline)

    def of(self, pipeline: Pipeline, base: Path) -> dict[str, float]:
        """Seconds by stage, of the stages of a pipeline without problems that they are known of."""
        if base != self._base:
            return {}
        now, known = _steps(pipeline), {}
        for stage in self._stages:
            steps, epochs = now.get(stage.id, ("", 0.0))
            measured, before = self._measured.get(stage.id, ("", 0.0))
            if steps and steps == measured:
                known[stage.id] = stage.seconds + (epochs - before) * stage.epoch_seconds
        return known


def _steps(pipeline: Pipeline) -> dict[str, tuple[str, float]]:
    """By the id of every stage that runs a hash of all that a step's time depends on, and how many epochs it has."""
    around = [pipeline.data.model_dump_json(), pipeline.axes.model_dump_json(exclude={"seed"})]
    networks = {
        source.id: _hash(source.kind, source.parameters.model_dump(mode="json"))
        for source in pipeline.sources
    }
    steps: dict[str, tuple[str, float]] = {}
    for node in pipeline.stages:
        given = networks[pipeline.written_parent(node)]
        if not node.enabled:
            networks[node.id] = given
            continue
        plain = node.parameters.model_dump(mode="json")
        training = plain.pop("training", None) or {}
        networks[node.id] = _hash(given, node.kind, plain)
        stage, references, epochs = node.stage, dict[str, str](), 0.0
        if isinstance(stage, ModelStage):
            references, epochs = stage.references(node.parameters), epochs_of(stage, node.parameters)
        others = [networks.get(name, name) for name in references.values()]
        alike = {name: value for name, value in training.items() if name not in NO_MATTER}
        steps[node.id] = _hash(around, networks[node.id], others, alike), epochs
    return steps


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
