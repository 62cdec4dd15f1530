"""PyTorch as it is (eager), on the processor or on a GPU: what training computes with.

The network of a checkpoint is rebuilt once and kept for the next blocks: it owns no threads of
its own, and rebuilding or compiling one takes longer than timing it. On a GPU every run waits until
the device has finished.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.models.checkpoint_files import WEIGHTS
from core.profiling.runtimes.base import Run, Runtime, Session, Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.data.preprocess import Preprocess

    Network = Callable[[Tensor], Tensor]

_KEPT = 2  # networks: a model and what it is compared with


class PyTorch(Runtime):
    """A checkpoint's network."""

    id = "pytorch"
    label = "PyTorch"
    package = module = "torch"
    takes = "checkpoint"
    child = "tool"
    keeps = True

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], tuple[Any, Preprocess]] = {}

    def load(self) -> None:
        import core.models.checkpoint  # noqa: F401

    def release(self) -> None:
        self._kept.clear()

    def settings(self, settings: Settings) -> Settings:
        return settings

    def words(self, settings: Settings, gpus: Any = ()) -> str:
        autocast = "float32" if settings.precision == "float32" else f"{settings.precision} autocast"
        return f"{super().words(settings, gpus)}, {autocast}"

    @contextmanager
    def open(self, model: Path, settings: Settings) -> Iterator["TorchSession"]:
        network, preprocess = self._network(model, settings)
        with inference(settings):
            yield TorchSession(network, self.layout, preprocess, settings)

    def prepared(self, network: "nn.Module") -> Any:
        """What this way of running makes of a network, once."""
        return network

    def layout(self, images: "Tensor") -> "Tensor":
        """The images in the memory layout that this way of running wants."""
        return images

    def _network(self, folder: Path, settings: Settings) -> "tuple[Any, Preprocess]":
        from core.models.checkpoint import load_checkpoint

        weights = folder / WEIGHTS
        stamp = weights.stat().st_mtime_ns if weights.is_file() else 0
        key = (folder, stamp, settings)
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            loaded = load_checkpoint(folder, settings.device)
            self._kept[key] = (self.prepared(loaded.model), loaded.preprocess)
        return self._kept[key]


class TorchSession(Session):
    """A network in evaluation mode on its device."""

    def __init__(
        self,
        network: "Network",
        layout: "Callable[[Tensor], Tensor]",
        preprocess: "Preprocess",
        settings: Settings,
    ):
        self._network, self._layout, self._settings = network, layout, settings
        self.shape = [None, preprocess.channels, preprocess.size, preprocess.size]
        self.about = {"preprocess": json.dumps(preprocess.as_dict())}
        self.gpu = settings.gpu

    def bind(self, images: np.ndarray) -> Run:
        import torch

        there = self._layout(torch.from_numpy(np.ascontiguousarray(images)).to(self._settings.device))
        network, on_gpu = self._network, self.gpu is not None
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(there.device)

        def run() -> object:
            logits = network(there)
            if on_gpu:
                torch.cuda.synchronize(there.device)
            return logits

        run()
        return run

    def device_peak(self) -> int | None:
        """The peak of the GPU's allocator since the images were bound, weights included."""
        import torch

        return torch.cuda.max_memory_allocated(self._settings.device) if self.gpu is not None else None


@contextmanager
def inference(settings: Settings) -> Iterator[None]:
    """Inference mode, threads and precision, for as long as a session is open.

    Raises:
        EspalierError: when the precision is unknown.
    """
    import torch

    if settings.precision not in ("float32", "float16", "bfloat16"):
        raise EspalierError(
            f"Expected the precision float32, float16 or bfloat16, received {settings.precision!r}."
        )
    kind = torch.device(settings.device).type
    mixed = settings.precision != "float32"
    context = torch.autocast(kind, dtype=getattr(torch, settings.precision)) if mixed else nullcontext()
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with torch.inference_mode(), context:
            yield
    finally:
        torch.set_num_threads(before)
