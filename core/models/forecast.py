"""Forecasts of the network that a source or a stage leaves. Readable without torch.

Sources and stages forecast with these; `core.whatif` asks them. It stands below surgery, so what a pruning
chose from (`core.surgery.prunable_groups.PrunableGroups`) is opaque here.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from core.data.preprocess import Preprocess
    from core.models.classifier import ImageClassifier
    from core.models.settings import BackboneSettings

Sure = Literal["exact", "about", "unknown"]

_CAPACITY = 96  # forecasts, networks and groups of channels


@dataclass(frozen=True, slots=True)
class TimedNetwork:
    """A network that is to be timed, and what its file is made with.

    Attributes:
        blocks: class names of the backbone's residual blocks.
    """

    model: "ImageClassifier"
    network: "BackboneSettings"
    preprocess: "Preprocess"
    classes: tuple[str, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """A network whose layers can be timed.

    Attributes:
        key: what its times depend on beside the machine.
        timed: makes it, with whatever weights.
    """

    key: dict[str, Any]
    timed: Callable[[], TimedNetwork]


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
        latency_ms: predicted for one image on one thread; None where there is no prediction.
        latency_error: what such a prediction is usually off by, as a share.
        measuring: there will be a prediction once this machine has been measured.
        train_images, validation_images: of the data set; None while it has not been read.
    """

    id: str
    before: str
    params: int | None = None
    macs: int | None = None
    bytes: int | None = None
    sure: Sure = "unknown"
    remark: str = ""
    impossible: bool = False
    latency_ms: float | None = None
    latency_error: float = 0.0
    measuring: bool = False
    train_images: int | None = None
    validation_images: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network without numbers (the meta device), and what else pruning asks about.

    Attributes:
        weights: makes the very network that the stage will receive; None once something trains.
    """

    model: "ImageClassifier"
    size: int
    blocks: tuple[str, ...]
    weights: "Callable[[], ImageClassifier] | None" = None


@dataclass(frozen=True, slots=True)
class StageForecast:
    """A forecast and what later stages need of it.

    Attributes:
        key: what made the network's shape. fresh: nothing has trained its weights yet.
        widths: after a pruning, what it chose from and the channels that stay, by what it asked for:
            the next pruning that asks the same needs no network.
        build: of the source that it comes from; its layer times are those of this network.
        layers: shapes of its layers' weights by path, where they are known without the network.
    """

    forecast: Forecast
    key: str = ""
    fresh: bool = False
    network: Callable[[], Network] | None = None
    widths: dict[str, Any] = field(default_factory=dict)
    build: Build | None = None
    layers: "Callable[[], dict[str, tuple[int, ...]]] | None" = None


@dataclass(slots=True)
class RecentCache:
    """The last few things made, by key."""

    entries: OrderedDict[str, Any] = field(default_factory=OrderedDict)

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.entries:
            self.entries[key] = make()
        self.entries.move_to_end(key)
        while len(self.entries) > _CAPACITY:
            self.entries.popitem(last=False)
        return self.entries[key]
