"""Maximum pooling whose padding stands in a node of its own: timm's pooling of "same" size.

A Pad by −∞ is what MaxPool does by itself, so that both become one node with the same answers. Apart, the padded map has
values that no 8 bits hold.
"""

from typing import TYPE_CHECKING

import numpy as np

from core.onnx_graph.reading import names_read, settings_of

if TYPE_CHECKING:
    import onnx

_LEAST = float(np.finfo(np.float32).min)


def with_own_padding(model: "onnx.ModelProto") -> None:
    """Give maximum poolings of maps, in place, the padding of the node before them."""
    import onnx

    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64)
    constants = {
        one.name: onnx.numpy_helper.to_array(one)
        for one in model.graph.initializer
        if one.data_type in kinds and len(one.dims) < 2
    }
    constants |= {
        node.output[0]: onnx.numpy_helper.to_array(settings_of(node)["value"])
        for node in model.graph.node
        if node.op_type == "Constant" and "value" in settings_of(node)
    }
    given = {name: node for node in model.graph.node for name in node.output}
    for pool in model.graph.node:
        pad = given.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        amounts = _amounts(pad, constants) if pad is not None and pad.op_type == "Pad" else None
        if pad is None or amounts is None:
            continue
        settings = settings_of(pool)
        kernel = settings["kernel_shape"]
        whole = [own + more for own, more in zip(settings.get("pads", [0, 0, 0, 0]), amounts, strict=True)]
        fits = all(amount < side for amount, side in zip(whole, [*kernel, *kernel], strict=True))
        if settings.get("auto_pad", b"NOTSET") != b"NOTSET" or not fits:
            continue
        pool.input[0] = pad.input[0]
        for entry in [entry for entry in pool.attribute if entry.name == "pads"]:
            pool.attribute.remove(entry)
        pool.attribute.append(onnx.helper.make_attribute("pads", whole))
    _remove_unread(model, "Pad")
    _remove_unread(model, "Constant")


def _remove_unread(model: "onnx.ModelProto", kind: str) -> None:
    """Take out nodes of a kind that nobody reads, with their constants."""
    before = names_read(model)
    for node in [node for node in model.graph.node if node.op_type == kind]:
        if not set(node.output) & before:
            model.graph.node.remove(node)
    left = before - names_read(model)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in left]:
        model.graph.initializer.remove(tensor)


def _amounts(pad: "onnx.NodeProto", constants: dict[str, np.ndarray]) -> list[int] | None:
    """[top, left, bottom, right] of a Pad of maps by −∞; None of any other."""
    names = [*pad.input, "", ""][1:4]
    if settings_of(pad).get("mode", b"constant") != b"constant" or names[2]:
        return None
    amounts, value = constants.get(names[0]), constants.get(names[1])
    if amounts is None or value is None or amounts.shape != (8,) or value.size != 1 or value.item() > _LEAST:
        return None
    if amounts.min() < 0 or amounts[[0, 1, 4, 5]].any():
        return None
    return [int(amounts[axis]) for axis in (2, 3, 6, 7)]
