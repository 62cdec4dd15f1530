"""The keys of a pipeline's stages: what their folders, reports and events are called by."""

from core.document.pipeline import Pipeline


def stage_keys(pipeline: Pipeline) -> list[str]:
    """The keys of all stages that run: the id, with `@seed` where there are several seeds."""
    return [stage_key(pipeline, node.id, seed) for seed in pipeline.axes.seed for node in pipeline.active]


def stage_key(pipeline: Pipeline, id: str, seed: int) -> str:
    """A stage's key for one seed."""
    return id if len(pipeline.axes.seed) == 1 else f"{id}@{seed}"


def id_of(key: str) -> str:
    """The stage's id of a key."""
    return key.partition("@")[0]
