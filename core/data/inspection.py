"""A look at a data set before an afternoon is spent on it: what is suspicious, and how sure that is.

Every check gives a `Finding`, also where all is well, so that a person sees what was looked at.
Statistics are compared with the normalisation that will be applied; pictures are compared by a hash
of their decoded pixels; the rest are counts. `k` used images of `h` × `w` pixels with `c` channels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.common.control import RunControl
from core.common.numbers import percent
from core.data.decode import Shape
from core.data.image_data import ImageData
from core.data.preprocess import Normalisation
from core.data.settings import DataSettings
from core.data.splits import SPLITS
from core.data.survey import Pixels, Progress, colour_cues, read_pixels, size_tells_class

Level = Literal["fine", "note", "warning"]
Sure = Literal["certain", "likely", "hint"]

_SHOWN = 12
_FAR_MEAN, _FAR_STD = 1.5, (0.33, 2.5)
_OFF_MEAN, _OFF_STD = 0.75, (0.5, 1.6)
_ORDER: tuple[Level, ...] = ("warning", "note", "fine")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: the check's id.
        title: one sentence.
        evidence: the numbers behind it.
        advice: what to do; empty where all is well.
        sure: "certain" follows from the numbers; "likely" and "hint" are judged from what is usual.
        images: some of the images that it is about, as indices into the data set's images.
    """

    check: str
    level: Level
    title: str
    evidence: str = ""
    advice: str = ""
    sure: Sure = "certain"
    images: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What one network's images will be normalised with.

    Attributes:
        network: what people call the network.
        normalisation: mean and deviation for three channels.
        trained_with: what its weights were trained with; None for random weights, or where unknown.
    """

    network: str
    normalisation: Normalisation
    trained_with: Normalisation | None = None


def inspect_data(
    data: ImageData,
    settings: DataSettings,
    applied: Sequence[Applied],
    shapes: Sequence[tuple[int, Shape]] = (),
    control: RunControl | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """All findings, warnings first.

    Args:
        applied: how each network of the pipeline will see the images.
        shapes: label and shape of some image files (`file_shapes`); none for other sources.

    Raises:
        Stopped: a person asked to stop.
    """
    pixels = read_pixels(data, control or RunControl(), progress or (lambda _fraction, _text: None))
    findings = [
        *(check_normalisation(data, one) for one in applied),
        check_range(pixels, data.channels),
        *check_colours(pixels),
        check_class_sizes(data),
        check_balance(data, settings),
        *check_duplicates(data, pixels),
        check_one_colour(pixels),
        *check_shapes(shapes),
        *check_enlarging(data, settings),
        check_unreadable(data),
    ]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.level))


def check_normalisation(data: ImageData, applied: Applied) -> Finding:
    """Whether normalised images will lie around 0 with a deviation of about 1."""
    mean, std = (np.array(values) for values in applied.normalisation)
    own_mean, own_std = (np.array(values * (3 // len(values))) for values in (data.mean, data.std))
    shift, spread = (own_mean - mean) / std, own_std / std
    evidence = f"After it, the training images have mean {_list(shift)} and deviation {_list(spread)}."
    expected = applied.trained_with
    if expected is not None and not np.allclose(applied.normalisation, expected, atol=0.02):
        return Finding(
            "normalisation",
            "warning",
            f"{applied.network}: its weights were trained with another normalisation.",
            f"Trained with mean {_list(expected[0])} and deviation {_list(expected[1])}; the settings apply mean "
            f"{_list(mean)} and deviation {_list(std)}.",
            "Set Normalisation to “auto”.",
        )
    if _outside(shift, spread, _OFF_MEAN, _OFF_STD):
        far = _outside(shift, spread, _FAR_MEAN, _FAR_STD)
        trained = expected is not None
        return Finding(
            "normalisation",
            "warning" if far and not trained else "note",
            f"{applied.network}: normalised images lie {'far' if far else 'somewhat'} from mean 0 and deviation 1.",
            evidence,
            "The weights want this normalisation, so keep it; the images differ from those that they were trained on."
            if trained
            else "Set Normalisation to “dataset”, or check how the images were saved.",
            "likely" if far else "hint",
        )
    return Finding("normalisation", "fine", f"{applied.network}: the normalisation fits.", evidence)


def check_range(pixels: Pixels, channels: int) -> Finding:
    """Whether the values look like bytes of pictures, or like numbers saved the wrong way."""
    total = int(pixels.counts.sum()) or 1
    share = pixels.counts / total
    highest = int(pixels.highest.max(initial=0))
    if highest <= 1:
        return Finding(
            "range", "warning", "The images are black: no value is above 1 of 255.", f"The highest value is {highest}.",
            "They were saved from values of 0…1. Multiply by 255 before saving.",
        )  # fmt: skip
    if highest < 64:
        return Finding(
            "range", "warning", f"The images are very dark: the brightest value is {highest} of 255.",
            "Pictures that were saved as they should be reach 255, or nearly.",
            "Check how they were saved: a division, or a depth of less than 8 bits.", "likely",
        )  # fmt: skip
    low, high = share[1:4].sum(), share[252:255].sum()
    if share[:4].sum() + share[252:].sum() > 0.98 and low > 0.005 and high > 0.005:
        return Finding(
            "range", "warning", "The images were normalised before they were saved.",
            f"{percent(share[:4].sum() + share[252:].sum(), 1)} of the values are 0…3 or 252…255: small numbers "
            "around 0, wrapped round.",
            "Save the images as they were before normalising.", "likely",
        )  # fmt: skip
    if channels == 3 and share[0] > 0.35 and share[255] > 0.02:
        return Finding(
            "range", "note", "Many values are cut off at black and at white.",
            f"{percent(share[0], 1)} of the values are 0 and {percent(share[255], 1)} are 255.",
            "Images that were normalised, cut to 0…1 and saved look like this. Look at a few of them.", "hint",
        )  # fmt: skip
    used = int((pixels.counts > 0).sum())
    lowest = int(pixels.lowest.min(initial=255))
    return Finding(
        "range", "fine", "Pixel values look like those of pictures.",
        f"From {lowest} to {highest}, {used} different ones; {percent(share[0])} are 0.",
    )  # fmt: skip


def check_colours(pixels: Pixels) -> list[Finding]:
    """Whether red and blue seem to be exchanged, judged by what nearly all photo collections share.

    Two cues: photos are mostly redder than bluish (CIFAR-10: 70 %), and bluer above than below,
    because of the sky. Neither proves anything for other kinds of pictures, hence "likely" at most.
    """
    if not len(pixels.grey):
        return []
    if pixels.grey.all():
        return [Finding(
            "colours", "note", "The images are grey, saved in colour.",
            f"All three channels are the same in all {len(pixels.grey)} sampled images.",
            "Nothing has to be done; grey files would take a third of the space.",
        )]  # fmt: skip
    colours = pixels.colours[~pixels.grey]
    redder, bluer_above, error = colour_cues(colours)
    evidence = (
        f"{percent(redder)} of {len(colours)} sampled images are redder than blue; the upper third is "
        f"{'bluer' if bluer_above > 0 else 'redder'} than the lower one by {abs(bluer_above):.1f} of 255."
    )
    rarely = redder < 0.4 and (0.5 - redder) * 2 * len(colours) ** 0.5 > 3  # three standard errors of a half
    against = rarely + (bluer_above < min(-2, -3 * error))
    if len(colours) >= 50 and against:
        return [Finding(
            "colours", "warning" if against == 2 else "note", "Red and blue may be exchanged.", evidence,
            "Look at the images: are faces blue, or skies orange? OpenCV saves blue first unless told otherwise. "
            "Pictures other than photos can look like this without a fault.",
            "likely" if against == 2 else "hint",
        )]  # fmt: skip
    return [Finding("colours", "fine", "Nothing speaks for exchanged colours.", evidence, sure="likely")]


def check_class_sizes(data: ImageData) -> Finding:
    """Classes of too few images to learn from, or to judge by."""
    train, test = data.class_counts("train"), data.class_counts("test")
    few = [name for name, count in train.items() if count < 10]
    none = [name for name in few if not train[name]]
    unjudged = [name for name, count in test.items() if count < 5]
    if none:
        return Finding(
            "class-sizes", "warning", f"{_classes(none)} no training images.", ", ".join(none[:_SHOWN]),
            "A run needs one of every class: use more training images, or leave these classes out under Classes.",
        )  # fmt: skip
    if few:
        return Finding(
            "class-sizes", "warning", f"{_classes(few)} fewer than 10 training images.",
            ", ".join(f"{name}: {train[name]}" for name in few[:_SHOWN]),
            "Add images, or leave these classes out under Classes.",
        )  # fmt: skip
    if unjudged:
        return Finding(
            "class-sizes", "note", f"{_classes(unjudged)} fewer than 5 test images.",
            ", ".join(f"{name}: {test[name]}" for name in unjudged[:_SHOWN]),
            "Their accuracy says little; hold more images out for the test.",
        )  # fmt: skip
    evidence = f"At least {min(train.values())} training and {min(test.values())} test images each."
    return Finding("class-sizes", "fine", "Every class has images to learn from and to judge by.", evidence)


def check_balance(data: ImageData, settings: DataSettings) -> Finding:
    """How unequal the classes are in training."""
    train = data.class_counts("train")
    largest, smallest = max(train, key=lambda n: train[n]), min(train, key=lambda n: train[n])
    ratio = train[largest] / max(1, train[smallest])
    evidence = f"{largest}: {train[largest]} training images; {smallest}: {train[smallest]}."
    if largest == smallest:
        evidence = f"{train[largest]} training images each."
    if ratio < 3:
        return Finding("balance", "fine", "The classes are of similar size.", evidence)
    if settings.balance != "none":
        title = f"The largest class is {ratio:.1f} times the smallest; training evens that out."
        return Finding("balance", "note", title, evidence)
    return Finding(
        "balance", "warning" if ratio >= 10 else "note", f"The largest class is {ratio:.1f} times the smallest.",
        evidence, "Set Class balance to “fill-up” or “weighted”, and judge by balanced accuracy.",
    )  # fmt: skip


def check_duplicates(data: ImageData, pixels: Pixels) -> list[Finding]:
    """The same picture, pixel for pixel, in two splits or in two classes."""
    split_of = {int(row): name for name in SPLITS for row in data.splits[name]}
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, digest in zip(pixels.rows.tolist(), pixels.digests, strict=True):
        groups[digest].append(row)
    alike = [rows for rows in groups.values() if len(rows) > 1]
    leaks = [rows for rows in alike if _leaks({split_of[row] for row in rows})]
    torn = [rows for rows in alike if len({int(data.labels[row]) for row in rows}) > 1]
    findings = []
    if leaks:
        held_out = [row for rows in leaks for row in rows if split_of[row] != "train"]
        findings.append(Finding(
            "duplicates", _duplicate_level(len(held_out), data), f"{_images(len(held_out))} of validation or test {_are(len(held_out))} in training, too.",
            "Pixel for pixel the same: "
            + ", ".join(f"{count} in {name}" for name, count in sorted(Counter(split_of[r] for r in held_out).items()))
            + ".",
            "Accuracy on them shows memory, not learning. Remove the copies and open the data again.",
            images=_examples(leaks),
        ))  # fmt: skip
    if torn:
        findings.append(Finding(
            "contradictions", _duplicate_level(len(torn), data), f"{_pictures(len(torn))} in several classes at once.",
            _torn_evidence(data, torn[0]), "Decide on one class and remove the other copies.", images=_examples(torn),
        ))  # fmt: skip
    within = sum(len(rows) - 1 for rows in alike)
    if not findings and within > 0.01 * len(pixels.rows):
        findings.append(Finding(
            "duplicates", "note", f"{_images(within)} repeat another one of the same split.",
            f"{percent(within / len(pixels.rows), 1)} of all.", "They count more in training than others do.",
            images=_examples(alike),
        ))  # fmt: skip
    return findings or [
        Finding("duplicates", "fine", "No image of training is in validation or test.",
                f"{len(pixels.rows)} images compared, pixel for pixel.")
    ]  # fmt: skip


def _leaks(splits: set[str]) -> bool:
    return "train" in splits and len(splits) > 1


def _duplicate_level(count: int, data: ImageData) -> Level:
    """A handful among thousands changes no figure; one in two hundred does."""
    held_out = sum(len(data.splits[name]) for name in SPLITS[1:])
    return "warning" if count > 0.005 * held_out else "note"


def _torn_evidence(data: ImageData, rows: Sequence[int]) -> str:
    names = sorted({data.classes[int(data.labels[row])] for row in rows})
    return f"For example one picture is in {' and in '.join(names)}."


def check_one_colour(pixels: Pixels) -> Finding:
    """Images in which every value is the same: failed conversions, mostly."""
    rows = pixels.rows[pixels.lowest == pixels.highest]
    if not len(rows):
        return Finding("one-colour", "fine", "No image is of one colour only.")
    return Finding(
        "one-colour", "warning", f"{_images(len(rows))} {_are(len(rows))} of one colour only.",
        f"{len(rows) / len(pixels.rows) * 100:.2g} % of all.", "Look, and remove what shows nothing.",
        images=tuple(rows[:_SHOWN].tolist()),
    )  # fmt: skip


def check_shapes(shapes: Sequence[tuple[int, Shape]]) -> list[Finding]:
    """Whether a file's size in pixels alone tells its class: a network can learn that instead."""
    if not shapes:
        return []
    right, guess = size_tells_class(shapes)
    evidence = (
        f"Learnt from half of {len(shapes)} files, size and colour mode alone tell the class of {percent(right)} "
        f"of the others; guessing is right for {percent(guess)}."
    )
    gained = (right - guess) / max(1 - guess, 1e-9)
    if gained < 0.15:
        return [Finding("sizes", "fine", "The files' sizes do not give the classes away.", evidence)]
    return [Finding(
        "sizes", "warning" if gained >= 0.3 else "note", "The files' sizes give the classes away.", evidence,
        "Sharpness and borders differ with the size, and a network can learn these instead of what the pictures show. "
        "Bring all classes to the same sizes.", "likely",
    )]  # fmt: skip


def check_enlarging(data: ImageData, settings: DataSettings) -> list[Finding]:
    """Images that are enlarged a lot."""
    factor = (settings.image_size or 0) / min(data.size)
    if factor < 3:
        return []
    return [Finding(
        "enlarging", "note", f"The images are enlarged {factor:.1f} times.",
        f"Stored with {data.size[1]} × {data.size[0]} px, shown to the network with {settings.image_size}.",
        f"Enlarging adds no detail and costs time: {factor * factor:.0f} times the pixels.",
    )]  # fmt: skip


def check_unreadable(data: ImageData) -> Finding:
    """Files that were left out."""
    count = len(data.problems)
    if not count:
        return Finding("unreadable", "fine", "Every file could be read.")
    path, reason = data.problems[0]
    return Finding(
        "unreadable", "warning", f"{count} file{'s' if count > 1 else ''} could not be read.", f"{path}: {reason}",
        "They are left out. Repair or remove them; Files lists them all.",
    )  # fmt: skip


def _outside(shift: np.ndarray, spread: np.ndarray, most: float, within: tuple[float, float]) -> bool:
    return bool(np.abs(shift).max() > most or spread.min() < within[0] or spread.max() > within[1])


def _list(values: Iterable[float]) -> str:
    texts = [f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00") for value in values]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def _examples(groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(row for rows in groups for row in rows[:2])[:_SHOWN]


def _classes(names: Sequence[str]) -> str:
    return f"The class “{names[0]}” has" if len(names) == 1 else f"{len(names)} classes have"


def _images(count: int) -> str:
    return "One image" if count == 1 else f"{count} images"


def _pictures(count: int) -> str:
    return "One picture is" if count == 1 else f"{count} pictures are"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
