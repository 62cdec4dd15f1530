"""Weights and architecture: Espalier's own checkpoint, a folder that a pipeline can start from again.

`weights.safetensors` opens in any program; `architecture.json` says what network they belong to.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from core.deploy.formats.base import Format, FormatSettings, OpenedModel, Subject
from core.deploy.formats.torch_files import opened, reason_without_network
from core.machine.jobs import RunJob


class SafetensorsFolder(Format):
    id = "safetensors"
    title = "Weights and architecture"
    help = "a folder with safetensors and JSON, to go on from in Espalier or your own PyTorch code; float32 networks."
    suffix = ""
    runtime = "PyTorch, rebuilt from architecture and weights"

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        if settings.preprocessing or settings.batch:
            return "Weights hold no program: leave the batch open and preprocessing outside."
        return reason_without_network(subject)

    def write(
        self,
        subject: Subject,
        settings: FormatSettings,
        about: Mapping[str, str],
        target: Path,
        job: RunJob,
    ) -> None:
        assert subject.checkpoint is not None
        shutil.copytree(subject.checkpoint, target)

    def model_of(self, target: Path) -> Path:
        return target / "weights.safetensors"

    def open(self, path: Path, threads: int) -> OpenedModel:
        from core.models.checkpoint import load_checkpoint

        loaded = load_checkpoint(path)
        about = {"classes": list(loaded.classes), "preprocess": loaded.preprocess.as_dict()}
        return opened(loaded.model, json.dumps(about), threads)
