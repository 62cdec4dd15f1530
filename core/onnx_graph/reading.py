"""Reading an ONNX file that somebody brought: whole, or refused in a sentence that says what it has.

Weights that lie in files beside it (external data) are read from its own folder and from nowhere else.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.common.placeholder_files import refuse_stand_in
from core.onnx_graph.wrong_files import unreadable, without_network

if TYPE_CHECKING:
    import onnx

NEWEST_OPSET = 26  # the newest operator set and format of ONNX Runtime 1.31
NEWEST_FORMAT = 13
OLDEST_OPSET, UPGRADED = 7, 13  # what older operator sets are brought to
FIRST_WITH_CONSTANTS = 4  # of the formats, the first in which a constant is no input
LARGEST = 2**31 - 1  # bytes of a file without external data
_OF_THE_RUNTIME = {
    "Affine", "Crop", "DynamicSlice", "GivenTensorFill", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh",
    "SimplifiedLayerNormalization",
}  # fmt: skip
"""Operators that ONNX Runtime has under ONNX's own name."""
_KNOWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}


def read_onnx(path: Path, weights: bool = True) -> "onnx.ModelProto":
    """The model in a file.

    Args:
        weights: read those that lie beside the file too; whether they are there is looked at in any case.

    Raises:
        EspalierError: when it is no ONNX file, newer than what runs it, incomplete, or needs operators of others.
    """
    import onnx

    refuse_stand_in(path, "an ONNX file")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise unreadable(path, error) from error
    if not model.graph.node:
        raise without_network(path)
    _check_versions(model, path)
    _check_operators(model, path)
    _check_beside(model, path)
    if weights:
        load_beside(model, path)
    return model


def unopened(path: Path, error: Exception) -> EspalierError:
    """Why ONNX Runtime could not open a file: what `read_onnx` says of it, and what the runtime says where that is nothing."""
    try:
        read_onnx(path, weights=False)
    except EspalierError as reason:
        return reason
    return EspalierError(
        f"ONNX Runtime could not open {path.name}: {reason_of(error)}.",
        "Export it again, with another operator set or precision.",
        str(error),
    )


def copy_whole(source: Path, target: Path) -> None:
    """Copy a model to one file, with the weights inside that lie beside it.

    Raises:
        EspalierError: as of `read_onnx`.
    """
    import onnx

    model = read_onnx(source, weights=False)
    if not files_beside(model):
        shutil.copyfile(source, target)
        return
    load_beside(model, source)
    onnx.save(model, target)


def opset_of(model: "onnx.ModelProto") -> int:
    """The version of ONNX's own operators that the model is written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def without_constant_inputs(model: "onnx.ModelProto") -> bool:
    """Take constants out of the inputs, where older files list them too, in place; whether there were any."""
    constants = {tensor.name for tensor in model.graph.initializer}
    listed = [entry for entry in model.graph.input if entry.name in constants]
    for entry in listed:
        model.graph.input.remove(entry)
    if listed:
        model.ir_version = max(model.ir_version, FIRST_WITH_CONSTANTS)
    return bool(listed)


def graphs_of(graph: "onnx.GraphProto") -> "Iterator[onnx.GraphProto]":
    """The graph and those inside of its nodes (branches, bodies of loops)."""
    yield graph
    for node in graph.node:
        for entry in node.attribute:
            for inner in (*([entry.g] if entry.HasField("g") else []), *entry.graphs):
                yield from graphs_of(inner)


def settings_of(node: "onnx.NodeProto") -> dict[str, Any]:
    """A node's attributes by name."""
    import onnx

    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def tensors_of(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Every constant of the model, those in attributes included."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for node in graph.node:
            for entry in node.attribute:
                if entry.HasField("t"):
                    yield entry.t
                yield from entry.tensors


def files_beside(model: "onnx.ModelProto") -> list[str]:
    """The files that hold weights of the model, as it names them."""
    return sorted({_beside(tensor).get("location", "") for tensor in tensors_of(model) if _is_beside(tensor)})


def names_read(model: "onnx.ModelProto") -> set[str]:
    """Every value that a node reads or that is an output, in the model and inside of its nodes."""
    graphs = list(graphs_of(model.graph))
    names = {name for graph in graphs for node in graph.node for name in node.input}
    return names | {entry.name for graph in graphs for entry in graph.output}


def sort_nodes(model: "onnx.ModelProto") -> bool:
    """Put every node behind those whose values it reads, inside of its branches too, in place; whether any was not."""
    nodes = list(model.graph.node)
    made = {name for node in nodes for name in node.output}
    needs = [(set(node.input) | read_inside(node)) & made for node in nodes]
    ready: set[str] = set()
    for node, needed in zip(nodes, needs, strict=True):
        if not needed <= ready:
            break
        ready.update(node.output)
    else:
        return False
    ready, ordered, waiting = set(), [], list(zip(nodes, needs, strict=True))
    while waiting:
        possible = [node for node, needed in waiting if needed <= ready]
        if not possible:  # a circle: the checker says it
            return False
        ordered += possible
        waiting = [(node, needed) for node, needed in waiting if not needed <= ready]
        ready.update(name for node in possible for name in node.output)
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return True


def read_inside(node: "onnx.NodeProto") -> set[str]:
    """The values that the branches and loops inside of a node read."""
    inner = [entry.g for entry in node.attribute if entry.HasField("g")] + [
        g for entry in node.attribute for g in entry.graphs
    ]
    return {name for graph in inner for each in graphs_of(graph) for one in each.node for name in one.input}


def _is_beside(tensor: "onnx.TensorProto") -> bool:
    return tensor.data_location == 1  # EXTERNAL


def _beside(tensor: "onnx.TensorProto") -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _check_versions(model: "onnx.ModelProto", path: Path) -> None:
    import onnx

    if model.ir_version > onnx.IR_VERSION:
        raise EspalierError(
            f"{path.name} is written in version {model.ir_version} of the ONNX format, and this installation reads "
            f"versions up to {onnx.IR_VERSION}.",
            "Export it again with an older onnx package, or with a lower ir_version.",
        )
    if not model.opset_import:
        raise EspalierError(
            f"{path.name} does not say which operator set of ONNX it is written in.",
            "Export it again; files say it where their exporter finished.",
        )
    known = onnx.defs.onnx_opset_version()
    if opset_of(model) > known:
        raise EspalierError(
            f"{path.name} is written in operator set {opset_of(model)} of ONNX, a newer version than this installation "
            f"knows ({known}).",
            f"Export it again with operator set {NEWEST_OPSET} or lower (opset_version={NEWEST_OPSET}).",
        )


def _check_operators(model: "onnx.ModelProto", path: Path) -> None:
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    strange = {
        f"{node.domain}.{node.op_type}"
        for graph in graphs_of(model.graph)
        for node in graph.node
        if node.domain not in _KNOWN_DOMAINS and (node.domain, node.op_type) not in own
    }
    if strange:
        shown = ", ".join(sorted(strange)[:4])
        raise EspalierError(
            f"{path.name} uses operators that are not ONNX's own: {shown}.",
            "Only the program that they were made for can run it; export the network with ONNX's own operators.",
        )
    unknown = {
        node.op_type
        for graph in graphs_of(model.graph)
        for node in graph.node
        if node.domain in ("", "ai.onnx") and (node.domain, node.op_type) not in own
        and not onnx.defs.has(node.op_type) and node.op_type not in _OF_THE_RUNTIME
    }  # fmt: skip
    if unknown:
        raise EspalierError(
            f"{path.name} uses operators that ONNX does not have: {', '.join(sorted(unknown)[:4])}.",
            "Export the network with ONNX's own operators; those of other programs need a domain of their own.",
        )


def _check_beside(model: "onnx.ModelProto", path: Path) -> None:
    """See that the files beside are there, inside the folder and long enough.

    Raises:
        EspalierError: naming the first that is not.
    """
    folder = path.parent.resolve()
    total = path.stat().st_size
    for name in files_beside(model):
        file = path.parent / name
        if not name or Path(name).is_absolute() or not file.resolve().is_relative_to(folder):
            raise EspalierError(
                f"{path.name} asks for weights outside of its folder ({name or 'no name'}), which is not read.",
                "Put both files into one folder, the files themselves and not links to them, and export again "
                "where the name itself leads elsewhere.",
            )
        if not file.is_file():
            raise EspalierError(
                f"{path.name} keeps its weights in a second file, {name}, which is not beside it in {path.parent}.",
                "Put both files into one folder (external data), or save the model with all its weights inside.",
            )
        total += file.stat().st_size
    for tensor in tensors_of(model):
        if _is_beside(tensor):
            _check_length(tensor, path)
    if total > LARGEST:
        raise EspalierError(
            f"{path.name} and its weights take {total / 1e9:.1f} GB; networks of up to 2 GB can be worked on.",
            "Choose a smaller network.",
        )


def _check_length(tensor: "onnx.TensorProto", path: Path) -> None:
    about = _beside(tensor)
    try:
        start, length = int(about.get("offset") or 0), int(about.get("length") or 0)
    except ValueError:
        start, length = -1, -1
    if start < 0 or length < 0 or start + length > (path.parent / about["location"]).stat().st_size:
        raise EspalierError(
            f"{about['location']}, which holds weights of {path.name}, is cut short or of another model: "
            f"{tensor.name} lies beyond its end.",
            "Copy or download both files again.",
        )


def load_beside(model: "onnx.ModelProto", path: Path) -> None:
    """Put the weights that lie beside the file into the model, in place.

    Raises:
        EspalierError: when they cannot be read.
    """
    from onnx.external_data_helper import load_external_data_for_model

    if not files_beside(model):
        return
    try:
        load_external_data_for_model(model, str(path.parent.resolve()))
    except Exception as error:
        raise EspalierError(
            f"The weights of {path.name} in {', '.join(files_beside(model)[:3])} cannot be read.",
            "Copy or download both files again.",
            str(error),
        ) from error
