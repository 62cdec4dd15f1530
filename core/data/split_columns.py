"""Which column of a list of images says the split, and what its values mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.data.split_names import split_of, splits_of
from core.data.splits import SPLITS, TEST, TRAIN, VALIDATION

_NAMES = frozenset(["split", "splits", "subset", "partition", "fold", "set", "usage", "phase", "stage"])
_CODES = {"0": TRAIN, "1": VALIDATION, "2": TEST}
_YES, _NO = frozenset(("1", "true", "yes", "y", "t")), frozenset(("0", "false", "no", "n", "f"))


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """A column that says the split.

    Attributes:
        values: what its values mean, in small letters; empty where they are names of splits.
    """

    name: str
    values: Mapping[str, int]

    def membership(self, text: str) -> int | None:
        """The split that a cell says; None where it says none."""
        return self.values.get(text.casefold()) if self.values else split_of(text)


def find_split_column(
    columns: Sequence[str], rows: Sequence[Sequence[str]], others: Sequence[str]
) -> tuple[SplitColumn | None, tuple[str, ...]]:
    """The column that says the split, and sentences about columns that do, or seem to.

    Args:
        columns: names in small letters. rows: their cells.
        others: columns that say something else.
    """
    if "split" in columns:
        return SplitColumn("split", _meanings(_values(rows, columns.index("split")))), ()
    found: list[SplitColumn] = []
    notes: list[str] = []
    for index, name in enumerate(columns):
        if not name or name in others:
            continue
        values = _values(rows, index)
        column = _read_column(name, values)
        if column is not None:
            found.append(column)
        elif name in _NAMES and values:
            shown = ", ".join(sorted(values)[:4])
            notes.append(
                f"The column '{name}' is not read: its values ({shown}) are not train, validation and test. "
                "Splits are taken from a column 'split' with these."
            )
    if not found:
        return None, tuple(notes)
    notes.append(_note(found[0]))
    return found[0], tuple(notes)


def _values(rows: Sequence[Sequence[str]], index: int) -> set[str]:
    return {row[index].casefold() for row in rows if index < len(row) and row[index]}


def _meanings(values: set[str]) -> dict[str, int]:
    """The splits of names; without those that say none only where names beside each other mean something else."""
    together = splits_of(values)
    if all(role == split_of(name) for name, role in together.items()):
        return {}
    return {name: role for name, role in together.items() if role is not None}


def _read_column(name: str, values: set[str]) -> SplitColumn | None:
    roles = {split_of(value) for value in values}
    if None not in roles and TRAIN in roles and len(roles) > 1:
        return SplitColumn(name, _meanings(values))
    if name in _NAMES and values in ({"0", "1", "2"},):
        return SplitColumn(name, _CODES)
    asked = re.fullmatch(r"(?:is|in|for|use)?[ _-]?(.+)", name)
    role = split_of(asked[1]) if asked else None
    if role is None or not values or not values <= _YES | _NO or len(values) < 2:
        return None
    other = TEST if role == TRAIN else TRAIN
    return SplitColumn(name, {**dict.fromkeys(_YES, role), **dict.fromkeys(_NO, other)})


def _note(column: SplitColumn) -> str:
    if not column.values:
        return f"The splits are those of the column '{column.name}'."
    shown = {
        value: role for value, role in column.values.items() if value not in _YES | _NO or value in _CODES
    }
    meanings = ", ".join(f"{value}: {SPLITS[role]}" for value, role in shown.items())
    return f"The splits are those of the column '{column.name}' ({meanings})."
