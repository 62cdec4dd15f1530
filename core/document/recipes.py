"""The pipelines that come with the application."""

from dataclasses import dataclass
from pathlib import Path

from core.common.errors import EspalierError
from core.common.files import RESOURCES
from core.document import pipeline as documents
from core.document.pipeline import Pipeline

FOLDER = RESOURCES / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A pipeline file that comes with the application."""

    id: str
    path: Path

    def load(self) -> Pipeline:
        return documents.load(self.path)


def recipes() -> list[Recipe]:
    """All of them, the Quick tour first."""
    found = [Recipe(path.stem, path) for path in sorted(FOLDER.glob("*.yaml"))]
    return sorted(found, key=lambda recipe: recipe.id != "quick-tour")


def pipeline_file(text: str) -> Path:
    """A pipeline file by path, or a recipe by its name.

    Raises:
        EspalierError: when it is neither.
    """
    path = Path(text)
    if path.is_file():
        return path
    for recipe in recipes():
        if recipe.id == text:
            return recipe.path
    raise EspalierError(
        f"Expected a pipeline file or a recipe's name, received {text!r}.",
        f"Recipes: {', '.join(recipe.id for recipe in recipes())}.",
    )
