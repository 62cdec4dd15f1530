"""Tensors from the last cut: which cuts a graph has, that parts compute what the whole does, and what is kept where."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from quantize_files import quiet, write_small

from core.deploy.quantization import kept_tensors, reconstruct
from core.deploy.quantization.calibrated import calibrated
from core.deploy.quantization.cuts import Cuts
from core.deploy.quantization.graph import array_of, copy_of, node_called, put_array
from core.deploy.quantization.kept_tensors import KeptTensors
from core.deploy.quantization.sessions import probed

LEARN = {"learn_images": 40, "steps": 2, "drop": 0.5, "learn_ranges": True}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    arguments = write_small(tmp_path_factory.mktemp("float")) | {"scales": "tensor", "correct_bias": "on"}
    return replace(calibrated(arguments, quiet), corrects=False)


@pytest.fixture(scope="module")
def rounded(graph):
    return graph.quantized((), quiet)[0]


class Images:
    """The images of a sample in blocks of 16, and how often they were asked for."""

    def __init__(self, sample) -> None:
        self.whole, self.times = np.concatenate(list(sample.blocks())), 0

    def __call__(self):
        self.times += 1
        for start in range(0, len(self.whole), 16):
            yield self.whole[start : start + 16]


def kept(images: Images) -> KeptTensors:
    return KeptTensors(images, len(images.whole))


def whole(model: onnx.ModelProto, names: list[str], images: Images) -> list[np.ndarray]:
    give = probed(model, names)
    return [np.concatenate(each) for each in zip(*(give(block) for block in images()), strict=True)]


def asked(tensors: KeptTensors, model: onnx.ModelProto, names: list[str]) -> list[np.ndarray]:
    counts, found = zip(*tensors.ask(model, names), strict=True)
    assert sum(counts) == tensors.images
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def made_of(nodes: list[onnx.NodeProto], outputs: list[str]) -> onnx.ModelProto:
    """A graph of "x" [n, 4] whose products all read the constant "w" [4, 4]."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.arange(16.0))
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    ends = [helper.make_empty_tensor_value_info(name) for name in outputs]
    opset = [helper.make_opsetid("", 21)]
    return helper.make_model(
        helper.make_graph(nodes, "g", [entry], ends, [weight]), opset_imports=opset, ir_version=10
    )


def node(op: str, inputs: str, outputs: str, **settings: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op} {outputs}", **settings)


# Which cuts there are


def test_a_cut_is_what_every_way_goes_through_and_a_layer_or_several_nodes_read():
    """x → a → relu b → (c → d) + b → e → tanh f → sigmoid g → h: b and e are cuts, c and d lie on one of two ways."""
    nodes = [
        node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "c"), node("MatMul", "c w", "d"),
        node("Add", "d b", "e"), node("MatMul", "e w", "f0"), node("Tanh", "f0", "f"), node("Sigmoid", "f", "g"),
        node("MatMul", "g w", "h"),
    ]  # fmt: skip
    cuts = Cuts(made_of(nodes, ["h"]))
    assert cuts.before(["h"]) == ["g", "e", "b"]
    assert cuts.before(["e", "f0"]) == ["e", "b"]
    assert cuts.before(["c"]) == ["b"] and cuts.before(["d", "b"]) == ["b"]
    assert cuts.before(["a"]) == [] and cuts.before(["x"]) == []


def test_what_later_answers_read_too_is_no_cut():
    """Two answers, one from the first layer: nothing behind that is on every way."""
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "b"), node("MatMul", "b w", "c")]
    assert Cuts(made_of(nodes, ["c", "a"])).before(["c"]) == ["a"]
    assert Cuts(made_of(nodes, ["c"])).before(["c"]) == ["b", "a"]


def test_nodes_with_several_answers_and_with_branches_inside():
    """A branch of an If reads `a` by name alone; Split's answers only have `c` in common."""
    inner = [
        helper.make_graph([helper.make_node(op, ["a"], [f"{op}_a"])], op, [], [helper.make_empty_tensor_value_info(f"{op}_a")])
        for op in ("Tanh", "Sigmoid")
    ]  # fmt: skip
    nodes = [
        node("MatMul", "x w", "a"), node("MatMul", "a w", "b"), node("ReduceMax", "b", "most", keepdims=0),
        node("Cast", "most", "yes", to=TensorProto.BOOL),
        node("If", "yes", "c", then_branch=inner[0], else_branch=inner[1]),
        node("MatMul", "c w", "d"), node("Split", "d", "e f", axis=1, num_outputs=2), node("Concat", "f e", "g", axis=1),
        node("MatMul", "g w", "h"),
    ]  # fmt: skip
    model = made_of(nodes, ["h"])
    cuts = Cuts(model)
    assert cuts.before(["h"]) == ["g", "c", "a"] and cuts.before(["f"]) == ["c", "a"]
    assert cuts.before(["c"]) == ["c", "a"] and cuts.before(["b"]) == ["a"]
    values = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    tensors = KeptTensors(lambda: [values], 6)
    for names in (["b"], ["c"], ["f", "e"], ["h"]):
        for ours, theirs in zip(asked(tensors, model, names), probed(model, names)(values), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_quantized_graph_is_cut_where_it_holds_integers(graph, rounded):
    kinds = {name: node.op_type for node in rounded.graph.node for name in node.output}
    head = node_called(rounded, graph.layers[-1].node).input[0]
    found = Cuts(rounded).before([head])
    assert len(found) >= 4 and {kinds[name] for name in found} == {"QuantizeLinear"}


# What is computed from a cut


def test_a_part_computes_what_the_whole_graph_does(graph, rounded):
    """Integers to the last bit; in float a sum may be taken in another order."""
    images = Images(graph.sample)
    with kept(images) as exact, kept(images) as other:
        for layer in graph.layers:
            entry = [node_called(rounded, layer.node).input[0]]
            np.testing.assert_array_equal(asked(other, rounded, entry), whole(rounded, entry, images))
            names = [layer.input, layer.raw]
            for ours, theirs in zip(
                asked(exact, graph.model, names), whole(graph.model, names, images), strict=True
            ):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def test_a_weight_that_changes_before_the_cut_is_seen_and_one_behind_it_costs_nothing(graph):
    images, model = Images(graph.sample), copy_of(graph.model)
    by = {layer.name: layer for layer in graph.layers}
    with kept(images) as tensors:
        first = asked(tensors, model, [by["narrow"].raw])
        assert images.times == 1
        put_array(model, by["narrow"].weight, 2 * array_of(model, by["narrow"].weight))
        second = asked(tensors, model, [by["narrow"].raw])
        assert images.times == 1 and not np.allclose(first, second)
        put_array(model, by["stem"].weight, 2 * array_of(model, by["stem"].weight))
        third = asked(tensors, model, [by["narrow"].raw])
        assert images.times == 2
        np.testing.assert_allclose(third, whole(model, [by["narrow"].raw], images), rtol=1e-4, atol=1e-4)


def files_of(tensors: KeptTensors) -> list[Path]:
    return sorted(tensors._folder.iterdir()) if tensors._folder is not None else []


def test_a_large_cut_lies_in_a_file_one_at_a_time_which_is_gone_at_the_end(graph, rounded, monkeypatch):
    monkeypatch.setattr(kept_tensors, "IN_MEMORY", 0)
    images = Images(graph.sample)
    with kept(images) as tensors:
        for layer in graph.layers:
            entry = [node_called(rounded, layer.node).input[0]]
            np.testing.assert_array_equal(asked(tensors, rounded, entry), whole(rounded, entry, images))
            assert len(files_of(tensors)) == 1
        folder = tensors._folder
    assert folder is not None and not folder.exists()


@pytest.mark.parametrize("trouble", ["larger than the bound", "little room on the disk", "a full disk"])
def test_a_cut_that_fits_nowhere_is_computed_again(graph, monkeypatch, trouble):
    monkeypatch.setattr(kept_tensors, "IN_MEMORY", 0)
    if trouble == "larger than the bound":
        monkeypatch.setattr(kept_tensors, "ON_DISK", 1)
    elif trouble == "little room on the disk":
        usage = kept_tensors.shutil.disk_usage("/")
        monkeypatch.setattr(kept_tensors.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    else:
        monkeypatch.setattr(kept_tensors, "write_values", full)
    images = Images(graph.sample)
    with kept(images) as tensors:
        for layer in graph.layers[1:]:
            found = asked(tensors, graph.model, [layer.raw])
            np.testing.assert_allclose(found, whole(graph.model, [layer.raw], images), rtol=1e-4, atol=1e-4)
        assert tensors._kept is None and files_of(tensors) == []


def full(file: Path, values: np.ndarray) -> None:
    file.write_bytes(b"part")
    raise OSError(28, "No space left on device")


# What learning saves by it


def test_learned_rounding_does_not_compute_the_network_from_its_start_for_each_layer(tmp_path, monkeypatch):
    """Before, the images went through the network twice for each of its six layers."""
    arguments = write_small(tmp_path) | LEARN | {"scales": "tensor", "objective": "block"}
    times, blocks = [], reconstruct._blocks
    monkeypatch.setattr(reconstruct, "_blocks", lambda sample: times.append(1) or blocks(sample))
    reconstruct.quantize({**arguments, "target": str(tmp_path / "made.onnx")}, quiet)
    assert len(times) <= 4  # for the first layer, and for the first cut, in both networks
