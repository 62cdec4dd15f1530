"""Claim: our pruning of ResNet-20 on CIFAR-10 beats torch-pruning's plain group-L1 at the same cost.

Published weights are adapted to the JPEG images, then pruned to 1/2.1 of the MACs in two ways:

- *theirs*: torch-pruning's `BasePruner` with `GroupMagnitudeImportance(p=1)`, the same share of every group, on
  the same network (its parameter-free shortcuts written as the convolutions that they are);
- *ours*: the best of our importances and rankings in both scopes, chosen on validation images with a seed that
  takes no part in the comparison.

Both are fine-tuned alike: the same images, epochs, optimiser, learning rates and seeds; theirs has no batch norm
estimates before it, as plain use has none. For every seed both are judged on all 10 000 test images (exported
files in ONNX Runtime); the claim is that the 95 % t interval of the paired differences over the seeds lies
above 0. It is made for a small budget: 10 000 training images, 3 epochs.

    python tests/benchmarks/pruning_quality.py --data cifar10-jpeg.zip --weights resnet20-12fca82f.th \
        [--seeds 1 2 3 4 5] [--quick]

About 20 minutes on two cores; a minute once the stages are in the cache.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from claims import Verdict, finished, interval, low, parser, report, value, with_files

from core.analysis.seeds import mean_of
from core.document.stage_keys import stage_key
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.torchvision_shim import import_torchvision
from core.records.reports import Metric
from core.runs.run_folder import RunFolder
from core.surgery.groups import unfold_shortcuts
from core.surgery.meta_copy import count

FEWER = 2.1  # times fewer MACs
CHOOSING_SEED = 42
TRAINING = {"epochs": 3, "learning_rate": 0.003, "weight_decay": 0.0005, "patience": 0, "precision": "mixed"}
DATA = {
    "train_images": 10_000, "validation_images": 5000,
    "augmentation": {"rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0, "shift": 4},
}  # fmt: skip
SCOPES = ("block-internal", "whole-groups")
IMPORTANCES, RANKINGS = ("l1", "taylor"), ("uniform", "global")


def document(name: str, sources: list[Any], stages: list[Any], **more: Any) -> dict[str, Any]:
    return {"espalier": 1, "name": name, "data": DATA, "sources": sources, "stages": stages, **more}


def adapted(arguments: argparse.Namespace) -> Path:
    """The checkpoint that both prunings start from."""
    source = {"id": "network", "settings": {"backbone": "resnet20", "weights": "file"}}
    stage = {"id": "adapted", "kind": "train", "settings": {"training": {**TRAINING, "learning_rate": 0.001}}}
    run = finished(with_files(document("ResNet-20 adapted", [source], [stage]), arguments), arguments)
    return run.stage_folder("adapted").checkpoint


def pruned_by_torch_pruning(checkpoint: Path) -> tuple[Path, float]:
    """A checkpoint with 1/2.1 of the MACs or just less, and the share of them that it has."""
    import_torchvision()
    import torch_pruning

    whole, target = load_checkpoint(checkpoint), checkpoint.parent / "torch-pruning"
    before = count(whole.model, whole.preprocess.size).macs
    for percent in range(1, 100):
        loaded = load_checkpoint(checkpoint)
        unfold_shortcuts(loaded.model)
        size = loaded.preprocess.size
        torch_pruning.pruner.BasePruner(
            loaded.model, torch.zeros(1, 3, size, size), pruning_ratio=percent / 100,
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            ignored_layers=list(loaded.model.head.modules()),
        ).step()  # fmt: skip
        share = count(loaded.model, size).macs / before
        if share <= 1 / FEWER:
            kept = Checkpoint(loaded.model, loaded.network, loaded.preprocess, loaded.classes)
            save_checkpoint(target, kept)
            return target, share
    raise SystemExit("torch-pruning could not remove so many channels.")


def ours(share: float, **settings: str) -> dict[str, Any]:
    """Our pruning stage."""
    asked = {"target": "macs", "budget": round(share, 4), "round_to": 1, "training": TRAINING}
    return {"id": "ours", "kind": "prune-channels", "from": "adapted", "settings": {**asked, **settings}}


def chosen(checkpoint: Path, share: float, arguments: argparse.Namespace) -> dict[str, str]:
    """The settings with the highest validation accuracy after fine-tuning."""
    found: list[tuple[float, dict[str, str]]] = []
    for scope in SCOPES:
        grid = {"stage": "ours", "images": 5000, "settings": {"importance": IMPORTANCES, "ranking": RANKINGS}}
        axes = {"seed": [CHOOSING_SEED], "grid": grid}
        content = document(
            f"Choosing, {scope}", [held("adapted", checkpoint)], [ours(share, scope=scope)], axes=axes
        )
        run = finished(with_files(content, arguments), arguments)
        points = json.loads((run.folder / "grid.json").read_text(encoding="utf-8"))["points"]
        found += [(point["top1"], {"scope": scope, **point["settings"]}) for point in points]
    found.sort(key=lambda each: -each[0])
    for top1, settings in found:
        print(f"validation {top1:.2f} %: {', '.join(settings.values())}")
    return found[0][1]


def held(name: str, checkpoint: Path) -> dict[str, Any]:
    """A source."""
    return {"id": name, "kind": "checkpoint", "settings": {"path": str(checkpoint)}}


def compared(
    checkpoint: Path, theirs: Path, share: float, settings: dict[str, str], arguments: argparse.Namespace
) -> RunFolder:
    """Both prunings with every seed."""
    plain = {"id": "theirs", "kind": "train", "from": "torch-pruning", "settings": {"training": TRAINING}}
    content = document(
        "Our pruning against torch-pruning", [held("adapted", checkpoint), held("torch-pruning", theirs)],
        [plain, ours(share, **settings)], baseline="theirs", axes={"seed": arguments.seeds},
    )  # fmt: skip
    return finished(with_files(content, arguments), arguments)


def judged(run: RunFolder, settings: dict[str, str], verdict: Verdict) -> int:
    """Say the differences, seed by seed and together."""
    differences, macs = [], {"ours": 0.0, "theirs": 0.0}
    for seed in run.pipeline.axes.seed:
        both = {name: report(run, stage_key(run.pipeline, name, seed)) for name in macs}
        tops = {name: value(stage, "top1") for name, stage in both.items()}
        macs = {name: value(stage, "macs") for name, stage in both.items()}
        differences.append(Metric(value=tops["ours"] - tops["theirs"]))
        print(f"seed {seed}: ours {tops['ours']:.2f} %, theirs {tops['theirs']:.2f} %")
    apart = mean_of(differences)
    verdict.claim(
        f"MACs: ours {macs['ours'] / 1e6:.2f} M, theirs {macs['theirs'] / 1e6:.2f} M, at most 1 % more",
        macs["ours"] <= 1.01 * macs["theirs"],
    )
    verdict.claim(
        f"ours ({', '.join(settings.values())}) less theirs: {interval(apart)} points over "
        f"{len(differences)} seeds, above 0",
        low(apart) > 0,
    )
    return verdict.status()


def main() -> int:
    made = parser(__doc__, data=True, weights="weights of ResNet-20 for CIFAR-10 (.th)")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    arguments = made.parse_args()
    verdict = Verdict(arguments)
    checkpoint = adapted(arguments)
    theirs, share = pruned_by_torch_pruning(checkpoint)
    settings = chosen(checkpoint, share, arguments)
    return judged(compared(checkpoint, theirs, share, settings, arguments), settings, verdict)


if __name__ == "__main__":
    sys.exit(main())
