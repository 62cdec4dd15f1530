"""The pipelines that come with the application: the one catalogue of them, for the window and the command line."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.common import yaml
from core.common.errors import EspalierError
from core.common.files import RESOURCES
from core.common.paths import is_file
from core.common.shown_text import shortened
from core.document import pipeline as documents
from core.document.pipeline import Pipeline

FOLDER = RESOURCES / "recipes"
FIRST = FOLDER / "quick-tour.yaml"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A pipeline file that comes with the application; `name` and `about` are the pipeline's own.

    Attributes:
        study: what was published, with where it is found; empty for what is nobody else's.
    """

    id: str
    name: str
    about: str
    path: Path
    study: str = ""

    def load(self) -> Pipeline:
        return documents.load(self.path)


@cache
def recipes() -> tuple[Recipe, ...]:
    """All of them, the Quick tour first, the others by id; read without checking them."""
    listed = []
    for path in sorted(FOLDER.glob("*.yaml"), key=lambda path: (path != FIRST, path.name)):
        content = yaml.parse(path.read_text(encoding="utf-8")).content
        if isinstance(content, dict):
            about = " ".join(str(content.get("about", "")).split())
            papers = content.get("paper") or [{}]
            study = str(papers[0].get("source", "")) if isinstance(papers[0], dict) else ""
            listed.append(Recipe(path.stem, str(content.get("name", path.stem)), about, path, study))
    return tuple(listed)


def pipeline_file(text: str) -> Path:
    """A pipeline file by path, or a recipe by its id.

    Raises:
        EspalierError: when it is neither.
    """
    path = Path(text)
    if is_file(path):
        return path
    for recipe in recipes():
        if recipe.id == text:
            return recipe.path
    raise EspalierError(
        f"Expected a pipeline file or a recipe's name, received {shortened(text)}.",
        f"Recipes: {', '.join(recipe.id for recipe in recipes())}.",
    )


def comes_along(file: Path) -> bool:
    """Whether it is the file of a recipe."""
    return file.resolve().parent == FOLDER.resolve()


def base_folder(file: Path) -> Path:
    """Where a file's relative paths start: beside it, and for a recipe in the folder that the program was started in."""
    return Path.cwd() if comes_along(file) else file.resolve().parent
