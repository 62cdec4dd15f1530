"""What a stage is given: the networks and files that a pipeline starts from, and those it refers to.

Everything from outside is copied into the run folder first and named by where it came from, so
that a run goes on with the same files even when the originals change.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.data.access import DataAccess
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess, make_preprocess
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.artefacts import ToolCalls, verify_onnx
from core.deploy.export import described_copy
from core.document.pipeline import Pipeline, SourceNode, StageNode, is_path
from core.document.stage_keys import stage_key
from core.machine.child import Child
from core.machine.trusted_files import TrustList
from core.models.catalogue import backbone
from core.models.checkpoint_files import is_checkpoint
from core.models.onnx_source import OnnxSettings
from core.models.python_source import PythonSettings, open_python
from core.models.settings import BackboneSettings, CheckpointSettings
from core.records.events import Listener, Note
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_folder import StageFolder

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class RunContext:
    """What making and evaluating stages needs besides the stage: one per run.

    Attributes:
        device: "cpu", "cuda" or "cuda:N". threads: of training and of PyTorch.
        tool: the child that exports, quantizes and predicts.
        core_watts: power of one busy core, for estimates of energy.
        times: whether stages may time networks to decide something; a rehearsal does not.
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
    times: bool = True

    @property
    def access(self) -> DataAccess:
        """The data set, as child processes open it."""
        return DataAccess(self.pipeline.data, self.home.data, self.run.base, self.threads)


@dataclass(frozen=True, slots=True)
class StageInput:
    """What a stage continues; one of `checkpoint` and `file` is there.

    Attributes:
        checkpoint: folder of the network before.
        file: the ONNX file before: a network's export, or a file that a person gave.
        logits: .npy [n, k] on the test split of the float network that `file` stands for.
        preprocess: how images are prepared for it; None where only the file knows.
    """

    preprocess: Preprocess | None
    checkpoint: Path | None = None
    file: Path | None = None
    logits: Path | None = None


class StageInputs:
    """Finds, makes and pins the inputs of one run's stages."""

    def __init__(self, context: RunContext):
        self.context = context
        self.run, self.pipeline, self.data = context.run, context.pipeline, context.data

    def given(self, node: StageNode, seed: int) -> StageInput:
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
            inside = StageFolder(Path(reference)).checkpoint
            held = is_checkpoint(self.run.base / inside.expanduser())
            return self.pin(inside if held else Path(reference))
        return self.run.stage_folder(stage_key(self.pipeline, reference, seed)).checkpoint

    def reference(self, reference: str, seed: int, preprocess: Preprocess, device: str) -> "nn.Module":
        """Another network, which takes images prepared by `preprocess` and answers in this data's order.

        Raises:
            EspalierError: when it was trained on other classes.
        """
        from core.models.checkpoint import load_checkpoint
        from core.training.distillation import Translated

        other = load_checkpoint(self.reference_folder(reference, seed), device)
        if sorted(other.classes) != sorted(self.data.classes):
            raise EspalierError(
                f"The network {reference!r} was trained on other classes ({', '.join(other.classes[:4])}, …) "
                f"than the data set has ({', '.join(self.data.classes[:4])}, …).",
                "Choose a teacher that was trained on the same classes.",
            )
        if (other.preprocess, other.classes) == (preprocess, self.data.classes):
            return other.model
        order = [other.classes.index(name) for name in self.data.classes]
        return Translated(other.model, preprocess, other.preprocess, order)

    def pin(self, path: Path) -> Path:
        """A copy in `inputs/` of a file or folder from outside, named by where it lies.

        Raises:
            EspalierError: when there is nothing at the path.
        """
        original = self.run.base / path.expanduser()
        name = hashlib.sha256(str(original).encode()).hexdigest()[:12]
        for copy in (self.run.folder / "inputs").glob(f"{name}-*"):
            return copy
        if not original.exists():
            raise EspalierError(
                f"Expected a file or folder at {original}, found none.", "Correct the path in the pipeline."
            )
        copy = self.run.folder / "inputs" / f"{name}-{original.name}"
        part = copy.with_name(f".{copy.name}")
        shutil.rmtree(part, ignore_errors=True)
        if original.is_dir():
            shutil.copytree(original, part)
        else:
            shutil.copyfile(original, part)
        part.rename(copy)
        return copy

    def _source(self, node: SourceNode, seed: int) -> StageInput:
        """What a root gives, made when it is not there yet."""
        match node.parameters:
            case CheckpointSettings() as settings:
                return self._checkpoint(node, settings)
            case OnnxSettings() as settings:
                return self._onnx(node, settings)
            case BackboneSettings() as settings:
                return self._backbone(node, settings, seed)
            case PythonSettings() as settings:
                return self._python(node, settings, seed)
        raise TypeError(f"a source of unknown kind {node.kind!r}")

    def _checkpoint(self, node: SourceNode, settings: CheckpointSettings) -> StageInput:
        from core.models.checkpoint import load_checkpoint

        folder = self.pin(Path(settings.path))
        found = load_checkpoint(folder)
        if found.classes != self.data.classes:
            raise EspalierError(
                f"The checkpoint of {node.id!r} was made for other classes ({', '.join(found.classes[:4])}, …) "
                f"than the data set has ({', '.join(self.data.classes[:4])}, …).",
                "Choose the data set that it was trained on.",
            )
        return StageInput(found.preprocess, folder)

    def _onnx(self, node: SourceNode, settings: OnnxSettings) -> StageInput:
        """A person's ONNX file, with its own answers as what later files are held against."""
        file = self.pin(Path(settings.path))
        folder = self.run.folder / "sources" / node.id
        folder.mkdir(parents=True, exist_ok=True)
        prepare = settings.preprocess()
        if prepare is not None:  # from here on the file says it itself
            described = folder / "described.onnx"
            if not described.is_file():
                arguments = {
                    "source": str(file),
                    "target": str(described),
                    "preprocess": prepare,
                    "classes": list(self.data.classes),
                }
                tool, control = self.context.tool, self.context.control
                tool.call(described_copy, arguments, control)
            file = described
        logits = ArtefactFolder(folder).logits(file.stem)
        if not logits.is_file():
            verify_onnx(ToolCalls(self.context.tool, self.context.control), file, self.context.access, folder)
        return StageInput(None, file=file, logits=logits)

    def _backbone(self, node: SourceNode, settings: BackboneSettings, seed: int) -> StageInput:
        from core.models.checkpoint import Checkpoint, save_checkpoint
        from core.models.source import build_network

        folder = self.run.folder / "sources" / f"{node.id}@{seed}"
        chosen = backbone(settings.backbone)
        preprocess = make_preprocess(
            self.pipeline.data, self.data, chosen.normalisation if settings.weights != "random" else None
        )
        chosen.check_size(preprocess.size)
        if not is_checkpoint(folder):
            model, notes = build_network(
                self._pinned_weights(settings), len(self.data.classes), self.run.base, seed, preprocess.size
            )
            for note in notes:
                self.context.emit(Note("", "info", note))
            save_checkpoint(folder, Checkpoint(model, _without_file(settings), preprocess, self.data.classes))
        return StageInput(preprocess, folder)

    def _python(self, node: SourceNode, settings: PythonSettings, seed: int) -> StageInput:
        """A person's own network, from their file, when they said that they trust it."""
        from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
        from core.models.python_network import build_python

        if (self.run.base / Path(settings.path).expanduser()).is_file():
            open_python(settings, self.run.base, TrustList.default())  # a refusal names the person's own file
        pinned = settings.model_copy(update={
            "path": str(self.pin(Path(settings.path))),
            "weights_file": str(self.pin(Path(settings.weights_file))) if settings.weights_file else "",
        })  # fmt: skip
        folder = self.run.folder / "sources" / f"{node.id}@{seed}"
        network = open_python(pinned, self.run.base, TrustList.default())
        preprocess = make_preprocess(self.pipeline.data, self.data, settings.normalise())
        if is_checkpoint(folder):
            return StageInput(load_checkpoint(folder).preprocess, folder)
        classes = len(self.data.classes)
        model, notes = build_python(pinned, network, classes, self.run.base, seed, preprocess.size)
        for note in notes:
            self.context.emit(Note("", "info", note))
        save_checkpoint(folder, Checkpoint(model, network, preprocess, self.data.classes))
        return StageInput(preprocess, folder)

    def _pinned_weights(self, settings: BackboneSettings) -> BackboneSettings:
        """The settings with the weights file replaced by its copy in the run folder."""
        if settings.weights != "file":
            return settings
        return settings.model_copy(update={"weights_file": str(self.pin(Path(settings.weights_file)))})


def _without_file(settings: BackboneSettings) -> BackboneSettings:
    """The architecture's part of the settings: what the factory needs, not where weights came from."""
    return settings.model_copy(update={"weights": "random", "weights_file": "", "fresh_head": False})
