"""Makes a stage's result, a network or a file; taken from the cache where it was made before.

The layout of a stage's folder is in `core.runs.stage_folder`. Quantization-aware training gives both
a network and a file.
"""

import logging
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.common.content_hashes import digest_of, intact, seal_folder
from core.common.errors import EspalierError
from core.common.files import put_in_place
from core.common.keys import make_key
from core.document.pipeline import StageNode
from core.document.stage_keys import stage_key
from core.engine.finished_by_hand import FinishedByHand
from core.engine.latency_search import LatencyTargets
from core.engine.precision_choice import PrecisionChoices, add_trial_note
from core.engine.ranks import made_by_ranks, together
from core.engine.stage_inputs import RunContext, StageInputs
from core.machine.jobs import ProgressCallback
from core.profiling.counting import count
from core.records.events import PhaseStarted
from core.records.stage_outcome import OwnFile, StageOutcome
from core.runs.stage_folder import StageFolder
from core.sources.base import StageInput
from core.stages.base import DeploymentStage, ModelStage
from core.stages.context import DeployContext, StageContext
from core.stages.result import DeployedFile, StageResult

_log = logging.getLogger(__name__)
_SAID_EVERY = 2.0  # seconds between two sentences of one stage about how far its file is


class StageRunner:
    """Makes the stages of one run."""

    def __init__(self, context: RunContext):
        self.context = context
        self.inputs = StageInputs(context)
        self._precisions, self._latency_targets = PrecisionChoices(context), LatencyTargets(context)
        self._store = context.store("models")
        self._finished = FinishedByHand(context)
        self.before_work: Callable[[], None] = lambda: None
        """Called before a stage is made, which the caches have not."""

    def make(self, node: StageNode, seed: int, on_fraction: Callable[[float], None]) -> bool:
        """Put the stage's result into its folder; True when it came from the cache."""
        key = stage_key(self.context.pipeline, node.id, seed)
        folder = self.context.run.stage_folder(key)
        if folder.complete:
            return False  # finished in this run before it was stopped
        stage_input = self.inputs.stage_input(node, seed)
        node, add_notes = self.settled(node, seed, stage_input)
        cache_key = self.cache_key(node, seed, stage_input)
        before = self._cache_key_of_before(node, seed, stage_input)
        if self._from_cache(cache_key, folder) or self._from_cache(before, folder):
            return True
        with self._store.making(cache_key):  # another run may be at work on the same
            if self._from_cache(cache_key, folder):
                return True
            self._make(node, seed, stage_input, cache_key, add_notes, on_fraction)
        return False

    def _from_cache(self, cache_key: str, folder: StageFolder) -> bool:
        cached = self._store.copy_to(cache_key, folder.path)
        if cached:
            _log.info("Stage %s comes from the cache (%s).", folder.path.name, cache_key[:12])
        return cached

    def _make(
        self,
        node: StageNode,
        seed: int,
        stage_input: StageInput,
        cache_key: str,
        add_notes: Callable[[StageResult], None],
        on_fraction: Callable[[float], None],
    ) -> None:
        """Run the stage, move its result into the run folder and keep it in the cache."""
        self.before_work()
        key = stage_key(self.context.pipeline, node.id, seed)
        self._finished.tell(key, node.title, cache_key)
        folder = self.context.run.stage_folder(key)
        _log.info("Stage %s is not in the cache (%s) and is made.", key, cache_key[:12])
        scratch = self.context.run.scratch / key
        new_folder = StageFolder(scratch / "made")
        shutil.rmtree(new_folder.path, ignore_errors=True)
        new_folder.path.mkdir(parents=True)
        if isinstance(node.stage, ModelStage):
            context = self.model_context(node, seed, stage_input, cache_key, scratch, on_fraction)
            if together(self.context, node):
                cut_at = made_by_ranks(self.context, context, node.id, new_folder)
            else:
                cut_at = self.make_network(node, stage_input, context, new_folder, add_notes)
            if cut_at is not None:  # a person's "finish now" is part of what made this result
                self._finished.remember(cache_key, new_folder.outcome.notes)
                cache_key = make_key({"key": cache_key, "cut_at": cut_at})
        else:
            self._make_file(node, seed, stage_input, cache_key, scratch, new_folder, on_fraction)
        seal_folder(new_folder.path, made_from=self.made_from(node, seed, stage_input))
        put_in_place(new_folder.path, folder.path)
        self._store.put(cache_key, folder.path)
        shutil.rmtree(scratch, ignore_errors=True)

    def settled(
        self, node: StageNode, seed: int, stage_input: StageInput
    ) -> tuple[StageNode, Callable[[StageResult], None]]:
        """The stage with the decisions that depend on timing taken, as they enter its key.

        Returns: the stage, and a function that adds to its result how they were taken.
        """
        undecided = node
        node, trial = self._precisions.settled(node, seed, stage_input)
        scratch = self.context.run.scratch / f"{node.id}-settling"

        def context() -> StageContext:
            scratch.mkdir(parents=True, exist_ok=True)
            key = self.cache_key(undecided, seed, stage_input)
            return self.model_context(node, seed, stage_input, key, scratch, lambda fraction: None)

        node, latency = self._latency_targets.settled(
            node, seed, stage_input, context, lambda: self.cache_key(undecided, seed, stage_input)
        )
        shutil.rmtree(scratch, ignore_errors=True)

        def add_notes(result: StageResult) -> None:
            if trial is not None:
                add_trial_note(result, trial)
            if latency is not None:
                latency.write_to(result)

        return node, add_notes

    def model_context(
        self,
        node: StageNode,
        seed: int,
        stage_input: StageInput,
        cache_key: str,
        scratch: Path,
        on_fraction: Callable[[float], None],
    ) -> StageContext:
        """What a model stage of this run is given."""
        from core.models.checkpoint import network_of

        context = self.context
        if stage_input.checkpoint is None or stage_input.preprocess is None:
            raise EspalierError(
                f"The stage {node.id!r} changes a network, and there is only a file before it.",
                "Put it before the stages that work on the exported file.",
            )
        preprocess = stage_input.preprocess
        data = context.pipeline.data
        return StageContext(
            stage=stage_key(context.pipeline, node.id, seed), seed=seed, key=cache_key, device=context.device,
            network=network_of(stage_input.checkpoint), data=context.data, preprocess=preprocess,
            augmentation=data.augmentation, balance=data.balance, scratch=scratch, control=context.control,
            emit=context.emit, on_fraction=on_fraction, compiled=context.compiled, resumes=not context.rehearsal,
            reference=lambda reference: self.inputs.reference(reference, seed, preprocess, context.device),
        )  # fmt: skip

    def make_network(
        self,
        node: StageNode,
        stage_input: StageInput,
        context: StageContext,
        new_folder: StageFolder | None,
        add_notes: Callable[[StageResult], None],
    ) -> int | None:
        """Run a stage and write its network into a folder; the step at which a person finished it, if one did.

        Args:
            new_folder: None writes nothing, where another process does.
        """
        from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
        from core.profiling.counting import count_parameters

        assert stage_input.checkpoint is not None and isinstance(node.stage, ModelStage)
        model = load_checkpoint(stage_input.checkpoint).model
        context.control.take_finish_stage()  # asked when the stage before had done its last step
        result = node.stage.run(model, node.parameters, context)
        add_notes(result)
        if new_folder is None:
            return result.cut_at
        facts = {"stage": node.id, "kind": node.kind, "key": context.key, **result.facts}
        checkpoint = Checkpoint(
            result.model.cpu(), context.network, context.preprocess, self.context.data.classes, facts
        )
        save_checkpoint(new_folder.checkpoint, checkpoint)
        new_folder.write_outcome(StageOutcome(
            notes=result.notes, skipped=result.skipped, facts=result.facts, history=result.history,
            training_seconds=result.training_seconds, **count_parameters(checkpoint.model),
            deployed=_take_file(result.deployed, new_folder) if result.deployed is not None else None,
        ))  # fmt: skip
        return result.cut_at

    def _make_file(
        self,
        node: StageNode,
        seed: int,
        stage_input: StageInput,
        cache_key: str,
        scratch: Path,
        new_folder: StageFolder,
        on_fraction: Callable[[float], None],
    ) -> None:
        run = self.context
        assert stage_input.file is not None and isinstance(node.stage, DeploymentStage)
        started = time.monotonic()
        key = stage_key(run.pipeline, node.id, seed)
        tell = _saying_steps(lambda text: run.emit(PhaseStarted(key, "make", text)), on_fraction)
        context = DeployContext(
            stage=key, seed=seed, key=cache_key, target=scratch / "file.onnx",
            scratch=scratch, control=run.control, emit=run.emit,
            data=run.access,
            job=lambda job, arguments: run.tool.call(job, arguments, run.control, tell),
        )  # fmt: skip
        result = node.stage.deploy(stage_input.file, node.parameters, context)
        before = self._parameters_before(node, seed, stage_input)
        new_folder.write_outcome(StageOutcome(
            notes=result.notes, skipped=result.skipped, facts=result.facts,
            training_seconds=result.seconds or time.monotonic() - started,
            params=before["params"], nonzero_params=before["nonzero_params"], deployed=_take_file(result.file, new_folder),
        ))  # fmt: skip

    def _parameters_before(self, node: StageNode, seed: int, stage_input: StageInput) -> dict[str, int]:
        """Parameters of the network that a file stands for: quantization removes none.

        Counted on the file where a person gave no more than the file.
        """
        parent = self.context.pipeline.parent(node)
        if parent in self.context.pipeline.stage_ids:
            before = self.context.run.stage_folder(stage_key(self.context.pipeline, parent, seed)).outcome
            return {"params": before.params, "nonzero_params": before.nonzero_params}
        arguments = {"model": str(stage_input.file), "input_size": self.context.data.size[0]}
        counted = self.context.tool.call(count, arguments, self.context.control)
        return counted

    def cache_key(self, node: StageNode, seed: int, stage_input: StageInput) -> str:
        """Everything that makes a stage's result what it is, hashed; threads only where they do."""
        on_cpu = not isinstance(node.stage, ModelStage) or self.context.device == "cpu"
        threads = {"threads": self.context.threads} if node.stage.threaded and on_cpu else {}
        return make_key({**self._key_parts(node, seed, stage_input), **threads})

    def _cache_key_of_before(self, node: StageNode, seed: int, stage_input: StageInput) -> str:
        """The same as versions up to 0.1.0 hashed it: threads in every key."""
        parts = self._key_parts(node, seed, stage_input)
        return make_key({**parts, "threads": self.context.threads})

    def _key_parts(self, node: StageNode, seed: int, stage_input: StageInput) -> dict[str, Any]:
        context, parameters = self.context, node.parameters
        references = node.stage.references(parameters)
        settings = parameters.for_key()
        return {
            "stage": node.kind,
            "version": node.stage.version,
            "settings": {name: value for name, value in settings.items() if name not in references},
            "data": context.data.fingerprint,
            "seed": seed,
            **(
                {**self._network_parts(stage_input), **self._ranks_part(node)}
                if isinstance(node.stage, ModelStage)
                else {name: version(name) for name in ("onnx", "onnxruntime")}
            ),
            **node.stage.versions(parameters),
            **self.made_from(node, seed, stage_input),
        }

    def made_from(self, node: StageNode, seed: int, stage_input: StageInput) -> dict[str, Any]:
        """The hashes of the network or file that a stage continues, and of the networks that it refers to."""
        from core.models.checkpoint import content_hash

        if not isinstance(node.stage, ModelStage):
            assert stage_input.file is not None
            return {"input": digest_of(intact(stage_input.file))}
        references = node.stage.references(node.parameters)
        return {
            "input": content_hash(stage_input.checkpoint) if stage_input.checkpoint else "",
            "references": {
                name: content_hash(self.inputs.reference_folder(value, seed))
                for name, value in references.items()
            },
        }

    def _ranks_part(self, node: StageNode) -> dict[str, Any]:
        """How many processes train the stage: their sums differ in the last digits."""
        return {"processes": self.context.processes} if together(self.context, node) else {}

    def _network_parts(self, stage_input: StageInput) -> dict[str, Any]:
        import torch

        from core.training.precision import resolve_precision

        context = self.context
        on_gpu = context.device != "cpu"
        return {
            **({} if context.deterministic or not on_gpu else {"deterministic": False}),
            **({"compiled": True} if context.compiled else {}),
            "preprocess": stage_input.preprocess.as_dict() if stage_input.preprocess else {},
            "augmentation": context.pipeline.data.augmentation.for_key(),
            "balance": context.pipeline.data.balance,
            "device": context.device.split(":")[0],
            "mixed": resolve_precision("mixed", context.device).name,
            "torch": torch.__version__,
        }


def _take_file(file: DeployedFile, new_folder: StageFolder) -> OwnFile:
    """Move a stage's file to where it stays; its name is its precision."""
    new_folder.deployed.mkdir(exist_ok=True)
    file.path.replace(new_folder.deployed_as(file.precision))
    return OwnFile(precision=file.precision, label=file.label)


def _saying_steps(
    say: Callable[[str], None],
    on_fraction: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> ProgressCallback:
    """A callback for a job's progress that passes on how far it is, and now and then in which step."""
    said, last = "", -_SAID_EVERY

    def progress(fraction: float, text: str) -> None:
        nonlocal said, last
        if text != said and clock() - last >= _SAID_EVERY:
            said, last = text, clock()
            say(text)
        on_fraction(fraction)

    return progress
