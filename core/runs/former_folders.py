"""Folders that a version before left without a manifest: looked at once by their structure, then sealed.

What was damaged before that is noticed only where a file no longer has its form, or does not fit a hash that its record holds.
"""

import json
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from core.common.content_hashes import DamagedError, check_folder, digest_of, seal_folder
from core.common.errors import EspalierError
from core.common.logs import passed_over

_RECORD = "made.json"


def check_or_adopt(
    folder: Path,
    logger: Any,
    without: Collection[str] = (),
    elsewhere: Callable[[str], Path] | None = None,
) -> None:
    """Hold a folder against its manifest; one that has none gets it, once its files have their form.

    Args:
        without: names at the top that do not belong to what was made.
        elsewhere: where the file of a hash lies that is not in the folder.

    Raises:
        DamagedError: of the first file that is missing, does not fit or has not its form.
    """
    if check_folder(folder, elsewhere):
        return
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.relative_to(folder).parts[0] not in without:
            _check_form(file)
    with passed_over(
        logger, f"{folder} stays without a manifest", EspalierError, OSError
    ):  # not ours to write to
        seal_folder(folder, without)


def _check_form(file: Path) -> None:
    try:
        if file.suffix == ".json":
            content = json.loads(file.read_bytes())
            if file.name == _RECORD:
                _check_record(file, content)
        elif file.suffix in (".npy", ".npz"):
            _open_array(file)
        elif file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="np"):
                pass
        elif file.suffix == ".onnx":
            import onnx

            if not onnx.load(file, load_external_data=False).graph.node:
                raise ValueError("no nodes")
    except DamagedError:
        raise
    except Exception as error:  # whatever a library raises on a file that is none
        raise DamagedError(file, "it has not the form of such a file") from error


def _open_array(file: Path) -> None:
    import numpy as np

    if file.suffix == ".npz":
        with zipfile.ZipFile(file) as archive:
            if archive.testzip():
                raise ValueError("a checksum does not fit")
    np.load(file, mmap_mode="r", allow_pickle=False)


def _check_record(file: Path, content: Any) -> None:
    """A stage's record of its files holds their hashes."""
    for made in content["made"]:
        named = file.parent / Path(made["path"]).name
        if digest_of(named) != made["sha256"]:
            raise DamagedError(named)
