"""Simulated 8-bit arithmetic for quantization-aware training, as ONNX Runtime will compute it.

Weights of convolutions and linear layers are rounded to signed 8 bits per output channel, the tensors
that they read, and those that convolutions write, to unsigned 8 bits per tensor; gradients pass
straight through inside the range. The network's own modules and parameters stay as they are:
rounding is added by hooks and removed again.

Batch norm is not folded while training: its factor belongs to an output channel, and so does a
weight's scale, so the integers of the folded and of the unfolded weights are the same.

Sources: Jacob et al. 2018, arXiv 1712.05877, section 3 (moving ranges); Bengio et al. 2013, arXiv 1308.3432
(straight-through).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_MOMENTUM = 0.01  # of the moving ranges, per step
_LEVELS = 127
_LAYERS = (nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_RECTIFIERS = (nn.ReLU, nn.ReLU6)
_IN_CHAIN = (*_LAYERS, *_NORMS, *_RECTIFIERS, nn.Identity, nn.Dropout)

Call = tuple[str, int]  # a module's path, and which of its calls in a pass


def rounded_weight(weight: Tensor) -> Tensor:
    """A weight [o, …] in −127…127 steps of its output channel's largest magnitude."""
    scale = weight.detach().abs().flatten(1).amax(1) / _LEVELS
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -_LEVELS, _LEVELS)


class RangeRounding(nn.Module):
    """Rounds a tensor to 256 steps of a range that contains 0 and follows the data in training.

    Attributes:
        low, high: the range, float32 scalars; low > high until something was seen.
        measuring: widen the range to all that is seen, and round nothing.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.measuring = False
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("high", torch.tensor(float("-inf")))

    def forward(self, values: Tensor) -> Tensor:
        """Any shape in, the same out."""
        if self.measuring or self.training:
            self._look(values.detach())
        if self.measuring:
            return values
        low, high = self.low.clamp(max=0.0), self.high.clamp(min=0.0)
        scale = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
        zero = torch.round(-low / scale).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, 0, 255).to(values.dtype)

    @torch.no_grad()
    def _look(self, values: Tensor) -> None:
        low, high = values.float().aminmax()
        if self.measuring:
            self.low.copy_(torch.minimum(self.low, low))
            self.high.copy_(torch.maximum(self.high, high))
        else:
            self.low.lerp_(low, _MOMENTUM)
            self.high.lerp_(high, _MOMENTUM)


@dataclass(slots=True)
class _Value:
    """A tensor of one pass: the calls that gave it on, inner modules first, and those that read it."""

    given_by: list[Call] = field(default_factory=list)
    read_by: list[Call] = field(default_factory=list)


class Simulation:
    """Rounding added to a network by hooks.

    Attributes:
        ends: by layer's path, what it reads ("in") and, for convolutions, what it writes after its batch
            norm and rectifier ("out").
        rectified: paths whose "out" lies behind a rectifier.
        repeated: paths of layers that are used several times; they are not rounded.
    """

    def __init__(self, model: nn.Module, images: Tensor):
        """Add rounding to every convolution and linear layer of `model`.

        Args:
            images: float32 [b, c, s, s]; one pass in evaluation mode shows which tensor goes where.
        """
        self.model = model
        self.ends: dict[str, dict[str, RangeRounding]] = {}
        self.rectified: set[str] = set()
        self._handles: list[RemovableHandle] = []
        self._placed: dict[int, RangeRounding] = {}
        trace = _Trace(model, images)
        layers = [
            path
            for path, module in model.named_modules()
            if isinstance(module, _LAYERS) and trace.calls[path]
        ]
        self.repeated = [path for path in layers if trace.calls[path] > 1]
        roundings = nn.ModuleList()
        model.add_module("roundings", roundings)
        for path in (path for path in layers if path not in self.repeated):
            self.ends[path] = {"in": self._place(trace.read[path, 0], trace, roundings)}
            end = trace.end_of_chain(path)
            if end is not None and isinstance(trace.modules[path], nn.Conv2d):
                self.ends[path]["out"] = self._place(end, trace, roundings)
                if any(isinstance(trace.modules[giver], _RECTIFIERS) for giver, _ in end.given_by):
                    self.rectified.add(path)
            self._round_weight(trace.modules[path])
        roundings.to(images.device)

    def learned(self) -> dict[str, dict[str, Any]]:
        """By layer's path, the ranges as plain data: in and out as [low, high], and rectified."""
        return {
            path: {name: [float(each.low), float(each.high)] for name, each in ends.items()}
            | {"rectified": path in self.rectified}
            for path, ends in self.ends.items()
        }

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Meanwhile ranges widen to what passes, and activations are not rounded."""
        for rounding in self._placed.values():
            rounding.measuring = True
        try:
            yield
        finally:
            for rounding in self._placed.values():
                rounding.measuring = False

    def remove(self) -> None:
        """Take all rounding off; the network keeps its float weights."""
        for handle in self._handles:
            handle.remove()
        del self.model.roundings

    def _place(self, value: _Value, trace: "_Trace", roundings: nn.ModuleList) -> RangeRounding:
        """The rounding of a tensor, hung where it is made, or else where layers read it."""
        if id(value) in self._placed:
            return self._placed[id(value)]
        rounding = RangeRounding()
        roundings.append(rounding)
        self._placed[id(value)] = rounding
        givers = [path for path, _ in value.given_by if trace.calls[path] == 1]
        if givers and trace.in_chain(value):
            made_at = trace.modules[givers[0]]
            self._handles.append(
                made_at.register_forward_hook(lambda module, inputs, output: rounding(output))
            )
        else:
            for path, _ in value.read_by:
                if trace.calls[path] == 1 and isinstance(trace.modules[path], _LAYERS):
                    self._handles.append(
                        trace.modules[path].register_forward_pre_hook(
                            lambda module, inputs: (rounding(inputs[0]), *inputs[1:])
                        )
                    )
        return rounding

    def _round_weight(self, module: nn.Module) -> None:
        """Let the module compute with its rounded weight; outside of its pass the parameter is there as ever."""
        weight = module.get_parameter("weight")

        def before(module: nn.Module, inputs: Any) -> None:
            del module._parameters["weight"]
            module.__dict__["weight"] = rounded_weight(weight)

        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            module.__dict__.pop("weight", None)
            module._parameters["weight"] = weight

        self._handles.append(module.register_forward_pre_hook(before))
        self._handles.append(module.register_forward_hook(after, always_call=True))


class _Trace:
    """Which tensor goes where in one pass; tensors changed in place count as others than before.

    Attributes:
        calls: by path, how often a module is called.
        read: by call, the tensor that it reads; outputs: the one that it gives.
    """

    def __init__(self, model: nn.Module, images: Tensor):
        self.modules = dict(model.named_modules())
        self.calls: Counter[str] = Counter()
        self.read: dict[Call, _Value] = {}
        self.outputs: dict[Call, _Value] = {}
        self._values: dict[tuple[int, int], _Value] = {}
        self._alive: list[Tensor] = []  # keeps the tensors referenced: an id is unique only as long
        handles = [handle for path, module in self.modules.items() for handle in self._watch(path, module)]
        was_training = model.training
        try:
            model.eval()
            with torch.no_grad():
                model(images)
        finally:
            model.train(was_training)
            for handle in handles:
                handle.remove()

    def end_of_chain(self, path: str) -> _Value | None:
        """What a layer gives once its batch norm and its rectifier are through.

        None where something else of the network's lies in between.
        """
        value = self.outputs.get((path, 0))
        for kinds in (_NORMS, _RECTIFIERS):
            readers = value.read_by if value is not None else []
            if len(readers) == 1 and isinstance(self.modules[readers[0][0]], kinds):
                value = self.outputs.get(readers[0])
        if value is None:
            return None
        return value if self.in_chain(value) else None

    def in_chain(self, value: _Value) -> bool:
        """Whether integer arithmetic gives the tensor: then all that read it get it rounded.

        So it is when no module of another kind (a gate, a layer norm) gives it.
        """
        givers = [self.modules[path] for path, _ in value.given_by]
        leaves = [module for module in givers if not list(module.children())]
        return all(isinstance(leaf, (*_IN_CHAIN, nn.MaxPool2d)) for leaf in leaves)

    def _watch(self, path: str, module: nn.Module) -> list[RemovableHandle]:
        leaf = not list(module.children()) or isinstance(
            module, _NORMS
        )  # norms of timm hold their activation

        def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if inputs and isinstance(inputs[0], Tensor):
                value = self.read[path, self.calls[path]] = self._value(inputs[0])
                if leaf and not isinstance(module, nn.Identity):
                    value.read_by.append((path, self.calls[path]))

        def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            call = (path, self.calls[path])
            self.calls[path] += 1
            if isinstance(output, Tensor):
                self.outputs[call] = self._value(output)
                self.outputs[call].given_by.append(call)

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _value(self, tensor: Tensor) -> _Value:
        key = (id(tensor), tensor._version)
        if key not in self._values:
            self._values[key] = _Value()
            self._alive.append(tensor)
        return self._values[key]
