"""Figures for print: what is in them, in every form, in both themes, and what cannot be drawn."""

from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from made_runs import TINY, made_run
from matplotlib.figure import Figure
from PIL import Image

from core.analysis.heat_map import HeatMap
from core.commands.main import main
from core.comparison.compared_runs import read_run
from core.comparison.figures import FIGURES, _style, save
from core.comparison.run_curves import band
from core.document import pipeline as documents
from core.runs.home import Home
from core.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Three stages; the first with a curve, the second with widths."""
    run = made_run(documents.loads(TINY), Home(tmp_path / "home"), tmp_path)
    first, pruned, _ = run.reports()
    history = [{"epoch": float(epoch), "val_top1": 50.0 + 10 * epoch} for epoch in (1, 2, 3)]
    run.write_report(first.model_copy(update={"history": history}))
    layers = [{"path": f"body.{index}", "before": 16, "after": 8 + index} for index in range(3)]
    run.write_report(pruned.model_copy(update={"facts": {"layers": layers}}))
    return run


def texts(file: Path) -> list[str]:
    return [element.text or "" for element in ElementTree.parse(file).iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "heat-maps"])
def test_every_figure_names_what_it_shows(run: RunFolder, tmp_path: Path, name: str):
    file = tmp_path / "figure.svg"
    save(file, name, [read_run(run)])
    expected = {
        "stages": {"FP32", "Pruned", "Taught", "Top-1 [%]"},
        "bars": {"Top-1 [%]", "Size [MB]", "Parameters [M]", "Pruned"},
        "size": {"Size [MB]", "Top-1 [%]", "Taught"},
        "latency": {"Latency [ms]", "Top-1 [%]", "Taught"},
        "curves": {"Epoch", "Validation top-1 [%]"},
        "widths": {"Pruned", "Channels", "before", "after"},
    }[name]
    assert expected <= set(texts(file))


def test_a_line_for_each_backbone_of_an_axis(tmp_path: Path):
    axis = "axes: {backbone: {source: network, values: [resnet20, resnet56]}}\n"
    run = made_run(documents.loads(TINY + axis), Home(tmp_path / "home"), tmp_path)
    for one in run.reports():
        id = f"{one.id}-resnet56"
        run.write_report(one.model_copy(update={"key": id, "id": id, "name": f"{one.name} · ResNet-56"}))
    compared = read_run(run)
    assert compared.branches["pruned-resnet56"] == ("Pruned", "ResNet-56")
    figure = Figure()
    FIGURES["stages"][1](figure, [compared], 3.3)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ResNet-20", "ResNet-56"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["FP32", "Pruned", "Taught"]
    assert [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o"] == [
        [0, 1, 2]
    ] * 2


def test_names_of_points_never_lie_over_each_other(run: RunFolder):
    for one in run.reports():
        run.write_report(one.model_copy(update={"name": f"{one.name}, and all that is said of it"}))
    for kind in ("size", "latency"):
        figure = Figure(layout="constrained")
        FIGURES[kind][1](figure, [read_run(run)], 3.35)
        figure.draw_without_rendering()
        written = figure.axes[0].texts
        boxes = [text.get_window_extent() for text in written]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        key = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        said = key or [text.get_text() for text in written]
        assert len(said) == 3 and all("and all that is said of it" in words for words in said)


def test_latencies_far_apart_are_drawn_on_a_logarithmic_axis_with_plain_numbers(run: RunFolder):
    small = run.reports()[2]
    far = small.main.metrics["latency_ms"].model_copy(update={"value": 0.002, "low": 0.0019, "high": 0.0021})
    main = small.main.model_copy(update={"metrics": small.main.metrics | {"latency_ms": far}})
    run.write_report(small.model_copy(update={"artefacts": [main]}))
    figure = Figure(layout="constrained")
    FIGURES["latency"][1](figure, [read_run(run)], 3.35)
    figure.draw_without_rendering()
    [axes] = figure.axes
    assert axes.get_xscale() == "log"
    assert {float(label.get_text()) for label in axes.get_xticklabels()} >= {0.002, 0.005, 0.01}
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def test_many_lines_are_named_below_the_figure(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    curves = tuple(band(f"Trained once more {number}", [[50.0, 60.0 + number]]) for number in range(6))
    monkeypatch.setattr("core.comparison.figures.bands", lambda folder: curves)
    figure = Figure(layout="constrained")
    FIGURES["curves"][1](figure, [read_run(run)], 3.35)
    figure.draw_without_rendering()
    [legend], [axes] = figure.legends, figure.axes
    assert axes.get_legend() is None and len(legend.get_texts()) > 4
    assert legend.get_window_extent().y1 <= axes.get_window_extent().y0


def test_a_long_title_of_a_heat_map_stays_inside_the_figure(run: RunFolder):
    title = "Unstructured by chance, of the tuned network: top-1 on 2000 validation images [%]"
    grid = HeatMap(
        title, "Linear layers", ("0.1", "0.9"), "Convolutions", ("0.1", "0.9"), ((58.0, 11.0), (51.0, None))
    )
    with matplotlib.rc_context(_style("light")):
        figure = Figure(layout="constrained")
        FIGURES["heat-maps"][1](figure, [read_run(run).model_copy(update={"grids": [grid]})], 3.35)
        figure.draw_without_rendering()
    box = figure.axes[0].title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_stages_are_joined_with_what_they_go_on_from(run: RunFolder):
    first, pruned, taught = run.reports()
    run.write_report(pruned.model_copy(update={"source": first.key}))
    run.write_report(taught.model_copy(update={"source": first.key, "facts": {"layers": 7}}))
    figure = Figure()
    FIGURES["stages"][1](figure, [read_run(run)], 3.3)
    joined = [
        list(line.get_xdata()) for line in figure.axes[0].get_lines() if line.get_marker() in ("None", "")
    ]
    assert [0, 1] in joined and [0, 2] in joined and [1, 2] not in joined
    figure = Figure()
    FIGURES["widths"][1](figure, [read_run(run)], 3.3)  # other stages count layers under that name
    assert [axes.get_title(loc="left") for axes in figure.axes] == [pruned.name]


def test_forms_themes_and_widths(run: RunFolder, tmp_path: Path):
    compared = [read_run(run)]
    sizes, corners = {}, {}
    for theme, width in (("light", "column"), ("dark", "page")):
        file = tmp_path / f"{theme}.png"
        save(file, "stages", compared, theme, width)
        picture = Image.open(file).convert("RGB")
        sizes[width], corners[theme] = picture.width, picture.getpixel((1, 1))
    assert sizes == {"column": 1005, "page": 2070}  # 85 and 175 mm at 300 dots per inch
    assert corners == {"light": (255, 255, 255), "dark": (26, 30, 29)}
    save(tmp_path / "figure.pdf", "stages", compared)
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_runs_give_the_same_picture(run: RunFolder, tmp_path: Path):
    for name in ("a.svg", "b.svg"):
        save(tmp_path / name, "stages", [read_run(run)])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_on_the_command_line(run: RunFolder, tmp_path: Path, capsys: Any):
    def drawn(*options: str) -> int:
        return main(["compare", str(run.folder), "--figure", *options])

    assert drawn("bars", "--out", str(tmp_path / "bars.svg")) == 0 and (tmp_path / "bars.svg").is_file()
    assert drawn("help") == 0 and "Accuracy over the stages" in capsys.readouterr().out
    for options, words in (
        (("pie", "--out", "x.svg"), "Expected the name of a figure, received 'pie'"),
        (("bars", "--out", "x.jpg"), "ends in .svg, .pdf, .png"),
        (("bars",), "A figure wants a file"),
        (("heat-maps", "--out", str(tmp_path / "x.svg")), "nothing that this figure shows"),
    ):
        assert drawn(*options) == 2 and words in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()
