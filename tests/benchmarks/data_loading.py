"""What reading images costs: opening a data set both ways, and training's batches against torchvision's DataLoader.

Claims: a set that is kept encoded opens in at most half of the decoded store's time, and a second time in at most 2 s; batches at
224 pixels with random-resized crop from JPEG cost at most 1.1 of torchvision's DataLoader with as many workers.

Measured: a folder with a folder of JPEGs per class is opened into new caches, both ways in turn; then epochs of batches (decoded, cropped,
flipped, normalised, float32) are taken from both, in turn, and thrown away, with nothing else to do. Each ratio is of two that
followed each other; printed are medians and ranges. Files lie in memory after the first turn, for both.

    python tests/benchmarks/data_loading.py FOLDER [--copies N] [--turns 5] [--workers 2] [--open-only]

With --copies, FOLDER may hold any few JPEGs (subfolders included); a set of N files is made of them in a temporary folder.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from core.common.files import discard
from core.data.batches import Batches, BatchForm, Draws
from core.data.preprocess import IMAGENET, Preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import ImageData, open_data
from core.models.torchvision_shim import import_torchvision

SIDE, BATCH = 224, 32
OPENING, BATCHES, SECOND = 0.5, 1.1, 2.0
CROP = Augmentation(random_crop=True, rotation=0, brightness=0, contrast=0, saturation=0)
STILL = CROP.model_copy(update={"random_crop": False})


def copied(source: Path, count: int, target: Path) -> Path:
    """A set of `count` JPEGs of ten classes; each differs from all others in a comment behind its end."""
    files = sorted(path for path in source.rglob("*") if path.suffix.casefold() in (".jpg", ".jpeg"))
    contents = [path.read_bytes() for path in files]
    for number in range(count):
        place = target / f"class-{number % 10}" / f"{number:07}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(contents[number % len(contents)] + number.to_bytes(8, "little"))
    return target


def opened(folder: Path, cache: Path, augmentation: Augmentation) -> tuple[float, float, ImageData]:
    """Seconds elapsed, seconds of the processor, and the data set."""
    settings = DataSettings(source="folder", path=str(folder), image_size=SIDE, augmentation=augmentation)
    started, busy = time.perf_counter(), time.process_time()
    data = open_data(settings, cache)
    return time.perf_counter() - started, time.process_time() - busy, data


def opening(folder: Path, scratch: Path, turns: int) -> ImageData:
    """Print what opening costs; the data set as it is kept encoded."""
    ratios, busy, again = [], [], []
    for turn in range(turns):
        caches = scratch / f"decoded-{turn}", scratch / f"encoded-{turn}"
        decoded, decoded_busy, _ = opened(folder, caches[0], STILL)
        encoded, encoded_busy, _ = opened(folder, caches[1], CROP)
        second, _, data = opened(folder, caches[1], CROP)
        ratios.append(encoded / decoded)
        busy.append(encoded_busy / decoded_busy)
        again.append(second)
        print(f"  decoded {decoded:.1f} s, encoded {encoded:.1f} s, encoded again {second:.2f} s", flush=True)
        discard(caches[0])
        if turn + 1 < turns:
            discard(caches[1])
    said("Opening, encoded : decoded", ratios, OPENING)
    said("The same in the processor's time", busy, OPENING)
    said(f"Opening {len(data.images)} images again [s]", again, SECOND)
    return data


def said(what: str, values: list[float], most: float) -> None:
    """Print a median, its range and the claim."""
    middle = statistics.median(values)
    verdict = "holds" if middle <= most else "DOES NOT HOLD"
    print(f"{what}: {middle:.3f} ({min(values):.3f} to {max(values):.3f}); at most {most:g}: {verdict}")


def theirs(folder: Path, workers: int) -> DataLoader:
    """torchvision's folder, crop and flip behind a DataLoader."""
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize(*IMAGENET),
        ]
    )  # fmt: skip
    images = datasets.ImageFolder(str(folder), transform)
    return DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=True
    )


def batches(folder: Path, data: ImageData, workers: int, turns: int) -> None:
    """Print what the batches cost, each way in turn; the first turn of each, which starts workers, is not counted."""
    import_torchvision()
    torch.set_num_threads(workers)
    mean, std = IMAGENET
    ours = Batches(
        data, "train", Preprocess(SIDE, 3, mean, std), BatchForm(BATCH, channels_last=True),
        Draws(0, "benchmark", True), CROP,
    )  # fmt: skip
    loader, ratios = theirs(folder, workers), []
    for turn in range(turns + 1):
        started = time.perf_counter()
        mine = sum(len(labels) for _, labels in ours.epoch(turn + 1)) / (time.perf_counter() - started)
        started = time.perf_counter()
        usual = sum(len(labels) for _, labels in loader) / (time.perf_counter() - started)
        if turn:
            ratios.append(usual / mine)
            print(f"  {mine:.0f} images a second, torchvision's {usual:.0f}", flush=True)
    said("Time of batches, ours : torchvision's", ratios, BATCHES)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--open-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch, folder = Path(name), options.folder
        if options.copies:
            folder = copied(folder, options.copies, scratch / "images")
        data = opening(folder, scratch, options.turns)
        if not options.open_only:
            batches(folder, data, options.workers, options.turns)


if __name__ == "__main__":
    main()
