"""Runs for a comparison: read once, stored in the index next to the runs, turned into rows.

A stored entry can be computed again from the run folder at any time; it is used only while the files
that it was computed from are unchanged.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from core.analysis.accuracy import TOP5_FROM
from core.analysis.claims import Answer, answer
from core.analysis.heat_map import HeatMap
from core.analysis.packed_answers import packed, unpacked
from core.analysis.rows import Origin, Row
from core.analysis.settings_table import Line
from core.analysis.table import table_rows
from core.common.content_hashes import intact
from core.common.declarations import declarations
from core.common.errors import EspalierError
from core.common.logs import passed_over
from core.common.params import Params
from core.comparison.device_report import read_device_report
from core.data.settings import settings_path
from core.deploy.artefact_folder import ArtefactFolder
from core.document.expansion import expand
from core.document.paper import PaperTable
from core.document.pipeline import Pipeline, StageNode
from core.document.stage_keys import stage_keys
from core.machine.fingerprint import timing_conditions
from core.models.checkpoint_description import read_architecture
from core.records.reports import StageReport
from core.runs.grid_results import read_grids
from core.runs.home import Home
from core.runs.index import Kept
from core.runs.info_file import INFO_FILE
from core.runs.run_folder import CONFIRMED, PIPELINE_FILE, RunFolder

_log = logging.getLogger(__name__)

VERSION = 8  # raised when the same run folder gives another `ComparedRun`
_DECIDE_NO_TEST_IMAGE = {"augmentation", "image_size", "resize", "normalisation", "train_images", "validation_images", "balance", "imbalance"}  # fmt: skip


class ComparedRun(BaseModel):
    """The data of one run that a comparison needs.

    Attributes:
        total: how many stages the run has when it is finished.
        reports: finished stages, without their curves and facts.
        settings: by stage id, every setting from the data to the stage itself; as JSON, parsed on
            demand.
        images: what identifies the test images; "" where predictions are missing.
        baselines: by stage id, what it is compared with; a stage that is not named: with `baseline`.
        branches: of a pipeline over several backbones, by stage id its name in the file and its backbone; "" is
            what all have in common.
        right: by "stage key/artefact id" and metric, which test images were answered right, packed.
    """

    folder: str
    name: str
    title: str
    about: str
    started: float
    status: str
    device: str
    machine: dict[str, Any]
    baseline: str
    final: str
    total: int
    reports: list[StageReport]
    papers: list[PaperTable]
    notes: list[str]
    settings: str
    grids: list[HeatMap] = []
    images: str = ""
    right: dict[str, dict[str, str]] = {}
    baselines: dict[str, str] = {}
    branches: dict[str, tuple[str, str]] = {}

    @property
    def when(self) -> str:
        """The start as a short date and time."""
        return time.strftime("%d %b, %H:%M", time.localtime(self.started)) if self.started else ""

    @property
    def processor(self) -> str:
        return str(self.machine.get("processor", ""))

    @cached_property
    def conditions(self) -> str:
        """What a timing depends on."""
        return timing_conditions(self.machine)

    def rows(self, label: str = "") -> list[Row]:
        """One row a file, changes against the run's own baseline; `label` is the run's short name."""
        origin = Origin(self.folder, label or self.title, self.conditions, self.images)
        right = {key: _UnpackedOnDemand(of) for key, of in self.right.items()}
        return table_rows(self.reports, self.baselines or self.baseline, origin, right)

    def baseline_of(self, stage: str) -> str:
        """Id of the stage that a stage is compared with."""
        return self.baselines.get(stage, self.baseline)

    def answers(self) -> list[Answer]:
        """What the measurements say to every claim of the run's papers."""
        rows = self.rows()
        claims = [claim for paper in self.papers for claim in paper.claims]
        return [answer(claim, rows, self.baseline_of(claim.stage)) for claim in claims]

    def settings_of(self, report: StageReport) -> list[Line]:
        """All settings of a stage, and the machine that it ran on."""
        versions = self.machine.get("versions") or {}
        run = [
            *([] if report.kind == "device" else [Line("Run", "Seed", str(report.seed))]),
            Line("Run", "Device", self.device),
            Line("Run", "Processor", self.processor),
            *(Line("Run", name, str(versions[id])) for id, name in _LIBRARIES if versions.get(id)),
        ]
        lines = json.loads(self.settings).get(report.id, [])
        return [*run, *(Line(*line) for line in lines)]


_LIBRARIES = (("torch", "PyTorch"), ("onnxruntime", "ONNX Runtime"), ("torch-pruning", "torch-pruning"))


def read_run(run: RunFolder) -> ComparedRun:
    """A run read from its folder.

    Raises:
        EspalierError: when it cannot be read.
    """
    return from_parts(run, run.pipeline, run.reports(), predictions=True)


def read_report(path: Path) -> ComparedRun:
    """What a device reported (`core.comparison.device_report`), as a run with one stage; its folder is the report's path.

    It has no baseline: nothing is compared with it by itself, and times of another machine not at all.

    Raises:
        EspalierError: when it is no such report.
    """
    report = read_device_report(path)
    stage = report.stage_report()
    return ComparedRun(
        folder=str(path.resolve()), name=path.stem, title=f"{report.bundle.name}, {path.stem}",
        about=f"Measured on {report.device.processor} with {report.bundle.run}'s {report.bundle.stage}",
        started=report.made, status="measured", device=report.latency_ms.provider, machine=report.machine,
        baseline="", final=stage.id, total=1, reports=[stage], papers=[], notes=[], settings="{}",
        images=report.bundle.images.id, right={f"{stage.key}/{stage.headline}": {"top1": packed(report.right)}},
    )  # fmt: skip


def from_parts(
    run: RunFolder, pipeline: Pipeline, reports: Sequence[StageReport], predictions: bool
) -> ComparedRun:
    """The same from what was read already; without `predictions` no two files can be paired."""
    info = run.info
    compared = ComparedRun(
        folder=str(run.folder), name=run.name, title=info.name or pipeline.name, about=pipeline.about,
        started=info.started, status=run.status, device=info.device, machine=info.machine,
        baseline=pipeline.baselines[0], final=pipeline.final_id, total=len(stage_keys(pipeline)),
        reports=[report.model_copy(update={"facts": {}, "history": []}) for report in reports],
        papers=list(pipeline.paper), notes=list(pipeline.notes),
        settings=json.dumps({node.id: [astuple(line) for line in _settings(pipeline, node)] for node in pipeline.active}),
        grids=list(read_grids(run, pipeline).values()), branches=_branches(run), baselines=pipeline.baseline_of_each() if len(pipeline.baselines) > 1 else {},
    )  # fmt: skip
    if predictions:
        compared.images, compared.right = _predictions(run, pipeline, compared.reports)
    return compared


def _branches(run: RunFolder) -> dict[str, tuple[str, str]]:
    origins = expand(run.written).origins
    return {id: (origin.title, origin.backbone) for id, origin in origins.items()}


def run_labels(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """A short name for each run, by folder: no longer than it takes to tell them apart."""
    labels = {run.folder: run.title for run in runs}
    for longer in (lambda run: f"{run.title}, {run.when}", lambda run: run.name):
        taken = list(labels.values())
        labels |= {run.folder: longer(run) for run in runs if taken.count(labels[run.folder]) > 1}
    return labels


def mixed_conditions(runs: Sequence[ComparedRun]) -> bool:
    """Whether the runs were measured under different conditions, so that times do not compare."""
    return len({run.conditions for run in runs if run.reports}) > 1


def mixed_images(runs: Sequence[ComparedRun]) -> bool:
    """Whether the runs are known to be judged on different test images, so that accuracies do not compare."""
    return len({run.images for run in runs if run.images}) > 1


def mixed_protocols(runs: Sequence[ComparedRun]) -> bool:
    """Whether some files were measured by an earlier protocol than others."""
    files = [file for run in runs for report in run.reports for file in report.artefacts]
    return len({file.measured.protocol for file in files if "latency_ms" in file.metrics}) > 1


def read_all(home: Home, folders: Sequence[Path]) -> Iterator[ComparedRun | EspalierError]:
    """The runs in these folders one after the other, from the index where it is up to date.

    A file among them is a device's report.
    """
    with Kept.opened(home, "compared") as kept:
        for folder in folders:
            try:
                yield _obtained(kept, folder)
            except (EspalierError, OSError, ValidationError) as error:
                yield error if isinstance(error, EspalierError) else EspalierError(
                    f"The run in {folder} cannot be read.", "Open its folder to see what is missing.", repr(error)
                )  # fmt: skip


def _obtained(kept: Kept, folder: Path) -> ComparedRun:
    if folder.is_file():
        return read_report(folder)
    stamp, key = _stamp(folder), os.path.realpath(folder)
    text = kept.get(key, stamp)
    if text is not None:
        try:
            return ComparedRun.model_validate_json(text)
        except ValidationError:
            _log.debug("The index has %s in another form; the run is read anew.", key)
    compared = read_run(RunFolder.open(folder))
    kept.put(key, stamp, compared.model_dump_json())
    return compared


def _stamp(folder: Path) -> str:
    """Changes whenever a file changes that a `ComparedRun` is made from."""
    files = [folder / name for name in (INFO_FILE, PIPELINE_FILE, CONFIRMED)]
    files += sorted(folder.glob("grid*.json"))
    files += [stage.report_file for stage in RunFolder(folder).stage_folders()]
    stats = [(str(file), stat.st_mtime_ns, stat.st_size) for file in files if (stat := _stat(file))]
    return f"{VERSION} {hashlib.sha256(repr(stats).encode()).hexdigest()}"


def _stat(file: Path) -> Any:
    try:
        return file.stat()
    except OSError:
        return None


def _predictions(
    run: RunFolder, pipeline: Pipeline, reports: Sequence[StageReport]
) -> tuple[str, dict[str, dict[str, str]]]:
    """What identifies the test images, and which of them every file answered right."""
    labels_hash, right_answers = "", {}
    for report in reports:
        for artefact in report.artefacts:
            file = run.folder / artefact.path
            around = ArtefactFolder.around(file)
            labels = around.labels
            right = _correct_answers(around.logits(file.stem), labels)
            if right:
                right_answers[f"{report.key}/{artefact.id}"] = right
                labels_hash = labels_hash or hashlib.sha256(labels.read_bytes()).hexdigest()
    if not labels_hash:
        return "", {}
    data = pipeline.data.model_dump(mode="json", exclude=_DECIDE_NO_TEST_IMAGE)
    if data.get("path"):
        data["path"] = str(settings_path(data["path"], run.base))
    text = json.dumps([data, labels_hash, _classes(run, reports)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest(), right_answers


def _classes(run: RunFolder, reports: Sequence[StageReport]) -> list[str]:
    """The classes in their order: where one was renamed, equal labels mean other things. Empty where only a file says them."""
    for report in reports:
        network = run.stage_folder(report.key).network
        if network is None:
            continue
        with passed_over(_log, f"The classes of {network} are not known", EspalierError, KeyError):
            return [str(name) for name in read_architecture(network)["classes"]]
    return []


def _correct_answers(logits_file: Path, labels_file: Path) -> dict[str, str]:
    """Packed correctness by metric id; empty where the predictions are missing.

    Raises:
        DamagedError: when they are damaged.
    """
    try:
        logits, labels = np.load(intact(logits_file), mmap_mode="r"), np.load(intact(labels_file))
    except (OSError, ValueError):
        return {}
    if logits.ndim != 2 or len(logits) != len(labels):
        return {}
    guesses = np.concatenate([part.argmax(1) for part in _blocks(logits)])
    bits = {"top1": packed(guesses == labels)}
    if logits.shape[1] >= TOP5_FROM:
        best = np.concatenate([np.argpartition(part, -5, axis=1)[:, -5:] for part in _blocks(logits)])
        bits["top5"] = packed((best == labels[:, None]).any(1))
    return bits


def _blocks(logits: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [logits[start : start + 4096] for start in range(0, len(logits), 4096)] or [logits]


class _UnpackedOnDemand(Mapping[str, NDArray[np.bool_]]):
    """Correctness by metric id, unpacked on demand: most rows are never paired."""

    def __init__(self, packed: Mapping[str, str]):
        self._packed = packed

    def __getitem__(self, name: str) -> NDArray[np.bool_]:
        return unpacked(self._packed[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def _settings(pipeline: Pipeline, node: StageNode) -> Iterator[Line]:
    """Every setting in force from the data to this stage; stages of one kind share a group across pipelines."""
    yield from _lines("Data", pipeline.data)
    source = pipeline.root(node)
    yield from _lines("Network", source.parameters)
    counts: dict[str, int] = {}
    for stage in [*pipeline.chain(node), node]:
        counts[stage.kind] = counts.get(stage.kind, 0) + 1
        again = f" {counts[stage.kind]}" if counts[stage.kind] > 1 else ""
        group = f"{stage.stage.title}{again}"
        yield Line(group, "", stage.title)
        yield from _lines(group, stage.parameters)


def _lines(group: str, parameters: Params, inside: str = "") -> Iterator[Line]:
    in_force = parameters.model_dump(mode="json")
    for field in declarations(type(parameters)):
        value = getattr(parameters, field.name)
        if field.when is not None and not field.when.holds(in_force):
            continue
        if isinstance(value, Params):
            nested = "" if field.name == "training" else f"{field.label}: "
            yield from _lines(group, value, nested)
        else:
            yield Line(group, f"{inside}{field.label}", _in_words(value, field.unit))


def _in_words(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == "":
        return "not set"
    if isinstance(value, float):
        return f"{value:.6g} {unit}".strip()
    if isinstance(value, int):
        return f"{value} {unit}".strip()
    if isinstance(value, tuple | list):
        return ", ".join(_in_words(each, unit) for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(each, unit)}" for key, each in value.items()) or "none"
    return str(value)
