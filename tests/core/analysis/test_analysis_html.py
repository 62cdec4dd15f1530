"""The HTML page: well-formed, standalone, with plots whose points stand where the figures say."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from core.analysis.heat_map import HeatMap
from core.analysis.html_report import Content, RunPart, html_report
from core.analysis.rows import Row
from core.analysis.settings_table import SettingRow
from core.analysis.svg import Curve, curve_plot, pareto_plot, ticks
from core.analysis.wording import value_in_full
from core.records.metrics import METRICS
from core.records.reports import Metric

KINDS = [METRICS["top1"], METRICS["latency_ms"]]


def row(label: str, top1: float, latency: float, **more: object) -> Row:
    metrics = {
        "top1": Metric(
            value=top1, unit="%", low=top1 - 1, high=top1 + 1, level=0.95, n=100, how="on <images>"
        ),
        "latency_ms": Metric(value=latency, unit="ms"),
    }
    change = {"top1": Metric(value=-0.5, unit="points", low=-1, high=0.1)}
    return Row(label, metrics, {} if more.get("baseline") else change, **more)  # type: ignore[arg-type]


ROWS = [row("A & <B>", 80, 1.0, baseline=True), row("C", 90, 2.0, loose=frozenset({"top1"}))]
CONTENT = Content(
    title="Tour <1>", byline="today", rows=ROWS, kinds=KINDS, axes=("latency_ms", "top1"),
    runs=[RunPart("Tour", "yesterday", "a machine", notes=[("A", ["a note"])], grids=[HeatMap("Grid", "r", ["1"], "c", ["2", "3"], [[50.0, 60.0]])])],
    warnings=["Other machines."], outside=frozenset({ROWS[1].id}), limits="Limits: Latency at most 1 ms.",
    settings=(["A", "C"], [SettingRow("Train", "Epochs", ("6", None))]),
    papers=[("A paper", [Row("FP32 (paper)", {"top1": Metric(value=75.0, how="A paper")}, {})], ["a remark"])],
)  # fmt: skip


def test_on_paper_the_wide_table_has_a_page_across_and_no_figure_is_broken() -> None:
    """On an upright page of a browser figures stood as "1.09 6" and headings as "Latenc y"."""
    page = html_report(CONTENT)
    style, body = page.split("</style>")
    assert (
        "@page wide { size: landscape" in style
        and "section.wide { page: wide; }" in style.partition("@media print")[2]
    )
    wide = re.search(r'<section class="wide">(.*?)</section>', body, re.DOTALL)
    assert wide is not None and "<h2>Comparison</h2>" in wide[1] and wide[1].count("<table>") == 1
    cells = re.search(r"\.card th, \.card td \{(.*?)\}", style)
    assert cells is not None and "anywhere" not in cells[1], (
        "a word may go to the next line, but not its letters"
    )


class Balance(HTMLParser):
    """Every tag that is opened is closed, in order."""

    VOID = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.titles += [value or "" for name, value in attributes if name == "title"]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return html_report(CONTENT)


def test_the_page_is_well_formed_and_needs_nothing_else(page: str):
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    for outside in ("http", "<script", "<link", "src=", "url(", "@import"):
        assert outside not in page
    assert "prefers-color-scheme: dark" in page


def test_everything_is_on_it(page: str):
    parser = Balance()
    parser.feed(page)
    text = " ".join(parser.words)
    for words in (
        "Tour <1>", "A & <B>", "≈ (−0.50 points) †", "Other machines.", "Limits: Latency at most 1 ms.", "outside the limits",
        "Settings that differ", "Epochs", "A paper", "a remark", "a note", "60.0 ★", "Provenance of every figure",
        "80 %  (95 % interval 79 to 81), n = 100", "on <images>",
    ):  # fmt: skip
        assert words in text, words


def test_a_time_of_a_busy_machine_is_a_range_everywhere() -> None:
    """Beside "no figure but a range is stated" stood "3.83715 ms"."""
    busy = Metric(value=3.83715, unit="ms", low=3.1048, high=16.3587, n=63)
    names = ("latency_ms", "latency_ms_prepared", "pytorch_latency_ms")
    rows = [Row("Busy", dict.fromkeys(names, busy), {}, baseline=True)]
    page = html_report(replace(CONTENT, rows=rows, papers=()))
    assert "3.837" not in page and page.count("3.1 to 16 ms, n = 63") >= len(names)
    since_zero = busy.model_copy(update={"low": 0.0})
    assert value_in_full("latency_ms", since_zero) == "at most 16 ms, n = 63"


def test_every_figure_carries_its_provenance(page: str):
    parser = Balance()
    parser.feed(page)
    tips = [tip for tip in parser.titles if tip.startswith("Top-1:") and "on <images>" in tip]
    assert len(tips) == 2 and "No measurable difference." in tips[1]


def points(svg: str) -> list[tuple[str, float, float]]:
    tree = ElementTree.fromstring(svg)
    return [
        (each.get("class") or "", float(each.get("cx") or 0), float(each.get("cy") or 0))
        for each in tree.iter("circle")
    ]


def test_points_stand_where_the_figures_say():
    rows = [row("A", 80, 1.0), row("B", 90, 2.0), row("C", 85, 3.0)]
    (one, x1, y1), (two, x2, y2), (three, x3, y3) = points(pareto_plot(rows, "latency_ms", "top1"))
    assert (one, two, three) == ("point best", "point best", "point")
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2) and x1 < x2
    assert y1 - y2 == pytest.approx(2 * (y1 - y3), abs=0.3) and y2 < y3 < y1
    assert pareto_plot(rows[:1], "latency_ms", "top1") == ""
    assert pareto_plot(rows, "latency_ms", "macs") == ""


def test_curves_break_where_a_value_is_missing():
    svg = curve_plot([Curve("val", [1, 2, 3, 4, 5], [1, 2, None, 4, 3])], [(0, "A & B")], "Epoch", "Loss")
    drawing, legend = svg.split("</svg>")
    lines = list(ElementTree.fromstring(drawing + "</svg>").iter("polyline"))
    assert [len(str(line.get("points")).split()) for line in lines] == [2, 2] and "val" in legend
    assert curve_plot([Curve("val", [1.0], [None])], [], "x", "y") == ""


def test_ticks_are_round():
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(86.1, 89.7) == [87.0, 88.0, 89.0]
    assert re.fullmatch(r"0\.\d+", str(ticks(0.21, 0.32)[0]))
