"""What folder names mean."""

import pytest

from core.common.errors import EspalierError
from core.data.layout import Layout, PlacedImage, is_hidden_image, lay_out


def message(names: list[str]) -> str:
    with pytest.raises(EspalierError) as caught:
        lay_out(names, "here")
    return str(caught.value)


def members(layout: Layout) -> list[tuple[str, str, int]]:
    return [(image.name, layout.classes[image.label], image.membership) for image in layout.images]


def test_a_folder_per_class_with_images_at_any_depth():
    layout = lay_out(["dog/b.PNG", "cat/deep/er/a.jpeg", "cat/c.webp"], "here")
    assert members(layout) == [
        ("cat/c.webp", "cat", 0),
        ("cat/deep/er/a.jpeg", "cat", 0),
        ("dog/b.PNG", "dog", 0),
    ]
    assert layout.notes == ()


def test_classes_are_in_the_order_of_torchvision():
    layout = lay_out(["b/1.png", "B/1.png", "a/1.png", "10/1.png", "2/1.png"], "here")
    assert layout.classes == ("10", "2", "B", "a", "b")


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_split_folders_in_any_spelling(validation: str):
    layout = lay_out(["Train/a/1.png", "Train/b/1.png", f"{validation}/a/2.png", "TEST/b/3.png"], "here")
    assert sorted(members(layout), key=lambda image: image[2]) == [
        ("Train/a/1.png", "a", 0),
        ("Train/b/1.png", "b", 0),
        (f"{validation}/a/2.png", "a", 1),
        ("TEST/b/3.png", "b", 2),
    ]
    assert layout.notes == ()


def test_a_wrapping_folder_is_looked_through():
    names = ["set/v1/train/a/1.png", "set/v1/train/b/1.png", "set/v1/test/a/2.png", "set/readme.txt"]
    layout = lay_out(names, "here")
    assert layout.classes == ("a", "b")
    assert [image.membership for image in layout.images] == [0, 0, 2]
    assert lay_out(["set/a/1.png", "set/b/1.png"], "here").classes == ("a", "b")
    assert lay_out(["test/a/1.png", "test/b/1.png"], "here").classes == ("a", "b")


def test_a_lone_train_folder_is_a_split_not_a_wrapping():
    layout = lay_out(["train/a/1.png", "train/b/1.png"], "here")
    assert layout.images == (PlacedImage("train/a/1.png", 0, 0), PlacedImage("train/b/1.png", 1, 0))


def test_a_class_may_be_called_train():
    layout = lay_out(["train/1.png", "bus/1.png", "test/1.png"], "here")
    assert layout.classes == ("bus", "test", "train")
    assert {image.membership for image in layout.images} == {0}


def test_a_stray_image_in_the_train_folder_does_not_hide_the_splits():
    names = ["train/preview.png", "train/a/1.png", "train/b/1.png", "test/a/2.png"]
    layout = lay_out(names, "here")
    assert layout.classes == ("a", "b")
    assert layout.notes[0] == (
        "1 image is outside the class folders of train, validation and test and left out."
    )


def splits(names: list[str]) -> tuple[tuple[str, ...], list[int]]:
    layout = lay_out(names, "here")
    return layout.classes, [image.membership for image in layout.images]


def both(train: str, test: str) -> list[str]:
    """Two classes in each of two folders."""
    return [f"{train}/a/1.png", f"{train}/b/1.png", f"{test}/a/2.png", f"{test}/b/2.png"]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("asl_train/asl_train", "asl_test/asl_test"),
        ("archive/train/train/images", "archive/test/images"),
        ("Set (augmented)/Set (augmented)/train", "test/test"),
    ],
)
def test_splits_may_be_called_and_wrapped_otherwise(train: str, test: str):
    assert splits(both(train, test)) == (("a", "b"), [0, 0, 2, 2])
    assert (
        lay_out(both(train, test), "here")
        .notes[0]
        .startswith("The splits are read from folders: train from ")
    )


def test_splits_may_lie_in_the_folders_of_the_classes():
    names = [f"{name}/{part}/{n}.png" for name in ("cat", "dog") for part in ("train", "test") for n in "12"]
    assert splits(names) == (("cat", "dog"), [0, 0, 0, 0, 2, 2, 2, 2])


def test_a_second_copy_of_the_splits_further_down_is_left_out():
    layout = lay_out([*both("train", "test"), *both("set/train", "set/test")], "here")
    assert len(layout.images) == 4
    assert layout.notes == (
        "4 images are outside the class folders of train, validation and test and left out.",
    )


def test_splits_without_class_folders_are_refused():
    assert message(["train/cat1.png", "train/dog1.png", "test/1.png"]).startswith(
        "Expected a folder per class inside the folders test and train of here, received images without class folders."
    )


def test_several_sets_of_splits_are_refused():
    names = [*both("fold1/train", "fold1/val"), *both("fold2/train", "fold2/val")]
    assert message(names) == (
        "Expected one set of train, validation and test folders, received 2: in fold1, fold2. "
        "Choose the folder of one of them."
    )


def test_splits_without_training_are_refused():
    assert message(both("val", "test")).startswith(
        "Expected training images in here, received only the folders test and val."
    )


def test_folders_that_may_be_the_classes_are_mentioned():
    layout = lay_out(both("learning", "trial"), "here")
    assert layout.classes == ("learning", "trial")
    assert layout.notes == (
        "The classes are the folders learning, trial, and each holds the folders a, b: if those are the classes, "
        "choose one of the folders, or call them train and test.",
    )


def test_one_class_in_several_spellings():
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    names = [f"train/{composed}/1.png", "train/Cat/1.png", f"test/{decomposed}/2.png", "test/cat/2.png"]
    layout = lay_out(names, "here")
    assert layout.classes == ("Cat", composed) and len(layout.images) == 4
    assert layout.notes == ("'cat' is taken for the class 'Cat': the training images spell it so.",)
    assert (
        len(lay_out([*both("train", "val"), "train/big cat/1.png", "val/big_cat/2.png"], "here").images) == 6
    )
    both_spellings = lay_out([f"{composed}/1.png", f"{decomposed}/2.png", "b/3.png"], "here")
    assert both_spellings.classes == ("b", composed)


def test_classes_that_differ_in_capitals_stay_apart():
    layout = lay_out(["train/a/1.png", "train/A/1.png", "test/a/2.png", "test/A/2.png"], "here")
    assert layout.classes == ("A", "a") and len(layout.images) == 4
    assert layout.notes == (
        "The classes 'A' and 'a' differ in capitals or separators only; they are kept apart.",
    )


def test_a_class_whose_name_is_no_text_is_refused():
    assert message(["caf\udce9/1.png", "a/1.png"]) == (
        "Expected names of classes in UTF-8 in here, received 'caf\\xe9', which is in another encoding. "
        "Rename the folder: exported files carry the names of the classes."
    )


def test_folders_without_images_are_named():
    layout = lay_out(["a/1.png", "b/1.png", "c/notes.txt"], "here", empty=["d", "e/f"])
    assert layout.notes[1] == "3 folders hold no images and are no class: c, d, e."


def test_a_split_that_is_a_link_to_another_is_said():
    names = ["train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/2.png"]
    layout = lay_out(names, "here", [("test", "val")])
    assert [image.membership for image in layout.images] == [0, 0, 2, 2]
    assert layout.notes == (
        "The folder test is a link to val, the same folder: its images count once, as the test split, and there is "
        "no validation split of its own.",
    )
    leak = lay_out(["train/a/1.png", "train/b/1.png"], "here", [("test", "train")])
    assert [image.membership for image in leak.images] == [0, 0] and "no test split of its own" in leak.notes[
        0
    ]
    reverse = lay_out(["test/a/1.png", "test/b/1.png"], "here", [("train", "test")])
    assert [image.membership for image in reverse.images] == [0, 0]


def test_litter_is_ignored_without_a_word():
    names = [".git/a/x.png", "__MACOSX/a/._1.png", "a/._2.png", ".ipynb_checkpoints/3.png", "a/Thumbs.db"]
    assert not any(is_hidden_image(name) for name in names)
    assert lay_out([*names, "a/1.png", "b/1.png"], "here").notes == ()
    assert len(lay_out([*names, "a/1.png", "b/1.png"], "here").images) == 2


def test_hidden_images_that_a_person_may_have_meant_are_counted():
    hidden = [".net/1.png", ".net/2.PNG", "a/.3.jpg", "a/.notes.txt"]
    assert [is_hidden_image(name) for name in hidden] == [True, True, True, False]
    layout = lay_out(["a/1.png", "b/1.png"], "here", hidden=hidden[:3])
    assert layout.notes == ("3 images are hidden and left out: .net, a/.3.jpg.",)
    with pytest.raises(EspalierError, match=r"received hidden ones only: \.net\. Give their folders names"):
        lay_out([], "here", hidden=hidden[:2])


def test_what_is_there_instead_of_images_says_what_to_do():
    assert message(["a/1.heic", "b/2.HEIC"]).startswith(
        "Expected images in here, received 2 files of other kinds (.heic: 2). Save them as JPEG or PNG; read are .apng,"
    )
    assert message(["a.zip"]) == (
        "Expected images in here, received 1 files of other kinds (.zip: 1). Unpack the archive, and choose the folder "
        "that it gives."
    )


def test_what_is_left_out_is_counted_in_a_note():
    layout = lay_out(["a/1.png", "b/1.png", "stray.png", "a/labels.csv", "b/x.csv", "README"], "here")
    assert layout.notes == (
        "3 files are not an image by name and left out (.csv: 2, no ending: 1).",
        "1 image is outside any class folder and left out.",
    )


def test_classes_without_training_images_are_left_out_with_a_note():
    layout = lay_out(
        ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png", "test/c/2.png", "test/4.png"],
        "here",
    )
    assert layout.classes == ("a", "b")
    assert layout.notes == (
        "1 image is outside the class folders of train, validation and test and left out.",
        "2 images are of a class without training images ('c') and left out.",
    )


ADVICE = (
    " Put the images into a folder per class, named like the class, and choose the folder that holds these."
)


def test_nothing_usable_is_said_exactly():
    assert message([]) == "Expected images in here, received no files." + ADVICE
    assert (
        message(["a/x.txt"]) == "Expected images in here, received 1 files of other kinds (.txt: 1)." + ADVICE
    )
    assert message(["1.png", "2.png"]) == (
        "Expected a folder per class in here, received 2 images outside any folder." + ADVICE
    )
    assert message(["cats/1.png", "cats/2.png"]) == (
        "Expected at least two classes in here, received only one: 'cats'." + ADVICE
    )
    assert message(["train/a/1.png", "test/a/1.png"]) == (
        "Expected at least two classes in the training folder of here, received only one: 'a'." + ADVICE
    )
