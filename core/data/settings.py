"""The `data` section of a pipeline: source, splits, image size, preprocessing, augmentation."""

from pathlib import Path
from typing import Literal

from core.common.params import Params, param
from core.common.paths import resolved
from core.data.class_names import ClassOrder

Balance = Literal["none", "fill-up", "weighted"]


class Augmentation(Params):
    """Random changes to training images, drawn per image; Hamza et al.'s by default.

    Source: Hamza et al. (doi 10.3390/bdcc10050131): horizontal flip, rotation ±15°, colour jitter.
    The strengths of the jitter are not published; 0.2 is torchvision's usual value. Zoom and
    vertical flip are off; together with rotation, flip and shift they are Musa et al.'s changes (survey of
    Musa et al., 2025).
    """

    flip: bool = param(
        True,
        "Horizontal flip",
        "Mirror half of the images. Switch off where left and right mean different classes.",
    )
    vertical_flip: bool = param(
        False,
        "Vertical flip",
        "Turn half of the images upside down; for images without an up and down, such as aerial ones.",
    )
    rotation: float = param(
        15.0,
        "Rotation",
        "Rotate by a random angle up to this much either way.",
        unit="°",
        ge=0,
        le=180,
        step=1,
    )
    scale: float = param(
        0.0,
        "Zoom",
        "Enlarge or shrink about the centre by a random factor within 1 ± this.",
        ge=0,
        le=0.5,
        step=0.05,
    )
    brightness: float = param(
        0.2,
        "Brightness",
        "Multiply the brightness by a random factor within 1 ± this.",
        ge=0,
        le=1,
        step=0.05,
    )
    contrast: float = param(
        0.2, "Contrast", "Change the contrast by a random factor within 1 ± this.", ge=0, le=1, step=0.05
    )
    saturation: float = param(
        0.2,
        "Saturation",
        "Change the saturation by a random factor within 1 ± this. No effect on grey images.",
        ge=0,
        le=1,
        step=0.05,
    )
    shift: int = param(
        0,
        "Random shift",
        "Pad by this many pixels and crop back at a random place, as usual for CIFAR.",
        unit="px",
        ge=0,
        le=64,
        step=1,
    )
    random_crop: bool = param(
        False,
        "Random-resized crop",
        "Show a part of random size and shape, cut out at a random place and resized, as usual for ImageNet. Images that are "
        "larger than the image size are then kept encoded and decoded while training.",
        added=True,
    )
    crop_smallest: float = param(
        0.08,
        "Smallest part",
        "Share of the image's area that a part has at least; it may have all of it.",
        gt=0,
        le=1,
        step=0.01,
        when="random_crop",
        added=True,
    )
    crop_ratio: float = param(
        4 / 3,
        "Shape of the part",
        "How much wider than high, or higher than wide, a part may be.",
        ge=1,
        le=4,
        step=0.01,
        when="random_crop",
        added=True,
    )
    rand_changes: int = param(
        0,
        "RandAugment",
        "Changes to each image besides, each drawn from fourteen (shear, shift, rotate, colours, posterise, equalise, …); 2 is usual, 0 makes none. "
        "Switch the colour jitter and the rotation off then.",
        unit="changes",
        ge=0,
        le=14,
        added=True,
    )
    rand_strength: float = param(
        9.0,
        "Its strength",
        "Of all its changes, from 0 to 10; 9 is usual for networks of full size, 5 for small ones.",
        ge=0,
        le=10,
        step=0.5,
        when="rand_changes>0",
        added=True,
    )


class DataSettings(Params):
    """Which images, how they are split and what a network gets to see."""

    source: str = param(
        "fashion-mnist-sample", "Data set", "The bundled sample, or the kind of files at the path below."
    )
    path: str = param(
        "",
        "Path",
        "The folder, zip file, archive or CSV file, as the data set wants. Relative paths start at the pipeline's file.",
        path="file",
    )
    image_size: int | None = param(
        None,
        "Image size",
        "Side of the square that the network sees; empty keeps the images' own size (or 224 where sizes differ).",
        unit="px",
        ge=8,
        le=1024,
        step=8,
    )
    resize: Literal["crop", "stretch"] = param(
        "crop",
        "Resizing",
        "How an image becomes square.",
        choices={
            "crop": "Shorter side to the size, then the centre is cut out: shapes stay true.",
            "stretch": "Both sides to the size: nothing is cut off, shapes are distorted.",
        },
    )
    normalisation: Literal["auto", "imagenet", "dataset", "half"] = param(
        "auto",
        "Normalisation",
        "Mean and standard deviation that images are normalised with.",
        choices={
            "auto": "ImageNet's where the weights come from ImageNet-normalised training, the data set's otherwise.",
            "imagenet": "Mean (0.485, 0.456, 0.406), deviation (0.229, 0.224, 0.225).",
            "dataset": "Computed from the training images.",
            "half": "0.5 and 0.5: the range −1…1 (EfficientNet-Lite).",
        },
    )
    validation_fraction: float = param(
        0.1,
        "Validation part",
        "Share of the training images held out for model selection, where the data set brings no validation split.",
        gt=0,
        lt=0.5,
        step=0.05,
    )
    test_fraction: float = param(
        0.2,
        "Test part",
        "Share held out for the final figures, where the data set brings no test split.",
        gt=0,
        lt=0.5,
        step=0.05,
    )
    split_seed: int = param(
        0, "Split seed", "Seed of the drawn splits; another seed draws other images.", ge=0, le=2**31 - 1
    )
    train_images: int | None = param(
        None,
        "Training images",
        "Use at most this many, drawn evenly over the classes; empty uses all.",
        unit="images",
        ge=2,
        step=100,
    )
    validation_images: int | None = param(
        None,
        "Validation images",
        "Use at most this many, drawn evenly over the classes; empty uses all.",
        unit="images",
        ge=2,
        step=100,
    )
    test_images: int | None = param(
        None,
        "Test images",
        "Use at most this many, drawn evenly over the classes; empty uses all.",
        unit="images",
        ge=2,
        step=100,
    )
    classes: str = param(
        "",
        "Classes",
        "Use only these, named between commas; empty uses all.",
        advanced=True,
    )
    class_order: ClassOrder = param(
        "auto",
        "Class order",
        "Which output of a network means which class. Models that say their classes are matched by name; for others "
        "this has to be the order that they were trained in.",
        advanced=True,
        choices={
            "auto": "Folders as text (0, 1, 10, 2), as torchvision orders them; numbers in a CSV file by value.",
            "text": "By the characters of the names: 0, 1, 10, 2.",
            "number": "Numbers in the names by their value: 0, 1, 2, 10.",
        },
    )
    imbalance: float = param(
        1.0,
        "Imbalance",
        "Thin out the training images so that the first class has this many times as many as the last, falling "
        "exponentially in between; 1 leaves them. Makes a data set like small collections of one's own.",
        unit="×",
        ge=1,
        le=1000,
        step=0.5,
        advanced=True,
    )
    balance: Balance = param(
        "none",
        "Class balance",
        "What training does about classes of different sizes; validation and test images stay as they are.",
        choices={
            "none": "Every image once an epoch.",
            "fill-up": "Every image once, and images of the smaller classes again, until each class has as many "
            "as the largest; repeats are augmented differently. Epochs become longer.",
            "weighted": "As many images as there are, drawn with replacement, each class as likely; some images "
            "are left out of an epoch.",
        },
    )
    augmentation: Augmentation = param(Augmentation(), "Augmentation", "Random changes to training images.")


def settings_path(path: str, base: Path) -> Path:
    """Where the path of the data section leads, links followed."""
    return resolved(path.strip(), base).resolve()
