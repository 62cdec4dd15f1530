"""The table of methods and backbones: what a cell asks for, refusals, and the page. Cells themselves: test_matrix."""

from pathlib import Path

import pytest

from core.common.errors import EspalierError
from core.document import pipeline as documents
from core.engine.coverage import Cell, as_markdown, coverage, document, methods
from core.engine.engine import Engine
from core.engine.options import Options
from core.models.catalogue import BACKBONES
from core.runs.home import Home
from core.runs.new_run import create_run
from core.stages.coverage_case import CoverageCase
from core.stages.prune_weights import PruneWeights
from core.stages.train import Train

ONE = Options("cpu", 1)
BLOCKS_NEEDED = ("channels", "layers", "scale-down", "stochastic-depth")


@pytest.mark.slow
def test_cells_are_tried_or_refused_beforehand(tmp_path: Path) -> None:
    heard: list[Cell] = []
    cells = coverage(("plain-cnn-tiny",), ("layers", "weights"), Home(tmp_path), ONE, heard.append)
    assert [(cell.method, cell.state) for cell in cells] == [("layers", "pointless"), ("weights", "works")]
    assert cells[0].reason.startswith("Plain CNN, tiny has no residual blocks") and sorted(
        map(str, heard)
    ) == sorted(map(str, cells))
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_method_that_saves_nothing_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = CoverageCase("weights", "Idle", saves="nonzero_params")
    monkeypatch.setattr(PruneWeights, "coverage", lambda stage: ())
    monkeypatch.setattr(Train, "coverage", lambda stage: (idle,))
    [cell] = coverage(("plain-cnn-tiny",), ("weights",), Home(tmp_path), ONE)
    assert cell.state == "fails" and cell.reason.startswith("It ran and saved nothing: ")


@pytest.mark.slow
def test_a_network_that_cannot_be_made_fails_in_every_cell(tmp_path: Path) -> None:
    cells = coverage(("timm:levit_128s",), ("weights", "half"), Home(tmp_path), ONE)
    assert [cell.state for cell in cells] == ["fails", "fails"]
    assert all(
        cell.reason.startswith("The network cannot be tried. ") and "cannot take apart" in cell.reason
        for cell in cells
    )


def test_unknown_names_are_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        EspalierError,
        match=r"received .magic..*Choose among: stochastic-depth, group-penalty, mixed-training, channels",
    ):
        coverage(("resnet20",), ("magic",), Home(tmp_path), ONE)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_pipeline_of_the_table_keeps_the_rules(name: str) -> None:
    network = BACKBONES[name]
    for method in methods().values():
        problems = documents.check(document(network, [method]))
        refused = method.id in BLOCKS_NEEDED and not network.blocks
        refused |= method.id == "tokens" and "Block" not in network.blocks
        assert bool(problems) == refused, [str(problem) for problem in problems]


def test_the_page_numbers_its_reasons() -> None:
    cells = [
        Cell("resnet20", "static", "works", signal=30.0),
        Cell("vit-tiny", "static", "refused", "Too odd."),
        Cell("resnet20", "layers", "pointless", "No blocks."),
        Cell("vit-tiny", "layers", "fails", "Too odd."),
    ]
    lines = as_markdown(cells).splitlines()
    assert "|  | ResNet-20 (CIFAR) | ViT-Tiny/16 |" in lines
    assert "| Static INT8 | yes | no (1) |" in lines and "| Layer pruning | – (2) | fault (1) |" in lines
    assert (
        "1. Too odd." in lines
        and "2. No blocks." in lines
        and not any(line.startswith("3. ") for line in lines)
    )


@pytest.mark.slow
def test_a_network_of_timm_without_blocks_is_refused_before_anything_trains(tmp_path: Path) -> None:
    text = """
espalier: 1
name: Timm
data: {source: fashion-mnist-sample, image_size: 64, train_images: 64, validation_images: 16, test_images: 16}
sources: [{id: net, settings: {backbone: "timm:test_mambaout"}}]
stages:
  - {id: first, kind: train, settings: {training: {epochs: 1}}}
  - {id: shallower, kind: prune-layers}
"""
    home = Home(tmp_path / "home")
    run = create_run(documents.loads(text), tmp_path, home, tmp_path / "run")
    done = Engine(run, home, ONE).run()
    assert done.status == "failed" and "has no residual blocks that are known by name" in done.message
    assert run.reports() == []
