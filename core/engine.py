"""Runs a pipeline: stage after stage, cached, resumable; says what happens through events.

For each stage: look in the run folder, then in the cache; otherwise run it. The result is a
checkpoint; `evaluation` makes files of it, verifies and measures them; the report is written
and told. Killed at any moment, a run goes on with the epoch under way and ends with the same
weights, bit for bit on a CPU with the same number of threads.
"""

import hashlib
import json
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.analysis.report import run_report
from core.analysis.table import table_rows
from core.cache import Store, make_key
from core.control import RunControl
from core.data.preprocess import Preprocess, make_preprocess
from core.data.store import open_data
from core.errors import EspalierError, Stopped
from core.evaluation import Evaluator
from core.events import Event, Listener, Note, PhaseStarted, RunDone, RunStarted, StageDone, StageStarted
from core.models.catalogue import backbone
from core.models.settings import BackboneSettings, CheckpointSettings
from core.pipeline import Pipeline, SourceNode, StageNode, is_path
from core.profiling.machine import fingerprint
from core.progress import Meter
from core.reports import StageReport
from core.runs import Home, RunFolder, index_run, stage_key, stage_keys, write_atomically
from core.stages.base import ModelStage, StageContext, StageResult

if TYPE_CHECKING:
    from torch import nn

_FEW_IMAGES = 20_000  # a large network from random weights on fewer images learns next to nothing
_EVALUATION_WORK = 25_000  # images' worth of training: export, measuring


@dataclass(frozen=True, slots=True)
class Options:
    """What belongs to the machine and not to the pipeline.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        threads: of training and PyTorch; 0 takes one per physical core.
    """

    device: str = "auto"
    threads: int = 0

    def resolved(self) -> "Options":
        """With the device and the threads decided.

        Raises:
            EspalierError: when a GPU is asked for and there is none.
        """
        import psutil
        import torch

        threads = self.threads or psutil.cpu_count(logical=False) or 1
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EspalierError(
                "Expected an NVIDIA GPU, PyTorch finds none.", "Choose the device 'cpu', or check the driver."
            )
        return Options(device, threads)


class Engine:
    """One run of one pipeline in one run folder.

    Args:
        listeners: told every event, on the thread that runs; the run folder records them too.
    """

    def __init__(
        self,
        run: RunFolder,
        home: Home,
        options: Options | None = None,
        control: RunControl | None = None,
        *listeners: Listener,
    ):
        self.folder, self.home = run, home
        self.pipeline: Pipeline = run.pipeline
        self.options = options or Options()
        self.control = control or RunControl()
        self.listeners = listeners
        self._models = Store(home.cache / "models")

    def run(self) -> RunDone:
        """Work until completed, stopped or failed; never raises, the last event says how it ended."""
        started = time.monotonic()
        try:
            with self.folder.locked():
                done = self._guarded()
                seconds = time.monotonic() - started + self.folder.info.get("seconds", 0.0)
                self.folder.update_info(status=done.status, seconds=seconds, message=done.message)
                index_run(self.home, self.folder)
                self._emit(done)
        except EspalierError as error:
            done = RunDone("failed", error.message, error.advice, error.details)
            for listener in self.listeners:
                listener(done)
        return done

    def _guarded(self) -> RunDone:
        try:
            self._run()
        except Stopped:
            return RunDone(
                "stopped",
                "Stopped; every finished epoch is kept.",
                f"Go on with: espalier run --resume {self.folder.folder}",
            )
        except EspalierError as error:
            return RunDone("failed", error.message, error.advice, error.details)
        except Exception as error:
            return _unexpected(error)
        return RunDone("completed", f"All {len(stage_keys(self.pipeline))} stages are done.")

    def _run(self) -> None:
        self.options = self.options.resolved()
        keys = stage_keys(self.pipeline)
        names = tuple(node.title for _ in self.pipeline.axes.seed for node in self.pipeline.active)
        resumed = any(True for _ in self.folder.events())
        self._emit(
            RunStarted(
                self.folder.name, str(self.folder.folder), self.pipeline.name, tuple(keys), names, resumed
            )
        )
        self.folder.update_info(
            status="running", machine=fingerprint(), device=self.options.device, threads=self.options.threads
        )
        with ExitStack() as stack:
            stack.enter_context(_reproducible(self.options.threads))
            self._emit(PhaseStarted("", "data", "Opening the data set"))
            self.data = open_data(self.pipeline.data, self.home.data, self.folder.base, self.control)
            self._note_data()
            self.meter = Meter(
                keys,
                [self._work(node) for _ in self.pipeline.axes.seed for node in self.pipeline.active],
                self._emit,
            )
            self.evaluator = stack.enter_context(
                Evaluator(
                    self.folder,
                    self.home,
                    self.pipeline,
                    self.data,
                    self.options.device,
                    self.options.threads,
                    self.control,
                    self._emit,
                )
            )
            jobs = [(node, seed) for seed in self.pipeline.axes.seed for node in self.pipeline.active]
            for index, (node, seed) in enumerate(jobs):
                self.control.checkpoint()
                self._run_stage(index, len(jobs), node, seed)
            self._write_results()

    def _write_results(self) -> None:
        """The report, and the final model beside it."""
        pipeline, reports = self.pipeline, self.folder.reports()
        rows = table_rows(reports, pipeline.baseline_id)
        info = self.folder.info
        text = run_report(
            pipeline.name,
            pipeline.about,
            rows,
            reports,
            pipeline.paper,
            pipeline.notes,
            info["machine"],
            self.options.device,
        )
        write_atomically(self.folder.folder / "report.md", text)
        final = self.folder.report(stage_key(pipeline, pipeline.final_id, pipeline.axes.seed[0]))
        if final is not None and final.main is not None:
            shutil.copyfile(self.folder.folder / final.main.path, self.folder.final_model)

    def _work(self, node: StageNode) -> float:
        """Expected work in images passed forward and backward."""
        return (
            node.stage.epochs(node.parameters) * len(self.data.split("train"))
            + len(self.data.split("test"))
            + _EVALUATION_WORK
        )

    def _run_stage(self, index: int, total: int, node: StageNode, seed: int) -> None:
        started = time.monotonic()
        key = stage_key(self.pipeline, node.id, seed)
        self._emit(StageStarted(key, node.title, node.kind, index, total))
        self.meter.begin(index)
        input_folder, preprocess = self._input(node, seed)
        cache_key = make_key(self._key_parts(node, seed, input_folder, preprocess))
        report = self.folder.report(key)
        if report is None:
            result_cached = self._obtain(node, seed, key, cache_key, input_folder, preprocess)
            report = self._report(node, seed, key, started, result_cached)
        self.meter.end(report.cached)
        self._emit(StageDone(key, report.cached, report.model_dump(mode="json")))

    def _obtain(
        self, node: StageNode, seed: int, key: str, cache_key: str, input_folder: Path, preprocess: Preprocess
    ) -> bool:
        """See to it that the stage's folder holds its checkpoint and result; True when it was there."""
        folder = self.folder.stage_folder(key)
        if (folder / "result.json").is_file() and (folder / "checkpoint").is_dir():
            return False  # finished in this run before it was stopped
        if self._models.copy_to(cache_key, folder):
            return True
        result = self._run_model_stage(node, seed, key, cache_key, input_folder, preprocess)
        if result.cut_at is not None:  # a person's "finish now" is part of what made this result
            cache_key = make_key({"key": cache_key, "cut_at": result.cut_at})
        part = self.folder.scratch / key / "made"
        for name in ("checkpoint", "result.json"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            (part / name).replace(target)
        self._models.put(cache_key, folder)
        shutil.rmtree(self.folder.scratch / key, ignore_errors=True)
        return False

    def _run_model_stage(
        self, node: StageNode, seed: int, key: str, cache_key: str, input_folder: Path, preprocess: Preprocess
    ) -> StageResult:
        from core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
        from core.profiling.counting import count_parameters

        scratch = self.folder.scratch / key
        scratch.mkdir(parents=True, exist_ok=True)
        given = load_checkpoint(input_folder)
        context = StageContext(
            stage=key, seed=seed, key=cache_key, device=self.options.device, network=given.network,
            data=self.data, preprocess=preprocess, augmentation=self.pipeline.data.augmentation,
            scratch=scratch, control=self.control, emit=self._emit,
            reference=lambda reference: self._reference(reference, seed, preprocess),
            on_fraction=lambda fraction: self.meter.update(fraction * self._training_share(node)),
        )  # fmt: skip
        assert isinstance(node.stage, ModelStage)
        result = node.stage.run(given.model, node.parameters, context)
        facts = {"stage": node.id, "kind": node.kind, "key": cache_key, **result.facts}
        made = Checkpoint(result.model.cpu(), given.network, preprocess, self.data.classes, facts)
        save_checkpoint(scratch / "made" / "checkpoint", made)
        kept = {
            "notes": result.notes, "skipped": result.skipped, "facts": result.facts,
            "history": result.history, "training_seconds": result.training_seconds, **count_parameters(made.model),
        }  # fmt: skip
        (scratch / "made" / "result.json").write_text(json.dumps(kept), encoding="utf-8")
        return result

    def _training_share(self, node: StageNode) -> float:
        work = self._work(node)
        return 1.0 - (len(self.data.split("test")) + _EVALUATION_WORK) / work

    def _report(self, node: StageNode, seed: int, key: str, started: float, cached: bool) -> StageReport:
        folder = self.folder.stage_folder(key)
        kept = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        parent = self.pipeline.parent(node)
        if parent in self.pipeline.stage_ids:
            parent = stage_key(self.pipeline, parent, seed)
        report = StageReport(
            key=key, id=node.id, source=parent, seed=seed, name=node.title, kind=node.kind, notes=kept["notes"],
            skipped=kept["skipped"], facts=kept["facts"], history=kept["history"],
        )  # fmt: skip
        report.notes += self._warnings(node)
        share = self._training_share(node)
        measured_cached = self.evaluator.evaluate(
            report, folder, kept, isinstance(node.stage, ModelStage) and node.stage.half_artefact,
            lambda fraction: self.meter.update(share + (1 - share) * fraction),
        )  # fmt: skip
        report.cached = cached and measured_cached
        report.seconds = time.monotonic() - started
        self.folder.write_report(report)
        return report

    def _warnings(self, node: StageNode) -> list[str]:
        """What a reader has to know before believing this stage's accuracy."""
        parameters = self.pipeline.root(node).parameters
        images = len(self.data.split("train"))
        if not isinstance(parameters, BackboneSettings) or parameters.weights != "random":
            return []
        chosen = backbone(parameters.backbone)
        if not chosen.imagenet or images >= _FEW_IMAGES:
            return []
        return [
            f"{chosen.title} started from random weights and saw only {images} training images: its accuracy says "
            "nothing about the method. Parameters, MACs, sizes and times do not depend on the weights."
        ]

    def _input(self, node: StageNode, seed: int) -> tuple[Path, Preprocess]:
        """The checkpoint that a stage continues, and the preprocessing of its chain."""
        root = self.pipeline.root(node)
        source, preprocess = self._source(root, seed)
        parent = self.pipeline.parent(node)
        if parent in self.pipeline.stage_ids:
            return self.folder.stage_folder(stage_key(self.pipeline, parent, seed)) / "checkpoint", preprocess
        return source, preprocess

    def _source(self, node: SourceNode, seed: int) -> tuple[Path, Preprocess]:
        """The checkpoint of a root, made when it is not there yet."""
        from core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
        from core.models.source import build_network

        folder = self.folder.folder / "sources" / f"{node.id}@{seed}"
        parameters = node.parameters
        if isinstance(parameters, CheckpointSettings):
            folder = self._pin(Path(parameters.path))
            given = load_checkpoint(folder)
            if given.classes != self.data.classes:
                raise EspalierError(
                    f"The checkpoint of {node.id!r} was made for other classes ({', '.join(given.classes[:4])}, …) "
                    f"than the data set has ({', '.join(self.data.classes[:4])}, …).",
                    "Choose the data set that it was trained on.",
                )
            return folder, given.preprocess
        assert isinstance(parameters, BackboneSettings)
        chosen = backbone(parameters.backbone)
        preprocess = make_preprocess(
            self.pipeline.data, self.data, chosen.normalisation if parameters.weights != "random" else None
        )
        if preprocess.size < chosen.smallest:
            raise EspalierError(
                f"{chosen.title} needs images of at least {chosen.smallest} px, the data gives {preprocess.size}.",
                f"Set data.image_size to {chosen.smallest} or more.",
            )
        if not (folder / "architecture.json").is_file():
            base = self._pinned_weights(parameters)
            model, notes = build_network(base, len(self.data.classes), self.folder.base, seed)
            for note in notes:
                self._emit(Note("", "info", note))
            save_checkpoint(
                folder, Checkpoint(model, _without_file(parameters), preprocess, self.data.classes)
            )
        return folder, preprocess

    def _pinned_weights(self, parameters: BackboneSettings) -> BackboneSettings:
        """The settings with the weights file replaced by its copy in the run folder."""
        if parameters.weights != "file":
            return parameters
        return parameters.model_copy(update={"weights_file": str(self._pin(Path(parameters.weights_file)))})

    def _pin(self, path: Path) -> Path:
        """A copy in `inputs/` of a file or checkpoint folder from outside, named by its content."""
        original = self.folder.base / path.expanduser()
        name = hashlib.sha256(str(original).encode()).hexdigest()[:12]
        for copy in (self.folder.folder / "inputs").glob(f"{name}-*"):
            return copy
        if not original.exists():
            raise EspalierError(
                f"Expected a file or folder at {original}, found none.", "Correct the path in the pipeline."
            )
        copy = self.folder.folder / "inputs" / f"{name}-{original.name}"
        part = copy.with_name(f".{copy.name}")
        shutil.rmtree(part, ignore_errors=True)
        if original.is_dir():
            shutil.copytree(original, part)
        else:
            shutil.copyfile(original, part)
        part.rename(copy)
        return copy

    def _reference_folder(self, reference: str, seed: int) -> Path:
        if is_path(reference):
            return self._pin(Path(reference))
        return self.folder.stage_folder(stage_key(self.pipeline, reference, seed)) / "checkpoint"

    def _reference(self, reference: str, seed: int, preprocess: Preprocess) -> "nn.Module":
        """Another network, which has to take the same input as this one."""
        from core.checkpoint import load_checkpoint

        other = load_checkpoint(self._reference_folder(reference, seed), self.options.device)
        if other.preprocess != preprocess or other.classes != self.data.classes:
            raise EspalierError(
                f"The network {reference!r} was trained on other classes, another image size or another normalisation.",
                "Choose a teacher that was trained on the same data settings.",
            )
        return other.model

    def _key_parts(
        self, node: StageNode, seed: int, input_folder: Path, preprocess: Preprocess
    ) -> dict[str, Any]:
        """Everything that makes a stage's result what it is."""
        import torch

        from core.checkpoint import content_hash
        from core.training import resolve_precision

        references = node.stage.references(node.parameters)
        return {
            "stage": node.kind,
            "version": node.stage.version,
            "settings": {
                name: value
                for name, value in node.parameters.model_dump(mode="json").items()
                if name not in references
            },
            "input": content_hash(input_folder),
            "references": {
                name: content_hash(self._reference_folder(value, seed)) for name, value in references.items()
            },
            "data": self.data.fingerprint,
            "preprocess": preprocess.as_dict(),
            "augmentation": self.pipeline.data.augmentation.model_dump(mode="json"),
            "seed": seed,
            "device": self.options.device.split(":")[0],
            "mixed": resolve_precision("mixed", self.options.device).name,
            "threads": self.options.threads,
            "torch": torch.__version__,
        }

    def _note_data(self) -> None:
        for note in self.data.notes:
            self._emit(Note("", "info", note))
        if self.data.problems:
            named = "; ".join(f"{path}: {reason}" for path, reason in self.data.problems[:5])
            more = f"; and {len(self.data.problems) - 5} more" if len(self.data.problems) > 5 else ""
            self._emit(Note("", "warning", f"{len(self.data.problems)} images were left out: {named}{more}."))

    def _emit(self, event: Event) -> None:
        self.folder.record(event)
        for listener in self.listeners:
            listener(event)


def _without_file(parameters: BackboneSettings) -> BackboneSettings:
    """The architecture's part of the settings: what the factory needs, not where weights came from."""
    return parameters.model_copy(update={"weights": "random", "weights_file": "", "fresh_head": False})


def _unexpected(error: Exception) -> RunDone:
    details = "".join(traceback.format_exception(error))
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return RunDone(
            "failed",
            "The memory was not enough for this stage.",
            "Choose a smaller batch size or image size, or another device.",
            details,
        )
    return RunDone(
        "failed",
        f"Something unexpected stopped the run: {error}",
        "The details help to report it; what is finished is kept.",
        details,
    )


@contextmanager
def _reproducible(threads: int) -> Iterator[None]:
    """Deterministic backends and a fixed number of threads while a run goes on."""
    import os

    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=True)
        torch.backends.cudnn.benchmark = before[2]
