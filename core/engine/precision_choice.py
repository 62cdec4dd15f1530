"""Which precision trains a stage: tried before it runs where its setting says "auto", and written down.

The decision becomes part of the stage's settings before they enter its cache key. It is stored in
the run folder (`precision_trials.json`, by the stage's id, the same for every seed), so that a resumed
run keeps it, and in the cache, so that another run of the same stage decides the same.
"""

from typing import TYPE_CHECKING, Any

from core.document.pipeline import StageNode
from core.document.stage_keys import stage_key
from core.engine.stage_inputs import RunContext
from core.machine.measuring_lock import measuring_alone, saying_waits
from core.models.memory_format import to_channels_last
from core.records.events import PhaseStarted
from core.runs.timing_decisions import TimingDecisions
from core.sources.base import StageInput

if TYPE_CHECKING:
    from core.stages.result import StageResult
    from core.training.precision import PrecisionTrial

_VERSION = 1


class PrecisionChoices:
    """The precision decisions of one run."""

    def __init__(self, context: RunContext):
        self.context = context
        self._decisions = TimingDecisions(context.run.folder / "precision_trials.json", context.measurements)

    def settled(
        self, node: StageNode, seed: int, stage_input: StageInput
    ) -> "tuple[StageNode, PrecisionTrial | None]":
        """The stage with its precision decided, and the trial that decided, if there was one.

        Raises:
            Stopped: a person asked to stop during the trial.
        """
        if node.stage.precision(node.parameters) != "auto" or stage_input.checkpoint is None:
            return node, None
        from core.training.precision import PrecisionTrial, undecided

        if not undecided(self.context.device) or self.context.rehearsal:
            return _in_precision(node, "mixed"), None
        plain = self._decisions.taken(
            node.id,
            lambda: self._key(node, stage_input),
            lambda: self._try(node, seed, stage_input).as_dict(),
        )
        trial = PrecisionTrial(**plain)
        return _in_precision(node, trial.chosen), trial

    def _key(self, node: StageNode, stage_input: StageInput) -> dict[str, Any]:
        """What the speed of the stage's training depends on, besides the machine."""
        from core.models.checkpoint import content_hash

        return {
            "precision trial": _VERSION, "stage": node.kind, "settings": node.parameters.for_key(),
            "input": content_hash(stage_input.checkpoint) if stage_input.checkpoint else "",
            "preprocess": stage_input.preprocess.as_dict() if stage_input.preprocess else {}, "threads": self.context.threads,
        }  # fmt: skip

    def _try(self, node: StageNode, seed: int, stage_input: StageInput) -> "PrecisionTrial":
        """Train a few steps of a copy of the stage's network in either precision."""

        from core.data.batches import Batches, BatchForm, Draws
        from core.models.checkpoint import load_checkpoint
        from core.training.optimisers import make_optimiser
        from core.training.precision import try_precisions

        context, training = self.context, node.stage.training(node.parameters)
        assert (
            stage_input.checkpoint is not None and stage_input.preprocess is not None and training is not None
        )
        key = stage_key(context.pipeline, node.id, seed)
        context.emit(PhaseStarted(key, "trial", "Trying which precision is faster"))
        model = load_checkpoint(stage_input.checkpoint).model
        to_channels_last(model, context.device)
        batches = Batches(
            context.data, "train", stage_input.preprocess, BatchForm(training.batch_size, context.device, channels_last=True),
            Draws(seed, f"{key}/trial"), context.pipeline.data.augmentation,
        )  # fmt: skip
        images, labels = next(batches.epoch(1))
        tell = saying_waits(lambda text: context.emit(PhaseStarted(key, "trial", text)), lambda done: None)
        with measuring_alone(context.control, tell):
            return try_precisions(
                model,
                images,
                labels,
                lambda parameters: make_optimiser(parameters, training),
                context.control,
            )


def add_trial_note(result: "StageResult", trial: "PrecisionTrial") -> None:
    """Add to a trained stage's result how its precision was chosen."""
    from core.training.precision import resolve_precision

    if "trained_in" not in result.facts:
        return
    plain = resolve_precision(trial.chosen, "cpu").sentence
    result.notes = [trial.sentence if note == plain else note for note in result.notes]
    result.facts["precision_trial"] = trial.as_dict()


def _in_precision(node: StageNode, precision: str) -> StageNode:
    """The same stage with its setting decided."""
    settings = node.stage.in_precision(node.parameters, precision).model_dump(mode="json")
    return node.model_copy(update={"settings": settings})
