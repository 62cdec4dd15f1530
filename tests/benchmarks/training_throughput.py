"""How fast the training stages train, against the usual way to train on small images.

Claim: for CIFAR's ResNet-20 at 32×32 on two cores, at equal accuracy, the float32 stage trains at least 1.3 times and,
on a processor with bfloat16 instructions, the mixed-precision stage at least 2 times as many images a second as the
usual way: torchvision's transforms on Pillow images in a DataLoader with 2 workers, contiguous float32, PyTorch's
default optimiser implementation.

Measured: all three train the same network from the same start on the same images with the same augmentation,
optimiser, schedule, smoothing and clipping, each in a process of its own, epoch by epoch in turn (the stages stop and
go on through their resume state). Timed is an epoch's training without validation and without starting the workers.
Every ratio is of two epochs of the same turn; their median and range are printed. Accuracies are equal when a
stage's validation top-1 is at worst as far below the usual way's as two samples of this many images differ by chance
(95 %).

    python tests/benchmarks/training_throughput.py [--epochs 6] [--images 6400] [--data cifar10.zip]
"""

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from core.common.control import RunControl
from core.common.errors import Stopped
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess, make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.engine.reproducible import reproducible
from core.machine.fingerprint import usable_cores
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.models.torchvision_shim import import_torchvision
from core.records.events import EpochDone, Event, TrainingStarted
from core.stages.context import StageContext
from core.stages.fine_tune import run_training
from core.training.hooks import Hooks
from core.training.optimisers import learning_rate
from core.training.precision import resolve_precision
from core.training.settings import TrainingSettings, with_precision

WORKERS = 2
CLAIMS = {"float32": 1.3, "mixed": 2.0}

Epoch = tuple[float, float]  # images a second, validation top-1 in percent


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """A split as torchvision's own data sets give it: one Pillow image at a time, transformed."""

    def __init__(self, data: ImageData, split: str, transform: Callable[[Image.Image], torch.Tensor]):
        rows = data.split(split)
        self.images, self.labels, self.transform = np.asarray(data.images)[rows], data.labels[rows], transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = self.images[index]
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        return self.transform(picture), int(self.labels[index])


class Usual:
    """The usual way: what a PyTorch tutorial writes."""

    def __init__(
        self, model: nn.Module, data: ImageData, preprocess: Preprocess, changes: Augmentation,
        settings: TrainingSettings,
    ):  # fmt: skip
        import_torchvision()
        from torchvision import transforms

        size = (preprocess.size, preprocess.size)
        before = [transforms.Grayscale(3)] if data.channels == 1 else []
        before += [transforms.Resize(size)] if data.size != size else []
        after = [transforms.ToTensor(), transforms.Normalize(preprocess.mean, preprocess.std)]
        random = [
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(changes.rotation, transforms.InterpolationMode.BILINEAR),
            transforms.ColorJitter(changes.brightness, changes.contrast, changes.saturation),
        ]
        options = {"num_workers": WORKERS, "persistent_workers": True}
        self.training: DataLoader = DataLoader(
            Pictures(data, "train", transforms.Compose([*before, *random, *after])), settings.batch_size,
            shuffle=True, drop_last=True, **options,
        )  # fmt: skip
        self.validation: DataLoader = DataLoader(
            Pictures(data, "validation", transforms.Compose([*before, *after])), 256, **options
        )
        self.model, self.settings, self.epochs = model, settings, 0
        self.optimiser = torch.optim.Adamax(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    def epoch(self) -> Epoch:
        """Train one more epoch."""
        self.model.train()
        batches = iter(self.training)
        first = next(batches)  # the workers have started
        started, images = time.perf_counter(), 0
        step = 0
        while first is not None:
            self._step(*first, self.epochs + step / len(self.training))
            images, step = images + len(first[1]), step + 1
            first = next(batches, None)
        seconds = time.perf_counter() - started
        self.epochs += 1
        return images / seconds, self._top1()

    def _step(self, images: torch.Tensor, labels: torch.Tensor, position: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, position)
        self.optimiser.zero_grad()
        loss = functional.cross_entropy(
            self.model(images), labels, label_smoothing=self.settings.label_smoothing
        )
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimiser.step()

    @torch.no_grad()
    def _top1(self) -> float:
        self.model.eval()
        right = [(self.model(images).argmax(1) == labels).float() for images, labels in self.validation]
        return 100.0 * float(torch.cat(right).mean())


class Stage:
    """What the training stages do: the real loop on the real batches, stopped after every epoch."""

    def __init__(self, model: nn.Module, settings: TrainingSettings, context: Callable[[RunControl, Callable[[Event], None]], StageContext]):  # fmt: skip
        self.model, self.settings, self.context = model, settings, context

    def epoch(self) -> Epoch:
        """Go on from the resume state and train one more epoch."""
        control, marks, found = RunControl(), [0.0, 0.0], []

        def heard(event: Event) -> None:
            if isinstance(event, TrainingStarted):
                marks[0] = time.perf_counter()
            if isinstance(event, EpochDone):
                found.append((event, marks[1] - marks[0]))
                control.stop()

        def stepped(model: nn.Module) -> None:
            marks[1] = time.perf_counter()

        context = self.context(control, heard)
        with reproducible(torch.get_num_threads()), contextlib.suppress(Stopped):  # as asked, after the epoch
            run_training(self.model, self.settings, context, hooks=Hooks(after_step=stepped))
        [(event, seconds)] = found
        steps = len(context.data.split("train")) // self.settings.batch_size
        return steps * self.settings.batch_size / seconds, event.metrics["val_top1"]


class Runner:
    """A way in a process of its own, with its own memory and threads, which trains when it is its turn."""

    def __init__(self, name: str, asked: argparse.Namespace, folder: Path):
        command = [sys.executable, __file__, "--way", name, "--folder", str(folder)]
        command += ["--epochs", str(asked.epochs), "--images", str(asked.images)]
        command += ["--data", str(asked.data)] if asked.data else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it is ready, and disturbs nobody until its turn

    def epoch(self) -> Epoch:
        """Have it train one more epoch."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        speed, top1 = json.loads(self.process.stdout.readline())
        return speed, top1

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(asked: argparse.Namespace) -> int:
    """One way's process: an epoch for every line that comes in."""
    torch.set_num_threads(usable_cores())
    way = _way(asked)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(way.epoch()), flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=6400, help="training images in an epoch")
    parser.add_argument("--data", type=Path, help="a folder or zip file of images in folders by class")
    parser.add_argument("--way", choices=["usual", *CLAIMS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        return serve(asked)
    names = ["usual", "float32"]
    if resolve_precision("mixed", "cpu").dtype is None:
        print("this processor has no bfloat16 instructions: nothing is claimed of mixed precision")
    else:
        names.append("mixed")
    with tempfile.TemporaryDirectory() as folder:
        data = open_data(_data(asked), Path(folder))
        images = len(data.split("validation"))
        print(f"{data.title}: {len(data.split('train'))} training, {images} validation images", flush=True)
        found = _take_turns({name: Runner(name, asked, Path(folder)) for name in names}, asked.epochs)
    print(f"torch {torch.__version__}, {usable_cores()} threads; n = {asked.epochs} epochs")
    held = [_verdict(name, found, images) for name in names if name in CLAIMS]
    return 0 if all(held) else 1


def _take_turns(ways: dict[str, Runner], epochs: int) -> dict[str, list[Epoch]]:
    """An epoch of each way, and again, forwards and backwards."""
    found: dict[str, list[Epoch]] = {name: [] for name in ways}
    for number in range(epochs):
        for name in list(ways) if number % 2 else list(reversed(ways)):
            found[name].append(ways[name].epoch())
        told = [f"{name} {found[name][-1][0]:.0f} images/s ({found[name][-1][1]:.1f} %)" for name in ways]
        print(f"epoch {number + 1}: {', '.join(told)}", flush=True)
    for way in ways.values():
        way.close()
    return found


def _data(asked: argparse.Namespace) -> DataSettings:
    """The images; saturation is left alone where they are grey."""
    if asked.data is None:
        return DataSettings(
            image_size=32, train_images=asked.images, augmentation=Augmentation(saturation=0.0)
        )
    place = str(asked.data.resolve())
    return DataSettings(source="folder", path=place, image_size=32, train_images=asked.images)


def _way(asked: argparse.Namespace) -> Usual | Stage:
    """A way at its start, the same for all."""
    wanted = _data(asked)
    data = open_data(wanted, asked.folder)
    preprocess = make_preprocess(wanted, data)
    settings = TrainingSettings(epochs=asked.epochs, learning_rate=0.005, patience=0)
    network = BackboneSettings(backbone="resnet20")
    model, _ = build_network(network, len(data.classes), asked.folder, seed=0)
    if asked.way == "usual":
        return Usual(model, data, preprocess, wanted.augmentation, settings)
    scratch = asked.folder / asked.way
    scratch.mkdir()

    def context(control: RunControl, emit: Callable[[Event], None]) -> StageContext:
        return StageContext(
            "stage", 0, "benchmark", "cpu", network, data, preprocess, wanted.augmentation, scratch, control, emit,
            lambda name: model,
        )  # fmt: skip

    return Stage(model, with_precision(settings, asked.way), context)


def _verdict(name: str, found: dict[str, list[Epoch]], images: int) -> bool:
    """Print one stage's figures; whether its claim holds."""
    ratios = [ours[0] / usual[0] for ours, usual in zip(found[name], found["usual"], strict=True)]
    ours, usual = (found[way][-1][1] for way in (name, "usual"))
    spread = 1.96 * math.sqrt(sum(share * (100 - share) for share in (ours, usual)) / images)
    ratio, equal = statistics.median(ratios), ours >= usual - spread
    speeds = [statistics.median(epoch[0] for epoch in found[way]) for way in (name, "usual")]
    print(
        f"{name}: {speeds[0]:.0f} images/s against {speeds[1]:.0f}; ratio median {ratio:.2f} (range {min(ratios):.2f} to "
        f"{max(ratios):.2f}); claim: at least {CLAIMS[name]}: {'holds' if ratio >= CLAIMS[name] else 'FAILS'}\n"
        f"  validation top-1 {ours:.2f} % against {usual:.2f} %, chance ±{spread:.2f}: "
        f"{'equal or better' if equal else 'WORSE'}"
    )
    return ratio >= CLAIMS[name] and equal


if __name__ == "__main__":
    sys.exit(main())
