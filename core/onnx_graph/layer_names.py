"""Which module of the network a node of an exported file came from."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
"""Under this name PyTorch's exporter writes it beside every node: the paths of the modules, the outermost first."""

_NOWHERE = (
    "_empty_nn_module_stack_from_metadata_hook"  # its word for computing with shapes, outside of every module
)


def module_of(node: "onnx.NodeProto") -> str:
    """Path of the innermost module that a node came from; empty where the file does not say."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes = json.loads(entry.value.replace("'", '"'))
            return str(scopes[-2]) if len(scopes) > 1 and scopes[-2] != _NOWHERE else ""
    return ""
