"""The files of a checkpoint folder, for who must know them without importing torch."""

from pathlib import Path

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"


def is_checkpoint(folder: Path) -> bool:
    """Whether a network was saved in the folder."""
    return (folder / ARCHITECTURE).is_file()
