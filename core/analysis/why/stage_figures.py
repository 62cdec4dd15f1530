"""The data that causes are derived from: the figures of a stage and of the one before it, its graph, the machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.analysis.changes import change_in_run
from core.analysis.interval_support import measurable, wide
from core.records.reports import Fix, Metric, StageReport
from core.stages.base import Stage
from core.stages.catalogue import STAGES

VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


@dataclass(frozen=True, slots=True)
class ChainStage:
    """A stage of the chain: id, kind and all of its settings."""

    id: str
    kind: str
    settings: Mapping[str, Any]

    @property
    def stage(self) -> Stage:
        """The technique."""
        return STAGES[self.kind]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a stage's headline file.

    Attributes:
        report: the stage. before: the stage that it continues, or the baseline where it continues a source;
            None where there is none to compare with.
        chain: the stages from the source to this one.
        graph: of the file, as `core.analysis.why.graph.examine_graph` gives it.
        instructions: of the processor.
        threads: milliseconds of one image by the number of threads.
    """

    report: StageReport
    before: StageReport | None
    chain: Sequence[ChainStage]
    graph: Mapping[str, Any]
    instructions: frozenset[str]
    threads: Mapping[int, float] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """A figure of the file."""
        metric = self.report.metric(name)
        return metric.value if metric is not None else None

    @property
    def latency(self) -> Metric | None:
        """The change of the latency against the stage before, in percent, as tables state it."""
        return self.change("latency_ms")

    def change(self, name: str) -> Metric | None:
        """A figure's change against the stage before, as tables state it; None where none can be stated."""
        now, before = self.report.main, self.before.main if self.before is not None else None
        if now is None or before is None:
            return None
        change = change_in_run(now, before, name)
        return change if change is not None and change.value is not None else None

    def ratio(self, name: str) -> float | None:
        """The figure / that of the stage before; of the latency only where its interval supports a figure."""
        if name == "latency_ms":
            change = self.latency
            if change is None or change.value is None or wide(change):
                return None
            return 1 + change.value / 100 if measurable(change) else 1.0
        new, old = self.value(name), self.before.metric(name) if self.before is not None else None
        if new is None or old is None or not old.value:
            return None
        return new / old.value

    def can_cause(self, cause: str) -> bool:
        """Whether the stage itself, not one before it, can be behind a cause."""
        stage = STAGES.get(self.report.kind)
        return stage is not None and cause in stage.causes

    def fix(self, cause: str, figures: Mapping[str, Any]) -> Fix | None:
        """What the last stage of the chain that can be behind a cause would change against it.

        Args:
            figures: the cause's evidence.
        """
        chain_stage = next((entry for entry in reversed(self.chain) if cause in entry.stage.causes), None)
        return (
            None
            if chain_stage is None
            else chain_stage.stage.fix(cause, chain_stage.settings, figures, chain_stage.id)
        )

    @property
    def convolutions(self) -> list[Mapping[str, Any]]:
        """Layers with weights over maps, depthwise ones too."""
        return [layer for layer in self.graph["layers"] if layer["kind"] != "linear"]

    @property
    def quantized(self) -> bool:
        """Whether the file computes with integers."""
        return bool(self.graph["activations"])
