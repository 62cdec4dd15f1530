"""What every stage is: a technique, its settings, and what others need to know of it.

Two families. A *model stage* takes a PyTorch network and returns a new one. A *deployment stage*
takes an ONNX file and writes a new one, in the tool child. Neither keeps state between runs.
Readable without torch; stages import it inside `run` and `forecast`.

Everything that depends on the technique (forecasts, remarks in tables, fixes, coverage) is a method of the
stage; no other code branches on its kind. Every such method has a default here, so that a new stage
implements `run` or `deploy` and overrides only what differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from core.common.errors import Problem
from core.common.params import Params
from core.models.forecast import Forecast, StageForecast
from core.models.network_facts import NetworkFacts
from core.records.reports import Fix
from core.stages.context import DeployContext, StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.forecast import FLOAT32, ForecastContext, stored, trained, unknown
from core.stages.latency_target import BlocksTarget, LatencyTarget, MacsTarget
from core.stages.result import DeployResult, StageResult
from core.training.settings import TrainingSettings, with_precision

if TYPE_CHECKING:
    from torch import nn

S = TypeVar("S", bound=Params)

Effect = Literal["weights", "structure", "ranks", "zeros", "codebook", "quantized", "file", "as-given"]
ScanKind = Literal[
    "prune", "quantize", "calibrate"
]  # what is tried on a network: every layer cut, or in INT8; calibrations


class Stage(ABC, Generic[S]):
    """A technique.

    Attributes:
        id: stable name in pipeline files.
        version: raised when the same settings give another result; part of the cache key.
        group: heading in the palette. icon: its picture there and on its card.
        effect: what it does to its input; `core.document.order_rules` orders stages by it. "weights" trains;
            "structure" removes channels or layers; "ranks" splits layers into factors; "zeros" and
            "codebook" leave constraints; "quantized" trains on the INT8 grid; "file" goes on to
            the exported file, "as-given" leaves it as it is.
        Settings: the one declaration of its parameters.
        keeps_shape: whether every layer stays, with its shape, and so parameters and MACs do.
        overrides: by the kind of scan, the setting that takes what it suggests: a text for single layers, or ("calibrate") the
            number of calibration images, beside which `method` takes the way to find ranges.
        threaded: whether its result on a processor can depend on the number of threads that a run computes with;
            part of the cache key only there.
        optional_references: settings that may name another network besides, or be empty.
        causes: ids of the causes of a file's figures (`core.analysis.why`) that it can be behind.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    group: ClassVar[str]
    icon: ClassVar[str] = "stage"
    effect: ClassVar[Effect] = "weights"
    help: ClassVar[str]
    Settings: ClassVar[type[Params]]
    keeps_shape: ClassVar[bool] = False
    overrides: ClassVar[Mapping[ScanKind, str]] = MappingProxyType({})
    optional_references: ClassVar[tuple[str, ...]] = ()
    causes: ClassVar[tuple[str, ...]] = ()
    threaded: ClassVar[bool] = True

    def check(self, settings: S, facts: NetworkFacts) -> list[Problem]:
        """Everything that would stop this stage, found before work starts."""
        return []

    def check_training(self, settings: S, facts: NetworkFacts) -> list[Problem]:
        """Everything in the settings of its training that would stop it."""
        training, structure = self.training(settings), facts.structure()
        if training is None or not training.drop_path or structure is None or structure[1]:
            return []
        return [Problem(
            f"{structure[0]} has no residual blocks that are known, of which stochastic depth could leave any out.",
            "Set the stochastic depth to 0.", ("training", "drop_path"),
        )]  # fmt: skip

    def references(self, settings: S) -> dict[str, str]:
        """Settings that name other networks: field → reference. They enter the cache key by content."""
        return {}

    def versions(self, settings: S) -> dict[str, str]:
        """Versions of what else than Espalier's own libraries makes its result; part of the cache key."""
        return {}

    def epochs(self, settings: S) -> float:
        """Training epochs' worth of work, for the estimate of time."""
        return 0.0

    def step_cost(self, settings: S) -> float:
        """About what training an image costs once it has changed the network, as a share of before, for the estimate of time."""
        return 1.0

    def training(self, settings: S) -> TrainingSettings | None:
        """How it trains; None where it cannot or, with 0 epochs, does not."""
        training = getattr(settings, "training", None)
        return training if isinstance(training, TrainingSettings) and training.epochs else None

    def precision(self, settings: S) -> str:
        """`TrainingSettings.precision` of its training; "" where it trains nothing. "auto" is tried beforehand."""
        training = self.training(settings)
        return training.precision if training else ""

    def in_precision(self, settings: S, precision: str) -> S:
        """The same settings with another precision for its training."""
        training = self.training(settings)
        assert training is not None
        return settings.model_copy(update={"training": with_precision(training, precision)})

    def latency_target(self, settings: S) -> LatencyTarget | BlocksTarget | MacsTarget | None:
        """The latency that decides how much of the network stays, where these settings ask for one."""
        return None

    def bytes_per_weight(self, settings: S) -> tuple[int, int] | None:
        """Bytes of a convolution's and of a linear layer's weight in its file; None: unknown until the run."""
        return None

    def forecast(
        self, settings: S, unchanged: Forecast, previous: StageForecast, context: ForecastContext
    ) -> StageForecast:
        """What it would give, from the forecast before it; by default unknown until the run.

        Args:
            unchanged: the forecast if this stage changed nothing. Its parameters are known.
            previous: the forecast before the stage. It holds a network where this is a model stage.

        Raises:
            EspalierError: when the settings cannot be met.
        """
        return unknown(unchanged)

    def remark(self, facts: Mapping[str, Any]) -> str:
        """What stands beside its name in tables, by the facts in its report; empty ones where a report keeps none."""
        return ""

    def computes_in(self, facts: Mapping[str, Any]) -> str:
        """The precision in which PyTorch's own figures of its network are measured."""
        return "float32"

    def fix(self, cause: str, settings: Mapping[str, Any], figures: Mapping[str, Any], id: str) -> Fix | None:
        """The change of its settings that removes one of its `causes`.

        Args:
            settings: all of them, as plain data. figures: the cause's evidence. id: of this stage in its pipeline.
        """
        return None

    def coverage(self) -> tuple[CoverageCase, ...]:
        """What the table of methods and backbones tries: as it is by default, unless it says otherwise."""
        return (CoverageCase(self.id, self.title),)


class ModelStage(Stage[S]):
    """A technique on the PyTorch network.

    Attributes:
        half_artefact: an FP16 file stands beside the float32 one.
    """

    half_artefact: ClassVar[bool] = False

    @abstractmethod
    def run(self, model: "nn.Module", settings: S, context: StageContext) -> StageResult:
        """Apply the technique to `model`, which the stage may change and which it returns."""

    def leaves_weights(self, settings: S) -> bool:
        """Whether the weights stay what they are, too."""
        return False

    def bytes_per_weight(self, settings: S) -> tuple[int, int] | None:
        """Its network is exported as float32, unless it writes a file of its own or leaves codebooks."""
        return None if self.effect in ("quantized", "codebook") else FLOAT32

    def forecast(
        self, settings: S, unchanged: Forecast, previous: StageForecast, context: ForecastContext
    ) -> StageForecast:
        """The same network where it keeps the shape; else unknown until the run."""
        if not self.keeps_shape:
            return unknown(unchanged)
        if self.half_artefact:
            unchanged = replace(unchanged, remark="A float16 file of half the size comes beside it.")
        in_file = self.bytes_per_weight(settings)
        if in_file != FLOAT32:
            unchanged = stored(unchanged, previous, in_file)
        after = (
            replace(previous, forecast=unchanged)
            if self.leaves_weights(settings)
            else trained(unchanged, previous)
        )
        return after if in_file == FLOAT32 else replace(after, layers=None)


class DeploymentStage(Stage[S]):
    """A technique on the exported graph."""

    effect: ClassVar[Effect] = "file"

    @abstractmethod
    def deploy(self, source: Path, settings: S, context: DeployContext) -> DeployResult:
        """Write `context.target` from the ONNX file `source`, which stays as it is."""

    def forecast(
        self, settings: S, unchanged: Forecast, previous: StageForecast, context: ForecastContext
    ) -> StageForecast:
        """The same network, stored otherwise, where it keeps the shape; else unknown until the run."""
        if not self.keeps_shape:
            return unknown(unchanged)
        return StageForecast(stored(unchanged, previous, self.bytes_per_weight(settings)), previous.key)
