"""The base classes of sources and their contexts. Readable without torch; sources import it inside methods.

Two families. A *network source* opens a PyTorch network: it implements `open`, and the rest follows. A *file
source* names an ONNX file, which deployment stages continue. A kind that implements no more than that works
everywhere; its figures are then known after the run.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from core.common.content_hashes import read_sealed, write_sealed
from core.common.control import RunControl
from core.common.declarations import declarations, value_at
from core.common.errors import EspalierError, Problem
from core.common.logs import passed_over
from core.common.params import Params
from core.data.access import DataAccess
from core.data.image_data import ImageData
from core.data.inspection import Applied
from core.data.preprocess import Normalisation, Preprocess, make_preprocess, resolve_normalisation
from core.data.settings import DataSettings
from core.deploy.received_onnx import Form, Reading
from core.machine.child import Child
from core.models.forecast import Forecast, Network, RecentCache, StageForecast, TimedNetwork
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.records.events import Listener, Note

if TYPE_CHECKING:
    from core.models.classifier import ImageClassifier

_log = logging.getLogger(__name__)

_SHOWN = 2  # settings of a kind that names no path, in a summary


@dataclass(frozen=True, slots=True)
class StageInput:
    """What a stage continues; one of `checkpoint` and `file` is there.

    Attributes:
        checkpoint: folder of the network before.
        file: the ONNX file before: a network's export, or a file that a person gave.
        logits: .npy [n, k] on the test split of the float network that `file` stands for.
        preprocess: how images are prepared for it; None where only the file knows.
        notes: sentences on the source, where that is what the stage continues.
    """

    preprocess: Preprocess | None
    checkpoint: Path | None = None
    file: Path | None = None
    logits: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenContext:
    """The inputs for opening a source's network.

    Attributes:
        base: the folder that relative paths start from.
        data: the images. data_settings: the document's data section.
    """

    base: Path
    data: ImageData
    data_settings: DataSettings
    seed: int


@dataclass(frozen=True, slots=True)
class MakeContext(OpenContext):
    """The inputs of a source in a run.

    Attributes:
        id: the source's. folder: of the run's sources, where it leaves what it makes.
        access: the data set, as child processes open it.
        tool: the child that exports, quantizes and predicts.
        pin: a copy in the run folder of a file or folder from outside; raises `EspalierError` when there is none.
    """

    id: str
    folder: Path
    access: DataAccess
    tool: Child
    control: RunControl
    emit: Listener
    pin: Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class ForecastContext:
    """The inputs of a source's forecast.

    Attributes:
        data: the images, or why they are not known yet.
        recent: a cache of recent results, by key.
        counted: gives the forecast of a network that can be built, from: the hash of what it is built from; a
            function that builds it without weights; a function that builds it to be timed.
    """

    id: str
    base: Path
    data: ImageData | str
    data_settings: DataSettings
    seeds: tuple[int, ...]
    recent: RecentCache
    counted: Callable[[str, Callable[[], Network], Callable[[], TimedNetwork]], StageForecast]

    def unknown(self, remark: str = "Known after the run.") -> StageForecast:
        """No figure; `remark` says why."""
        return StageForecast(Forecast(self.id, "", remark=remark))


@dataclass(frozen=True, slots=True)
class OpenedNetwork:
    """A network that a source opened.

    Attributes:
        network: what stands for its architecture in checkpoints: what its backbone's factory needs.
        notes: sentences for the report.
    """

    model: "ImageClassifier"
    network: BackboneSettings
    preprocess: Preprocess
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Offer:
    """A value that a form offers for a setting."""

    value: str
    title: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Offers:
    """Values that a form offers for a setting that takes others too.

    Attributes:
        others: a sentence on what else can be entered.
    """

    values: tuple[Offer, ...]
    others: str


S = TypeVar("S", bound=Params)


class Source(ABC, Generic[S]):
    """A kind of source.

    Attributes:
        id: stable name in pipeline files.
        help: a sentence for the editor. icon: one of `resources/icons`.
        Settings: the one declaration of its parameters.
        checkpoint_setting: the setting that may name a checkpoint of a finished run, which a form then offers.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    icon: ClassVar[str] = "network"
    Settings: ClassVar[type[Params]]
    checkpoint_setting: ClassVar[str] = ""

    @abstractmethod
    def make(self, settings: S, context: MakeContext) -> StageInput:
        """What a stage of a run continues, made when it is not there yet.

        Raises:
            EspalierError: when it cannot be made.
        """

    def check(self, settings: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with settings as they stand in a file, beside what their declaration finds."""
        return []

    def facts(self, settings: S, image_size: int | None) -> NetworkFacts:
        """What is known of its network before anything runs."""
        return NetworkFacts(None, image_size=image_size)

    def facts_when_built(self, settings: S, image_size: int) -> NetworkFacts | None:
        """Facts that need the built network; None where `facts` is complete.

        A run checks them before its first stage.
        """
        return None

    def warnings(self, settings: S, images: int) -> list[str]:
        """What a reader has to know before believing an accuracy after training on so many images."""
        return []

    def forecast(self, settings: S, context: ForecastContext) -> StageForecast:
        """What it would give, before anything runs.

        Raises:
            EspalierError: when it cannot be given.
        """
        return context.unknown()

    def normalisation(self, settings: S) -> Normalisation | None:
        """What images are normalised by where the data section says "auto"; None: by their own statistics."""
        return None

    def applied(self, name: str, settings: S, data_settings: DataSettings, data: ImageData) -> Applied | None:
        """What its network's images will be normalised with; None where only the network or file itself says it.

        Args:
            name: what a person calls the source; may be empty.
        """
        return None

    def summary(self, settings: Mapping[str, Any]) -> list[str]:
        """What was chosen, as it stands in a file, in a few parts; empty where nothing is."""
        fields = declarations(self.Settings)
        path = next((field.name for field in fields if field.path), "")
        if path:
            return [str(settings[path])] if settings.get(path) else []
        return [f"{field.label}: {value_at(settings, field)}" for field in fields[:_SHOWN]]

    def licence(self, settings: S) -> str:
        """A sentence of the model card about the weights that training started from."""
        return "Weights: trained on from a file that you gave; its licence is not known to Espalier."

    def offers(self) -> dict[str, Offers]:
        """Values that a form offers, by setting."""
        return {}

    def pinned(self, settings: S, pin: Callable[[Path], Path]) -> S:
        """The settings with every path in force replaced by a copy in the run folder."""
        values = settings.model_dump()
        changed = {
            field.name: str(pin(Path(values[field.name])))
            for field in declarations(self.Settings)
            if field.path and values[field.name] and (field.when is None or field.when.holds(values))
        }
        return settings.model_copy(update=changed)


class NetworkSource(Source[S]):
    """A source that opens a PyTorch network."""

    @abstractmethod
    def open(self, settings: S, context: OpenContext) -> OpenedNetwork:
        """The network.

        Raises:
            EspalierError: when it cannot be opened, or does not fit the data.
        """

    def make(self, settings: S, context: MakeContext) -> StageInput:
        from core.models.checkpoint import Checkpoint, preprocess_of, save_checkpoint
        from core.models.checkpoint_files import is_checkpoint

        folder = context.folder / f"{context.id}@{context.seed}"
        notes = context.folder / f"{context.id}@{context.seed}.notes.json"
        if not is_checkpoint(folder):
            opened = self.open(self.pinned(settings, context.pin), context)
            for note in opened.notes:
                context.emit(Note("", "info", note))
            write_sealed(notes, {"notes": opened.notes})
            checkpoint = Checkpoint(opened.model, opened.network, opened.preprocess, context.data.classes)
            save_checkpoint(folder, checkpoint)
        return StageInput(preprocess_of(folder), folder, notes=read_notes(notes))

    def applied(self, name: str, settings: S, data_settings: DataSettings, data: ImageData) -> Applied | None:
        published = self.normalisation(settings)
        return Applied(
            name or self.title, resolve_normalisation(data_settings.normalisation, data, published)
        )

    def prepare(self, settings: S, context: OpenContext) -> Preprocess:
        """How images are prepared for the network."""
        return make_preprocess(context.data_settings, context.data, self.normalisation(settings))


class FileSource(Source[S]):
    """A source that names an ONNX file."""

    @abstractmethod
    def file(self, settings: S, base: Path) -> Path:
        """The file.

        Raises:
            EspalierError: when there is none.
        """

    @abstractmethod
    def reading(self, settings: S) -> Reading:
        """How the file is to be read."""

    def make(self, settings: S, context: MakeContext) -> StageInput:
        """The file in the usual form, with its own logits as the reference for later files."""
        from core.deploy.artefact_folder import ArtefactFolder
        from core.deploy.artefacts import ToolCalls, receive_onnx, verify_onnx
        from core.onnx_graph.class_names import names_beside

        original = self.file(self.pinned(settings, context.pin), context.base)
        folder, tool = context.folder / context.id, ToolCalls(context.tool, context.control)
        folder.mkdir(parents=True, exist_ok=True)
        described, notes = folder / "described.onnx", folder / "notes.json"
        file = described if described.is_file() else original
        if not ArtefactFolder(folder).logits(file.stem).is_file():
            if file == original:
                reading = self.reading(settings)
                with passed_over(_log, "Nothing beside the original is read", EspalierError):
                    beside = names_beside(self.file(settings, context.base))  # the copy has no neighbours
                    reading = replace(reading, beside=tuple(beside))
                file, found = receive_onnx(tool, original, described, context.access, reading)
                write_sealed(notes, {"notes": found})
                for note in found:
                    context.emit(Note("", "info", note))
            verify_onnx(tool, file, context.access, folder, name=self.reading(settings).name)
        logits = ArtefactFolder(folder).logits(file.stem)
        return StageInput(None, file=file, logits=logits, notes=read_notes(notes))

    def form(self, settings: S, base: Path, classes: int) -> Form:
        """What the file is, read from its graph alone.

        Raises:
            EspalierError: when it is no image classifier for so many classes.
        """
        from core.deploy.received_onnx import usual_form

        reading = self.reading(settings)
        return usual_form(self.file(settings, base), classes, reading.output, reading.name)

    def forecast(self, settings: S, context: ForecastContext) -> StageForecast:
        """Counted on the file itself, in the usual form."""
        from core.profiling.counting import count_graph

        file, reading = self.file(settings, context.base), self.reading(settings)
        if isinstance(context.data, str):
            return context.unknown(context.data)
        form = self.form(settings, context.base, len(context.data.classes))
        size = reading.preprocess.size if reading.preprocess is not None else min(context.data.size)
        counts = count_graph(form.model, form.images.size or size)
        forecast = Forecast(
            context.id, "", counts["params"], counts["macs"], file.stat().st_size,
            "unknown" if counts["uncounted"] else "exact",
        )  # fmt: skip
        return StageForecast(forecast, f"file {file}")

    def applied(self, name: str, settings: S, data_settings: DataSettings, data: ImageData) -> Applied | None:
        prepare = self.reading(settings).preprocess
        return Applied(name or self.title, (prepare.mean, prepare.std)) if prepare else None


def read_notes(file: Path) -> tuple[str, ...]:
    """The sentences on a source that were written when it was made; none where there is no such file.

    Raises:
        DamagedError: when it does not hold what was written.
    """
    return tuple(str(note) for note in read_sealed(file)["notes"]) if file.is_file() else ()
