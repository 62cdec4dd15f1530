"""A stage tried with many settings from one network: each point run, judged on validation images.

The points share everything before the stage. They are not exported and not timed: a grid finds
settings, and the settings that a person then writes into the stage are measured like any other.
The test split is never touched.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.common.content_hashes import read_sealed
from core.common.files import write_atomically
from core.common.keys import make_key
from core.data.image_data import ImageData
from core.data.randomness import derive_seed
from core.data.splits import limit
from core.document.pipeline import Grid, StageNode
from core.document.stage_keys import stage_key
from core.engine.stage_runner import StageRunner
from core.models.memory_format import to_channels_last
from core.records.events import GridPointDone, GridStarted, Listener, Note, PhaseStarted
from core.runs.cache import Store
from core.runs.grid_results import Point, axes_of, write_grid
from core.stages.base import ModelStage

_POINT = "point.json"


def run_grid(
    runner: StageRunner, node: StageNode, number: int, seed: int, on_fraction: Callable[[float], None]
) -> list[Point]:
    """Run every point of the pipeline's grid of this number, from the cache where it was run before, and write the tables.

    Raises:
        Stopped: a person asked to stop; finished points are kept.
    """
    store, grid = runner.context.store("grid"), runner.context.pipeline.axes.grids[number]
    node, _ = runner.settled(node, seed, runner.inputs.stage_input(node, seed))
    points, combinations = [], combinations_of(grid)
    key = stage_key(runner.context.pipeline, node.id, seed)
    told = _with_images_of(grid, runner.context.data)
    runner.context.emit(GridStarted(key, *axes_of(node, told), number))
    for index, settings in enumerate(combinations):
        runner.context.control.checkpoint()
        text = ", ".join(f"{name} {value}" for name, value in settings.items())
        runner.context.emit(PhaseStarted(key, "grid", f"Grid {index + 1} of {len(combinations)}: {text}"))
        changed = node.model_copy(update={"settings": {**node.settings, **settings}})
        points.append(_point(runner, store, changed, grid, seed, settings))
        runner.context.emit(GridPointDone(key, index, points[-1].top1, number))
        on_fraction((index + 1) / len(combinations))
    write_grid(runner.context.run, node, told, number, points)
    return points


def _with_images_of(grid: Grid, data: ImageData) -> Grid:
    """The grid as it is told: judged on no more validation images than there are."""
    return grid.model_copy(update={"images": min(grid.images, len(data.split("validation")))})


def combinations_of(grid: Grid) -> list[dict[str, Any]]:
    """All points in order, the last setting running fastest."""
    names = list(grid.settings)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*grid.settings.values())]


def _only_notes(emit: Listener) -> Listener:
    """A point's training is no curve of its stage."""
    return lambda event: emit(event) if isinstance(event, Note) else None


def _point(
    runner: StageRunner, store: Store, node: StageNode, grid: Grid, seed: int, settings: dict[str, Any]
) -> Point:
    stage_input = runner.inputs.stage_input(node, seed)
    part = {"drawn": "evenly"} if grid.images < len(runner.context.data.split("validation")) else {}
    key = make_key({"point": runner.cache_key(node, seed, stage_input), "images": grid.images, **part})
    result = _stored_point(store, key)
    if result is None:
        with store.making(key):
            result = _stored_point(store, key)
            if result is None:
                result = _run_point(runner, node, grid, seed, key)
                text = json.dumps(result)
                store.add(key, lambda folder: write_atomically(folder / _POINT, text))
    return Point(settings, **result)


def _stored_point(store: Store, key: str) -> dict[str, Any] | None:
    entry = store.get(key)
    return None if entry is None else read_sealed(entry / _POINT)


def _run_point(runner: StageRunner, node: StageNode, grid: Grid, seed: int, key: str) -> dict[str, Any]:

    from core.data.batches import Batches, BatchForm, Draws
    from core.models.checkpoint import load_checkpoint
    from core.profiling.counting import count_parameters
    from core.training.evaluation import evaluate
    from core.training.precision import resolve_precision

    run_context, stage_input = runner.context, runner.inputs.stage_input(node, seed)
    assert isinstance(node.stage, ModelStage) and stage_input.checkpoint is not None
    scratch = run_context.run.scratch / f"{node.id}-point"
    scratch.mkdir(parents=True, exist_ok=True)
    context = runner.model_context(node, seed, stage_input, key, scratch, lambda fraction: None)
    context = replace(context, emit=_only_notes(run_context.emit))
    model = node.stage.run(load_checkpoint(stage_input.checkpoint).model, node.parameters, context).model
    batches = Batches(
        _judged_on(run_context.data, grid.images), "validation", context.preprocess,
        BatchForm(256, run_context.device, channels_last=True), Draws(seed, key, shuffle=False),
    )  # fmt: skip
    to_channels_last(model.eval(), run_context.device)
    precision = resolve_precision("float32", run_context.device)
    loss, top1 = evaluate(model, batches, precision, run_context.control)
    return {"top1": top1, "loss": loss, **count_parameters(model)}


def _judged_on(data: ImageData, count: int) -> ImageData:
    """The data with `count` of its validation images, drawn evenly over the classes: rows of folders lie class by class."""
    rows = limit(data.split("validation"), data.labels, count, derive_seed("grid"))
    return replace(data, splits={**data.splits, "validation": rows})
