"""One network in every runtime that is there.

Claim: all runtimes compute the same function (logits of the same images within 0.1 % of the largest one), so that their
times are of the same work. Prints for each runtime the latency of one image on one thread with its 99 % interval, measured by
the one protocol, and says why the others are missing.

    python tests/benchmarks/runtimes.py [--backbone resnet20] [--size 32]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from core.profiling.model_profile import Request, Subject, profile_model
from core.profiling.profile_text import as_text
from core.profiling.runtimes import RUNTIMES, Settings, runtime
from core.profiling.session import noise

SAME = 1e-3  # of the largest logit
IMAGES = 4


def make(backbone: str, size: int, folder: Path) -> Subject:
    """A network with random weights as a checkpoint and as its exported file."""
    import torch

    from core.data.preprocess import Preprocess
    from core.deploy.onnx_export import export_module
    from core.models.catalogue import BACKBONES
    from core.models.checkpoint import Checkpoint, save_checkpoint
    from core.models.settings import BackboneSettings

    torch.manual_seed(0)
    network, preprocess = BackboneSettings(backbone=backbone), Preprocess(size)
    model = BACKBONES[backbone].build(network, 10, size).eval()
    names = tuple(str(number) for number in range(10))
    save_checkpoint(folder / "checkpoint", Checkpoint(model, network, preprocess, names))
    export_module(model, preprocess, folder / "network.onnx", {})
    return Subject(backbone, folder / "network.onnx", folder / "checkpoint")


def logits(name: str, subject: Subject, images: np.ndarray) -> np.ndarray:
    path = subject.path(runtime(name))
    assert path is not None
    with runtime(name).open(path, Settings()) as session:
        return np.asarray(session.bind(images)()).copy()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--size", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subject = make(arguments.backbone, arguments.size, Path(folder))
        request = Request(subject, runtimes=tuple(RUNTIMES), threads=(1,), batches=(1,))
        found = profile_model(request)
        print(as_text(found))
        images = noise((3, arguments.size, arguments.size)).repeat(IMAGES, axis=0)
        images *= np.linspace(0.5, 2, IMAGES, dtype=np.float32)[:, None, None, None]
        on_cpu = [each.id for each in found.runtimes if not each.missing and each.id != "onnxruntime-cuda"]
        answers = {name: logits(name, subject, images) for name in on_cpu}
    expected = answers["onnxruntime"]
    held = True
    for name, given in answers.items():
        apart = float(np.abs(given - expected).max() / np.abs(expected).max())
        held = held and apart <= SAME
        print(f"{'holds' if apart <= SAME else 'FAILS'}  {name}: logits within {apart:.1e} of ONNX Runtime's")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
