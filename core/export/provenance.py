"""What a model is made from, told from its run alone: data, source, stages and teachers.

Nothing here repeats what somebody wrote about the pipeline: a description may be of another model, or of a plan.
"""

from collections.abc import Iterator

from core.data.catalogue import SOURCES
from core.data.image_data import Opened
from core.document.pipeline import Pipeline, StageNode
from core.document.stage_keys import stage_key
from core.records.reports import StageReport
from core.runs.run_folder import RunFolder

_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}


def purpose(run: RunFolder, report: StageReport) -> str:
    """What the model is for: images of the kind that it was made with."""
    pipeline = run.pipeline
    node = pipeline.stage(report.id)
    trained = any(stage.stage.epochs(stage.parameters) for stage in (*pipeline.chain(node), node))
    return (
        "Intended for images of the kind that it was trained on."
        if trained
        else "It was not trained here: the images below are those that it was measured on."
    )


def data_lines(run: RunFolder) -> Iterator[str]:
    """The data set as it was opened: kind, place, classes, images of each split, what was left out."""
    pipeline = run.pipeline
    title = SOURCES[pipeline.data.source].title
    yield f"{title}" + (f", from `{pipeline.data.path}`." if pipeline.data.path else ".")
    try:
        opened = Opened.from_plain(run.info.data)
    except ValueError:  # a run of before this was kept
        return
    images = ", ".join(f"{count} for {_SPLITS.get(name, name)}" for name, count in opened.images.items())
    yield f"{len(opened.classes)} classes; images: {images}."
    yield from opened.notes


def chain_lines(run: RunFolder, report: StageReport) -> Iterator[str]:
    """The source and every stage up to this one, with the epochs that were trained and who taught."""
    pipeline = run.pipeline
    node = pipeline.stage(report.id)
    root = pipeline.root(node)
    yield f"{root.title}: {', '.join((root.source.title, *root.source.summary(root.settings)))}"
    for stage in (*pipeline.chain(node), node):
        yield f"{stage.title}: {', '.join((stage.stage.title, *_done(run, pipeline, stage, report.seed)))}"


def _done(run: RunFolder, pipeline: Pipeline, stage: StageNode, seed: int) -> Iterator[str]:
    report = run.report(stage_key(pipeline, stage.id, seed))
    epochs = len(report.history) if report is not None else 0
    if epochs:
        yield f"{epochs} epochs of training" if epochs > 1 else "1 epoch of training"
    for setting, reference in stage.stage.references(stage.parameters).items():
        named = pipeline.stage(reference).title if reference in pipeline.stage_ids else reference
        yield f"{setting.replace('_', ' ')} “{named}”"
