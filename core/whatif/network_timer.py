"""Measures networks for decisions: a table of layer times, and how a network's latency compares.

What is timed is an exported file in the measuring child, batch 1 on one thread, as everywhere
else. Tables are remembered by the build of the network, the size of its images and the machine.
"""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.deploy.onnx_export import export_onnx
from core.machine.child import Child
from core.machine.jobs import ProgressCallback
from core.machine.measuring_lock import measuring_alone
from core.models.forecast import TimedNetwork
from core.profiling.latency_table import Kind, LatencyTable, MeasuredNetwork, fit
from core.profiling.pace import MeasurementStore
from core.profiling.protocol import Benchmark, Budget, Timing, measure
from core.profiling.widths import time_widths

if TYPE_CHECKING:
    from torch import nn

    from core.models.classifier import ImageClassifier
    from core.surgery.channel_group import ChannelGroup

VERSION = 1  # raised when tables are made otherwise
_SHARES = (0.75, 0.5, 0.25)  # of all channels alike
_MIXED, _ODD = 8, 4  # networks with a share of its own for each group; with any number of channels
_NARROW = 64  # groups below this go in steps of 4 channels, others of 8
_COMPARE = Budget(
    blocks=10, most_blocks=40, few_blocks=6, block_seconds=0.1, width=0.012, seconds=12.0, limit=60.0
)


def table_key(model: "nn.Module", size: int) -> dict[str, Any]:
    """The build of a network: paths and shapes of its layers, and the size of its images."""
    from core.surgery.budget import layer_shapes

    build = [[path, *shape] for path, shape in layer_shapes(model).items()]
    return {"latency table": VERSION, "build": build, "size": size}


def unfolded(model: "ImageClassifier") -> "ImageClassifier":
    """A copy in which every width can change: a table covers all of them."""
    from core.machine.torch_rng import isolated_rng
    from core.surgery.groups import unfold_shortcuts

    unfolded_model = copy.deepcopy(model)
    with isolated_rng():  # new layers draw weights
        unfold_shortcuts(unfolded_model)
    return unfolded_model


class NetworkTimer:
    """Times networks in a folder of its own.

    Args:
        tool: a child of the kind "tool", which exports.
        scratch: folder for files, made when needed.
        log: where the measuring process writes what it says.
    """

    def __init__(
        self,
        tool: Child,
        memory: MeasurementStore,
        scratch: Path,
        control: RunControl | None = None,
        log: Path | None = None,
    ):
        self.tool, self.memory, self.scratch = tool, memory, scratch
        self.control, self._log = control, log

    def exported(self, subject: TimedNetwork, name: str) -> Path:
        """The network as a float32 ONNX file, called `name`.

        Raises:
            EspalierError: when it cannot be exported.
        """
        from core.models.checkpoint import Checkpoint, save_checkpoint

        folder, target = self.scratch / name, self.scratch / f"{name}.onnx"
        checkpoint = Checkpoint(subject.model, subject.network, subject.preprocess, subject.classes)
        save_checkpoint(folder, checkpoint)
        arguments = {"checkpoint": str(folder), "target": str(target)}
        self.tool.call(export_onnx, arguments, self.control)
        shutil.rmtree(folder, ignore_errors=True)
        return target

    def table(self, subject: TimedNetwork, on_progress: ProgressCallback | None = None) -> LatencyTable:
        """How long the layers take at any width, measured now unless this machine knows it.

        Raises:
            EspalierError: when the network cannot be exported or given other widths.
            Stopped: a person asked to stop.
        """
        plain, _ = self.memory.get_or_measure(
            table_key(subject.model, subject.preprocess.size),
            lambda: self._timed(subject, on_progress).as_plain(),
        )
        return LatencyTable.from_plain(plain)

    def _timed(self, subject: TimedNetwork, on_progress: ProgressCallback | None) -> LatencyTable:
        from core.surgery.budget import CostModel
        from core.surgery.groups import channel_groups
        from core.surgery.shapes import filled

        report_progress, size = on_progress or (lambda done, text: None), subject.preprocess.size
        groups, _ = channel_groups(subject.model, size, subject.blocks, "whole-groups")
        costs, widths_of_networks = CostModel(subject.model, groups, size), widths(groups)
        report_progress(
            0.0, "Exporting the network"
        )  # with random weights: the exporter merges what is equal
        file = self.exported(replace(subject, model=filled(subject.model)), "table")
        report_progress(0.2, "Timing the layers")
        with measuring_alone(self.control), Child("measure", self._log) as child:
            arguments = {
                "model": str(file), "input_size": size, "widths": [costs.shapes(kept_channels) if kept_channels else {} for kept_channels in widths_of_networks],
            }  # fmt: skip
            times = child.call(
                time_widths,
                arguments,
                self.control,
                lambda done, text: report_progress(0.2 + 0.8 * done, text),
            )
        file.unlink()
        measured = [
            MeasuredNetwork(
                costs.layers(kept_channels),
                network_times["layers"],
                network_times["rest"],
                network_times["milliseconds"],
            )
            for kept_channels, network_times in zip(widths_of_networks, times["networks"], strict=True)
        ]
        shapes = costs.layers({})
        areas = {
            path: max(1, times["values"][path] // shape[0])
            for path, shape in shapes.items()
            if path in times["values"]
        }
        kinds = {path: kind for path, kind in _kinds(subject.model).items() if path in areas}
        return fit(measured, areas, kinds)

    def compare(self, baseline: Path, candidate: Path, shape: tuple[int, int, int]) -> Timing:
        """Latencies of two files in alternating sessions.

        Args:
            shape: of an image, [c, s, s].
        """
        with measuring_alone(self.control), Child("measure", self._log) as child:
            benchmark = Benchmark(child, candidate, baseline, {"shape": list(shape)}, _COMPARE, self.control)
            timing = measure(benchmark.blocks(1, 1), True, _COMPARE, wait=benchmark.wait)
        if timing.busy:
            raise EspalierError(
                "The machine is too busy to find out how long the network takes: hardly a run was left uninterrupted.",
                "Run it again when less runs on this machine.",
            )
        return timing


def widths(groups: "Sequence[ChannelGroup]") -> list[dict[str, int]]:
    """Channels that stay in each group, for the networks that a table is made from; the first keeps all."""
    rng = np.random.default_rng(7)

    def channels_at(share: float, group: "ChannelGroup", step: int) -> int:
        step = step if step == 1 else 4 if group.channels < _NARROW else 8
        units = max(1, round(share * group.channels / step)) * step
        return min(group.channels, -(-units // group.bundle) * group.bundle)

    kept_channels: list[dict[str, int]] = [{}]
    kept_channels += [{group.path: channels_at(share, group, 8) for group in groups} for share in _SHARES]
    kept_channels += [
        {group.path: channels_at(rng.uniform(0.2, 1.0), group, 8) for group in groups} for _ in range(_MIXED)
    ]
    kept_channels += [
        {group.path: channels_at(rng.uniform(0.3, 1.0), group, 1) for group in groups} for _ in range(_ODD)
    ]
    return kept_channels


def _kinds(model: "nn.Module") -> dict[str, Kind]:
    from torch import nn

    kinds: dict[str, Kind] = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            depthwise = module.groups > 1 and module.weight.shape[1] == 1
            kinds[path] = "depthwise" if depthwise else "conv"
        elif isinstance(module, nn.Linear):
            kinds[path] = "linear"
    return kinds
