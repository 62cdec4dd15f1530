"""A finished stage's file in a run: where it is, where it comes from, and the files on the way to it."""

import hashlib
import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.common.content_hashes import intact
from core.common.errors import EspalierError
from core.common.logs import in_a_line
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.formats.base import Subject
from core.deploy.formats.catalogue import FORMATS
from core.document.stage_keys import stage_key
from core.export.verification_ladder import Step
from core.records.reports import Artefact, StageReport
from core.runs.run_folder import RunFolder
from core.sources.base import FileSource

_log = logging.getLogger(__name__)

_ONNX_RUNTIME = FORMATS["onnx"].runtime


def origin(run: RunFolder, report: StageReport) -> Mapping[str, str]:
    """Where an exported file comes from: SHA-256 of the pipeline as it was run, the run, the stage."""
    text = (run.folder / "pipeline.yaml").read_bytes()
    return {"pipeline": hashlib.sha256(text).hexdigest(), "run": run.name, "stage": report.key}


def find_file(run: RunFolder, stage_key: str, artefact_id: str) -> tuple[StageReport, Artefact]:
    """A stage's report and file.

    Raises:
        EspalierError: when there is no such stage or file.
    """
    report = run.finished_report(stage_key)
    artefact = next((file for file in report.artefacts if file.id == (artefact_id or report.headline)), None)
    if artefact is None:
        raise EspalierError(
            f"The stage {stage_key!r} has no file {artefact_id!r}.",
            f"It has: {', '.join(file.id for file in report.artefacts)}.",
        )
    if not (run.folder / artefact.path).is_file():
        raise EspalierError(
            f"The file of stage {stage_key!r} is gone: {run.folder / artefact.path}.",
            "Run the pipeline again; its stages come from the cache.",
        )
    intact(run.folder / artefact.path)
    return report, artefact


def subject_of(run: RunFolder, report: StageReport, artefact: Artefact) -> Subject:
    network = run.stage_folder(report.key).network if artefact.precision == "float32" else None
    return Subject(report, artefact, run.folder / artefact.path, network)


def ladder_steps(
    run: RunFolder, report: StageReport, artefact: Artefact
) -> tuple[list[Step], NDArray[np.int64]]:
    """The network and the files on the way to `artefact`, with their answers; empty where one is missing.

    A file that a stage made from the file before has that file, and those before it, as rungs.
    """
    last = ArtefactFolder.around(run.folder / artefact.path)
    try:
        labels, network = np.load(intact(last.labels)), np.load(intact(last.network_logits))
    except (OSError, ValueError) as error:
        _log.warning(
            "The stage's own answers are missing, the ladder begins without them: %s", in_a_line(error)
        )
        return [], np.zeros(0, np.int64)
    steps = []
    for stage_report, file in [*_files_before(run, report, artefact), (report, artefact)]:
        path = run.folder / file.path
        try:
            logits = np.load(intact(ArtefactFolder.around(path).logits(path.stem)))
        except (OSError, ValueError) as error:
            _log.debug("A rung of the ladder is left out: %s", in_a_line(error))
            continue
        if logits.shape == network.shape:
            label = f"{stage_report.name}: {file.label}"
            rounding = file.verification.rounding if file.verification else 0.0
            steps.append(
                Step(f"{stage_report.key}/{file.id}", label, file.precision, _ONNX_RUNTIME, logits, rounding)
            )
    from_given_file = steps[0].precision == "given" if steps else False
    first = (
        Step("given", "The given ONNX file", "given", _ONNX_RUNTIME, network)
        if from_given_file or not _has_network(run, report)
        else Step("pytorch", "PyTorch network", "float32", "PyTorch", network)
    )
    return [first, *steps], labels


def _files_before(
    run: RunFolder, report: StageReport, artefact: Artefact
) -> list[tuple[StageReport, Artefact]]:
    """The files that `artefact` was made from, the float export first."""
    if run.stage_folder(report.key).network is not None:
        float32 = next((file for file in report.artefacts if file.id == "float32"), None)
        return [(report, float32)] if float32 is not None and float32.id != artefact.id else []
    pipeline = run.pipeline
    parent = pipeline.parent(pipeline.stage(report.id))
    if parent not in pipeline.stage_ids:
        return []
    parent_report = run.report(stage_key(pipeline, parent, report.seed))
    if parent_report is None or parent_report.main is None:
        return []
    return [*_files_before(run, parent_report, parent_report.main), (parent_report, parent_report.main)]


def _has_network(run: RunFolder, report: StageReport) -> bool:
    """Whether the stage's chain begins with a network and not with a person's ONNX file."""
    pipeline = run.pipeline
    return not isinstance(pipeline.root(pipeline.stage(report.id)).source, FileSource)
