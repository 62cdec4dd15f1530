"""A rehearsal: a few images through the whole chain, so that a run does not fail at its last stage.

Every stage is made by the code that makes it in a run (`core.engine.stage_runner`): the real network and weights,
the real settings, but few images, one training epoch of a step or two, and one batch wherever a stage
asks for batches. What it leaves is exported, opened in ONNX Runtime and held against the network
(`core.engine.evaluator`). Nothing is timed, and nothing is kept but the decoded data set, which a run
would decode anyway. A stage that fails does not keep other branches from being tried.

What it cannot find: a network that learns nothing, and memory that only full batches need; on a
GPU the stages' own batches are tried, on a processor at most 32 images at once.
"""

import copy
import dataclasses
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from core.common.control import RunControl
from core.common.declarations import declarations
from core.common.errors import EspalierError, Fault, Problem, Stopped
from core.common.logs import in_a_line
from core.common.params import Params
from core.common.temporary import temporary_folder
from core.data.store import open_data
from core.deploy.artefacts import VerifiedArtefact
from core.document import pipeline as documents
from core.document.expansion import Expansion, expand
from core.document.pipeline import Node, Pipeline, StageNode
from core.document.stage_keys import stage_key
from core.engine.evaluator import Evaluator
from core.engine.options import Options
from core.engine.reproducible import reproducible
from core.engine.small_settings import capped
from core.engine.stage_inputs import RunContext
from core.engine.stage_runner import StageRunner
from core.machine.child import Child
from core.records.events import Event, PhaseStarted
from core.records.reports import StageReport
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.stage_folder import StageFolder

_log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
Place = tuple[str | int, ...]
MadeListener = Callable[
    [StageNode, StageFolder, Sequence[VerifiedArtefact]], None
]  # a stage, its folder, its verified files

_BATCH = 32  # images at once on a processor
_IMAGES = 16  # to validate and to test with


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of the rehearsal for one stage.

    Attributes:
        state: "passed", "failed", or "skipped" where its source or a stage that it needs failed.
        files: names of the files that were exported, opened and verified.
        problem: why it failed; its place points into the document.
        fault: whether the failure is a defect of the program and not a refusal in words.
    """

    id: str
    name: str
    state: str
    seconds: float = 0.0
    files: tuple[str, ...] = ()
    problem: Problem | None = None
    fault: bool = False

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.problem is not None:
            return f"{self.problem.message} {self.problem.advice}".strip()
        if self.state == "skipped":
            return "Not tried: what it needs failed."
        return f"Passed in {self.seconds:.0f} s: {', '.join(self.files)}"


@dataclass(frozen=True, slots=True)
class Preflight:
    """The outcome for a pipeline; `problems` of sources and data stand before those of stages.

    Attributes:
        notes: sentences on how the sources were read.
    """

    trials: tuple[Trial, ...]
    seconds: float
    general: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that would stop a run."""
        return (*self.general, *(trial.problem for trial in self.trials if trial.problem))

    @property
    def passed(self) -> bool:
        return not self.problems

    def lines(self) -> list[str]:
        """The outcome in words."""
        shown = [f"  {trial.name}: {trial.sentence}" for trial in self.trials]
        count = len(self.problems)
        words = f"{count} problem{'s' if count > 1 else ''} found" if count else "Every stage passed"
        return [
            *(f"  {note}" for note in self.notes),
            *(f"  {problem}" for problem in self.general),
            *shown,
            *dict.fromkeys(f"    {problem.command}" for problem in self.problems if problem.command),
            f"{words}, in {self.seconds:.0f} s.",
        ]


@dataclass(frozen=True, slots=True)
class _TemporaryHome(Home):
    """A home in a temporary folder; its decoded data are those of the real home."""

    real: Home

    @property
    def data(self) -> Path:
        return self.real.data


@dataclass(frozen=True, slots=True)
class Watcher:
    """Callbacks of a pre-flight.

    Attributes:
        on_progress: called with the done share (0…1) and a sentence.
        on_trial: called with the outcome of each stage, one after the other.
        on_made: called with the results of a stage that passed, while its files exist.
    """

    on_progress: Progress = lambda fraction, text: None
    on_trial: Callable[[Trial], None] = lambda trial: None
    on_made: MadeListener = lambda node, folder, files: None


def preflight(
    pipeline: Pipeline,
    base: Path,
    home: Home,
    options: Options,
    control: RunControl | None = None,
    watcher: Watcher = Watcher(),
    longer: Mapping[str, int] = MappingProxyType({}),
) -> Preflight:
    """Run every active stage on a few images.

    Args:
        longer: stages by id that train more than one epoch, and how many.

    Raises:
        EspalierError: when the device is not there.
        Stopped: a person asked to stop.
    """
    started = time.monotonic()
    problems = documents.check(pipeline)
    if problems:
        return Preflight((), 0.0, tuple(problems))
    options, control, expansion = options.resolved(), control or RunControl(), expand(pipeline)
    with temporary_folder() as folder:
        rehearsal = _Rehearsal(
            reduced(expansion.pipeline, options.device, longer), base, _TemporaryHome(folder, home), options,
            control, _placing(watcher, expansion), pipeline.data.train_images,
        )  # fmt: skip
        trials, general = rehearsal.run()
    return Preflight(
        tuple(_placed(trial, expansion) for trial in trials),
        time.monotonic() - started,
        tuple(map(expansion.in_the_file, general)),
        tuple(dict.fromkeys(rehearsal.notes)),
    )


def _placing(watcher: Watcher, expansion: Expansion) -> Watcher:
    return replace(watcher, on_trial=lambda trial: watcher.on_trial(_placed(trial, expansion)))


def _placed(trial: Trial, expansion: Expansion) -> Trial:
    """A trial whose problem points into the file, where that has an axis."""
    return trial if trial.problem is None else replace(trial, problem=expansion.in_the_file(trial.problem))


def reduced(
    pipeline: Pipeline, device: str = "cpu", longer: Mapping[str, int] = MappingProxyType({})
) -> Pipeline:
    """The same chain on few images, with as little training as every stage allows, `longer` apart."""
    batch = None if device.startswith("cuda") else _BATCH
    content = copy.deepcopy(pipeline.resolved().as_dict())
    for entry, node in zip(content["stages"], pipeline.stages, strict=True):
        entry["settings"] = capped(node.stage.Settings, entry["settings"], batch)
        if node.id in longer:
            entry["settings"]["training"]["epochs"] = longer[node.id]
    batches = [entry["settings"].get("training", {}).get("batch_size", 0) for entry in content["stages"]]
    few = {"train_images": max([_BATCH, *batches]), "validation_images": _IMAGES, "test_images": _IMAGES}
    data = content["data"]
    for name, count in few.items():
        data[name] = min(count, data.get(name) or count)
    content["axes"] = {"seed": [pipeline.axes.seed[0]]}
    content.pop("search", None)  # what stands in the file is rehearsed
    return Pipeline.parse(content)


class _Evaluator(Evaluator):
    """Makes and verifies a stage's files as a run does, and times nothing."""

    def files_of(self, node: StageNode, runner: StageRunner, seed: int) -> list[VerifiedArtefact]:
        """The files that agree with the network."""
        key = stage_key(self.pipeline, node.id, seed)
        folder = self.run.stage_folder(key)
        report = StageReport(key=key, id=node.id, source="", seed=seed, name=node.title, kind=node.kind)
        files, _ = self.obtain(
            report, folder, folder.outcome, runner.inputs.stage_input(node, seed), node.stage, _silent
        )
        return files.artefacts


@dataclass(slots=True)
class _Rehearsal:
    """One pre-flight under way."""

    pipeline: Pipeline
    base: Path
    home: _TemporaryHome
    options: Options
    control: RunControl
    watcher: Watcher
    train_images: int | None
    notes: list[str] = dataclasses.field(default_factory=list)
    _fraction: float = 0.0
    _stage: str = ""

    def run(self) -> tuple[tuple[Trial, ...], tuple[Problem, ...]]:
        """Every stage's trial, and problems of data and sources."""
        self.watcher.on_progress(0.0, "Opening the data set")
        try:
            data = open_data(
                self.pipeline.data, self.home.data, self.base, self.control,
                lambda done, text: self.watcher.on_progress(0.0, text),
            )  # fmt: skip
        except EspalierError as error:
            return (), (Problem(error.message, error.advice, ("data", "path"), command=error.command),)
        if self.train_images is not None and self.train_images < len(data.classes):
            problem = Problem(
                f"Expected at least one training image of each of {len(data.classes)} classes, received {self.train_images}.",
                "Use more training images, or fewer classes.",
                ("data", "train_images"),
            )
            return (), (problem,)
        run = create_run(self.pipeline, self.base, self.home)
        with Child("tool", self.home.folder / "tool.log") as tool, reproducible(self.options.threads):
            context = RunContext(
                run, self.home, self.pipeline, data, self.options.device, self.options.threads, self.control,
                self._on_event, tool, self.options.core_watts, rehearsal=True,
            )  # fmt: skip
            return self._stages(StageRunner(context), _Evaluator(context))

    def _stages(
        self, runner: StageRunner, evaluator: _Evaluator
    ) -> tuple[tuple[Trial, ...], tuple[Problem, ...]]:
        trials: dict[str, Trial] = {}
        general: dict[str, Problem] = {}
        for number, node in enumerate(self.pipeline.active):
            self.control.checkpoint()
            self._fraction, self._stage = number / len(self.pipeline.active), node.title
            self.watcher.on_progress(self._fraction, node.title)
            source = self.pipeline.root(node)
            if source.id not in general and self.pipeline.parent(node) == source.id:
                problem = self._source_problem(runner, node)
                if problem is not None:
                    general[source.id] = problem
            needs = {self.pipeline.parent(node), *node.stage.references(node.parameters).values()}
            blocked = source.id in general or any(
                trials[need].state != "passed" for need in needs if need in trials
            )
            trials[node.id] = (
                Trial(node.id, node.title, "skipped") if blocked else self._trial(runner, evaluator, node)
            )
            self.watcher.on_trial(trials[node.id])
        return tuple(trials.values()), tuple(general.values())

    def _source_problem(self, runner: StageRunner, node: StageNode) -> Problem | None:
        source = self.pipeline.root(node)
        place: Place = ("sources", self.pipeline.sources.index(source))
        try:
            stage_input = runner.inputs.stage_input(node, self.pipeline.axes.seed[0])
            self.notes += (f"{source.title}: {note}" for note in stage_input.notes)
        except EspalierError as error:
            return Problem(
                error.message, error.advice, named_field(source, error, place), command=error.command
            )
        except Stopped:
            raise
        except Exception as error:  # as of a stage
            _log.exception("Source %s stopped by what nobody foresaw.", source.id)
            return Problem(f"Something unexpected stopped this source: {in_a_line(error)}", "", place)
        return None

    def _trial(self, runner: StageRunner, evaluator: _Evaluator, node: StageNode) -> Trial:
        seed, started = self.pipeline.axes.seed[0], time.monotonic()
        place: Place = ("stages", self.pipeline.stage_ids.index(node.id))
        try:
            runner.make(node, seed, _silent)
            files = evaluator.files_of(node, runner, seed)
            self.watcher.on_made(
                node, evaluator.run.stage_folder(stage_key(self.pipeline, node.id, seed)), files
            )
        except EspalierError as error:
            problem = Problem(
                error.message, error.advice, named_field(node, error, place), command=error.command
            )
            fault = isinstance(error, Fault)
        except Stopped:
            raise
        except Exception as error:  # a defect of ours or of a library ends this stage only
            _log.exception("Stage %s stopped by what nobody foresaw.", node.id)
            problem = Problem(f"Something unexpected stopped this stage: {in_a_line(error)}", "", place)
            fault = True
        else:
            labels = tuple(artefact.label for artefact in files)
            return Trial(node.id, node.title, "passed", time.monotonic() - started, labels)
        return Trial(node.id, node.title, "failed", time.monotonic() - started, problem=problem, fault=fault)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self.watcher.on_progress(
                self._fraction, f"{self._stage}: {event.text[:1].lower()}{event.text[1:]}"
            )


def named_field(node: Node, error: EspalierError, place: Place) -> Place:
    """Where a failure points: the setting that its words name first, else the source or stage.

    "data.image_size" names a setting of the data; otherwise labels of the node's own settings are
    looked for, whole words, in the message and then in the advice.
    """
    words = f"{error.message} {error.advice}"
    data = re.search(r"\bdata\.([a-z_]+)", words)
    if data is not None:
        return ("data", data[1])
    matches: list[tuple[int, Place]] = []
    for path, label in _labels(node.parameters):
        match = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", words, re.IGNORECASE)
        if match is not None:
            matches.append((match.start(), path))
    return (*place, "settings", *min(matches)[1]) if matches else place


def _labels(parameters: Params, where: Place = ()) -> Iterator[tuple[Place, str]]:
    """Labels of the settings that matter as they are now."""
    values = parameters.model_dump()
    for field in declarations(type(parameters)):
        inner = getattr(parameters, field.name)
        if isinstance(inner, Params):
            yield from _labels(inner, (*where, field.name))
        elif field.when is None or field.when.holds(values):
            yield (*where, field.name), field.label


def _silent(fraction: float) -> None:
    """Progress inside a stage is not reported: a rehearsed stage is too short."""
