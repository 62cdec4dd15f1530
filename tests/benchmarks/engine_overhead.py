"""Claim: the engine's own cost (events, checkpoints, run folder) is under 3 % of training time.

Compares the training loop as a run uses it (events recorded in a run folder, resume state written
every epoch) with the same forward, backward and optimiser steps bare, on the same batches in the
same process. The two take turns (A B, B A, …) with an epoch each; the answer is the median of the
paired ratios of elapsed time with its range. Beside it stands the same for processor time, which other
programs on the machine disturb less and which waiting for the disk does not enter.

    python tests/benchmarks/engine_overhead.py [--pairs 15]
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from core.common.control import RunControl
from core.data.batches import Batches, BatchForm, Draws
from core.data.preprocess import make_preprocess
from core.data.store import open_data
from core.document import pipeline as documents
from core.document.recipes import FOLDER
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder
from core.training.evaluation import evaluate
from core.training.loop import TrainingContext, train
from core.training.optimisers import make_optimiser
from core.training.precision import resolve_precision
from core.training.settings import TrainingSettings

IMAGES = 4000  # short epochs: many pairs, and what an epoch costs once weighs more than in real runs
SETTINGS = TrainingSettings(epochs=1, learning_rate=0.001, patience=0)


Times = tuple[float, float]  # elapsed seconds, seconds of processor time


def now() -> Times:
    return time.perf_counter(), time.process_time()


def since(before: Times) -> Times:
    after = now()
    return after[0] - before[0], after[1] - before[1]


def bare(model: nn.Module, training: Batches, validation: Batches) -> Times:
    """One epoch and its validation without the engine."""
    started = now()
    parameters = list(model.parameters())
    optimiser = make_optimiser(parameters, SETTINGS)
    model.train()
    for images, labels in training.epoch(1):
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels, label_smoothing=SETTINGS.label_smoothing).backward()
        nn.utils.clip_grad_norm_(parameters, SETTINGS.clip_norm)
        optimiser.step()
    model.eval()
    evaluate(model, validation, resolve_precision("float32", "cpu"), RunControl())
    return since(started)


def with_engine(
    model: nn.Module, training: Batches, validation: Batches, run: RunFolder, number: int
) -> Times:
    """The same epoch through the real loop into a real run folder."""
    started = now()
    context = TrainingContext(
        "stage", 0, f"benchmark-{number}", "cpu", RunControl(), run.record, run.scratch / "train.resume"
    )
    train(model, training, validation, SETTINGS, context)
    return since(started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        pipeline = documents.load(FOLDER / "quick-tour.yaml")
        few = pipeline.data.model_copy(update={"train_images": IMAGES, "validation_images": 500})
        data = open_data(few, home.data)
        preprocess = make_preprocess(pipeline.data, data)
        model, _ = build_network(BackboneSettings(), len(data.classes), Path(folder), seed=0)
        model.to(memory_format=torch.channels_last)
        training, validation = (
            Batches(
                data, split, preprocess, BatchForm(size, channels_last=True), Draws(0, "benchmark"), changes
            )
            for split, size, changes in (
                ("train", 128, pipeline.data.augmentation),
                ("validation", 256, None),
            )
        )
        run = create_run(pipeline, Path(folder), home)
        bare(copy.deepcopy(model), training, validation)  # warms up
        elapsed, processor = [], []
        for number in range(pairs):
            seconds = {}
            for kind in ("bare", "engine") if number % 2 else ("engine", "bare"):
                fresh = copy.deepcopy(model)
                seconds[kind] = (
                    bare(fresh, training, validation)
                    if kind == "bare"
                    else with_engine(fresh, training, validation, run, number)
                )
            ratios = [
                engine / plain for engine, plain in zip(seconds["engine"], seconds["bare"], strict=True)
            ]
            elapsed.append(ratios[0])
            processor.append(ratios[1])
            print(
                f"pair {number + 1}: bare {seconds['bare'][0]:.2f} s, engine {seconds['engine'][0]:.2f} s, "
                f"ratio {ratios[0]:.3f}, of processor time {ratios[1]:.3f}",
                flush=True,
            )
        run.close()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; n = {pairs} pairs of one epoch")
    for name, found in (("elapsed", elapsed), ("processor", processor)):
        print(
            f"engine / bare, {name} time: median {statistics.median(found):.3f} "
            f"(range {min(found):.3f} to {max(found):.3f}); claim: below 1.03"
        )
    return 0 if statistics.median(elapsed) < 1.03 and statistics.median(processor) < 1.03 else 1


if __name__ == "__main__":
    sys.exit(main())
