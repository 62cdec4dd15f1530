"""Python files that a pipeline would run and that a person has not said yet that they trust."""

from dataclasses import dataclass
from pathlib import Path

from core.common.errors import EspalierError
from core.common.paths import is_file, resolved
from core.common.regular_files import read_bounded
from core.document.pipeline import Pipeline, StageNode, is_path
from core.machine.site_policy import site_policy
from core.machine.trusted_files import TrustList
from core.models.checkpoint_files import CODE, checkpoint_at
from core.sources.checkpoint import CheckpointSource
from core.sources.python_file import PythonFileSource

_LARGEST = 1_000_000  # bytes of a Python file, as where it is run


@dataclass(frozen=True, slots=True)
class UntrustedFile:
    """A file that would be run.

    Attributes:
        node: id of the source or stage that names it.
        content: what a person is shown, and what they trust when they say so.
    """

    node: str
    path: Path
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def untrusted_files(pipeline: Pipeline, base: Path) -> list[UntrustedFile]:
    """Every such file, each once; reads them, so not for the window's thread.

    Raises:
        EspalierError: when the list of trusted files cannot be read.
    """
    if not site_policy().python:  # then none is run, and the check says so
        return []
    trusted = TrustList.default()
    found: dict[Path, UntrustedFile] = {}
    for node, path in _code_files(pipeline, base):
        content = _read(path) if path not in found else None
        if content is not None and not trusted.knows(content):
            found[path] = UntrustedFile(node, path, content)
    return list(found.values())


def may_run_code(pipeline: Pipeline) -> bool:
    """Whether a document names anything that could hold a Python file."""
    return any(
        source.kind in (PythonFileSource.id, CheckpointSource.id) for source in pipeline.sources
    ) or any(is_path(value) for node in pipeline.active for value in _texts(node))


def _code_files(pipeline: Pipeline, base: Path) -> list[tuple[str, Path]]:
    named = [
        (source.id, resolved(str(source.settings.get("path", "")), base))
        for source in pipeline.sources
        if source.kind == PythonFileSource.id and source.settings.get("path")
    ]
    folders = [
        (source.id, str(source.settings.get("path", "")))
        for source in pipeline.sources
        if source.kind == CheckpointSource.id
    ]
    for node in pipeline.active:
        folders += [(node.id, value) for value in _texts(node) if is_path(value)]
    copies = [(id, checkpoint_at(folder, base) / CODE) for id, folder in folders if folder]
    return [(id, path) for id, path in (*named, *copies) if is_file(path)]


def _texts(node: StageNode) -> list[str]:
    return [value for value in node.settings.values() if isinstance(value, str)]


def _read(path: Path) -> bytes | None:
    """The content; None where it cannot be read, which the check and the run say."""
    try:
        return read_bounded(path, _LARGEST)
    except (EspalierError, OSError):
        return None
