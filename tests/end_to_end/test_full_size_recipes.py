"""Each full-size recipe goes through two training steps a stage to its files: images of noise, random weights, a processor.

It shows that every stage of the published systems runs at its own size, and nothing of what it gives. Minutes to half an hour a recipe
on one core.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.document.data_axis import per_data_set
from core.document.expansion import expanded
from core.document.pipeline import Pipeline
from core.document.recipes import recipes
from core.engine.options import Options
from core.engine.preflight import Watcher, preflight
from core.runs.home import Home

STEPS = 2
FULL_SIZE = {one.id: one for one in recipes() if one.id.startswith("r") and not one.id.endswith("-small")}
CLASSES = {"tiny-imagenet-200": 200, "tiny-imagenet-40.zip": 40, "cifar-10-batches-py": 10, "cifar10-jpeg.zip": 10, "cifar-100-python": 100, "images": 3}  # fmt: skip


def noise(folder: Path, classes: int) -> Path:
    """A folder of images of noise: two of each class to train on, one to validate and one to test with."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(classes):
            place = folder / split / f"class-{number:03}"
            place.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (48, 48, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    return folder


def on_noise(pipeline: Pipeline, folder: Path) -> Pipeline:
    """The recipe on images of noise, its networks with random weights; one that brings its images keeps them."""
    content: dict[str, Any] = pipeline.as_dict()
    data = content["data"]
    if data["source"] != "fashion-mnist-sample":
        size = pipeline.data.image_size or 32
        path = noise(folder, CLASSES[data["path"]])
        content["data"] = {**data, "source": "folder", "path": str(path), "image_size": size}
    for source in content["sources"]:
        source["settings"] = {**source["settings"], "weights": "random"}
        source["settings"].pop("weights_file", None)
    return Pipeline.parse(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FULL_SIZE))
def test_every_stage_takes_two_steps_and_leaves_its_files(name: str, tmp_path: Path) -> None:
    pipeline = on_noise(per_data_set(FULL_SIZE[name].load())[0], tmp_path / "images")
    stages = expanded(pipeline).active
    training = {node.id for node in stages if (own := node.stage.training(node.parameters)) and own.epochs}
    made: dict[str, tuple[int, int]] = {}

    def look(node: Any, folder: Any, files: Any) -> None:
        smallest = min(file.path.stat().st_size for file in files)
        made[node.id] = len(folder.outcome.history), smallest

    outcome = preflight(
        pipeline, tmp_path, Home(tmp_path / "home"), Options("cpu", 1), watcher=Watcher(on_made=look),
        longer=dict.fromkeys(training, STEPS),
    )  # fmt: skip
    assert outcome.passed, "\n".join(outcome.lines())
    assert [trial.id for trial in outcome.trials] == [node.id for node in stages]
    assert all(trial.files for trial in outcome.trials)
    assert {id for id, (epochs, _) in made.items() if epochs == STEPS} >= training, made
    assert all(size > 1000 for _, size in made.values())
