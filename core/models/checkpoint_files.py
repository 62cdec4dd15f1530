"""The files of a checkpoint folder, for who must know them without importing torch."""

from pathlib import Path

from core.common.paths import is_file, resolved

CHECKPOINT = "checkpoint"  # what the folder is called inside a stage's
ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
SAFETENSORS = ".safetensors"
INDEX = ".index.json"  # how the name of the list of a weights file's parts ends
CODE, CALL = "network.py", "network.json"  # of a person's own network


def is_checkpoint(folder: Path) -> bool:
    """Whether a network was saved in the folder."""
    return is_file(folder / ARCHITECTURE)


def checkpoint_at(path: str | Path, base: Path) -> Path:
    """The checkpoint that a path in a document names: its own folder, or that of a stage in a run."""
    folder = resolved(path, base)
    inside = folder / CHECKPOINT
    return inside if is_checkpoint(inside) else folder
