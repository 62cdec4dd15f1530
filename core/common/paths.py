"""What a path in a document means: the one place that knows of `~` and of the folder that paths start from."""

from pathlib import Path

from core.common.errors import EspalierError


def resolved(path: str | Path, base: Path) -> Path:
    """Where a path leads: `~` is the person's folder, and a relative path starts at `base`.

    Links and `..` stay as they are: the text of the result names copies in run folders.
    """
    return base / Path(path).expanduser()


def existing(path: str | Path, base: Path) -> Path:
    """The same, of something that is there.

    Raises:
        EspalierError: when there is nothing.
    """
    target = resolved(path, base)
    if not target.exists():
        raise EspalierError(
            f"Expected a file or folder at {target}, found none.", "Correct the path in the pipeline."
        )
    return target
