"""Trains small networks as one of several ranks, for `test_ranks.py`: started once for each.

Usage: rank_trial.py RANK COUNT FOLDER; the jobs are in FOLDER/jobs.json, what came of them goes to FOLDER/RANK.pt.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from small_stages import SETTINGS
from torch import distributed, nn
from torch.nn import functional

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.batches import Batches, BatchForm, Draws
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation
from core.data.store import open_data
from core.records.events import EpochDone, Event
from core.training.hooks import Hooks
from core.training.loop import TrainingContext, train
from core.training.ranks import current_ranks
from core.training.settings import TrainingSettings

Result = dict[str, Any]


def network(norm: bool = True, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def one_step(images: int) -> Result:
    """Gradients and running statistics after one batch, in float64."""
    ranks, model = current_ranks(), network().double()
    generator = torch.Generator().manual_seed(5)
    batch = torch.randn(images, 3, 16, 16, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (images,), generator=generator)
    with ranks.norms():
        logits = model(ranks.own(batch))
    own = ranks.own(labels)
    (functional.cross_entropy(logits, own) * (len(own) / images)).backward()
    parameters = list(model.parameters())
    ranks.add_gradients(parameters, check=True)
    return {"gradients": [one.grad for one in parameters], "weights": model.state_dict()}


def training(job: dict[str, Any], data: ImageData, folder: Path) -> Result:
    """A whole training; `job` may say settings, norm, dropout, a file of its state, and when rank 0 is asked to stop or to finish."""
    ranks = current_ranks()
    part = (ranks.rank, ranks.count)
    asked = {"epochs": 2, "batch_size": 31, "learning_rate": 0.01, **job.get("settings", {})}
    settings = TrainingSettings.model_validate(asked)
    preprocess = make_preprocess(SETTINGS, data)
    form, draws = BatchForm(settings.batch_size, part=part), Draws(1, "key")
    batches = Batches(data, "train", preprocess, form, draws, Augmentation(rotation=10))
    validation = Batches(data, "validation", preprocess, BatchForm(33, part=part), draws)
    model, control = network(job.get("norm", True), job.get("dropout", 0.0)), RunControl()
    told: list[str] = []
    steps = 0

    def after_step(trained: nn.Module) -> None:
        nonlocal steps
        steps += 1
        if ranks.rank == 0 and steps == job.get("stop_after"):
            control.stop()
        if ranks.rank == 0 and steps == job.get("finish_after"):
            control.finish_stage()

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone):
            told.append(f"epoch {event.epoch}")

    state = folder / job["state"] if "state" in job else None
    context = TrainingContext("stage", 1, "key", "cpu", control, hear, state)
    ended, history = "completed", []
    try:
        result = train(model, batches, validation, settings, context, hooks=Hooks(after_step=after_step))
        history = [
            {name: value for name, value in one.items() if name != "seconds"} for one in result.history
        ]
        ended = result.finished_early or ended
    except Stopped:
        ended = "stopped"
    except EspalierError as error:
        ended = error.message
    return {"weights": model.state_dict(), "history": history, "ended": ended, "told": told, "steps": steps}


def do(jobs: list[dict[str, Any]], folder: Path) -> list[Result]:
    data = open_data(SETTINGS, folder / "images")
    return [one_step(job["images"]) if "images" in job else training(job, data, folder) for job in jobs]


def main(rank: int, count: int, folder: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{(folder / 'meeting').as_posix()}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    torch.save(do(json.loads((folder / "jobs.json").read_text()), folder), folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
