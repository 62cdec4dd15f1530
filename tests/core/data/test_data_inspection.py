"""The check of a data set, on arrays small enough to count by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.decode import Shape
from core.data.image_data import ImageData
from core.data.image_names import image_names
from core.data.inspection import Applied, Finding, check_balance, check_normalisation, inspect_data
from core.data.preprocess import HALF, IMAGENET
from core.data.settings import DataSettings
from core.data.store import open_data
from core.data.survey import colour_cues, file_listing, file_shapes, size_tells_class


def made(images: np.ndarray, labels: list[int], train: int, validation: int, **changes: object) -> ImageData:
    """`train` images, then `validation`, the rest is the test split."""
    count = len(images)
    splits = {
        "train": np.arange(train),
        "validation": np.arange(train, train + validation),
        "test": np.arange(train + validation, count),
    }
    data = ImageData(
        title="Made", source="folder", classes=("cat", "dog"), images=images, labels=np.array(labels),
        splits=splits, mean=(0.5,) * images.shape[3], std=(0.25,) * images.shape[3], channels=images.shape[3],
        size=images.shape[1:3], problems=(), notes=(), fingerprint="0",
    )  # fmt: skip
    return replace(data, **changes)  # type: ignore[arg-type]


def noise(count: int, channels: int = 3, high: int = 256, side: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, (count, side, side, channels), dtype=np.uint8)


def plain(images: np.ndarray | None = None, **changes: object) -> ImageData:
    """60 training, 20 validation and 20 test images of two equal classes: nothing is wrong with it."""
    return made(noise(100) if images is None else images, [0, 1] * 50, 60, 20, **changes)


def found(data: ImageData, check: str, settings: DataSettings | None = None, **more: object) -> Finding:
    findings = inspect_data(data, settings or DataSettings(), [], **more)  # type: ignore[arg-type]
    return next(finding for finding in findings if finding.check == check)


def test_nothing_is_said_against_plain_data() -> None:
    findings = inspect_data(plain(), DataSettings(), [Applied("Net", ((0.5,) * 3, (0.25,) * 3))])
    assert {finding.level for finding in findings} == {"fine"}
    assert [finding.check for finding in findings] == [
        "normalisation", "range", "colours", "class-sizes", "balance", "duplicates", "one-colour", "unreadable",
    ]  # fmt: skip


def test_normalisation_is_told_in_numbers() -> None:
    finding = check_normalisation(plain(), Applied("Net", HALF))
    # (0.5 - 0.5) / 0.5 = 0; 0.25 / 0.5 = 0.5
    assert finding.evidence == "After it, the training images have mean 0.00 and deviation 0.50."
    assert finding.level == "fine"


def test_a_dark_data_set_is_far_from_imagenets_statistics() -> None:
    dark = plain(mean=(0.05, 0.05, 0.05), std=(0.06, 0.06, 0.06))
    finding = check_normalisation(dark, Applied("Net", IMAGENET))
    # (0.05 - 0.485) / 0.229 = -1.90, (0.05 - 0.456) / 0.224 = -1.81, (0.05 - 0.406) / 0.225 = -1.58
    assert "mean (−1.90, −1.81, −1.58)" in finding.evidence
    assert finding.level == "warning" and finding.sure == "likely" and "“dataset”" in finding.advice
    kept = check_normalisation(dark, Applied("Net", IMAGENET, trained_with=IMAGENET))
    assert kept.level == "note" and "keep it" in kept.advice


def test_another_normalisation_than_the_weights_were_trained_with_is_certain() -> None:
    finding = check_normalisation(plain(), Applied("Lite", IMAGENET, trained_with=HALF))
    assert finding.level == "warning" and finding.sure == "certain"
    assert finding.title == "Lite: its weights were trained with another normalisation."
    assert "Trained with mean 0.50 and deviation 0.50" in finding.evidence


def test_grey_statistics_count_for_three_channels() -> None:
    grey = plain(noise(100, 1), mean=(0.25,), std=(0.25,))
    assert (
        "mean 0.00 and deviation 1.00"
        in check_normalisation(grey, Applied("N", ((0.25,) * 3, (0.25,) * 3))).evidence
    )


def test_values_of_0_to_1_saved_as_bytes_are_black() -> None:
    finding = found(plain(noise(100, high=2)), "range")
    assert finding.level == "warning" and finding.sure == "certain" and "Multiply by 255" in finding.advice


def test_values_that_stop_early_are_dark() -> None:
    finding = found(plain(noise(100, high=32)), "range")
    assert finding.title == "The images are very dark: the brightest value is 31 of 255."


def test_normalised_numbers_wrap_round_when_saved_as_bytes() -> None:
    normal = np.random.default_rng(0).normal(0, 1, (100, 6, 6, 3))
    wrapped = np.clip(np.round(normal), -3, 3).astype(np.int8).view(np.uint8)
    finding = found(plain(wrapped), "range")
    assert finding.title == "The images were normalised before they were saved."
    assert finding.evidence.startswith("100.0 % of the values are 0…3 or 252…255")


def test_normalised_numbers_cut_to_0_and_1_are_a_hint() -> None:
    normal = np.random.default_rng(0).normal(0, 1, (100, 6, 6, 3))
    finding = found(plain((np.clip(normal, 0, 1) * 255).astype(np.uint8)), "range")
    assert finding.level == "note" and finding.sure == "hint"


def test_black_and_white_drawings_are_no_fault() -> None:
    assert (
        found(plain(noise(100, 1, high=2) * np.uint8(255), mean=(0.5,), std=(0.5,)), "range").level == "fine"
    )


def photos(count: int = 100) -> np.ndarray:
    """Bluish above, reddish below, and more red than blue on the whole."""
    images = noise(count, side=9) // 4
    images[:, :3, :, 2] += 60
    images[:, 3:, :, 0] += 80
    return images


def test_exchanged_colours_are_likely_when_both_cues_agree() -> None:
    right, swapped = photos(), np.ascontiguousarray(photos()[..., ::-1])
    assert found(plain(right), "colours").level == "fine"
    finding = found(plain(swapped), "colours")
    assert finding.level == "warning" and finding.sure == "likely" and "OpenCV" in finding.advice


def test_colour_cues_longhand() -> None:
    # two images, upper and lower third as (red, green, blue)
    colours = np.array([[[10, 0, 50], [90, 0, 20]], [[0, 0, 40], [20, 0, 10]]], float)
    # image 1 is redder (50 > 35), image 2 bluer (10 < 25);
    # blueness above minus below: (40 - -70) = 110 and (40 - -10) = 50: 80 ± 30 / √2
    assert colour_cues(colours) == pytest.approx((0.5, 80.0, 21.2132))


def test_grey_images_saved_in_colour_are_noted() -> None:
    assert found(plain(np.repeat(noise(100, 1), 3, axis=3)), "colours").title.startswith(
        "The images are grey"
    )


def test_grey_data_has_no_colours_to_check() -> None:
    checks = [f.check for f in inspect_data(plain(noise(100, 1)), DataSettings(), [])]
    assert "colours" not in checks


def test_a_tiny_class_is_named() -> None:
    labels = [0] * 55 + [1] * 5 + [0, 1] * 20
    finding = found(made(noise(100), labels, 60, 20), "class-sizes")
    assert (
        finding.title == "The class “dog” has fewer than 10 training images." and finding.evidence == "dog: 5"
    )


def test_a_class_that_cannot_be_judged_is_named() -> None:
    labels = [0, 1] * 40 + [0] * 18 + [1] * 2
    finding = found(made(noise(100), labels, 60, 20), "class-sizes")
    assert finding.level == "note" and finding.title == "The class “dog” has fewer than 5 test images."


@pytest.mark.parametrize(
    ("dogs", "level", "words"),
    [(20, "fine", "similar size"), (12, "note", "4.0 times"), (5, "warning", "11.0 times")],
)
def test_imbalance_is_measured(dogs: int, level: str, words: str) -> None:
    labels = [0] * (60 - dogs) + [1] * dogs + [0, 1] * 20
    finding = check_balance(made(noise(100), labels, 60, 20), DataSettings())
    assert finding.level == level and words in finding.title


def test_imbalance_that_training_evens_out_is_a_note() -> None:
    labels = [0] * 55 + [1] * 5 + [0, 1] * 20
    finding = check_balance(made(noise(100), labels, 60, 20), DataSettings(balance="weighted"))
    assert finding.level == "note" and "evens that out" in finding.title


def test_images_of_training_in_the_test_are_found() -> None:
    images = noise(100)
    images[80], images[81], images[60] = images[0], images[1], images[2]
    finding = found(plain(images), "duplicates")
    assert finding.level == "warning"
    assert finding.title == "3 images of validation or test are in training, too."
    assert finding.evidence == "Pixel for pixel the same: 2 in test, 1 in validation."
    assert set(finding.images) == {0, 80, 1, 81, 2, 60}


def test_a_handful_among_thousands_is_a_note() -> None:
    images = np.random.default_rng(1).integers(0, 256, (1000, 3, 3, 3), dtype=np.uint8)
    images[900] = images[0]
    finding = found(made(images, [0, 1] * 500, 400, 100), "duplicates")  # 1 of 600 held out
    assert finding.level == "note" and finding.title.startswith(
        "One image of validation or test is in training"
    )


def test_one_picture_in_two_classes_is_a_contradiction() -> None:
    images = noise(100)
    images[1] = images[0]
    finding = found(plain(images), "contradictions")
    assert (
        finding.title == "One picture is in several classes at once." and "cat and in dog" in finding.evidence
    )


def test_images_of_one_colour_are_found() -> None:
    images = noise(100)
    images[7] = 128
    images[9] = images[9][:1, :1]
    finding = found(plain(images), "one-colour")
    assert finding.level == "warning" and finding.images == (7,)  # 9 repeats one pixel, but of three values


def test_shapes_that_tell_the_class() -> None:
    small, large = Shape(10, 10, False), Shape(20, 20, False)
    told = [(0, small)] * 10 + [(1, large)] * 10
    assert size_tells_class(told) == (1.0, 0.5)
    # both classes in both shapes alike: ties count half
    even = [(0, small)] * 4 + [(0, large)] * 4 + [(1, small)] * 4 + [(1, large)] * 4
    assert size_tells_class(even) == (0.5, 0.5)
    finding = found(plain(), "sizes", shapes=told)
    assert finding.level == "warning" and "tell the class of 100 %" in finding.evidence
    assert found(plain(), "sizes", shapes=even).level == "fine"


def test_a_lot_of_enlarging_is_noted() -> None:
    finding = found(plain(), "enlarging", DataSettings(image_size=24))  # 24 / 6 px
    assert finding.title == "The images are enlarged 4.0 times." and "16 times the pixels" in finding.advice


def test_warnings_come_first() -> None:
    data = plain(noise(100, high=2), problems=(("cat/broken.png", "not an image"),))
    levels = [finding.level for finding in inspect_data(data, DataSettings(), [])]
    assert levels == sorted(levels, key=("warning", "note", "fine").index) and levels[0] == "warning"
    assert found(data, "unreadable").evidence == "cat/broken.png: not an image"


def test_progress_is_told_and_stopping_is_heard() -> None:
    said: list[tuple[float, str]] = []
    inspect_data(plain(), DataSettings(), [], progress=lambda part, words: said.append((part, words)))
    assert said[-1] == (1.0, "Looking at every image: 100 of 100")
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        inspect_data(plain(), DataSettings(), [], control=control)


def test_files_are_matched_with_images(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(6):
            side = 8 + 4 * label
            colour = Image.fromarray(noise(1, side=side)[0] // 2 + np.uint8(number))
            colour.save(tmp_path / "set" / name / f"{number}.png")
    (tmp_path / "set" / "cat" / "2.png").write_bytes(b"no image")
    settings = DataSettings(source="folder", path="set", image_size=8)
    data = open_data(settings, tmp_path / "cache", tmp_path)
    listing = file_listing(settings, tmp_path)
    assert listing is not None
    names = image_names(data, settings, tmp_path)
    assert names[:3] == ("cat/0.png", "cat/1.png", "cat/3.png") and len(names) == len(data.images) == 11
    shapes = file_shapes(*listing, RunControl())
    assert shapes.count((0, Shape(8, 8, False))) == 5 and shapes.count((1, Shape(12, 12, False))) == 6
    assert file_listing(DataSettings(), tmp_path) is None
