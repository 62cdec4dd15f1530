"""The results of grids of settings, in the run folder: `grid.json`, `grid.csv`, `grid.svg`; of a second `grid-2.json`, …"""

from dataclasses import dataclass
from typing import Any

from core.analysis.heat_map import HeatMap
from core.common.content_hashes import read_sealed, write_sealed
from core.common.files import write_atomically
from core.document.pipeline import Grid, Pipeline, StageNode
from core.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of settings and its result; top1 in percent, on the grid's images."""

    settings: dict[str, Any]
    top1: float
    loss: float
    params: int
    nonzero_params: int


def heat_map(node: StageNode, grid: Grid, points: list[Point]) -> HeatMap:
    """Validation top-1 over the grid's one or two settings."""
    title, row_name, rows, column_name, columns = axes_of(node, grid)
    values = iter(points)
    cells = [[next(values).top1 for _ in columns] for _ in rows]
    return HeatMap(title, row_name, rows, column_name, columns, cells)


def axes_of(node: StageNode, grid: Grid) -> tuple[str, str, tuple[str, ...], str, tuple[str, ...]]:
    """Title, name and values of the rows, name and values of the columns of the grid's heat map."""
    names = list(grid.settings)
    labels = {name: node.stage.Settings.model_fields[name].title or name for name in names}
    rows, columns = grid.settings[names[0]], grid.settings[names[1]] if len(names) > 1 else ("",)
    return (
        f"{node.title}: top-1 on {grid.images} validation images [%]",
        labels[names[0]],
        tuple(str(value) for value in rows),
        labels[names[1]] if len(names) > 1 else "top-1",
        tuple(str(value) for value in columns),
    )


def grid_file(number: int, ending: str = "json") -> str:
    """The file of a grid by its place in the pipeline, counted from 0."""
    return f"grid-{number + 1}.{ending}" if number else f"grid.{ending}"


def write_grid(run: RunFolder, node: StageNode, grid: Grid, number: int, points: list[Point]) -> None:
    """The data, the table and the picture of a grid in the run folder."""
    picture = heat_map(node, grid, points)
    plain = {
        "stage": node.id,
        "images": grid.images,
        "settings": {name: list(values) for name, values in grid.settings.items()},
        "points": [
            {"settings": p.settings, "top1": p.top1, "loss": p.loss, "params": p.params, "nonzero_params": p.nonzero_params}
            for p in points
        ],
    }  # fmt: skip
    write_sealed(run.folder / grid_file(number), plain)
    write_atomically(run.folder / grid_file(number, "csv"), picture.as_csv())
    write_atomically(run.folder / grid_file(number, "svg"), picture.as_svg())


def is_written(run: RunFolder, number: int) -> bool:
    """Whether a grid is finished."""
    return (run.folder / grid_file(number)).is_file()


def read_grids(run: RunFolder, pipeline: Pipeline | None = None) -> dict[str, HeatMap]:
    """The heat maps of the finished grids, in the pipeline's order, by the names of their files without the ending.

    Args:
        pipeline: this run's, where it was read already.
    """
    pipeline, maps = pipeline or run.pipeline, {}
    for number, grid in enumerate(pipeline.axes.grids):
        if is_written(run, number):
            points = [Point(**point) for point in read_sealed(run.folder / grid_file(number))["points"]]
            maps[grid_file(number).removesuffix(".json")] = heat_map(pipeline.stage(grid.stage), grid, points)
    return maps
