"""Tables as text: aligned for a terminal, and in Markdown."""

from core.common.text_tables import aligned, markdown

HEAD = ("Stage", "Top-1", "Size")
ROWS = [("FP32", "91.25", "1.08"), ("INT8 | static", "9", "0.3")]


def test_columns_are_as_wide_as_they_need() -> None:
    assert aligned(HEAD, ROWS).splitlines() == [
        "Stage          Top-1  Size",
        "─────────────  ─────  ────",
        "FP32           91.25  1.08",
        "INT8 | static      9   0.3",
    ]
    assert aligned(HEAD, ROWS, left=3).splitlines()[3] == "INT8 | static  9      0.3"


def test_markdown_keeps_bars_and_line_breaks_inside_cells() -> None:
    lines = markdown(HEAD, [*ROWS, ("two\nlines", "", "")]).splitlines()
    assert lines[:2] == ["| Stage | Top-1 | Size |", "|---|---:|---:|"]
    assert lines[3:] == ["| INT8 \\| static | 9 | 0.3 |", "| two lines |  |  |"]
    assert markdown(HEAD, ROWS, left=1, others=":-:").splitlines()[1] == "|---|:-:|:-:|"
