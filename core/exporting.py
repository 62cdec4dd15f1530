"""Hands a finished stage's file out of a run: copies it, and proves the copy against the network."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.child import Child
from core.control import RunControl
from core.deploy.agreement import compare_logits
from core.deploy.artefacts import verify_onnx
from core.deploy.files import sha256_of, written_beside
from core.errors import EspalierError
from core.reports import Metric, Verification
from core.runs import Home, RunFolder


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What lies at `path` now, verified there."""

    path: Path
    bytes: int
    sha256: str
    top1: float
    verification: Verification
    metrics: dict[str, Metric]


def export_stage(
    run: RunFolder,
    stage_key: str,
    artefact_id: str,
    target: Path,
    control: RunControl | None = None,
    on_progress: Callable[[float, str], None] | None = None,
    home: Home | None = None,
) -> ExportResult:
    """Copy a stage's file to `target` and verify the copy on the test images in a fresh process.

    Args:
        stage_key: the stage's key in the run; with several seeds `id@seed`.
        artefact_id: of the file; "" takes the stage's headline file.

    Raises:
        EspalierError: when there is no such stage or file, the target cannot be written, or the
            copy does not agree with the network (nothing is left at `target` then).
        Stopped: a person asked to stop; nothing is left at `target`.
    """
    report = run.report(stage_key)
    if report is None:
        finished = ", ".join(each.key for each in run.reports()) or "none yet"
        raise EspalierError(
            f"Expected a finished stage of this run, received {stage_key!r}.", f"Finished: {finished}."
        )
    artefact = next((each for each in report.artefacts if each.id == (artefact_id or report.headline)), None)
    if artefact is None:
        raise EspalierError(
            f"The stage {stage_key!r} has no file {artefact_id!r}.",
            f"It has: {', '.join(each.id for each in report.artefacts)}.",
        )
    source = run.folder / artefact.path
    if not source.is_file():
        raise EspalierError(
            f"The file of stage {stage_key!r} is gone: {source}.",
            "Run the pipeline again; its stages come from the cache.",
        )
    scratch = run.scratch / "export"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with written_beside(target) as part, Child("tool", run.folder / "export.log") as tool:
            shutil.copyfile(source, part)
            copy = scratch / f"{artefact.id}.onnx"
            shutil.copyfile(part, copy)
            data = run.pipeline.data.model_dump(mode="json")
            check = verify_onnx(
                tool,
                copy,
                data,
                (home or Home.default()).data,
                scratch,
                run.base,
                control=control,
                on_progress=on_progress,
            )
            reference = np.load(source.parent / "pytorch.logits.npy")
            verdict = compare_logits(
                reference, np.load(scratch / f"{copy.stem}.logits.npy"), precision=artefact.precision
            )
            if not verdict.good:
                raise EspalierError(
                    f"The copy does not agree with the network. {verdict.sentence}",
                    "Nothing was written; run the stage again.",
                )
    except OSError as error:
        raise EspalierError(
            f"{target} could not be written: {error.strerror or error}.",
            "Choose another folder, or free some space.",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ExportResult(
        target, target.stat().st_size, sha256_of(target), check.top1, verdict, artefact.metrics
    )
