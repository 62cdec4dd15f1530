"""What a checkpoint's folder says of its network, checked before anything is made of it; without torch."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.common.content_hashes import MANIFEST, intact
from core.common.errors import EspalierError
from core.common.placeholder_files import refuse_stand_in
from core.common.regular_files import in_words, read_bounded
from core.common.validation_messages import in_words as problems_in_words
from core.data.preprocess import LARGEST_SIDE
from core.models.checkpoint_files import ARCHITECTURE, CALL, CODE, WEIGHTS

FORMAT = 1
_LARGEST_DESCRIPTION = 64_000_000  # bytes
_MOST_CLASSES = 200_000

_log = logging.getLogger(__name__)


def files_of(folder: Path) -> list[Path]:
    """The files that make up a checkpoint; whatever else lies in its folder is none of it.

    Raises:
        EspalierError: when the folder is no checkpoint.
    """
    read_architecture(folder)
    refuse_stand_in(folder / WEIGHTS, f"the weights of the checkpoint in {folder}")
    return [
        path for name in (ARCHITECTURE, WEIGHTS, CODE, CALL, MANIFEST) if (path := folder / name).is_file()
    ]


def read_architecture(folder: Path) -> dict[str, Any]:
    """The description in a checkpoint folder: network, classes, preprocess, diff, constraints, facts, probe.

    Raises:
        EspalierError: when there is none that can be read, it was changed, or a newer version wrote it.
    """
    file = folder / ARCHITECTURE
    try:
        content = json.loads(read_bounded(intact(file), _LARGEST_DESCRIPTION))
        format_number = content["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.debug("No checkpoint in %s: %s", folder, in_words(error))
        raise EspalierError(
            f"Expected a checkpoint (architecture.json and weights.safetensors) in {folder}, found none that can be read.",
            "Pick a stage's checkpoint folder.",
            repr(error),
        ) from error
    if format_number != FORMAT:
        raise EspalierError(
            f"The checkpoint in {folder} has format {format_number}; this version of Espalier reads format {FORMAT}.",
            "Open it with the version that wrote it, or a newer one.",
        )
    try:
        _Description.model_validate(content)
    except ValidationError as error:
        first = problems_in_words(error)[0]
        raise EspalierError(
            f"{file} was changed since it was written: {'.'.join(map(str, first.place))}: {first.message}",
            "Put the former file back, or run its stage again.",
        ) from error
    return dict(content)


class _Plain(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, strict=True)


class _Prepared(_Plain):
    """As `Preprocess.as_dict` writes it; `Preprocess` itself checks how the entries go together."""

    size: int = Field(ge=1, le=LARGEST_SIDE)
    channels: int = 3
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]
    resize: str = "crop"


class _Description(_Plain):
    """What must stand in `architecture.json`; there may be more."""

    network: dict[str, Any]
    classes: list[str] = Field(min_length=1, max_length=_MOST_CLASSES)
    preprocess: _Prepared
    diff: dict[str, Any]
    constraints: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any]
    probe: list[list[float]] = Field(min_length=1, max_length=16)
