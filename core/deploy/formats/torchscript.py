"""TorchScript (.pt): PyTorch's older program format, traced; for programs that still load it, as LibTorch's do.

PyTorch calls it deprecated. A trace follows the one path that the example image took, so a network
whose path depends on the image's content is written wrongly; the verification shows it.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.child_server import ProgressCallback
from core.deploy.formats.base import Format, Job, Opened, Subject
from core.deploy.formats.torch_files import (
    ABOUT,
    described,
    example,
    not_exported,
    not_opened,
    opened,
    reason_against_torch,
)

if TYPE_CHECKING:
    from core.deploy.formats.settings import ExportSettings


class TorchScript(Format):
    id = "torchscript"
    title = "TorchScript (.pt)"
    help = "for programs in C++ and on phones that load TorchScript; deprecated by PyTorch; float32 networks."
    suffix = ".pt"
    runtime = "PyTorch, TorchScript"

    def reason_against(self, subject: Subject, settings: "ExportSettings") -> str:
        return reason_against_torch(subject, settings)

    def write(
        self, subject: Subject, settings: "ExportSettings", about: Mapping[str, str], target: Path, job: Job
    ) -> None:
        job(f"{__name__}:write_script", {
            "checkpoint": str(subject.checkpoint), "target": str(target), "about": dict(about), "batch": settings.batch,
        })  # fmt: skip

    def open(self, path: Path, threads: int) -> Opened:
        import torch

        about: dict[str, Any] = {ABOUT: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = torch.jit.load(str(path), map_location="cpu", _extra_files=about)
        except Exception as error:
            raise not_opened(path, error) from error
        return opened(network, about[ABOUT], threads)


def write_script(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: trace a checkpoint's network.

    Args (as plain data): as for `core.deploy.formats.torch_program.write_program`.

    Raises:
        EspalierError: when PyTorch cannot trace the network.
    """
    import torch

    from core.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(Path(arguments["checkpoint"]))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(
                checkpoint.model.eval(), example(checkpoint, arguments.get("batch")), check_trace=False
            )
            traced.save(arguments["target"], _extra_files={ABOUT: described(checkpoint, arguments)})
    except Exception as error:
        raise not_exported("TorchScript", error) from error
    progress(1.0, "Written as TorchScript")
    return {}
