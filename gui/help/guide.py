"""Finding the documents and the place in them that belongs to a place of the window (no widgets)."""

import re
import sysconfig
from pathlib import Path

from gui.base.translation import QT_TR_NOOP, tr

_ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = (_ROOT / "docs", Path(sysconfig.get_path("data")) / "share" / "espalier" / "docs")
"""Beside the sources and in the installed program; where a wheel puts them."""

GUIDE, REFERENCE = "guide.md", "reference.md"
TITLES = {GUIDE: QT_TR_NOOP("User guide"), REFERENCE: QT_TR_NOOP("Reference")}

SECTIONS: dict[str, tuple[str, ...]] = {
    "start": ("start", "a-first-run"),
    "data": ("data",),
    "pipeline": ("pipeline", "editor", "the-window"),
    "monitor": ("monitor",),
    "study": ("search", "searching-with-limits"),
    "compare": ("compare", "comparison-desk"),
    "inspect": ("inspect", "inspector"),
    "export": ("export",),
    "tryout": ("try-out", "try-it-out"),
    "settings": ("settings", "settings-and-help"),
}
"""Anchors for every place; the first that the guide has is taken."""


def folder() -> Path | None:
    """Where the documents lie, or None when this installation has none."""
    return next((place for place in FOLDERS if (place / GUIDE).is_file()), None)


def read(name: str) -> str:
    """A document's Markdown; the reference is written from the declarations of the program that runs."""
    if name == REFERENCE:
        from core.document.reference import reference

        return reference()
    place = folder()
    path = place / name if place is not None else None
    if path is None or not path.is_file():
        return f"# {tr(TITLES.get(name, name))}\n\n" + tr(
            "This installation lacks the document. Install Espalier again."
        )
    return path.read_text(encoding="utf-8")


def slug(title: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    letters = re.sub(r"[^\w\- ]", "", title.strip().lower())
    return letters.replace(" ", "-")


def anchors(titles: list[str]) -> list[str]:
    """Anchors of a document's headings; one that comes again gets a number."""
    seen: dict[str, int] = {}
    names = []
    for title in titles:
        name = slug(title)
        again = seen.get(name, 0)
        seen[name] = again + 1
        names.append(f"{name}-{again}" if again else name)
    return names


def section_for(place: str, anchors: list[str]) -> str:
    """The anchor to open for a place of the window; "" opens the beginning."""
    return next((anchor for anchor in SECTIONS.get(place, ()) if anchor in anchors), "")
