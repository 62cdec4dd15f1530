"""The graph of a network: operations, blocks that fold, what became of each, and places in a picture."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis import graph_blocks, network_graph
from core.analysis.network_graph import NetworkGraph, Unit
from core.common.errors import EspalierError
from core.deploy.quantization.qdq import OP_TYPES
from core.machine.jobs import JobContext

SCOPES = "pkg.torch.onnx.name_scopes"


def write(
    path: Path,
    width: int = 8,
    quantized: bool = False,
    blocks: int = 2,
    shortcut: bool = True,
    head: str = "GlobalAveragePool",
) -> Path:
    """Convolutions in blocks with shortcuts; `quantized` stores an activation as integers in between."""
    nodes, tensors, value = [], [], "images"

    def weight(name: str, *shape: int) -> str:
        tensors.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
        return name

    def add(op: str, module: str, name: str, inputs: list[str], output: str, **attributes: object) -> str:
        node = helper.make_node(op, inputs, [output], name=name, **attributes)
        node.metadata_props.add(key=SCOPES, value=str(["", *([module] if module else []), name]))
        nodes.append(node)
        return output

    value = add("Conv", "stem", "c", [value, weight("stem.weight", 4, 3, 3, 3)], "s", pads=[1, 1, 1, 1])
    for block in range(blocks):
        first = f"stages.{block}"
        inside = add(
            "Conv",
            f"{first}.conv1",
            f"a{block}",
            [value, weight(f"{first}.conv1.weight", width, 4, 1, 1)],
            f"a{block}",
        )
        inside = add("Relu", f"{first}.act", f"r{block}", [inside], f"r{block}")
        if quantized:
            scale = numpy_helper.from_array(np.float32(0.1), f"scale{block}")
            tensors.append(scale)
            inside = add("QuantizeLinear", "", f"q{block}", [inside, scale.name], f"q{block}")
            inside = add("DequantizeLinear", "", f"d{block}", [inside, scale.name], f"d{block}")
        inside = add(
            "Conv",
            f"{first}.conv2",
            f"b{block}",
            [inside, weight(f"{first}.conv2.weight", 4, width, 1, 1)],
            f"b{block}",
        )
        value = add("Add", first, f"p{block}", [inside, value], f"p{block}") if shortcut else inside
    if quantized and head != "GlobalAveragePool":
        value = add("QuantizeLinear", "", "q", [value, "scale0"], "q")
        value = add("DequantizeLinear", "", "d", [value, "scale0"], "d")
    value = add(head, "", "pool", [value], "pool")
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def read(path: Path) -> NetworkGraph:
    return network_graph.read(path)


def test_operations_and_what_flows_between_them_are_read(tmp_path: Path) -> None:
    graph = read(write(tmp_path / "a.onnx"))
    units = {unit.id: unit for unit in graph.units}
    assert [unit.op for unit in graph.units][:5] == ["Input", "Conv", "Conv", "Relu", "Conv"]
    assert units["c"] == Unit("c", "stem", "Conv", "Conv 3×3", "3 → 4", (4, 8, 8), 108, 108 * 64)
    assert units["a0"].path == "stages.0.conv1" and units["p0"].path == "stages.0"
    assert {("c", "a0"), ("c", "p0"), ("b0", "p0"), ("p0", "a1")} <= set(graph.edges)
    assert graph.units[-1].op == "Output" and ("pool", graph.units[-1].id) in graph.edges


def test_what_only_stores_is_no_node_and_shows_in_the_precision(tmp_path: Path) -> None:
    graph = read(write(tmp_path / "a.onnx", quantized=True))
    assert not {"q0", "d0"} & {unit.id for unit in graph.units}
    assert ("r0", "b0") in graph.edges
    precisions = {unit.id: unit.precision for unit in graph.units}
    assert precisions["b0"] == "int8" and precisions["a0"] == "float32"


def test_what_this_program_quantizes_computes_with_integers() -> None:
    assert set(OP_TYPES) < network_graph._IN_INTEGERS


@pytest.mark.parametrize(("head", "precision"), [("Flatten", "int8"), ("ReduceMean", "float32")])
def test_what_has_no_form_in_integers_computes_in_float(head: str, precision: str, tmp_path: Path) -> None:
    graph = read(write(tmp_path / "a.onnx", quantized=True, head=head))
    assert {unit.id: unit.precision for unit in graph.units}["pool"] == precision


def test_what_became_of_every_operation(tmp_path: Path) -> None:
    before = read(write(tmp_path / "a.onnx"))
    after = read(write(tmp_path / "b.onnx", width=6, quantized=True, blocks=1))
    old, new = network_graph.changes(before, after)
    assert old["a0"] == "narrower" and old["r0"] == "same" and old["a1"] == "gone" and old["p1"] == "gone"
    assert new["a0"] == "narrower" and new["c"] == "same" and set(new.values()) == {"same", "narrower"}
    assert network_graph.changes(after, before)[1]["a1"] == "new"
    same = read(write(tmp_path / "c.onnx", quantized=True))
    assert network_graph.changes(before, same)[0]["b0"] == "precision"


def test_blocks_fold_and_unfold(tmp_path: Path) -> None:
    graph = read(write(tmp_path / "a.onnx", blocks=3))
    assert list(graph_blocks.blocks(graph)) == ["stages", "stages.0", "stages.1", "stages.2"]
    folded = graph_blocks.visible(graph, ())
    assert [node.title for node in folded] == ["Input", "Conv 3×3", "stages", "GlobalAveragePool", "Output"]
    assert graph_blocks.edges_between(graph, folded)[1] == ("c", "block:stages")
    opened = graph_blocks.visible(graph, ["stages", "stages.1"])
    assert [node.title for node in opened][2:4] == ["stages.0", "Conv 1×1"]
    assert next(node for node in opened if node.id == "a1").inside == "stages.1"
    assert graph_blocks.first_open(graph, most=8) == ("stages",)
    assert set(graph_blocks.first_open(graph)) == {"stages", "stages.0", "stages.1", "stages.2"}


def test_a_module_that_is_used_in_several_places_is_no_block() -> None:
    units = [Unit(name, path, "Relu", "Relu") for name, path in (
        ("a", "net.conv1"), ("r1", "net.relu"), ("b", "net.conv2"), ("r2", "net.relu"), ("c", "net.act"), ("d", "net.act"),
        ("out", ""),
    )]  # fmt: skip
    pairs = [(first.id, second.id) for first, second in pairwise(units)]
    assert list(graph_blocks.blocks(NetworkGraph((*units, Unit("x", "head", "Gemm", "Gemm")), tuple(pairs)))) == [
        "net", "net.act",
    ]  # fmt: skip


def test_a_picture_has_a_place_for_every_node_and_none_on_another(tmp_path: Path) -> None:
    arguments = {
        "model": str(write(tmp_path / "b.onnx", width=6)), "other": str(write(tmp_path / "a.onnx")),
        "is_before": False, "opened": None, "character": 7.0, "line": 16.0,
    }  # fmt: skip
    picture = graph_blocks.picture(arguments, JobContext())
    boxes = [(n["x"], n["y"], n["width"], n["height"]) for n in picture["nodes"]]
    for number, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[number + 1 :]:
            apart = (
                abs(x - other_x) >= (width + other_width) / 2
                or abs(y - other_y) >= (height + other_height) / 2
            )
            assert apart
    places = {node["id"]: node["y"] for node in picture["nodes"]}
    assert all(places[line["from"]] < places[line["to"]] for line in picture["lines"])
    assert picture["changes"]["a0"] == "narrower" and picture["keys"]["a0"] == "stages.0.conv1|layer|1"


def test_a_file_of_others_takes_its_paths_from_the_names_of_its_nodes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.name = f"/features/features.{node.name}/{node.op_type}" if node.op_type == "Relu" else ""
    onnx.save(model, path)
    graph = read(path)
    assert "features.r0" in {unit.path for unit in graph.units}
    assert len({unit.id for unit in graph.units}) == len(graph.units)


def test_a_file_that_cannot_be_run_here_can_be_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.node[2].domain, model.graph.node[2].op_type = "their.own", "Swoosh"
    model.opset_import.add(domain="their.own", version=1)
    onnx.save(model, path, save_as_external_data=True, location="a.data", size_threshold=0)
    (tmp_path / "a.data").unlink()
    graph = read(path)
    assert "Swoosh" in {unit.op for unit in graph.units} and ("a0", "r0") in graph.edges


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08"])
def test_what_is_no_network_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(EspalierError):
        read(tmp_path / "a.onnx")


def test_a_thousand_nodes_are_laid_out() -> None:
    """How long it takes is measured by a benchmark; here only that all of them get a place."""
    nodes = [graph_blocks.Shown(str(n), f"Conv {n}", "", False, (str(n),)) for n in range(1000)]
    edges = [(str(n), str(n + 1)) for n in range(999)] + [(str(n), str(n + 5)) for n in range(0, 990, 7)]
    assert len(graph_blocks.lay_out(nodes, edges)["nodes"]) == 1000
