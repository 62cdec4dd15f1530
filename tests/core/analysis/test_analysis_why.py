"""Causes: named from the evidence that calls for them and from no other, with figures and a change that helps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis import why
from core.analysis.report import why_lines
from core.analysis.why import CAUSES, ChainStage, Evidence, explain
from core.analysis.why.graph import examine_graph
from core.document import pipeline as documents
from core.document.fixes import fix_for_cause
from core.records.reports import Artefact, Cause, Fix, Metric, StageReport, Why
from core.stages.catalogue import STAGES

FIGURES = {
    "latency_ms": 10.0,
    "macs": 1000.0,
    "params": 100.0,
    "nonzero_params": 100.0,
    "top1": 90.0,
    "size_mb": 4.0,
}
VNNI = frozenset({"avx2", "avx512_vnni"})


def report(name: str, kind: str = "train", **figures: float) -> StageReport:
    metrics = {name: Metric(value=value) for name, value in (FIGURES | figures).items()}
    took = metrics["latency_ms"].value or 0.0
    metrics["latency_ms"] = Metric(value=took, low=0.99 * took, high=1.01 * took)
    file = Artefact(id="f", label="f", precision="float32", path="f", sha256="", bytes=1, metrics=metrics)
    return StageReport(
        key=name, id=name, source="", seed=0, name=name, kind=kind, headline="f", artefacts=[file]
    )


def layer(
    path: str, given: int, made: int, kind: str = "conv", zeros: int = 0, scales: str = "", faint: int = 0
) -> dict[str, Any]:
    return {
        "layer": path,
        "kind": kind,
        "given": given,
        "made": made,
        "zeros": zeros,
        "scales": scales,
        "faint": faint,
    }


def row(
    path: str, ms: float, macs: int = 10, precision: str = "float32", fallback: bool = False
) -> dict[str, Any]:
    kernels = ["Conv" if macs else "Softmax"]
    return {"layer": path, "type": "Conv", "params": 1, "macs": macs, "ms": ms, "precision": precision,
            "fallback": fallback, "kernels": kernels}  # fmt: skip


def told(id: str, kind: str, **settings: Any) -> ChainStage:
    chosen = STAGES[kind].Settings.model_validate(settings)
    return ChainStage(id, kind, chosen.model_dump(mode="json"))


def evidence(
    now: StageReport,
    layers: list[dict[str, Any]] | None = None,
    rows: list[dict[str, Any]] | None = None,
    chain: tuple[ChainStage, ...] = (),
    activations: str = "",
    instructions: frozenset[str] = VNNI,
    threads: dict[int, float] | None = None,
    before: StageReport | None = None,
) -> Evidence:
    rows = rows if rows is not None else [row("a", 4.0), row("b", 6.0)]
    layers = layers if layers is not None else [layer("a", 3, 64), layer("b", 64, 64)]
    total = sum(each["ms"] for each in rows)
    graph = {"layers": layers, "rows": rows, "activations": activations, "total_ms": total}
    return Evidence(now, before or report("Before"), chain, graph, instructions, threads or {})


def names(given: Evidence) -> list[str]:
    return [cause.id for cause in explain(given).causes]


def only(given: Evidence) -> Cause:
    [cause] = explain(given).causes
    return cause


def test_nothing_is_named_where_nothing_is_amiss() -> None:
    assert names(evidence(report("Now"))) == []
    assert names(evidence(report("Now", macs=500.0, latency_ms=5.0))) == []
    first = Evidence(report("First"), None, (), evidence(report("x")).graph, VNNI, {})
    assert explain(first) == Why()


def test_odd_channels_behind_a_latency_that_did_not_follow_the_macs() -> None:
    odd = [layer("a", 3, 45), layer("b", 45, 59), layer("c", 59, 64)]
    slow = report("Pruned", "prune-channels", macs=490.0, latency_ms=9.1)
    pruning = told("p", "prune-channels", round_to=1)
    rows = [row("a", 1.0), row("b", 3.0), row("c", 4.0), row("d", 2.0)]
    cause = only(evidence(slow, odd, rows, (pruning,)))
    assert cause.id == "odd-channels"
    assert cause.sentence.startswith(
        "3 of 3 convolutions have channel counts that are not multiples of 8, and the latency fell less than the MACs"
    )
    assert cause.evidence["outside_fast_form"] == 2 and cause.evidence["share_of_time"] == pytest.approx(0.8)
    assert cause.fix is not None and cause.fix.settings == {"round_to": 8}
    assert only(evidence(slow, odd, rows, (told("p", "prune-channels"),))).fix is None  # rounded already
    measured = evidence(report("Pruned", macs=490.0, latency_ms=4.0), odd, rows)
    measured.graph["rounded"] = 0.88  # type: ignore[index]
    assert "rounded up the same network takes 88 % of the time" in only(measured).sentence
    measured.graph["rounded"] = 1.01  # type: ignore[index]
    assert names(measured) == []
    even = [layer("a", 3, 48), layer("b", 48, 64)]
    assert names(evidence(slow, even)) == []
    assert names(evidence(report("Pruned", macs=490.0, latency_ms=5.0), odd)) == []


def test_signed_activations_where_the_processor_prefers_unsigned_ones() -> None:
    chain = (told("q", "quantize-static", activations="int8"),)
    int8 = [row("a", 4.0, precision="int8"), row("b", 6.0, precision="int8")]
    given = evidence(report("INT8", latency_ms=14.0), rows=int8, chain=chain, activations="int8")
    cause = only(given)
    assert cause.id == "signed-activations" and cause.evidence["latency_ratio"] == 1.4
    assert cause.fix is not None and cause.fix.settings == {"activations": "uint8"}
    arm = evidence(
        report("INT8"), rows=int8, chain=chain, activations="int8", instructions=frozenset({"asimddp"})
    )
    assert names(arm) == []
    assert names(evidence(report("INT8"), rows=int8, activations="uint8")) == []


def test_no_vnni_is_said_of_integers_on_x86() -> None:
    old = frozenset({"avx2", "sse4_2"})
    assert names(evidence(report("INT8"), activations="uint8", instructions=old)) == ["no-vnni"]
    assert names(evidence(report("float32"), instructions=old)) == []


def test_one_scale_for_a_depthwise_layer() -> None:
    layers = [
        layer("d", 32, 32, "depthwise", scales="tensor", faint=8),
        layer("e", 32, 32, "depthwise", scales="channel"),
    ]
    chain = (told("q", "quantize-static", scales="tensor"),)
    cause = only(evidence(report("INT8", top1=60.0), layers, chain=chain, activations="uint8"))
    assert cause.id == "per-tensor-depthwise"
    assert cause.sentence.startswith(
        "1 of 2 depthwise layers have one scale for all their channels, which leaves 25 %"
    )
    assert cause.evidence["top1_difference"] == -30.0
    assert cause.fix is not None and cause.fix.settings == {"scales": "channel"}
    even = [
        layer("d", 32, 32, "depthwise", scales="tensor", faint=1)
    ]  # its channels are alike: nothing is lost
    assert names(evidence(report("INT8", top1=60.0), even, activations="uint8")) == []
    plain = [layer("c", 32, 32, scales="tensor")]
    assert names(evidence(report("INT8", top1=60.0), plain, activations="uint8")) == []


def test_float_layers_among_integers() -> None:
    rows = [
        row("a", 5.0, precision="int8"),
        row("b", 3.0, fallback=True),
        row("s", 2.0, macs=0, fallback=True),
    ]
    chain = (told("q", "quantize-static", keep="b"),)
    cause = only(evidence(report("INT8"), rows=rows, chain=chain, activations="uint8"))
    assert cause.id == "float-fallback"
    assert cause.sentence == (
        "50 % of the layers compute with integers, but b, Softmax run in float and take 50 % of the time."
    )
    assert cause.fix is not None and cause.fix.settings == {"keep": ""}
    alone = [row("a", 5.0, precision="int8"), row("s", 2.0, macs=0, fallback=True)]
    without = only(evidence(report("INT8"), rows=alone, chain=chain, activations="uint8"))
    assert without.fix is None and "no integer form" in without.advice
    small = [row("a", 99.0, precision="int8"), row("s", 1.0, macs=0, fallback=True)]
    assert names(evidence(report("INT8"), rows=small, activations="uint8")) == []


def test_zeros_that_were_never_cut() -> None:
    sparse = report("Sparse", "prune-weights", nonzero_params=40.0)
    layers = [layer("a", 3, 64, zeros=32), layer("b", 64, 64, zeros=32)]
    chain = (told("w", "prune-weights", training={"epochs": 3}),)
    cause = only(evidence(sparse, layers, chain=chain))
    assert cause.id == "mask-not-cut"
    assert cause.sentence.startswith("60 % of the weights are zero, but the layers keep their shapes:")
    assert "64 of 128 channels are zero altogether" in cause.sentence
    assert cause.fix is not None and cause.fix.kind == "prune-channels"
    assert cause.fix.settings["ratio"] == 0.5 and cause.fix.settings["training"]["epochs"] == 3
    scattered = only(evidence(sparse, chain=chain))
    assert scattered.fix is not None and scattered.fix.settings["ratio"] == 0.6
    assert names(evidence(report("Narrow", nonzero_params=40.0, macs=400.0, latency_ms=4.0))) == []


def test_float32_after_mixed_precision() -> None:
    assert names(evidence(report("Mixed", "train-mixed"))) == ["exported-as-float32"]


def test_memory_and_not_arithmetic() -> None:
    layers = [layer("d", 64, 64, "depthwise"), layer("p", 64, 64)]
    rows = [row("d", 5.0, macs=1), row("p", 5.0, macs=9)]
    cause = only(evidence(report("Now"), layers, rows))
    assert cause.id == "memory-bound"
    assert cause.sentence.startswith(
        "1 depthwise convolutions hold 10 % of the MACs and take 50 % of the time"
    )
    assert names(evidence(report("Now"), layers, [row("d", 1.0, macs=1), row("p", 9.0, macs=9)])) == []


@pytest.mark.parametrize(
    ("threads", "best"),
    [
        ({1: 10.0, 2: 6.0, 3: 9.0}, 2),
        ({1: 5.0, 2: 6.0}, 1),
        ({1: 5.0, 2: 5.0}, None),
        ({1: 10.0, 2: 6.0}, None),
        ({1: 5.0}, None),
    ],
)
def test_threads_that_slow_down(threads: dict[int, float], best: int | None) -> None:
    found = [
        c for c in explain(evidence(report("Now"), threads=threads)).causes if c.id == "too-many-threads"
    ]
    assert [cause.evidence["best_threads"] for cause in found] == ([] if best is None else [best])


def test_the_paragraph_begins_with_what_changed() -> None:
    why = explain(evidence(report("Now", macs=490.0, latency_ms=9.1, top1=89.7), [layer("a", 3, 45)]))
    assert why.paragraph.startswith(
        "Against 'Before': MACs −51 %, latency −9 %, top-1 −0.30 points. 1 of 1 convolutions have"
    )
    now = report("Now").model_copy(update={"why": why})
    assert why_lines(now) == [
        f"Why: {why.paragraph}", "What to do: Round the channels that stay to multiples of 8."
    ]  # fmt: skip
    assert why_lines(report("Now")) == []
    assert StageReport.model_validate_json(now.model_dump_json()).why == why


def test_the_latency_is_that_of_alternating_sessions() -> None:
    """Between two stages the machine may have become slower; the ratio to the baseline was measured in turns."""

    def in_turns(name: str, ms: float, ratio: float, low: float, high: float) -> StageReport:
        made = report(name, latency_ms=ms)
        made.artefacts[0].change["latency_ms"] = Metric(value=ratio, low=low, high=high)
        return made

    slow = in_turns("Now", 10.8, 1.01, 0.98, 1.04)
    assert evidence(slow).latency.value == pytest.approx(1.0) and evidence(slow).ratio("latency_ms") == 1.0
    assert (
        explain(evidence(slow)).headline
        == "Against 'Before': no measurable change of latency, top-1 ±0.00 points."
    )
    half = in_turns("Half", 5.2, 0.5, 0.49, 0.51)
    quarter = evidence(in_turns("Quarter", 2.5, 0.25, 0.24, 0.26), before=half)
    assert quarter.ratio("latency_ms") == pytest.approx(0.5)
    assert "latency −50 %" in explain(quarter).headline


@pytest.mark.parametrize(
    ("latency", "change", "words"),
    [
        (Metric(value=17.0, low=16.8, high=17.2), Metric(value=1.0, low=0.99, high=1.01), "cannot be told"),
        (Metric(value=10.0, low=9.9, high=10.1), Metric(value=None, how="too busy"), ""),
        (Metric(value=42.8, low=7.0, high=65.0), Metric(value=4.28, low=0.7, high=9.0), "cannot be told"),
        (
            Metric(value=20.0, low=19.8, high=20.2),
            Metric(value=2.0, low=1.6, high=2.4),
            "latency +60 to +140 %",
        ),
        (Metric(value=42.8), None, ""),
    ],
)
def test_reasons_say_no_more_of_the_latency_than_its_interval(
    latency: Metric, change: Metric | None, words: str
) -> None:
    """Figures against pairs; a busy machine; an interval on both sides; a wide one; none at all."""
    now = report("Now", macs=400.0)
    now.artefacts[0].metrics["latency_ms"] = latency
    now.artefacts[0].change |= {"latency_ms": change} if change is not None else {}
    headline, ratio = explain(evidence(now)).headline, evidence(now).ratio("latency_ms")
    assert words in headline and ("latency" in headline) == bool(words)
    assert ratio is None


def test_the_reasons_and_the_table_say_the_same_of_the_accuracy() -> None:
    """Beside "≈ no measurable difference" in the table stood "top-1 +4.2 points"."""
    now = report("Now", macs=500.0, top1=94.2)
    now.artefacts[0].change["top1"] = Metric(value=4.17, unit="points", low=-2.7, high=10.7)
    assert (
        explain(evidence(now)).headline
        == "Against 'Before': MACs −50 %, no measurable change of latency, no measurable change of top-1."
    )
    now.artefacts[0].change["top1"] = Metric(value=4.17, unit="points", low=2.7, high=5.7)
    assert explain(evidence(now)).headline.endswith("top-1 +4.17 points.")


def test_every_cause_is_registered_once() -> None:
    assert len(set(CAUSES)) == len(CAUSES) == 9


def test_a_cause_is_a_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(given: Evidence) -> Cause | None:
        latency = given.value("latency_ms")
        if latency is None or latency < 8:
            return None
        fix = Fix(words="Prune more", stage="pruned", settings={"ratio": 0.6})
        return Cause(id="late", sentence="It is late.", advice="Prune.", evidence={"ms": latency}, fix=fix)

    monkeypatch.setattr(why, "CAUSES", (*CAUSES, late))  # the one line
    found = explain(evidence(report("Slow", latency_ms=9.0)))
    assert [cause.id for cause in found.causes] == ["late"] and found.paragraph.endswith("It is late.")
    assert found.advice == ["Prune."]
    told = StageReport.model_validate_json(report("Slow").model_copy(update={"why": found}).model_dump_json())
    assert told.why == found
    mended = fix_for_cause(documents.loads(DOCUMENT), found.causes[0])
    assert mended is not None and mended.pipeline.stage("pruned").settings["ratio"] == 0.6


DOCUMENT = """
espalier: 1
name: Why
data: {source: fashion-mnist-sample}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.4, round_to: 1}}
  - {id: sparse, kind: prune-weights, from: fp32, settings: {linear_amount: 0.6}}
"""


def test_a_fix_is_taken_by_the_editor() -> None:
    pipeline = documents.loads(DOCUMENT)
    odd = only(evidence(
        report("Pruned", macs=490.0, latency_ms=9.1), [layer("a", 3, 45)],
        chain=(told("pruned", "prune-channels", round_to=1),),
    ))  # fmt: skip
    fix = fix_for_cause(pipeline, odd)
    assert fix is not None and fix.words == "Round the channels to multiples of 8 in 'Pruned'"
    assert fix.pipeline.stage("pruned").parameters.round_to == 8  # type: ignore[attr-defined]
    assert fix.pipeline.stage("pruned").parameters.ratio == 0.4  # type: ignore[attr-defined]
    assert fix_for_cause(fix.pipeline, odd) is None  # it is so already
    sparse = only(evidence(report("Sparse", nonzero_params=40.0), chain=(told("sparse", "prune-weights"),)))
    cut = fix_for_cause(pipeline, sparse)
    assert cut is not None and cut.pipeline.stage("sparse").kind == "prune-channels"
    assert documents.check(cut.pipeline) == []
    assert fix_for_cause(documents.loads(DOCUMENT.replace("id: pruned", "id: other")), odd) is None


WEIGHTS = np.array([127, -100, 7, -1])


def quantized_file(path: Path, scales: np.ndarray, zero: Callable[[int], np.ndarray]) -> None:
    """A depthwise convolution of 4 channels in QDQ form, and behind it a float one with 2 zero channels."""
    weight = np.zeros((6, 4, 1, 1), np.float32)
    weight[:4] = 1.0
    tensors = {
        "s": np.float32(0.1), "z": zero(0), "ws": scales.astype(np.float32), "deep.weight": (WEIGHTS[:, None, None, None] * np.ones((1, 1, 3, 3))).astype(np.int8),
        "wz": np.zeros(scales.shape, np.int8), "mix.weight": weight,
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["deep.weight", "ws", "wz"], ["w"], axis=0),
        helper.make_node("Conv", ["d", "w"], ["c"], name="deep", group=4, kernel_shape=[3, 3]),
        helper.make_node("Conv", ["c", "mix.weight"], ["logits"], name="mix", kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 6, 6, 6])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


@pytest.mark.parametrize(
    ("scales", "kind", "word"), [(np.full(4, 0.1), np.uint8, "channel"), (np.asarray(0.1), np.int8, "tensor")]
)
def test_a_graph_tells_its_channels_zeros_scales_and_activations(
    tmp_path: Path, scales: np.ndarray, kind: type, word: str
) -> None:
    quantized_file(tmp_path / "f.onnx", scales, lambda value: np.asarray(value, kind))
    found = examine_graph({"model": str(tmp_path / "f.onnx"), "input_size": 8}, lambda done, text: None)
    assert found["layers"] == [
        layer("deep", 4, 4, "depthwise", scales=word, faint=2 if word == "tensor" else 0),
        layer("mix", 4, 6, zeros=2),
    ]  # fmt: skip
    assert found["rounded"] is None  # integers
    assert found["activations"] == ("uint8" if kind is np.uint8 else "int8")
    assert {each["layer"] for each in found["rows"]} >= {"deep", "mix"} and found["total_ms"] > 0
