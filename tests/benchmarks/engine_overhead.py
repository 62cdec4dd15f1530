"""Claim: the engine's own cost (events, checkpoints, run folder) is under 3 % of training time.

Compares the training loop as a run uses it (events recorded in a run folder, resume state written
every epoch) with the same forward, backward and optimiser steps bare, on the same batches in the
same process. The two take turns (A B, B A, …) with an epoch each; the answer is the median of the
paired ratios with its range.

    python tests/benchmarks/engine_overhead.py [--pairs 7]
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

from core import pipeline as documents
from core.control import RunControl
from core.data.batches import Batches
from core.data.preprocess import make_preprocess
from core.data.store import open_data
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.recipes import FOLDER
from core.runs import Home, RunFolder
from core.training import TrainingContext, evaluate, make_optimiser, resolve_precision, train
from core.training_settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=1, learning_rate=0.001, patience=0)


def bare(model: nn.Module, training: Batches, validation: Batches) -> float:
    """One epoch and its validation without the engine; seconds."""
    started = time.perf_counter()
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
    return time.perf_counter() - started


def with_engine(
    model: nn.Module, training: Batches, validation: Batches, run: RunFolder, number: int
) -> float:
    """The same epoch through the real loop into a real run folder; seconds."""
    started = time.perf_counter()
    context = TrainingContext(
        "stage", 0, f"benchmark-{number}", "cpu", RunControl(), run.record, run.scratch / "train.resume"
    )
    train(model, training, validation, SETTINGS, context)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        pipeline = documents.load(FOLDER / "quick-tour.yaml")
        data = open_data(pipeline.data, home.data)
        preprocess = make_preprocess(pipeline.data, data)
        model, _ = build_network(BackboneSettings(), len(data.classes), Path(folder), seed=0)
        model.to(memory_format=torch.channels_last)
        training, validation = (
            Batches(data, split, size, preprocess, changes, "cpu", 0, "benchmark", channels_last=True)
            for split, size, changes in (
                ("train", 128, pipeline.data.augmentation),
                ("validation", 256, None),
            )
        )
        run = RunFolder.create(pipeline, Path(folder), home)
        bare(copy.deepcopy(model), training, validation)  # warms up
        ratios = []
        for number in range(pairs):
            seconds = {}
            for kind in ("bare", "engine") if number % 2 else ("engine", "bare"):
                fresh = copy.deepcopy(model)
                seconds[kind] = (
                    bare(fresh, training, validation)
                    if kind == "bare"
                    else with_engine(fresh, training, validation, run, number)
                )
            ratios.append(seconds["engine"] / seconds["bare"])
            print(
                f"pair {number + 1}: bare {seconds['bare']:.2f} s, engine {seconds['engine']:.2f} s, ratio {ratios[-1]:.3f}"
            )
        run.close()
    median = statistics.median(ratios)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; n = {pairs} pairs of one epoch")
    print(
        f"engine / bare: median {median:.3f} (range {min(ratios):.3f} to {max(ratios):.3f}); claim: below 1.03"
    )
    return 0 if median < 1.03 else 1


if __name__ == "__main__":
    sys.exit(main())
