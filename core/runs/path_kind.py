"""What a file or folder is that a person drags into the window or names, by its name and content."""

from pathlib import Path
from typing import Literal

from core.data.guess_source import may_be_data
from core.models import checkpoint_files
from core.runs.finding import is_run

Kind = Literal["pipeline", "run", "onnx", "weights", "checkpoint", "data", ""]

WEIGHTS = (".pth", ".pt", ".th", ".bin", ".ckpt", ".safetensors", ".index.json")


def path_kind(path: Path) -> Kind:
    """The kind of file or folder at `path`; empty for what cannot be opened."""
    suffix = path.suffix.casefold()
    if path.is_dir():
        if is_run(path):
            return "run"
        if checkpoint_files.is_checkpoint(path) and (path / checkpoint_files.WEIGHTS).is_file():
            return "checkpoint"
        return "data"
    if not path.is_file():
        return ""
    if suffix in (".yaml", ".yml"):
        return "pipeline"
    if suffix == ".onnx":
        return "onnx"
    if path.name.casefold().endswith(WEIGHTS):
        return "weights"
    return "data" if may_be_data(path) else ""
