"""Training curves of a run's stages: validation top-1 by epoch, over seeds as a mean with a band."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Band:
    """One stage's curve, epoch by epoch from the first.

    Attributes:
        mean: over its seeds. low, high: the lowest and highest of them; equal to the mean where there is one.
    """

    name: str
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


def read_curves(folder: Path) -> dict[str, list[list[float]]]:
    """Validation top-1 in percent by epoch, by the stage's name, one curve for each seed."""
    curves: dict[str, list[list[float]]] = {}
    for report in RunFolder(folder).reports() if folder.is_dir() else []:
        values = [epoch["val_top1"] for epoch in report.history if "val_top1" in epoch]
        if values:
            curves.setdefault(report.name, []).append(values)
    return curves


def bands(folder: Path) -> tuple[Band, ...]:
    """A band for every stage that trained, in the run's order."""
    return tuple(band(name, curves) for name, curves in read_curves(folder).items())


def band(name: str, curves: Sequence[Sequence[float]]) -> Band:
    """One stage's curves, one for each seed, as long as the shortest."""
    epochs = min(len(curve) for curve in curves)
    columns = [[curve[index] for curve in curves] for index in range(epochs)]
    mean = tuple(sum(column) / len(column) for column in columns)
    return Band(name, mean, tuple(map(min, columns)), tuple(map(max, columns)), len(curves))
