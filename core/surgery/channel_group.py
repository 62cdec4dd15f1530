"""Channels that can only go together, and where they stand in a network's parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from core.surgery.meta_copy import MetaCopy

Role = Literal["writes", "scales", "shifts", "reads"]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Where a group's channels stand in one parameter.

    Attributes:
        name: of the parameter, as in `named_parameters`.
        layer: path of the module that it belongs to.
        role: "writes": a convolution's or linear layer's weights that compute the channels
            (depthwise ones too); "scales": a norm's weight, a layer scale; "shifts": a bias;
            "reads": weights that take the channels in.
        axis: the axis along which the channels stand.
        positions: int64 [p] along that axis.
        channels: int64 [p], the channel (0…units-1) that each position belongs to.
        uses: multiply-accumulates per weight and image; 0 for all but convolutions and linear layers.
    """

    name: str
    layer: str
    role: Role
    axis: int
    positions: Tensor
    channels: Tensor
    uses: int


@dataclass(slots=True, eq=False)
class ChannelGroup:
    """Channels that can only go together, in all layers that write, scale or read them.

    Attributes:
        path: the leading layer: the first that writes the channels, in the order of computation.
        members: paths of all modules that change with it, the leading one first.
        channels: how many the leading layer has.
        bundle: channels that go in step, one from each group of a grouped convolution; 1 elsewhere.
        slices: where each of the `units` stands in the parameters.
        params: parameters that go with one unit, from the network as it is.
        macs: likewise, multiply-accumulates for one image.
        kind: layers and roles without their sizes: the same for groups of the same build.
    """

    path: str
    members: tuple[str, ...]
    channels: int
    bundle: int
    slices: tuple[Slice, ...]
    params: int
    macs: int
    kind: tuple[str, ...]
    _model: nn.Module = field(repr=False)
    _meta_copy: "MetaCopy" = field(repr=False)

    @property
    def units(self) -> int:
        """What can go one by one: channels, or bundles of them."""
        return self.channels // self.bundle

    def prune(self, units: Sequence[int]) -> None:
        """Take these units (0…units-1) out of the network, once; the group then describes what was.

        Groups of the same call of `channel_groups` can be pruned one after the other.
        """
        gone = set(units)
        self._meta_copy.cut(
            self.path, [c for c in range(self.channels) if c % self.units in gone], self._model
        )
