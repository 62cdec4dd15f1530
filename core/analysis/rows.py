"""A row of the comparison: one deployable file with its metrics and its changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.records.reports import Artefact, Metric, StageReport

_SHA256 = 64  # digits


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row's file was made and measured.

    Attributes:
        folder: the run's folder.
        run: the run in a few words.
        conditions: what a timing depends on (machine, runtime), to be compared as a whole.
        images: what identifies the test images, likewise; "" where that is not known.
    """

    folder: str
    run: str
    conditions: str = ""
    images: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One file of one stage; a mean over seeds or a row of a paper's table has no `report`.

    Attributes:
        metrics: by metric id.
        change: against the baseline, by metric id: points for accuracies, percent for the rest.
        baseline: whether this is the row that others are compared with.
        loose: the changes that are ratios of times which were not measured in alternation.
        reference: `file` of the row that the stage's own paired changes were measured against.
        members: the rows that a mean was taken of.
        against: name of the stage that the changes are against, where a run's rows are compared with several.
        right: per metric id ("top1", "top5") whether each test image was answered right, [n].
    """

    label: str
    metrics: dict[str, Metric]
    change: dict[str, Metric]
    baseline: bool = False
    report: StageReport | None = None
    artefact: Artefact | None = None
    origin: Origin | None = None
    loose: frozenset[str] = frozenset()
    reference: str = ""
    members: tuple["Row", ...] = ()
    against: str = ""
    right: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def id(self) -> str:
        """What tells this row from all others, also in another session."""
        folder = self.origin.folder if self.origin else ""
        if self.report is not None and self.artefact is not None:
            return row_id(folder, self.report.key, self.artefact.id)
        first = self.members[0] if self.members else None
        if first is not None and first.report is not None and first.artefact is not None:
            return row_id(folder, f"{first.report.id}@mean", first.artefact.id)
        return row_id(folder, self.label, "")

    @property
    def name(self) -> str:
        """The label with what the row is compared with, for a table of text."""
        return self.label + (
            " (baseline)" if self.baseline else f" (against {self.against})" if self.against else ""
        )

    @property
    def stage(self) -> str:
        """Id of the stage whose main file this is, or whose seeds it is the mean of; "" for any other row."""
        first = self.members[0] if self.members else self
        if first.report is None or first.artefact is None or first.artefact.id != first.report.headline:
            return ""
        return first.report.id

    @property
    def file(self) -> str:
        """What tells its file from others: the content's hash, so that runs recognise shared stages."""
        return file_id(self.id, self.artefact)


def file_id(row: str, artefact: Artefact | None) -> str:
    """The hash of a file's content; the row's id where that is not known."""
    return artefact.sha256 if artefact is not None and has_hash(artefact) else row


def has_hash(artefact: Artefact) -> bool:
    """Whether the hash of a file's content is known."""
    return len(artefact.sha256) == _SHA256


def row_id(folder: str, key: str, artefact: str) -> str:
    """The id of a file's row."""
    return f"{folder}|{key}|{artefact}"


def stage_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """The main row of every stage, by its id: the mean over seeds where there is one."""
    by_stage: dict[str, Row] = {}
    for row in rows:
        if row.stage:
            by_stage.setdefault(row.stage, row)
    return by_stage
