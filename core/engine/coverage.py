"""Which method works on which backbone, tried for real: the table that `espalier coverage` prints.

A cell is a tiny pipeline, *trained → method*, rehearsed as `core.engine.preflight` rehearses a person's: the
real network and settings, a run's own code, but few images and one training step, after `_STEPS` steps of
the network before it. It counts as working when the method trained its step (where it trains) with a finite
loss, did what it is for (`CoverageCase.saves`), and its files were exported, opened by ONNX Runtime, and answer
like the network, which a process of its own reloaded from the checkpoint. What a rehearsal cannot say is
how much accuracy a method costs; `tests/benchmarks` does.

A quantized file answers otherwise on purpose. It counts as working from `_LEAST_SIGNAL` dB of signal to
noise on, in what of its logits differs from image to image: answers that are the same for all images have
0 dB, another network's about −3. An untrained network would prove nothing: its logits differ so little
between images that rounding exceeds the difference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.common.control import RunControl
from core.common.errors import EspalierError, Problem
from core.common.text_tables import markdown
from core.deploy.artefacts import VerifiedArtefact
from core.deploy.quantization.sessions import sqnr
from core.document import pipeline as documents
from core.document.pipeline import Pipeline, StageNode
from core.engine.options import Options
from core.engine.preflight import Trial, Watcher, preflight
from core.models.backbone import Backbone
from core.models.catalogue import BACKBONES as CATALOGUE
from core.models.catalogue import backbone
from core.runs.home import Home
from core.runs.stage_folder import StageFolder
from core.stages.base import ModelStage, Stage
from core.stages.catalogue import STAGES
from core.stages.coverage_case import TRAINED, CoverageCase
from core.stages.train import Train

NETWORKS = "## Networks by name"  # begins the part of the page that `tests/campaigns/networks.py` writes
State = Literal["works", "refused", "pointless", "fails"]

_SIZE = 32  # px, where the backbone takes so few
_LEARNING = {"learning_rate": 0.003, "patience": 0}
_STEPS = 24
_ABREAST = 5  # networks in one table, so that it fits a page
_LEAST_SIGNAL = 3.0  # dB: the noise has half of the signal's power
_UNQUANTIZED = ("float32", "float16")


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the table: a stage, and how it is used."""

    stage: Stage
    case: CoverageCase

    @property
    def id(self) -> str:
        return self.case.id


def methods() -> dict[str, Method]:
    """The rows by id: what every stage of the catalogue says (`Stage.coverage`), in its order."""
    rows = [Method(stage, case) for stage in STAGES.values() for case in stage.coverage()]
    return {method.id: method for method in rows}


BACKBONES = (
    "resnet20", "resnet56", "resnet18", "resnet50", "mobilenet-v2", "mobilenet-v3-large", "efficientnet-lite0",
    "convnext-tiny", "timm-convnext-tiny", "vit-tiny", "vit-small", "plain-cnn-tiny", "plain-cnn-large",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One method on one backbone.

    Attributes:
        state: "works"; "refused", in words, by the method; "pointless", refused before anything
            runs; "fails", which is a fault of ours.
        reason: the refusal or the fault. signal: dB, of quantized files.
    """

    backbone: str
    method: str
    state: State
    reason: str = ""
    seconds: float = 0.0
    signal: float | None = None

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        signal = "" if self.signal is None else f", {self.signal:.1f} dB of signal to noise"
        return self.reason or f"works{signal}"


def coverage(
    backbones: Sequence[str],
    chosen: Sequence[str],
    home: Home,
    options: Options,
    on_cell: Callable[[Cell], None] = lambda cell: None,
    control: RunControl | None = None,
) -> list[Cell]:
    """Try every method on every backbone, in this order.

    Args:
        chosen: ids of methods.

    Raises:
        EspalierError: for a method or backbone that there is not.
        Stopped: a person asked to stop.
    """
    by_id = methods()
    for unknown in (name for name in chosen if name not in by_id):
        raise EspalierError(
            f"Expected the name of a method, received {unknown!r}.", f"Choose among: {', '.join(by_id)}."
        )
    cells: list[Cell] = []
    for name in backbones:
        cells += _Column(backbone(name), [by_id[id] for id in chosen], on_cell).try_all(
            home, options, control
        )
    return cells


def document(network: Backbone, methods: Sequence[Method]) -> Pipeline:
    """The pipeline of a backbone's cells: all methods branch from one trained network.

    Images are small where the catalogue says how small they may be. Batch norms take their statistics from the
    last step alone: MobileNetV3's own momentum of 0.01 needs hundreds.
    """
    size = network.image_size
    if network.id in CATALOGUE:  # others do not say what they can take
        size = -(-max(_SIZE, network.smallest) // network.multiple) * network.multiple
    stages: list[dict[str, Any]] = [{"id": TRAINED, "kind": Train.id, "settings": {"training": _LEARNING}}]
    for method in methods:
        settings = dict(method.case.settings)
        stage = {"id": method.id, "kind": method.stage.id, "from": TRAINED, "settings": settings}
        stages.append({**stage, "name": method.case.title})
    return Pipeline.parse({
        "espalier": documents.FORMAT, "name": f"Every method on {network.title}"[:120],
        "data": {"source": "fashion-mnist-sample", "image_size": size},
        "sources": [{"id": "network", "settings": {"backbone": network.id, "norm_momentum": 1.0}}],
        "stages": stages,
    })  # fmt: skip


@dataclass(slots=True)
class _Column:
    """The cells of one backbone."""

    network: Backbone
    methods: Sequence[Method]
    on_cell: Callable[[Cell], None]
    cells: dict[str, Cell] = field(default_factory=dict)
    _before: dict[str, int] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)
    _signals: dict[str, float] = field(default_factory=dict)

    def try_all(self, home: Home, options: Options, control: RunControl | None) -> list[Cell]:
        """All cells, in the order of the methods."""
        for method in self.methods:
            if problems := documents.check(document(self.network, [method])):
                self._add_cell(Cell(self.network.id, method.id, "pointless", _words(problems[0])))
        untried = [method for method in self.methods if method.id not in self.cells]
        if untried:
            outcome = preflight(
                document(self.network, untried), Path(), home, options, control,
                Watcher(on_trial=self._on_trial, on_made=self._check_made), {TRAINED: _STEPS},
            )  # fmt: skip
            reason = self._faults.get(TRAINED) or "".join(_words(problem) for problem in outcome.problems[:1])
            for method in (method for method in untried if method.id not in self.cells):
                self._add_cell(
                    Cell(self.network.id, method.id, "fails", f"The network cannot be tried. {reason}")
                )
        return [self.cells[method.id] for method in self.methods]

    def _add_cell(self, cell: Cell) -> None:
        self.cells[cell.method] = cell
        self.on_cell(cell)

    def _on_trial(self, trial: Trial) -> None:
        if trial.id == TRAINED or trial.state == "skipped" or TRAINED in self._faults:
            return
        reason = self._faults.get(trial.id, "") or ("" if trial.problem is None else _words(trial.problem))
        state: State = "works" if not reason else "refused"
        if trial.id in self._faults or trial.fault:
            state = "fails"
        signal = self._signals.get(trial.id)
        self._add_cell(Cell(self.network.id, trial.id, state, reason, trial.seconds, signal))

    def _check_made(self, node: StageNode, folder: StageFolder, files: Sequence[VerifiedArtefact]) -> None:
        """Note faults that a rehearsal does not look for: nothing trained, nothing saved, a noisy file."""
        outcome = folder.outcome
        sizes = {"params": outcome.params, "nonzero_params": outcome.nonzero_params, "bytes": files[0].bytes}
        if isinstance(node.stage, ModelStage) and (fault := _untrained(outcome.history)):
            self._faults[node.id] = fault
        elif isinstance(node.stage, ModelStage) and node.stage.half_artefact and len(files) < 2:
            self._faults[node.id] = "No float16 file came of it."
        if node.id == TRAINED:
            self._before = sizes
            return
        saves = next(method.case.saves for method in self.methods if method.id == node.id)
        if saves and not sizes[saves] < self._before[saves]:
            self._faults[node.id] = f"It ran and saved nothing: {sizes[saves]} {saves} as before."
        for artefact in files:
            if artefact.precision not in _UNQUANTIZED:
                reference, logits = np.load(artefact.reference), np.load(artefact.logits)
                signal = sqnr(reference - reference.mean(0), logits - logits.mean(0))
                self._signals[node.id] = signal
                if signal < _LEAST_SIGNAL:
                    self._faults[node.id] = (
                        f"The file's answers are noise: {signal:.1f} dB of signal to noise."
                    )


def _untrained(history: Sequence[Mapping[str, float]]) -> str:
    """Why an epoch's figures say that nothing was learned from, if they do."""
    if not history:
        return "It trained no step."
    loss = history[-1]["train_loss"]
    return "" if np.isfinite(loss) else f"Its training loss is {loss}."


def _words(problem: Problem) -> str:
    return f"{problem.message} {problem.advice}".strip()


def as_markdown(cells: Sequence[Cell]) -> str:
    """The table with its numbered reasons, and what a cell means."""
    backbones = list(dict.fromkeys(cell.backbone for cell in cells))
    reasons = list(dict.fromkeys(cell.reason for cell in cells if cell.reason))
    by_method_and_backbone = {(cell.method, cell.backbone): cell for cell in cells}
    by_id = methods()
    chosen = [by_id[name] for name in dict.fromkeys(cell.method for cell in cells)]

    def table(names: Sequence[str]) -> str:
        rows = [
            [method.case.title, *(_shown(by_method_and_backbone[method.id, name], reasons) for name in names)]
            for method in chosen
        ]
        return markdown(["", *(backbone(name).title for name in names)], rows, others=":-:")

    parts = [backbones[start : start + _ABREAST] for start in range(0, len(backbones), _ABREAST)]
    settings = [
        [method.case.title, f"`{method.stage.id}`", _spelled(method.case.settings)] for method in chosen
    ]
    return "\n".join([
        "# What works on what",
        "",
        "Every method tried on every backbone. `espalier coverage --out FILE` writes this page; on other",
        "backbones, with `timm:NAME` too: `espalier coverage --backbones timm:regnety_002`.",
        "",
        *(line for part in parts for line in (table(part), "")),
        f"- **yes**: from a network that had trained for {_STEPS} steps on the same few images, a few images went",
        "  through the method, and one training step where it trains; there was less of what the method saves; the",
        "  checkpoint was reloaded by a process of its own; the exported file was opened by ONNX Runtime and gave the",
        f"  same answers (quantized files: at least {_LEAST_SIGNAL:g} dB of signal to noise in what of the logits differs",
        "  between images).",
        "- **no**: the method refused, and says why. **–**: not meaningful; a pipeline with it is refused before it runs.",
        "  **fault**: neither, which is a mistake of ours.",
        "",
        "What it costs in accuracy is another question: try it on your images.",
        "",
        *(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)),
        *([""] if reasons else []),
        markdown(["Method", "Stage", "Settings that differ from the stage's own"], settings, left=3),
        "",
        f"PyTorch {version('torch')}, ONNX Runtime {version('onnxruntime')}, torch-pruning {version('torch-pruning')}, "
        f"timm {version('timm')}; images of {_SIZE} px, of timm's networks by name the size that they are made for.",
        "",
    ])  # fmt: skip


def networks_part(page: str) -> str:
    """The part of a page that another program writes; empty where it has none."""
    _, heading, rest = page.partition(f"\n{NETWORKS}\n")
    return f"\n{NETWORKS}\n{rest}" if heading else ""


def _shown(cell: Cell, reasons: Sequence[str]) -> str:
    word = {"works": "yes", "refused": "no", "pointless": "–", "fails": "fault"}[cell.state]
    return f"{word} ({reasons.index(cell.reason) + 1})" if cell.reason else word


def _spelled(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in settings.items())
