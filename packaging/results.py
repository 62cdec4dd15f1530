"""Write docs/results.md from finished runs: their tables with intervals, and the papers' beside them.

    python packaging/results.py RUN… [--out docs/results.md]

RUN is a run folder or the name of a run, as for `espalier compare`. Every figure comes from the
run folders, and the figures are drawn from them into a folder beside the page; the introduction is all that is
written here. The sections of other runs that the page
has stay as they are, so that it can be made in pieces; each names its date and machine.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.common.errors import EspalierError
from core.comparison.compared_runs import read_run
from core.comparison.figures import FIGURES, save
from core.comparison.results_page import section
from core.document.recipes import recipes
from core.runs.home import Home
from core.runs.library import find_run
from core.runs.run_folder import RunFolder

_FIGURES = ("stages", "latency", "curves", "widths", "heat-maps")

INTRODUCTION = """# Results

Runs of the recipes on the machine that is named with each, made with the commands that are shown. The small
recipes are scaled so that two processor cores need minutes: they show what every method does to a network and to its
speed, not the accuracy of the papers, whose data, sizes and epochs are larger. The papers' own tables stand beside them,
with what in them contradicts itself. Where a recipe carries a paper's claims, each is answered by
`espalier report --claims RUN` from what was measured.

Every figure is of the exported file named in its row, on all test images, in ONNX Runtime on the processor. ≈ marks a
change that the measurement cannot tell from none. Accuracy intervals are paired over the same test images; latency intervals
come from alternating pairs of sessions. Your figures will differ with the processor and, in the last digits, with the
library versions.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args(arguments)
    folders = [find_run(Home.default(), text) for text in options.runs]
    sections = [
        section(folder, f"espalier run {recipe_of(folder)}") + figures(folder, options.out.with_suffix(""))
        for folder in folders
    ]
    page = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    options.out.write_text("\n".join([INTRODUCTION, *renewed(page, sections)]), encoding="utf-8")
    return 0


def figures(folder: RunFolder, where: Path) -> str:
    """Draw what a paper would print of a run into the folder `where`; the lines that show it."""
    name = re.sub(r"[^a-z0-9]+", "-", recipe_of(folder).lower()).strip("-")
    run, lines = read_run(folder), []
    where.mkdir(exist_ok=True)
    for kind in _FIGURES:
        file = where / f"{name}-{kind}.svg"
        try:
            save(file, kind, [run])
        except EspalierError as error:  # a run without grids has no heat maps
            sys.stderr.write(f"{folder.name}, {kind}: {error.message}\n")
            continue
        lines.append(f"![{FIGURES[kind][0]}]({where.name}/{file.name})")
    return "".join(f"\n{line}\n" for line in lines)


def renewed(page: str, sections: Sequence[str]) -> list[str]:
    """The page's sections with these in the place of those of the same heading, in the order of the recipes."""
    by_heading = {_heading(section): section for section in re.split(r"(?m)^(?=## )", page)[1:]}
    by_heading.update({_heading(section): section for section in sections})
    order = {f"## {recipe.name}": place for place, recipe in enumerate(recipes())}
    headings = sorted(by_heading, key=lambda heading: order.get(heading, len(order)))
    return [by_heading[heading].rstrip() + "\n" for heading in headings]


def _heading(section: str) -> str:
    return section.partition("\n")[0]


def recipe_of(folder: RunFolder) -> str:
    """The recipe whose document the run keeps; its name where it is none of the recipes."""
    for recipe in recipes():
        if recipe.name == folder.pipeline.name:
            return recipe.id
    return f'"{folder.pipeline.name}"'


if __name__ == "__main__":
    sys.exit(main())
