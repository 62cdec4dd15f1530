"""The program of `torch.export` (.pt2): the network's operators and weights, without its Python code."""

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


class TorchProgram(Format):
    id = "torch-export"
    title = "PyTorch program (.pt2)"
    help = "for PyTorch, AOTInductor and ExecuTorch; float32 networks."
    suffix = ".pt2"
    runtime = "PyTorch, torch.export program"

    def reason_against(self, subject: Subject, settings: "ExportSettings") -> str:
        return reason_against_torch(subject, settings)

    def write(
        self, subject: Subject, settings: "ExportSettings", about: Mapping[str, str], target: Path, job: Job
    ) -> None:
        job(f"{__name__}:write_program", {
            "checkpoint": str(subject.checkpoint), "target": str(target), "about": dict(about), "batch": settings.batch,
        })  # fmt: skip

    def open(self, path: Path, threads: int) -> Opened:
        import torch

        about = {ABOUT: ""}
        try:
            program = torch.export.load(str(path), extra_files=about)
        except Exception as error:
            raise not_opened(path, error) from error
        return opened(program.module(), about[ABOUT], threads)


def write_program(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: export a checkpoint's network with `torch.export`.

    Args (as plain data):
        checkpoint: folder. target: the .pt2 file. about: texts. batch: None for any number of images.

    Raises:
        EspalierError: when PyTorch cannot export the network.
    """
    import torch

    from core.checkpoint import load_checkpoint

    checkpoint, batch = load_checkpoint(Path(arguments["checkpoint"])), arguments.get("batch")
    open_batch = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if batch is None else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                checkpoint.model.eval(), (example(checkpoint, batch),), **open_batch
            )
            torch.export.save(
                program, arguments["target"], extra_files={ABOUT: described(checkpoint, arguments)}
            )
    except Exception as error:
        raise not_exported("a torch.export program", error) from error
    progress(1.0, "Written as a torch.export program")
    return {}
