"""What a thing is that a person drags into the window, told from its name and folder (no Qt)."""

from pathlib import Path
from typing import Literal

from core.models import checkpoint_files
from gui.data.guess import may_be_data

Kind = Literal["pipeline", "run", "onnx", "weights", "checkpoint", "data", ""]

WEIGHTS = (".pth", ".pt", ".th", ".bin", ".safetensors")


def kind_of(path: Path) -> Kind:
    """Empty for what the window cannot open."""
    suffix = path.suffix.casefold()
    if path.is_dir():
        if (path / "run.json").is_file():
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
    if suffix in WEIGHTS:
        return "weights"
    return "data" if may_be_data(path) else ""
