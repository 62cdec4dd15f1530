"""Settings of several stages side by side, and those of them that differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.common import text_tables as tables


@dataclass(frozen=True, slots=True)
class Line:
    """One setting: the group it belongs to, its label ("" heads the group), its value in words."""

    group: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting over all stages; None where a stage has no such setting."""

    group: str
    label: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether stages that have it have it otherwise.

        A group's own line differs also where a stage lacks the group; its settings then do not.
        """
        there = {value for value in self.values if value is not None}
        return len(there) > 1 or (not self.label and len(there) == 1 and None in self.values)


def side_by_side(stages: Sequence[Sequence[Line]], only_different: bool = True) -> list[SettingRow]:
    """Every setting of the stages in the order of their files, group after group."""
    groups: dict[str, dict[str, None]] = {}
    for lines in stages:
        for line in lines:
            groups.setdefault(line.group, {}).setdefault(line.label)
    values = [{(line.group, line.label): line.value for line in lines} for lines in stages]
    rows = [
        SettingRow(group, label, tuple(of.get((group, label)) for of in values))
        for group, labels in groups.items()
        for label in labels
    ]
    return [row for row in rows if row.differs] if only_different else rows


def as_markdown(names: Sequence[str], rows: Sequence[SettingRow]) -> str:
    """The table in Markdown."""
    cells = [[title(row), *("—" if value is None else value for value in row.values)] for row in rows]
    return tables.markdown(["Setting", *names], cells, left=1 + len(names))


def title(row: SettingRow) -> str:
    """Group and label in one."""
    return f"{row.group} · {row.label}" if row.label else row.group
