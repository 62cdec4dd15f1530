"""Which stage may follow which: every broken rule in words, with what mends it."""

from typing import ClassVar

import pytest

from core.common.params import Params
from core.document import pipeline as documents
from core.document.order_rules import ChainLink, order_problems
from core.document.pipeline import PipelineError
from core.stages.as_given import AsGiven
from core.stages.base import DeploymentStage, Effect, ModelStage


class Nothing(Params):
    """No settings."""


def model_stage(name: str, effect: Effect) -> ChainLink:
    class Made(ModelStage[Nothing]):
        id: ClassVar[str] = name
        title, group, help, Settings = name, "Test", "", Nothing

        def run(self, model, settings, context):
            raise NotImplementedError

    Made.effect = effect
    return ChainLink(name, name, Made())


def file_stage(name: str) -> ChainLink:
    class Made(DeploymentStage[Nothing]):
        id: ClassVar[str] = name
        title, group, help, Settings = name, "Test", "", Nothing

        def deploy(self, source, settings, context):
            raise NotImplementedError

    return ChainLink(name, name, Made())


TRAIN, PRUNE = model_stage("Train", "weights"), model_stage("Prune", "structure")
FACTORISE, SPARSE = model_stage("Factorise", "ranks"), model_stage("Sparse", "zeros")
SHARE, QAT = model_stage("Share", "codebook"), model_stage("QAT", "quantized")
INT8, HALF = file_stage("INT8"), file_stage("Half")
GIVEN = ChainLink("given", "Given", AsGiven())


@pytest.mark.parametrize(
    ("chain", "link"),
    [
        ([], TRAIN),
        ([TRAIN], PRUNE),
        ([TRAIN, PRUNE], FACTORISE),
        ([TRAIN, SPARSE], PRUNE),
        ([TRAIN, SPARSE], SHARE),
        ([TRAIN, FACTORISE], SPARSE),
        ([TRAIN, PRUNE, FACTORISE, TRAIN], INT8),
        ([TRAIN, PRUNE], QAT),
    ],
)
def test_good_orders_pass(chain, link):
    assert order_problems(link, chain, from_file=False) == []


@pytest.mark.parametrize(
    ("chain", "link", "source", "message", "advice"),
    [
        ([TRAIN, FACTORISE], PRUNE, "backbone",
         "'Prune' cuts channels or layers, but 'Factorise' has split layers into low-rank factors that it cannot follow.",
         "Move 'Prune' before 'Factorise'."),
        ([TRAIN, SPARSE], FACTORISE, "backbone",
         "'Factorise' would write the pruned weights anew as factors without zeros.",
         "Move 'Factorise' before 'Sparse'."),
        ([SHARE], FACTORISE, "backbone",
         "'Factorise' would write the shared weights anew as factors that share nothing.",
         "Move 'Factorise' before 'Share'."),
        ([SHARE], SPARSE, "backbone",
         "'Sparse' would take weights out of the codebooks that 'Share' made.",
         "Move 'Sparse' before 'Share'."),
        ([TRAIN, INT8], TRAIN, "backbone",
         "'Train' changes the network, but 'INT8' has gone on to the exported file.",
         "Move 'Train' before 'INT8', or replace both by quantization-aware training."),
        ([TRAIN, INT8], PRUNE, "backbone",
         "'Prune' changes the network, but 'INT8' has gone on to the exported file.",
         "Move 'Prune' before 'INT8'."),
        ([TRAIN, QAT], TRAIN, "backbone",
         "Nothing but deployment can follow 'QAT': its weights fit the INT8 grid that they were trained on.",
         "Move 'Train' before 'QAT'."),
        ([TRAIN, QAT], INT8, "backbone",
         "'INT8' cannot follow 'QAT', which has quantized or converted the file already.",
         "Let both continue the same stage: give 'INT8' the 'from' of 'QAT'."),
        ([TRAIN, HALF], INT8, "backbone",
         "'INT8' cannot follow 'Half', which has quantized or converted the file already.",
         "Let both continue the same stage: give 'INT8' the 'from' of 'Half'."),
        ([], INT8, "backbone",
         "'INT8' works on an exported file, and no stage before it exports one.",
         "Put a 'Train' stage before it; with 0 epochs it exports the network as it is."),
        ([GIVEN], TRAIN, "onnx",
         "'Train' changes a PyTorch network, and this chain starts from an ONNX file.",
         "Start from a backbone or a checkpoint, or use stages that work on the exported file."),
    ],
)  # fmt: skip
def test_broken_orders_have_words(chain, link, source, message, advice):
    first, *_ = order_problems(link, chain, source == "onnx")
    assert (first.message, first.advice) == (message, advice)


def test_an_onnx_file_can_be_quantized_at_once_or_after_it_was_measured():
    assert order_problems(INT8, [], from_file=True) == order_problems(INT8, [GIVEN], from_file=True) == []


def test_a_document_names_line_and_place():
    text = """\
espalier: 1
name: Wrong way round
sources:
  - {id: file, kind: onnx, settings: {path: model.onnx}}
stages:
  - id: trained
    kind: train
"""
    with pytest.raises(PipelineError) as caught:
        documents.loads(text)
    (problem,) = caught.value.problems
    assert problem.line == 7 and problem.place == ("stages", 0, "kind")
    assert problem.message.startswith("'trained' changes a PyTorch network")


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (
            "[{stage: pruned, settings: {ratio: [0.1]}}, {stage: nothing, settings: {ratio: [0.1]}}]",
            "axes.grid.1.stage: ",
        ),
        (
            "[{stage: pruned, settings: {}}, {stage: pruned, settings: {ratio: [2.0]}}]",
            "axes.grid.0.settings: ",
        ),
        (
            "{stage: pruned, settings: {ratio: 0.1}}",
            "axes.grid.settings.ratio: Expected a list, received 0.1",
        ),
        ("3", "Expected a list, received 3"),
        ("{stage: nothing, settings: {ratio: [0.1]}}", "received 'nothing'"),
        ("{stage: pruned, settings: {rato: [0.1]}}", "Expected a setting of the stage, received 'rato'"),
        ("{stage: pruned, settings: {ratio: [0.1, 1.5]}}", "Expected less than 1.0, received 1.5"),
        ("{stage: pruned, settings: {ratio: []}}", "has no values"),
        ("{stage: pruned, settings: {}}", "at least 1"),
    ],
)
def test_a_grid_is_checked_value_by_value(grid, words):
    text = f"""\
espalier: 1
name: Grid
sources: [{{id: network}}]
stages:
  - {{id: fp32, kind: train}}
  - {{id: pruned, kind: prune-channels}}
axes:
  grid: {grid}
"""
    with pytest.raises(PipelineError) as caught:
        documents.loads(text)
    assert words in str(caught.value)
    assert all(problem.line == 8 for problem in caught.value.problems)
