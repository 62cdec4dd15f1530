"""Texts in rows and columns: for a terminal, and in Markdown."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def aligned(head: Sequence[str], rows: Rows, left: int = 1) -> str:
    """For a terminal: columns as wide as they need, the first `left` of them flush left, a rule below the head."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]

    def laid(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([laid(head), rule, *(laid(row) for row in rows)])


def markdown(head: Sequence[str], rows: Rows, left: int = 1, others: str = "---:") -> str:
    """A table in Markdown: the first `left` columns flush left, the `others` flush right (or ":-:", centred)."""
    rule = "|" + "---|" * left + f"{others}|" * (len(head) - left)
    lines = (
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in (head, *rows)
    )
    return "\n".join([next(lines), rule, *lines])
