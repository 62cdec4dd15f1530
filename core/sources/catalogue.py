"""The kinds of sources by id, in the order of the editor. A new kind is one file and one line here.

Readable without importing torch.
"""

from collections.abc import Iterable
from typing import Any

from core.sources.backbone import BackboneSource
from core.sources.base import Source
from core.sources.checkpoint import CheckpointSource
from core.sources.onnx_file import OnnxFileSource
from core.sources.python_file import PythonFileSource


def register(sources: Iterable[Source[Any]]) -> dict[str, Source[Any]]:
    """The kinds by id.

    Raises:
        ValueError: an id is used twice.
    """
    catalogue: dict[str, Source[Any]] = {}
    for source in sources:
        if source.id in catalogue:
            raise ValueError(f"Two kinds of sources have the id '{source.id}'.")
        catalogue[source.id] = source
    return catalogue


SOURCE_KINDS: dict[str, Source[Any]] = register(
    (
        BackboneSource(),
        CheckpointSource(),
        PythonFileSource(),
        OnnxFileSource(),
    )
)
