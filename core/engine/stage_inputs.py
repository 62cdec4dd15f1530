"""What a stage is given: the networks and files that a pipeline starts from, and those it refers to.

Everything from outside is copied into the run folder first and named by where it came from, so
that a run goes on with the same files even when the originals change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.content_hashes import DAMAGED, manifest_of, seal_folder
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import copy_file, folder_beside, written_beside
from core.common.paths import existing, resolved
from core.common.placeholder_files import refuse_stand_in
from core.data.access import DataAccess
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.document.pipeline import Pipeline, SourceNode, StageNode, is_path
from core.document.stage_keys import stage_key
from core.machine.child import Child
from core.models.checkpoint_description import files_of, read_architecture
from core.models.checkpoint_files import INDEX, SAFETENSORS, checkpoint_at
from core.onnx_graph.reading import copy_whole
from core.records.events import Listener
from core.runs.cache import CacheUser, Measurements, Store
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.sources.base import MakeContext, StageInput

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class RunContext:
    """What making and evaluating stages needs besides the stage: one per run.

    Attributes:
        device: "cpu", "cuda" or "cuda:N". threads: of training and of PyTorch.
        tool: the child that exports, quantizes and predicts.
        core_watts: power of one busy core, for estimates of energy.
        caches: how this run uses the caches.
        images: folder of decoded images; None: the home's.
        rehearsal: stages time no networks to decide something, trainings keep no states to go on from, and files
            are those of hardly trained networks.
        deterministic, processes, compiled: as of `Options`.
    """

    run: RunFolder
    home: Home
    pipeline: Pipeline
    data: ImageData
    device: str
    threads: int
    control: RunControl
    emit: Listener
    tool: Child
    core_watts: float
    rehearsal: bool = False
    caches: CacheUser = field(default_factory=CacheUser)
    images: Path | None = None
    deterministic: bool = True
    processes: int = 1
    compiled: bool = False

    @property
    def access(self) -> DataAccess:
        """The data set, as child processes open it: the images that this process opened."""
        cache = self.images or self.home.data
        return DataAccess(self.pipeline.data, cache, self.run.base, self.threads, self.data.opened)

    def store(self, name: str) -> Store:
        """One of the caches of stages, by the name of its folder."""
        return Store(self.home.cache / name, self.caches)

    @property
    def measurements(self) -> Measurements:
        """What was measured on this machine."""
        return Measurements(self.home.cache / "measurements", self.caches)


LARGEST_INPUT = 20_000_000_000
"""Bytes of a file that is copied into a run; the largest published image classifiers have half of it."""


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    if size > LARGEST_INPUT:
        raise EspalierError(
            f"Expected weights or a model of at most {LARGEST_INPUT / 1e9:g} GB, {file} has {size / 1e9:.3g} GB.",
            "Pick the file again.",
        )


class StageInputs:
    """Finds, makes and pins the inputs of one run's stages."""

    def __init__(self, context: RunContext):
        self.context = context
        self.run, self.pipeline, self.data = context.run, context.pipeline, context.data

    def stage_input(self, node: StageNode, seed: int) -> StageInput:
        """What `node` continues: the stage before it, or its source.

        A deployment stage continues the float32 export of a network, or the file before it.
        """
        source = self._source(self.pipeline.root(node), seed)
        parent = self.pipeline.parent(node)
        if parent not in self.pipeline.stage_ids:
            return source
        folder = self.run.stage_folder(stage_key(self.pipeline, parent, seed))
        return StageInput(
            source.preprocess,
            folder.network,
            folder.deployed_file or folder.artefacts.float32,
            folder.artefacts.network_logits,
        )

    def reference_folder(self, reference: str, seed: int) -> Path:
        """The checkpoint that a setting names: a stage's id, or a folder of one or of a stage."""
        if is_path(reference):
            return self.pin(checkpoint_at(reference, self.run.base))
        return self.run.stage_folder(stage_key(self.pipeline, reference, seed)).checkpoint

    def take_all(self) -> None:
        """Copy what later stages need from outside, and open what the pipeline starts from.

        What is missing or does not fit is noticed before the first stage begins, and not after hours.

        Raises:
            EspalierError: when a file is missing, or a network does not fit.
        """
        seed = self.pipeline.axes.seed[0]
        roots = {self.pipeline.root(node).id: self.pipeline.root(node) for node in self.pipeline.active}
        for root in roots.values():
            self._source(root, seed)
        for node in self.pipeline.active:
            for reference in node.stage.references(node.parameters).values():
                if is_path(reference):
                    folder = self.reference_folder(reference, seed)
                    self._check_classes(reference, read_architecture(folder)["classes"])

    def _check_classes(self, reference: str, classes: Sequence[str]) -> None:
        if sorted(classes) != sorted(self.data.classes):
            raise EspalierError(
                f"The network {reference!r} was trained on other classes ({', '.join(classes[:4])}, …) "
                f"than the data set has ({', '.join(self.data.classes[:4])}, …).",
                "Choose a teacher that was trained on the same classes.",
            )

    def reference(self, reference: str, seed: int, preprocess: Preprocess, device: str) -> "nn.Module":
        """Another network, which takes images prepared by `preprocess` and answers in this data's order.

        Raises:
            EspalierError: when it was trained on other classes.
        """
        from core.models.checkpoint import load_checkpoint
        from core.training.distillation import Translated

        checkpoint = load_checkpoint(self.reference_folder(reference, seed), device)
        self._check_classes(reference, checkpoint.classes)
        if (checkpoint.preprocess, checkpoint.classes) == (preprocess, self.data.classes):
            return checkpoint.model
        order = [checkpoint.classes.index(name) for name in self.data.classes]
        return Translated(checkpoint.model, preprocess, checkpoint.preprocess, order)

    def pin(self, path: Path) -> Path:
        """A copy in `inputs/` of a file or a checkpoint's folder from outside, named by where it lies.

        Raises:
            EspalierError: when there is nothing at the path, or something else.
        """
        original = resolved(path, self.run.base)
        name = hashlib.sha256(str(original).encode()).hexdigest()[:12]
        for copy in (self.run.folder / "inputs").glob(f"{name}-*"):
            if not copy.name.endswith(DAMAGED):
                return copy
        existing(path, self.run.base)
        copy = self.run.folder / "inputs" / f"{name}-{original.name}"
        if original.is_dir():
            files = files_of(original)  # before anything is copied: it may be any folder
            with folder_beside(copy) as part:
                for file in files:
                    copy_file(file, part / file.name)
        elif original.suffix.casefold() == ".onnx":
            refuse_stand_in(original, "an ONNX file")
            _check_size(original)
            with written_beside(copy) as part:
                copy_whole(original, part)
        elif original.name.endswith(INDEX):
            from core.models.weight_files import merge

            copy = copy.with_name(f"{copy.name.removesuffix(INDEX)}{SAFETENSORS}")
            with written_beside(copy) as part:
                merge(original, part)
        else:
            refuse_stand_in(original, "a file to start from")
            _check_size(original)
            copy_file(original, copy)
        seal_folder(copy.parent)
        return copy

    def _source(self, node: SourceNode, seed: int) -> StageInput:
        """What a root gives, made when it is not there yet."""
        context, folder = self.context, self.run.folder / "sources"
        made = node.source.make(node.parameters, MakeContext(
            base=self.run.base, data=self.data, data_settings=self.pipeline.data, seed=seed, id=node.id,
            folder=folder, access=context.access, tool=context.tool,
            control=context.control, emit=context.emit, pin=self.pin,
        ))  # fmt: skip
        for place in folder.glob(f"{node.id}*"):
            if place.is_dir() and not place.name.endswith(DAMAGED) and manifest_of(place) is None:
                seal_folder(place)
        return made
