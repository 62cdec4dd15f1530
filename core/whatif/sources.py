"""What is known of the networks and files that a pipeline starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from core.common.errors import EspalierError
from core.common.keys import make_key
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.document.pipeline import Pipeline, SourceNode
from core.machine.trusted_files import TrustList
from core.models.forecast import Forecast, Network, Recent, StageForecast, Sure, TimedNetwork
from core.models.onnx_source import OnnxSettings
from core.models.python_source import PythonSettings, open_python
from core.models.settings import BackboneSettings, CheckpointSettings
from core.whatif.latency import Latencies, build_of

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier
    from core.surgery.groups import Counts


class Sources:
    """Answers for sources."""

    def __init__(self, recent: Recent, latencies: Latencies):
        self._recent, self._latencies = recent, latencies

    def known(self, node: SourceNode, pipeline: Pipeline, base: Path, data: ImageData | str) -> StageForecast:
        parameters = node.parameters
        try:
            if isinstance(parameters, OnnxSettings):
                return from_file(node, parameters, base, data)
            if isinstance(data, str):
                return StageForecast(Forecast(node.id, "", remark=data))
            if isinstance(parameters, BackboneSettings):
                return self._backbone(node, parameters, pipeline, base, data)
            if isinstance(parameters, PythonSettings):
                opened = open_python(parameters, base, TrustList.default())
                return self._backbone(node, opened, pipeline, base, data, known=False)
            if isinstance(parameters, CheckpointSettings):
                return self._checkpoint(node, parameters, base)
        except EspalierError as error:
            return StageForecast(Forecast(node.id, "", remark=error.message, impossible=True))
        return StageForecast(Forecast(node.id, "", remark="Known after the run."))

    def _backbone(
        self,
        node: SourceNode,
        settings: BackboneSettings,
        pipeline: Pipeline,
        base: Path,
        data: ImageData,
        known: bool = True,
    ) -> StageForecast:
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

        def make() -> Network:
            model, _ = build_network(shape, classes, base, seeds[0], size)
            return Network(model.to("meta"), size, chosen.blocks, weights if known else None)

        own = make_key(
            {"network": key, "from": settings.model_dump(mode="json"), "seed": seeds[0], "base": str(base)}
        )

        def subject() -> TimedNetwork:
            model, _ = build_network(shape, classes, base, seeds[0], size)
            prepare = make_preprocess(pipeline.data, data, None)
            return TimedNetwork(model.eval(), shape, prepare, data.classes, chosen.blocks)

        return self._counted(node.id, own, lambda: self._recent.get(f"network {own}", make), subject)

    def _checkpoint(self, node: SourceNode, settings: CheckpointSettings, base: Path) -> StageForecast:
        from core.models.catalogue import backbone
        from core.models.checkpoint import content_hash, load_checkpoint

        folder = base / Path(settings.path).expanduser()
        key = content_hash(folder)

        def make() -> Network:
            found = load_checkpoint(folder)
            blocks = backbone(found.network.backbone).blocks
            return Network(
                found.model.to("meta"), found.input_size, blocks, lambda: load_checkpoint(folder).model
            )

        def subject() -> TimedNetwork:
            found = load_checkpoint(folder)
            blocks = backbone(found.network.backbone).blocks
            return TimedNetwork(found.model, found.network, found.preprocess, found.classes, blocks)

        return self._counted(node.id, key, lambda: self._recent.get(f"network {key}", make), subject)

    def _counted(
        self, id: str, key: str, network: Callable[[], Network], subject: Callable[[], TimedNetwork]
    ) -> StageForecast:
        """What is known of a network that is there; `subject` makes it with weights."""
        from core.surgery.budget import layer_shapes
        from core.surgery.groups import count
        from core.surgery.shapes import float32_bytes

        def counted() -> "tuple[Counts, int]":
            made = network()
            return count(made.model, made.size), float32_bytes(made.model)

        counts, size = self._recent.get(f"counts {key}", counted)
        build = self._recent.get(f"build {key}", lambda: build_of(network().model, network().size, subject))
        layers = self._recent.get(f"layers {key}", lambda: layer_shapes(network().model))
        forecast = Forecast(id, "", counts.params, counts.macs, size, "exact")
        told = self._latencies.told(forecast, build, lambda: layers)
        return StageForecast(told, key, True, network, build=build, layers=lambda: layers)


def from_file(node: SourceNode, settings: OnnxSettings, base: Path, data: ImageData | str) -> StageForecast:
    """Counted on the file itself."""
    from core.profiling.counting import count

    file = base / Path(settings.path).expanduser()
    if settings.image_size is None and isinstance(data, str):
        return StageForecast(Forecast(node.id, "", remark=data))
    size = settings.image_size or min(cast("ImageData", data).size)
    found = count({"model": str(file), "input_size": size}, lambda done, text: None)
    sure: Sure = "unknown" if found["uncounted"] else "exact"
    return StageForecast(
        Forecast(node.id, "", found["params"], found["macs"], file.stat().st_size, sure), f"file {file}"
    )
