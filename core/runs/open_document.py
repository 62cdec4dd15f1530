"""Opening what a person names: a pipeline file, a recipe or the folder of a run."""

from dataclasses import dataclass
from pathlib import Path

from core.common.errors import EspalierError
from core.common.paths import resolved
from core.document import pipeline as documents
from core.document import recipes
from core.document.pipeline import Pipeline
from core.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document and where it came from.

    Attributes:
        path: the file that Save writes to; None for recipes and runs, which are left as they are.
        base: where its relative paths start.
        run: the run folder that was opened, else None.
        made: it was made here, and describes nothing but itself.
        unsaved: something of it stands in no file yet.
    """

    pipeline: Pipeline
    path: Path | None
    base: Path
    run: RunFolder | None = None
    made: bool = False
    unsaved: bool = False


def open_document(path: Path) -> OpenedDocument:
    """Open a pipeline file, a recipe or a run folder.

    Raises:
        EspalierError: when it is none of these, or cannot be used.
    """
    path = resolved(path, Path())
    if path.is_dir():
        run = RunFolder.open(path)
        text = run.info.document
        pipeline = documents.loads(text, path.name) if text else run.pipeline
        return OpenedDocument(pipeline, None, run.base, run)
    if not path.is_file():
        raise EspalierError(
            f"Expected a pipeline file or a run folder, found nothing at {path}.", "Check the path."
        )
    pipeline = documents.load(path)
    return OpenedDocument(pipeline, None if recipes.comes_along(path) else path, recipes.base_folder(path))
