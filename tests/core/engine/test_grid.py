"""The images that a grid's points are judged on."""

import numpy as np

from core.data.image_data import ImageData
from core.document.model import Grid
from core.engine.grid import _judged_on, _with_images_of


def test_points_are_judged_on_images_of_all_classes() -> None:
    """The rows of a folder lie class by class: the first 20 of them are of one class only."""
    labels = np.repeat(np.arange(10), 30)
    rows = {"train": np.arange(0, 300, 3), "validation": np.arange(1, 300, 3), "test": np.arange(2, 300, 3)}
    data = ImageData(
        title="", source="folder", classes=tuple("abcdefghij"), images=np.zeros((300, 2, 2, 3), np.uint8), labels=labels,
        splits=rows, mean=(0.5,) * 3, std=(0.2,) * 3, channels=3, size=(2, 2), problems=(), notes=(), fingerprint="",
    )  # fmt: skip
    judged = _judged_on(data, 20).split("validation")
    assert np.bincount(data.labels[judged], minlength=10).tolist() == [2] * 10
    assert set(judged) <= set(rows["validation"]) and (np.diff(judged) > 0).all()
    assert _judged_on(data, 1000).split("validation").tolist() == rows["validation"].tolist()
    many = Grid(
        stage="a", settings={"ratio": (0.1,)}, images=2000
    )  # a heat map said 2000 where there were fewer
    assert _with_images_of(many, data).images == len(rows["validation"])
    assert _with_images_of(many.model_copy(update={"images": 20}), data).images == 20
    assert data.split("validation").tolist() == rows["validation"].tolist()
