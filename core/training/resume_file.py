"""The file that a training goes on from: PyTorch's own format, with the SHA-256 of its bytes behind it.

PyTorch itself does not check what it reads: a changed bit would be trained on with.
"""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from core.common.content_hashes import DamagedError
from core.common.files import written_beside

_MARK = b"sha256:"
_TRAILER = len(_MARK) + 64
_BLOCK = 1 << 20


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO):
        self._file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state beside the old one and rename: a kill at any moment leaves a whole file."""
    with written_beside(path) as part, part.open("wb") as file:
        hashed = _Hashed(file)
        torch.save(state, hashed)  # a path would go to a writer that does not say why it fails
        file.write(_MARK + hashed.digest.hexdigest().encode())


def read_state(path: Path, device: str) -> dict[str, Any]:
    """The state that was written, its tensors on `device`; one of a version before has no hash.

    Raises:
        DamagedError: when the file does not hold what was written.
    """
    with path.open("rb") as file:
        _check(file, path)
        file.seek(0)
        try:
            return dict(torch.load(file, map_location=device, weights_only=True))
        except Exception as error:  # whatever PyTorch raises on a file that is none
            raise DamagedError(path, "it is no whole state of a training") from error


def _check(file: BinaryIO, path: Path) -> None:
    left = max(0, file.seek(0, 2) - _TRAILER)
    file.seek(left)
    trailer = file.read()
    if not trailer.startswith(_MARK):
        return
    digest = hashlib.sha256()
    file.seek(0)
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    if trailer != _MARK + digest.hexdigest().encode():
        raise DamagedError(path)
