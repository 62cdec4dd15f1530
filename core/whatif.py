"""What each stage would leave, before anything runs: parameters, MACs and the file's size.

Structured pruning is asked the very question that the run asks (`core.surgery.budget.plan`), on a
network without numbers, so the counts are those of the run wherever they follow from the settings
alone. Where they follow from weights that are not trained yet, the answer is marked "about" (channels
ranked across layers, budgets) or is left out with the reason (which blocks, which ranks).

Networks, groups of channels and answers are kept by what made them: moving a slider asks for a new
plan only, which costs milliseconds. Latency is not forecast: it is measured by the run.

Bytes are of the headline file: four a parameter (norms folded into the convolutions before them),
fewer where a stage stores them shorter, and what a graph takes besides.
"""

import copy
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from core.cache import make_key
from core.control import RunControl
from core.data.image_data import ImageData
from core.data.store import open_data
from core.deploy.onnx_source import OnnxSettings
from core.errors import EspalierError
from core.models.python_source import PythonSettings, open_python
from core.models.settings import BackboneSettings, CheckpointSettings
from core.pipeline import Pipeline, SourceNode, StageNode
from core.runs import Home
from core.stages.base import DeploymentStage, ModelStage
from core.stages.factorise import FactoriseParams
from core.stages.only_train_once import OnlyTrainOnceParams
from core.stages.prune_channels import Prospect, PruneChannelsParams, Start, look
from core.stages.prune_layers import PruneLayersParams
from core.stages.prune_weights import PruneWeightsParams
from core.stages.scale_down import ScaleDownParams
from core.stages.share_weights import ShareWeightsParams
from core.trust import TrustList

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.surgery.budget import Plan
    from core.surgery.groups import Counts

Sure = Literal["exact", "about", "unknown"]

_PATIENCE = 3.0  # seconds of decoding after which the counts wait for someone else to read the data
_KEPT = 96  # answers, networks and groups of channels that are remembered
_SAME_SHAPE = ("weights", "as-given", "zeros", "codebook", "file", "quantized")
_ON_IMAGES = ("taylor", "hessian")  # they have a number for every group, so any other stands for them
_PARTIAL = ("batch-norm", "feature-map-rank")  # they have none for some groups
_STORED = {  # bytes that a convolution's and a linear layer's weight take in the file of a stage
    "quantize-static": (1, 1),
    "quantize-dynamic": (1, 1),
    "train-quantized": (1, 1),
    "half-precision": (2, 2),
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a source or stage would leave.

    Attributes:
        id: of the source or stage. before: of what it continues, "" for a source.
        params, macs: of the network, for one image; None where only the run can tell.
        bytes: of the headline file, always "about".
        sure: whether the run will give exactly these `params` and `macs`.
        remark: a sentence about the answer; empty where there is nothing to say.
        impossible: the settings cannot be met; `remark` says why.
    """

    id: str
    before: str
    params: int | None = None
    macs: int | None = None
    bytes: int | None = None
    sure: Sure = "unknown"
    remark: str = ""
    impossible: bool = False


@dataclass(frozen=True, slots=True)
class _Network:
    """A network without numbers (the meta device), and what else pruning asks about.

    Attributes:
        weights: makes the very network that the stage will receive; None once something trains.
    """

    model: "ImageClassifier"
    size: int
    blocks: tuple[str, ...]
    weights: "Callable[[], ImageClassifier] | None" = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A forecast and what later stages need of it.

    Attributes:
        key: what made the network's shape. fresh: nothing has trained its weights yet.
        widths: after a pruning, what it chose from and the channels that stay, by what it asked for:
            the next pruning that asks the same needs no network.
    """

    forecast: Forecast
    key: str = ""
    fresh: bool = False
    network: Callable[[], _Network] | None = None
    widths: dict[str, Prospect] = field(default_factory=dict)


@dataclass(slots=True)
class _Recent:
    """The last few things made, by key."""

    entries: OrderedDict[str, Any] = field(default_factory=OrderedDict)

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.entries:
            self.entries[key] = make()
        self.entries.move_to_end(key)
        while len(self.entries) > _KEPT:
            self.entries.popitem(last=False)
        return self.entries[key]


class WhatIf:
    """Answers for one window or command; remembers what it has looked at. One thread at a time."""

    def __init__(self, home: Home):
        self._home = home
        self._recent = _Recent()

    def forecasts(
        self, pipeline: Pipeline, base: Path, control: RunControl | None = None
    ) -> Iterator[Forecast]:
        """Of every source and active stage, in the order of the file; each as soon as it is known.

        Args:
            pipeline: without broken rules.

        Raises:
            Stopped: a newer question makes this one superfluous.
        """
        control = control or RunControl()
        found: dict[str, _Known] = {}
        data = self._data(pipeline, base)
        for source in pipeline.sources:
            control.checkpoint()
            found[source.id] = self._source(source, pipeline, base, data)
            yield found[source.id].forecast
        for node in pipeline.active:
            control.checkpoint()
            found[node.id] = self._stage(node, found[pipeline.parent(node)])
            yield found[node.id].forecast

    def _data(self, pipeline: Pipeline, base: Path) -> ImageData | str:
        """The data set, or why the number of classes is not known yet."""
        settings = pipeline.data
        key = make_key({"data": settings.model_dump(mode="json"), "base": str(base)})
        started = time.monotonic()

        def progress(fraction: float, text: str) -> None:
            if time.monotonic() - started > _PATIENCE and fraction < 1:
                raise _TakesLong

        def opened() -> ImageData:
            return open_data(settings, self._home.data, base, progress=progress)

        try:
            return cast("ImageData", self._recent.get(key, opened))
        except _TakesLong:
            return "Known after the data set has been read for the first time: Pre-flight and Run read it."
        except EspalierError as error:
            return error.message

    # sources

    def _source(self, node: SourceNode, pipeline: Pipeline, base: Path, data: ImageData | str) -> _Known:
        parameters = node.parameters
        try:
            if isinstance(parameters, OnnxSettings):
                return _onnx(node, parameters, base, data)
            if isinstance(data, str):
                return _Known(Forecast(node.id, "", remark=data))
            if isinstance(parameters, BackboneSettings):
                return self._backbone(node, parameters, pipeline, base, data)
            if isinstance(parameters, PythonSettings):
                opened = open_python(parameters, base, TrustList.default())
                return self._backbone(node, opened, pipeline, base, data, known=False)
            if isinstance(parameters, CheckpointSettings):
                return self._checkpoint(node, parameters, base)
        except EspalierError as error:
            return _Known(Forecast(node.id, "", remark=error.message, impossible=True))
        return _Known(Forecast(node.id, "", remark="Known after the run."))

    def _backbone(
        self,
        node: SourceNode,
        settings: BackboneSettings,
        pipeline: Pipeline,
        base: Path,
        data: ImageData,
        known: bool = True,
    ) -> _Known:
        """`known`: the weights that `settings` name are those that the run starts from."""
        from core.models.catalogue import backbone
        from core.models.source import build_network

        chosen, size = backbone(settings.backbone), pipeline.data.image_size or min(data.size)
        chosen.check_size(size)
        classes, seeds = len(data.classes), pipeline.axes.seed
        shape = settings.model_copy(update={"weights": "random", "weights_file": "", "fresh_head": False})
        key = make_key({"shape": shape.model_dump(mode="json"), "classes": classes, "size": size})
        known = known and (settings.weights != "random" or len(seeds) == 1)

        def weights() -> "ImageClassifier":
            return build_network(settings, classes, base, seeds[0], size)[0]

        def make() -> _Network:
            model, _ = build_network(shape, classes, base, seeds[0], size)
            return _Network(model.to("meta"), size, chosen.blocks, weights if known else None)

        own = make_key(
            {"network": key, "from": settings.model_dump(mode="json"), "seed": seeds[0], "base": str(base)}
        )
        return self._counted(node.id, "", own, lambda: self._recent.get(f"network {own}", make), "exact")

    def _checkpoint(self, node: SourceNode, settings: CheckpointSettings, base: Path) -> _Known:
        from core.checkpoint import content_hash, load_checkpoint
        from core.models.catalogue import backbone

        folder = base / Path(settings.path).expanduser()
        key = content_hash(folder)

        def make() -> _Network:
            found = load_checkpoint(folder)
            blocks = backbone(found.network.backbone).blocks
            return _Network(
                found.model.to("meta"), found.input_size, blocks, lambda: load_checkpoint(folder).model
            )

        return self._counted(node.id, "", key, lambda: self._recent.get(f"network {key}", make), "exact")

    def _counted(
        self, id: str, before: str, key: str, network: Callable[[], _Network], sure: Sure, remark: str = ""
    ) -> _Known:
        """What is known of a network that is there."""
        from core.surgery.groups import count
        from core.surgery.shapes import float32_bytes

        def counted() -> "tuple[Counts, int]":
            made = network()
            return count(made.model, made.size), float32_bytes(made.model)

        counts, size = self._recent.get(f"counts {key}", counted)
        forecast = Forecast(id, before, counts.params, counts.macs, size, sure, remark)
        return _Known(forecast, key, before == "", network)

    # stages

    def _stage(self, node: StageNode, given: _Known) -> _Known:
        before = given.forecast
        forecast = replace(before, id=node.id, before=before.id, remark="", impossible=False)
        if before.params is None:
            remark = before.remark if not before.impossible else "Known when the stage before it is."
            macs = before.macs if node.stage.effect in _SAME_SHAPE else None
            return _Known(
                Forecast(node.id, before.id, None, macs, None, before.sure if macs else "unknown", remark)
            )
        if isinstance(node.stage, DeploymentStage):
            return _Known(_deployed(node, forecast, given), given.key)
        if given.network is None:
            return _Known(Forecast(node.id, before.id, remark="Known after the run."))
        network = given.network
        asked = {
            "before": given.key, "fresh": given.fresh, "sure": before.sure, "bytes": before.bytes,
            "kind": node.kind, "settings": node.parameters.model_dump(mode="json"),
        }  # fmt: skip
        try:
            answer: _Known = self._recent.get(
                f"stage {make_key(asked)}", lambda: self._changed(node, forecast, given, network)
            )
            return replace(answer, forecast=replace(answer.forecast, id=node.id, before=before.id))
        except EspalierError as error:
            return _Known(
                Forecast(
                    node.id, before.id, remark=f"{error.message} {error.advice}".strip(), impossible=True
                )
            )

    def _changed(
        self, node: StageNode, same: Forecast, given: _Known, network: Callable[[], _Network]
    ) -> _Known:
        """After a stage that works on the network."""
        match node.parameters:
            case PruneChannelsParams() as settings:
                return self._prune_channels(same, settings, given, network)
            case PruneLayersParams() as settings:
                return self._prune_layers(same, settings, given, network)
            case PruneWeightsParams() as settings:
                return _trained(replace(same, remark=_zeros(network().model, settings)), given)
            case ShareWeightsParams() as settings:
                shared, remark = _shared(network().model, settings)
                return _trained(replace(same, bytes=shared, remark=remark), given)
            case ScaleDownParams() as settings:
                macs = round(settings.budget * (same.macs or 0))
                remark = (
                    "The budget of MACs is met within about 1 %; the parameters depend on which blocks go."
                )
                return _Known(Forecast(node.id, same.before, None, macs, None, "about", remark))
            case FactoriseParams() as settings:
                return _Known(Forecast(node.id, same.before, remark=_ranks(settings)))
            case OnlyTrainOnceParams() as settings if settings.training.epochs:
                share = f"{settings.target_group_sparsity:.0%}"
                remark = f"About {share} of the channels go; which layers lose them, training decides."
                return _Known(Forecast(node.id, same.before, remark=remark))
        if isinstance(node.stage, ModelStage) and node.stage.half_artefact:
            same = replace(same, remark="A float16 file of half the size comes beside it.")
        if node.kind in _STORED:
            same = _deployed(node, same, given)
        trains = node.stage.epochs(node.parameters) > 0
        return _trained(same, given) if trains else replace(given, forecast=same)

    def _prune_channels(
        self,
        same: Forecast,
        settings: PruneChannelsParams,
        given: _Known,
        network: Callable[[], _Network],
    ) -> _Known:
        from core.surgery.groups import Counts

        even = settings.ranking == "uniform" and settings.target == "ratio"
        on_images = settings.importance in (*_ON_IMAGES, "feature-map-rank", "random")
        weights = None if even or on_images or settings.steps > 1 or not given.fresh else network().weights
        prospect, asked = self._prospect(given, network, settings, weights)
        plan = None
        for step in range(1, settings.steps + 1):
            if plan is not None:
                prospect = _narrower(prospect, plan)
            plan = prospect.plan(settings, step / settings.steps)
        assert plan is not None
        kept, exact = plan.kept, even or weights is not None
        besides = (same.bytes or 0) - 4 * (same.params or 0)
        forecast = replace(
            same, params=plan.params, macs=plan.macs, bytes=4 * plan.params + besides,
            sure=same.sure if exact else "about", remark="" if exact else _why_about(settings),
        )  # fmt: skip
        key = make_key({"before": given.key, "kept": kept})

        def make() -> _Network:
            from core.surgery.shapes import cut

            old = network()
            model = cut(old.model, old.size, old.blocks, settings.scope, settings.prune_fem, kept)
            return replace(old, model=model, weights=None)

        after = replace(_narrower(prospect, plan), start=Start(Counts(plan.params, plan.macs), kept))
        return _Known(forecast, key, False, lambda: self._recent.get(f"network {key}", make), {asked: after})

    def _prospect(
        self,
        given: _Known,
        network: Callable[[], _Network],
        settings: PruneChannelsParams,
        weights: "Callable[[], ImageClassifier] | None",
    ) -> tuple[Prospect, str]:
        """What can go, and what was asked: found once for a network, a scope and an importance."""
        from core.surgery.shapes import blank_images, even_scores, zeroed

        importance = "l1" if settings.importance in _ON_IMAGES else settings.importance
        alike = importance if weights or importance in _PARTIAL else "l1"
        asked = make_key({"scope": settings.scope, "fem": settings.prune_fem, "importance": alike})
        if asked in given.widths:
            return given.widths[asked], asked

        def find() -> Prospect:
            shape = network()
            model = weights() if weights else zeroed(shape.model)
            wanted = settings.model_copy(update={"importance": alike})
            found = look(model, shape.size, wanted, shape.blocks, batches=blank_images(shape.size))
            model.to("meta")  # groups name parameters; nobody asks for their numbers again
            return found if weights else replace(found, scores=even_scores(found.groups))

        key = make_key({"network": given.key, "asked": asked, "weights": weights is not None})
        return cast("Prospect", self._recent.get(f"prospect {key}", find)), asked

    def _prune_layers(
        self,
        same: Forecast,
        settings: PruneLayersParams,
        given: _Known,
        network: Callable[[], _Network],
    ) -> _Known:
        """Blocks of one stage of the network are often alike: then the counts are known beforehand."""
        from core.stages.prune_layers import PruneLayers
        from core.surgery.blocks import drop_blocks, find_blocks, removal_order
        from core.surgery.groups import count
        from core.surgery.shapes import filled, float32_bytes

        shape = network()
        blocks = self._recent.get(
            f"blocks {given.key}", lambda: find_blocks(filled(shape.model), shape.blocks, shape.size)
        )
        sizes = {
            block.path: float(sum(p.numel() for p in shape.model.get_submodule(block.path).parameters()))
            for block in blocks
        }
        smallest = removal_order(blocks, sizes, settings.keep_one)
        largest = removal_order(blocks, {path: -size for path, size in sizes.items()}, settings.keep_one)
        dropped = PruneLayers().dropped(settings, blocks, smallest)
        found = []
        for order in (smallest, largest):
            model = copy.deepcopy(shape.model)
            drop_blocks(model, order[:dropped])
            found.append((count(model, shape.size), model))
        (most, model), (least, _) = found
        words = f"{dropped} of {len(blocks)} residual blocks go"
        if most != least:
            remark = f"{words}; which ones, training decides: {least.params:,} to {most.params:,} parameters are left."
            return _Known(Forecast(same.id, same.before, remark=remark))
        key = make_key({"before": given.key, "dropped": smallest[:dropped]})
        forecast = replace(
            same, params=most.params, macs=most.macs, bytes=float32_bytes(model), remark=f"{words}."
        )
        after = replace(shape, model=model, weights=None)
        return _Known(forecast, key, False, lambda: after)


class _TakesLong(Exception):
    """Reading the data set would keep a person waiting."""


def _trained(forecast: Forecast, given: _Known) -> _Known:
    """After training: the same network, with weights that nobody knows yet."""
    network = given.network
    assert network is not None
    return _Known(forecast, given.key, False, lambda: replace(network(), weights=None), given.widths)


def _deployed(node: StageNode, same: Forecast, given: _Known) -> Forecast:
    """After a stage on the exported file: the same network, stored otherwise."""
    from core.surgery.shapes import weights_in

    stored = _STORED.get(node.kind)
    if node.stage.effect == "as-given":
        return same
    if stored is None or same.bytes is None or given.network is None:
        return replace(same, bytes=None, remark="The file's size is known after the run.")
    if getattr(node.parameters, "scope", "all") == "linear":
        stored = (4, stored[1])
    convolutions, linear = weights_in(given.network().model)
    saved = (4 - stored[0]) * convolutions + (4 - stored[1]) * linear
    return replace(same, bytes=same.bytes - saved)


def _onnx(node: SourceNode, settings: OnnxSettings, base: Path, data: ImageData | str) -> _Known:
    """Counted on the file itself."""
    from core.profiling.counting import count

    file = base / Path(settings.path).expanduser()
    if settings.image_size is None and isinstance(data, str):
        return _Known(Forecast(node.id, "", remark=data))
    size = settings.image_size or min(cast("ImageData", data).size)
    found = count({"model": str(file), "input_size": size}, lambda done, text: None)
    sure: Sure = "unknown" if found["uncounted"] else "exact"
    return _Known(
        Forecast(node.id, "", found["params"], found["macs"], file.stat().st_size, sure), f"file {file}"
    )


def _why_about(settings: PruneChannelsParams) -> str:
    if settings.target in ("macs", "parameters", "size"):
        return (
            "The budget is met within about 1 %; which layers give how much depends on the trained weights."
        )
    return (
        f"With the ranking '{settings.ranking}', which layers lose how much depends on the trained weights."
    )


def _ranks(settings: FactoriseParams) -> str:
    if settings.choose == "budget":
        share = f"{settings.budget:.0%}"
        return f"About {share} of the parameters of the layers in question stay; their ranks follow from the trained weights."
    return "The ranks follow from the trained weights: known after the run."


def _zeros(model: "ImageClassifier", settings: PruneWeightsParams) -> str:
    """How many weights become zero, as the run counts them."""
    from core.surgery.layers import weight_layers
    from core.surgery.shapes import zeros_of

    layers, _ = weight_layers(model, settings.protected, settings.first_layer)
    together = settings.ranking == "global"
    zeros = zeros_of(layers.values(), settings.convolution_amount, settings.linear_amount, together)
    return f"{zeros:,} weights become zero. They are stored and computed like any other number."


def _shared(model: "ImageClassifier", settings: ShareWeightsParams) -> tuple[int, str]:
    """Bytes of the file with indices in place of weights, and how many weights share values."""
    from core.surgery.layers import weight_layers
    from core.surgery.shapes import float32_bytes, shared_bytes

    layers, _ = weight_layers(model, settings.protected, settings.first_layer)
    saved, sharing = shared_bytes(layers.values(), settings.convolution_bits, settings.linear_bits)
    remark = f"{sharing:,} weights are stored as small indices; parameters and MACs stay as they are."
    return float32_bytes(model) - saved, remark


def _narrower(prospect: Prospect, plan: "Plan") -> Prospect:
    """What can go after a pruning; costs still count from the first network."""
    from core.surgery.shapes import even_scores

    groups = [replace(group, channels=plan.kept[group.path]) for group in prospect.groups]
    return replace(prospect, groups=groups, scores=even_scores(groups))
