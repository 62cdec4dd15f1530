"""Pipelines made for images of one's own: what was found, and what is proposed for it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.place_contents import FoundImages, find_images
from core.data.settings import DataSettings
from core.document import pipeline as documents
from core.document.from_model import OnnxDescription, onnx_pipeline
from core.document.templates import (
    FOR_IMAGES,
    FOR_MODELS,
    images_pipeline,
    model_stages,
    proposed_network,
    proposed_size,
    sizes_for,
)
from core.models.catalogue import BACKBONES


def images(
    folder: Path, counts: dict[str, int], size: tuple[int, int] = (40, 40), grey: bool = False
) -> Path:
    """A folder of pictures for each class."""
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shape = size[::-1] if grey else (*size[::-1], 3)
            Image.fromarray(draw.integers(0, 255, shape, np.uint8)).save(folder / name / f"{number}.png")
    return folder


def found(side: int, square: bool = True, training: int = 900) -> FoundImages:
    return FoundImages(
        "folder", Path("/i"), ("a", "b"), (500, 400), training, 0, 0, (side, side + (not square)), square, False
    )  # fmt: skip


def test_a_folder_is_described(tmp_path: Path) -> None:
    made = find_images(images(tmp_path / "my shapes", {"round": 24, "square": 30}), RunControl())
    assert (made.source, made.classes, made.counts, made.own_size) == (
        "folder",
        ("round", "square"),
        (24, 30),
        40,
    )
    assert made.sentences() == [
        "54 images of 2 classes: square 30, round 24.",
        "All of 40 × 40 pixels, colour.",
        "No split is given; drawn from the training images: 10 % of them for validation and 20 % to test on.",
    ]


def test_splits_and_few_images_are_said(tmp_path: Path) -> None:
    images(tmp_path / "train", {"a": 30, "b": 3}, (60, 50))
    images(tmp_path / "test", {"a": 5, "b": 5}, (60, 50), grey=True)
    made = find_images(tmp_path, RunControl())
    assert (made.training, made.validation, made.test, made.own_size) == (33, 0, 10, None)
    assert made.sentences()[1:] == [
        "50 pixels on the shorter side, colour.",
        "33 to train on, 10 to test on; drawn from the training images: 10 % of them for validation.",
        "Fewer than 20 images: b. Figures of so few images are rough.",
    ]


def test_a_zip_file_is_described_like_its_folder(tmp_path: Path) -> None:
    folder = images(tmp_path / "shapes", {"round": 4, "square": 3}, grey=True)
    with zipfile.ZipFile(tmp_path / "shapes.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path))
    made = find_images(tmp_path / "shapes.zip", RunControl())
    assert made.counts == (4, 3) and made.grey and made.data["path"].endswith("shapes.zip")


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EspalierError, match="Expected images in"):
        find_images(tmp_path, RunControl())


@pytest.mark.parametrize("template", FOR_IMAGES, ids=lambda template: template.id)
@pytest.mark.parametrize("pretrained", [False, True])
def test_every_template_makes_a_sound_pipeline(template, pretrained: bool) -> None:  # type: ignore[no-untyped-def]
    made = images_pipeline(found(40), template, "mobilenet-v3-large", 32, pretrained)
    assert documents.check(made) == [] and made.name == "i" and made.data.image_size == 32
    assert made.final_id == made.stages[-1].id and made.baselines == ("trained",)
    assert made.source("network").parameters.weights == ("imagenet" if pretrained else "random")  # type: ignore[attr-defined]
    first, *later = (node.settings["training"] for node in made.stages if "training" in node.settings)
    assert first["batch_size"] == 32 and all(one["epochs"] < first["epochs"] for one in later)


@pytest.mark.parametrize("template", FOR_MODELS, ids=lambda template: template.id)
def test_every_template_of_models_makes_a_sound_pipeline(template) -> None:  # type: ignore[no-untyped-def]
    about = OnnxDescription(False, 24)
    made = onnx_pipeline(Path("/m/net.onnx"), about, DataSettings(), model_stages(template))
    assert documents.check(made) == [] and made.stages[0].kind == "as-given"


def test_the_images_own_size_is_kept() -> None:
    assert sizes_for(found(40)) == [32, 40] and proposed_size(found(40), "resnet20", frozenset()) == 40
    assert images_pipeline(found(40), FOR_IMAGES[0], "resnet20", 40, False).data.image_size is None


def test_large_images_want_weights_that_are_here() -> None:
    large, here = found(300, False), frozenset({"resnet18"})
    assert proposed_network(large, frozenset()) == "resnet20" and proposed_size(large, "resnet20", here) == 64
    assert proposed_network(large, here) == "resnet18" and proposed_size(large, "resnet18", here) == 224
    for id, backbone in BACKBONES.items():
        assert proposed_size(large, id, frozenset()) >= min(backbone.smallest, 64)
