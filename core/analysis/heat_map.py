"""A table of two settings as text, CSV and a picture: rows of the first, columns of the second."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from core.common import text_tables as tables
from core.common.shown_text import SafeCsv

_CELL_WIDTH, _CELL_HEIGHT, _LEFT, _TOP = 56, 30, 120, 64
_LOW, _HIGH = (247, 244, 233), (31, 95, 74)  # parchment to the dark green of the icon


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Figures over two settings.

    Attributes:
        rows, columns: the settings' names, and their values in order.
        cells: [row][column]; None where there is no figure.
    """

    title: str
    row_name: str
    rows: Sequence[str]
    column_name: str
    columns: Sequence[str]
    cells: Sequence[Sequence[float | None]]
    unit: str = "%"

    def as_markdown(self) -> str:
        """A table whose first column holds the row setting's values."""
        head = [f"{self.row_name} ↓ · {self.column_name} →", *self.columns]
        figures = zip(self.rows, self.cells, strict=True)
        rows = [[name, *(_text(value) for value in row)] for name, row in figures]
        return tables.markdown(head, rows, left=len(head))

    def as_csv(self) -> str:
        """One line per cell: both values and the figure."""
        text = io.StringIO()
        writer = SafeCsv(text)
        writer.writerow([self.row_name, self.column_name, self.title])
        for name, row in zip(self.rows, self.cells, strict=True):
            for column, value in zip(self.columns, row, strict=True):
                writer.writerow([name, column, "" if value is None else f"{value:.4f}"])
        return text.getvalue()

    def as_svg(self) -> str:
        """A picture with every figure written in its cell; darker is higher."""
        values = [value for row in self.cells for value in row if value is not None]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        width = _LEFT + _CELL_WIDTH * len(self.columns) + 16
        height = _TOP + _CELL_HEIGHT * len(self.rows) + 16
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="12" y="20" font-size="14" font-weight="bold">{escape(self.title)}</text>',
            f'<text x="12" y="{_TOP - 8}">{escape(self.row_name)} ↓</text>',
            f'<text x="{_LEFT}" y="{_TOP - 26}">{escape(self.column_name)} →</text>',
        ]
        for index, name in enumerate(self.columns):
            x = _LEFT + _CELL_WIDTH * (index + 0.5)
            parts.append(f'<text x="{x}" y="{_TOP - 8}" text-anchor="middle">{escape(name)}</text>')
        for number, (name, row) in enumerate(zip(self.rows, self.cells, strict=True)):
            y = _TOP + _CELL_HEIGHT * number
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 20}" text-anchor="end">{escape(name)}</text>')
            parts += [_cell(_LEFT + _CELL_WIDTH * i, y, value, low, high) for i, value in enumerate(row)]
        return "\n".join([*parts, "</svg>"]) + "\n"


def _text(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}"


def _cell(x: float, y: float, value: float | None, low: float, high: float) -> str:
    share = 0.0 if value is None or high <= low else (value - low) / (high - low)
    colour = "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(_LOW, _HIGH, strict=True))
    ink = "white" if share > 0.5 else "#1d1d1b"
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL_WIDTH - 1}" height="{_CELL_HEIGHT - 1}" fill="{colour}"/>'
        f'<text x="{x + _CELL_WIDTH / 2}" y="{y + 20}" text-anchor="middle" fill="{ink}">{_text(value)}</text>'
    )
