"""A run goes on only by its own pipeline and on its own images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.resuming import check_same_data, check_same_pipeline
from core.runs.run_folder import RunFolder

TEXT = """
espalier: 1
name: Small
data: {source: folder, path: images}
sources: [{id: network}]
stages:
  - {id: fp32, kind: train, settings: {training: {epochs: 22}}}
  - {id: pruned, kind: prune-channels}
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(documents.loads(TEXT), tmp_path, Home(tmp_path / "home"))


def refusal(check, *arguments: object) -> str:
    with pytest.raises(EspalierError) as caught:
        check(*arguments)
    return str(caught.value)


def test_an_edited_pipeline_file_is_refused_by_what_changed(run):
    check_same_pipeline(run, documents.loads(TEXT.replace("images", "'images'") + "# as before\n"))
    edited = TEXT.replace("22", "3").replace("  - {id: pruned, kind: prune-channels}", "")
    assert refusal(check_same_pipeline, run, documents.loads(edited)) == (
        f"The run in {run.folder} was started with another pipeline than the pipeline file now holds: "
        "stages.fp32.settings.training.epochs: 3 instead of 22; stages.pruned: nothing instead of prune-channels. "
        "Undo the changes to go on with it, or start a new run without --resume: stages that are the same come from "
        "the cache."
    )


def test_a_pipeline_that_was_edited_in_the_run_folder_is_refused(run):
    check_same_pipeline(run)
    file = run.folder / "pipeline.yaml"
    file.write_text("# a remark\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    check_same_pipeline(run)
    file.write_text(file.read_text(encoding="utf-8").replace("epochs: 22", "epochs: 5"), encoding="utf-8")
    assert "stages.fp32.settings.training.epochs: 5 instead of 22" in refusal(check_same_pipeline, run)
    run.update_info(pipeline_sha256=None)  # as in runs of before
    check_same_pipeline(run)


def data_of(classes: tuple[str, ...], train: int, fingerprint: str) -> ImageData:
    splits = {"train": np.arange(train), "validation": np.arange(4), "test": np.arange(4)}
    return ImageData(
        "images", "folder", classes, np.zeros((train, 2, 2, 1), np.uint8), np.zeros(train, np.int64), splits, (0.5,),
        (0.5,), 1, (2, 2), (), (), fingerprint,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (data_of(("a", "aa", "b"), 9, "2"), "the class c gone; the class aa new"),
        (data_of(("a", "b", "c", "d"), 9, "2"), "the class d new"),
        (data_of(("b", "a", "c"), 9, "2"), "the classes in another order (b, a, c instead of a, b, c)"),
        (data_of(("a", "b", "c"), 8, "2"), "8 train images instead of 9"),
        (data_of(("a", "b", "c"), 9, "2"), "other images, or the same ones elsewhere"),
    ],
)
def test_other_images_are_refused_by_what_changed(run, now, said):
    before = data_of(("a", "b", "c"), 9, "1")
    check_same_data(run, before)  # nothing is written down yet
    run.update_info(data=before.opened.as_plain())
    check_same_data(run, replace(before, title="moved elsewhere"))
    assert refusal(check_same_data, run, now) == (
        f"The data set has changed since the run in {run.folder} was started: {said}. "
        "Put the images back as they were to go on with it, or start a new run."
    )
