"""Every relative link in the documentation leads to a file that is there, and to a heading of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
_LINK = re.compile(r"(?<!`)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[str]:
    """The relative ones."""
    return (to for to in _LINK.findall(_CODE.sub("", text)) if not re.match(r"[a-z]+:", to))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: lower case, no punctuation, hyphens for spaces, numbers for repetitions."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.*?) *$", _CODE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (tried := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(tried)
    return found


def test_anchors_are_those_of_github() -> None:
    text = "# A `run`, killed\n## A run killed\n```\n# no heading\n```\n### What-if (2 ways)\n"
    assert anchors(text) == {"a-run-killed", "a-run-killed-1", "what-if-2-ways"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for to in links(page.read_text(encoding="utf-8")):
        name, _, anchor = unquote(to).partition("#")
        target = (page.parent / name).resolve() if name else page
        there = target.exists() and target.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(to)
    assert not broken, f"{page.name}: {broken}"
