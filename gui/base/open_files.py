"""Finding and opening what a person names: recipes, pipeline files, run folders (no Qt)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.common import yaml
from core.common.errors import EspalierError
from core.common.files import RESOURCES
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.runs.run_folder import RunFolder

RECIPES = RESOURCES / "recipes"
FIRST = RECIPES / "quick-tour.yaml"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One pipeline that comes with the application."""

    name: str
    about: str
    path: Path


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document and where it came from.

    Attributes:
        path: the file that Save writes to; None for recipes and runs, which are left as they are.
        base: where its relative paths start.
        run: the run folder that was opened, else None.
    """

    pipeline: Pipeline
    path: Path | None
    base: Path
    run: RunFolder | None = None


@cache
def recipes() -> tuple[Recipe, ...]:
    """All recipes, by name; read without checking them."""
    found = []
    for path in sorted(RECIPES.glob("*.yaml")):
        content = yaml.parse(path.read_text(encoding="utf-8")).content
        if isinstance(content, dict):
            about = " ".join(str(content.get("about", "")).split())
            found.append(Recipe(str(content.get("name", path.stem)), about, path))
    return tuple(found)


def open_any(path: Path) -> OpenedDocument:
    """Open a pipeline file or a run folder.

    Raises:
        EspalierError: when it is neither, or cannot be used.
    """
    path = path.expanduser()
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
    own = path.resolve().parent != RECIPES
    return OpenedDocument(pipeline, path if own else None, path.resolve().parent)
