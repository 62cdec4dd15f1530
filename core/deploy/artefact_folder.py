"""Where the files of a stage lie that can be deployed, with the predictions that prove them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ArtefactFolder:
    """Files by their precision, and beside each its answers on the test split.

    `n` images, `k` classes.
    """

    path: Path

    @classmethod
    def around(cls, file: Path) -> "ArtefactFolder":
        """The folder that one of its files lies in."""
        return cls(file.parent)

    def file(self, precision: str) -> Path:
        """The ONNX file."""
        return self.path / f"{precision}.onnx"

    def logits(self, precision: str) -> Path:
        """.npy, float32 [n, k]: what the file answered."""
        return self.path / f"{precision}.logits.npy"

    @property
    def float32(self) -> Path:
        """The network's own export, which deployment stages start from."""
        return self.file("float32")

    @property
    def network_logits(self) -> Path:
        """.npy, float32 [n, k]: what the float network answered that the files stand for."""
        return self.logits("pytorch")

    @property
    def labels(self) -> Path:
        """.npy, int64 [n]: the right answers."""
        return self.path / "labels.npy"

    @property
    def record(self) -> Path:
        """What is known of the files (`core.deploy.artefact_record`); written last: it marks the folder as whole."""
        return self.path / "made.json"
