"""From a checkpoint to an ONNX file; jobs of the tool child.

The file carries what a person needs to use it: the class names, the preprocessing and the
producer stand in its metadata. `b` images, `c` channels, `s` pixels a side.

Source: torch.onnx's dynamo exporter.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import core
from core.common.errors import EspalierError
from core.common.files import sha256_of, written_beside
from core.common.library_reasons import first_cause, reason_of
from core.data.preprocess import Preprocess
from core.machine.jobs import ProgressCallback, quick
from core.onnx_graph.class_names import class_names
from core.onnx_graph.layer_names import SCOPES
from core.onnx_graph.shared_weights import OPSET as SHARED_OPSET
from core.onnx_graph.shared_weights import compact

if TYPE_CHECKING:
    import onnx
    from torch import nn

INPUT, OUTPUT = "images", "logits"
OPSET = 20


def export_onnx(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: write a checkpoint folder's network as a float32 ONNX file.

    Weights that are constrained to shared values are stored as codebook and indices.

    Args (as plain data):
        checkpoint: folder. target: the .onnx file. opset: 20 unless given, 21 with shared weights.
        metadata: further texts for the file's metadata, by name.

    Returns: path, bytes, sha256, opset, nodes, input_size, classes.

    Raises:
        EspalierError: when the checkpoint cannot be read or the network cannot be exported.
    """
    from core.models.checkpoint import load_checkpoint

    progress(0.0, "Reading the checkpoint")
    checkpoint = load_checkpoint(Path(arguments["checkpoint"]))
    progress(0.2, "Exporting to ONNX")
    target = Path(arguments["target"])
    about = describe(checkpoint.classes, checkpoint.preprocess, "float32", arguments.get("metadata", {}))
    shared = "shared" in checkpoint.model.constraints.values()
    opset = arguments.get("opset", SHARED_OPSET if shared else OPSET)
    export_module(checkpoint.model, checkpoint.preprocess, target, about, opset, shared)
    progress(1.0, "Exported to ONNX")
    return {
        **file_facts(target),
        "input_size": checkpoint.preprocess.size,
        "classes": list(checkpoint.classes),
    }


@quick
def facts_of(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: what an ONNX classifier's file says of itself.

    Args (as plain data): path, .onnx file.

    Returns: path, bytes, sha256, opset, nodes, classes (empty where the file names none) and
        input_size, pixels a side (None where any size is allowed and the metadata gives none).
    """
    import onnx

    path = Path(arguments["path"])
    model = onnx.load(path, load_external_data=False)
    metadata = metadata_of(model)
    side = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value or None
    return {
        **file_facts(path),
        "input_size": Preprocess.from_json(metadata["preprocess"]).size if "preprocess" in metadata else side,
        "classes": list(class_names(metadata)),
    }


def export_module(
    model: "nn.Module",
    preprocess: Preprocess,
    target: Path,
    metadata: Mapping[str, str],
    opset: int = OPSET,
    shared: bool = False,
) -> None:
    """Write a network in evaluation mode as ONNX, with any batch size.

    The input `images` is float32 [b, c, s, s] as `preprocess` makes it, the output `logits`
    float32 [b, classes].

    Args:
        shared: keep weights that take few values as they are, and store them as indices.

    Raises:
        EspalierError: when PyTorch cannot export the network.
    """
    import onnx
    import torch

    from core.deploy.norms import with_separate_norms

    network = with_separate_norms(model) if shared else model
    size, channels = preprocess.size, preprocess.channels
    example = torch.zeros(2, channels, size, size)  # with a batch of 1 the exporter would fix it at 1
    with written_beside(target) as part:
        try:
            # With gradients, attention with a learned bias is traced in another form than it is taken apart in.
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network.eval(),
                    (example,),
                    part,
                    dynamo=True,
                    dynamic_shapes=({0: "batch"},),
                    input_names=[INPUT],
                    output_names=[OUTPUT],
                    opset_version=opset,
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            raise _not_exported(error) from error
        exported = onnx.load(part)
    remove_traces(exported)
    annotate(exported, metadata)
    if shared:
        compact(exported)
    save_checked(exported, target)


def _not_exported(error: Exception) -> EspalierError:
    cause = first_cause(error)
    if "data-dependent" in f"{error} {cause}":
        return EspalierError(
            "PyTorch could not export the network to ONNX: its forward() decides by the values of its images.",
            "Leave out an if, a loop or an index that depends on them; torch.where chooses between two results.",
            str(error),
        )
    if "conflicts between user-specified ranges" in f"{error} {cause}":
        return EspalierError(
            "PyTorch could not export the network to ONNX: its forward() is made for a fixed number of images.",
            "Leave out loops over the images of a call, and do not write their number into the network.",
            str(error),
        )
    return EspalierError(
        f"PyTorch could not export the network to ONNX: {reason_of(cause)}.",
        "Some operation has no ONNX form; another backbone or stage avoids it.",
        str(error),
    )


def describe(
    classes: tuple[str, ...], preprocess: Preprocess, precision: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """The metadata of a file: what its input and its output mean."""
    return {
        **{name: str(text) for name, text in extra.items()},
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "preprocess": json.dumps(preprocess.as_dict()),
        "precision": precision,
        "producer": f"Espalier {core.__version__}",
    }


def annotate(model: "onnx.ModelProto", metadata: Mapping[str, str]) -> None:
    """Replace the file's metadata and name Espalier as its producer."""
    del model.metadata_props[:]
    for name in sorted(metadata):
        model.metadata_props.add(key=name, value=str(metadata[name]))
    model.producer_name, model.producer_version = "Espalier", core.__version__


def add_metadata(model: "onnx.ModelProto", metadata: Mapping[str, str]) -> None:
    """Add to the file's metadata, or replace entries of the same name; the producer stays."""
    for key, value in metadata.items():
        entry = (
            next((one for one in model.metadata_props if one.key == key), None) or model.metadata_props.add()
        )
        entry.key, entry.value = key, str(value)


def metadata_of(model: "onnx.ModelProto") -> dict[str, str]:
    """The file's metadata by name."""
    return {entry.key: entry.value for entry in model.metadata_props}


def remove_traces(model: "onnx.ModelProto") -> None:
    """Drop the exporter's notes: they name this machine's folders and weigh more than small layers.

    The name of the module that a node came from stays.
    """
    graph = model.graph
    for node in graph.node:
        scopes = [(entry.key, entry.value) for entry in node.metadata_props if entry.key == SCOPES]
        del node.metadata_props[:]
        for key, value in scopes:
            node.metadata_props.add(key=key, value=value)
        node.doc_string = ""
    del graph.metadata_props[:]
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            del value.metadata_props[:]


def save_checked(model: "onnx.ModelProto", target: Path) -> None:
    """Let onnx check the model, and write it whole or not at all.

    Raises:
        EspalierError: when the model breaks a rule of ONNX.
    """
    import onnx

    with written_beside(target) as part:
        onnx.save(model, part)
        try:
            onnx.checker.check_model(str(part), full_check=True)
        except Exception as error:
            raise EspalierError(
                f"The file {target.name} was not written: it would break a rule of the ONNX format: {reason_of(error)}.",
                "Another operator set or precision may avoid it.",
                str(error),
            ) from error


def file_facts(path: Path) -> dict[str, Any]:
    import onnx

    model = onnx.load(path, load_external_data=False)
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "opset": opset,
        "nodes": len(model.graph.node),
    }
