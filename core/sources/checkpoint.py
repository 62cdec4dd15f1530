"""A network from a checkpoint folder of an earlier run."""

from pathlib import Path
from typing import TYPE_CHECKING

from core.common.errors import EspalierError
from core.common.params import Params, param
from core.data.class_names import matched
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.data.settings import DataSettings
from core.models.catalogue import backbone
from core.models.checkpoint_files import checkpoint_at
from core.models.forecast import Network, StageForecast, TimedNetwork
from core.sources.base import (
    ForecastContext,
    MakeContext,
    NetworkSource,
    OpenContext,
    OpenedNetwork,
    StageInput,
)

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint


class CheckpointSettings(Params):
    """A network from a checkpoint folder of an earlier run."""

    path: str = param(
        ...,
        "Checkpoint",
        "Folder with architecture.json and weights.safetensors, or the folder of a stage that holds one.",
        path="folder",
        min_length=1,
    )


class CheckpointSource(NetworkSource[CheckpointSettings]):
    """See the module's documentation."""

    id = "checkpoint"
    title = "Checkpoint"
    help = "A network that an earlier run made."
    Settings = CheckpointSettings
    checkpoint_setting = "path"

    def open(self, settings: CheckpointSettings, context: OpenContext) -> OpenedNetwork:
        """The network, its answers in the data set's order of classes."""
        from core.models.class_order import match_classes

        checkpoint = _loaded(checkpoint_at(settings.path, context.base), settings, context.data)
        notes = match_classes(
            checkpoint.model,
            checkpoint.classes,
            context.data.classes,
            checkpoint.input_size,
            "The checkpoint",
        )
        return OpenedNetwork(checkpoint.model, checkpoint.network, checkpoint.preprocess, notes)

    def make(self, settings: CheckpointSettings, context: MakeContext) -> StageInput:
        """The copy in the run folder is the network itself, unless its classes are in another order."""
        folder = context.pin(checkpoint_at(settings.path, context.base))
        checkpoint = _loaded(folder, settings, context.data)
        if checkpoint.classes != context.data.classes:
            return super().make(settings, context)
        return StageInput(checkpoint.preprocess, folder)

    def forecast(self, settings: CheckpointSettings, context: ForecastContext) -> StageForecast:
        from core.models.checkpoint import content_hash, load_checkpoint

        if isinstance(context.data, str):
            return context.unknown(context.data)
        folder = checkpoint_at(settings.path, context.base)
        key = content_hash(folder)

        def make() -> Network:
            checkpoint = load_checkpoint(folder)
            return Network(
                checkpoint.model.to("meta"),
                checkpoint.input_size,
                _blocks(checkpoint),
                lambda: load_checkpoint(folder).model,
            )

        def timed() -> TimedNetwork:
            checkpoint = load_checkpoint(folder)
            return TimedNetwork(
                checkpoint.model,
                checkpoint.network,
                checkpoint.preprocess,
                checkpoint.classes,
                _blocks(checkpoint),
            )

        return context.counted(key, lambda: context.recent.get(f"network {key}", make), timed)

    def applied(
        self, name: str, settings: CheckpointSettings, data_settings: DataSettings, data: ImageData
    ) -> Applied | None:
        """The checkpoint says it itself."""
        return None


def _blocks(checkpoint: "Checkpoint") -> tuple[str, ...]:
    return backbone(checkpoint.network.backbone).blocks


def _loaded(folder: Path, settings: CheckpointSettings, data: ImageData) -> "Checkpoint":
    """The checkpoint, when it fits the data set.

    Raises:
        EspalierError: when it is none, or was made for other classes.
    """
    from core.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder)
    if matched(checkpoint.classes, data.classes) is None:
        raise EspalierError(
            f"The checkpoint {settings.path} was made for other classes ({', '.join(checkpoint.classes[:4])}, …) "
            f"than the data set has ({', '.join(data.classes[:4])}, …).",
            "Choose the data set that it was trained on.",
        )
    return checkpoint
