"""What has to be the same where a run goes on: its pipeline and its images."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.models.checkpoint_description import read_architecture
from core.runs.run_folder import RunFolder

_SHOWN = 4


def check_same_pipeline(run: RunFolder, pipeline: Pipeline | None = None) -> None:
    """Refuse to go on with a run by another pipeline than it was started with.

    Args:
        pipeline: what a person wants to go on with; None: what lies in the run's folder.

    Raises:
        EspalierError: they differ; it names where.
    """
    text = run.info.document
    if not text or (pipeline is None and run.pipeline_is_untouched):
        return
    before, now = documents.loads(text, "the run's pipeline"), pipeline or documents.load(run.pipeline_file)
    differences = list(_differences(before.resolved().as_dict(), now.resolved().as_dict()))
    if not differences:
        return
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    what = "the pipeline file" if pipeline is not None else "its pipeline.yaml"
    raise EspalierError(
        f"The run in {run.folder} was started with another pipeline than {what} now holds: "
        f"{'; '.join(differences[:_SHOWN])}{more}.",
        "Undo the changes to go on with it, or start a new run without --resume: stages that are the same come from "
        "the cache.",
    )


def check_same_data(run: RunFolder, data: ImageData) -> None:
    """Refuse to go on with a run on other images than it was started with.

    Raises:
        EspalierError: they differ; it says how.
    """
    opened = run.opened_data
    differences = opened.differences(data) if opened else _differences_of_results(run, data)
    if differences:
        raise EspalierError(
            f"The data set has changed since the run in {run.folder} was started: {'; '.join(differences)}.",
            "Put the images back as they were to go on with it, or start a new run.",
        )


def _differences_of_results(run: RunFolder, data: ImageData) -> list[str]:
    """The same for a run that did not write down its images, judged by what its stages left."""
    for report in run.reports():
        folder = run.stage_folder(report.key)
        if folder.network is not None:
            classes = tuple(read_architecture(folder.network)["classes"])
            if classes != data.classes:
                return [f"its classes were {', '.join(classes[:4])} and are {', '.join(data.classes[:4])}"]
        labels = np.load(folder.artefacts.labels)
        if not np.array_equal(labels, data.labels[data.split("test")]):
            return [f"it had {len(labels)} test images, and their labels are others now"]
    return []


def _differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Where plain data differ, as "stages.train.training.epochs: 3 instead of 22"."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            yield from _differences(
                before.get(name), now.get(name), f"{place}.{name}" if place else str(name)
            )
    elif isinstance(before, list) and isinstance(now, list) and _named(before) and _named(now):
        yield from _differences({one["id"]: one for one in before}, {one["id"]: one for one in now}, place)
        if [one["id"] for one in before] != [one["id"] for one in now] and len(before) == len(now):
            yield f"{place}: another order"
    elif before != now:
        yield f"{place}: {_short(now)} instead of {_short(before)}"


def _named(items: list[Any]) -> bool:
    return all(isinstance(item, dict) and "id" in item for item in items)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return str(value.get("name") or value.get("kind") or "other settings")
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
