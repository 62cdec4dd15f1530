"""The model card of an exported stage: what it is, how it was made, what was measured, what that does not say.

Source of the idea: Mitchell et al. 2019, Model Cards for Model Reporting, arXiv 1810.03993.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import core
from core.analysis.settings_table import Line
from core.analysis.wording import value_in_full
from core.common.shown_text import plain_markdown
from core.common.text_tables import markdown
from core.comparison.compared_runs import from_parts
from core.comparison.report import machine_words
from core.data.catalogue import SOURCES
from core.deploy.artefact_record import facts_of_file
from core.export.provenance import chain_lines, data_lines, purpose
from core.export.verification_ladder import Rung, as_markdown
from core.records.metrics import METRICS
from core.records.reports import Artefact, Metric, StageReport
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from core.deploy.formats.base import Format
    from core.deploy.formats.settings import ExportSettings

_CLASSES_SHOWN, _SKIPPED_SHOWN = 50, 20
_OPERATIONS = ("training_seconds",)  # of the making, not of the model
_LIMITS = (
    "Accuracy is that of the test images of this data set. Other cameras, lighting, crops or classes are not covered "
    "by it; try images of the place where the model will work.",
    "The classifier answers with one of its classes for every image, also for one that shows none of them. Its "
    "probabilities are not calibrated.",
    "Differences between classes or groups of images were not examined here; see the confusion table in Espalier.",
    "Latency and memory hold for the machine, the runtime and the number of threads that stand beside them. Measure "
    "on the device that counts.",
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What is known of the file that was written.

    Attributes:
        rung: the last of the ladder. latency: as measured on the file, or as in the run.
        sha256, bytes: of the model's file.
    """

    kind: "Format"
    settings: "ExportSettings"
    rung: Rung
    latency: Metric | None
    sha256: str
    bytes: int


def card_of(
    run: RunFolder, report: StageReport, artefact: Artefact, rungs: Sequence[Rung], exported: Exported | None
) -> str:
    """The card as Markdown; `exported` is None before anything was written."""
    pipeline = run.pipeline
    compared = from_parts(run, pipeline, run.reports(), predictions=False)
    facts = facts_of_file(run.folder / artefact.path)
    parts = [
        f"# {report.name}: {artefact.label}",
        _summary(run, report, artefact, exported),
        "## What it takes and answers",
        _list(_interface(facts, exported)),
        "## Data",
        _list(_data(run)),
        "## How it was made",
        _chain(run, report),
        _settings(compared.settings_of(report)),
        *(["## Notes", _list(_notes(report, artefact))] if _notes(report, artefact) else []),
        "## Verification",
        "The same test images, answered by every step from the network to the file:",
        as_markdown(rungs) if rungs else "The run no longer holds the answers.",
        *([rungs[-1].sentence] if rungs else []),
        "## Measured",
        _figures(artefact, exported),
        f"Machine: {machine_words(compared)}.",
        "## What the figures do not say",
        _list(_LIMITS),
        "## Licences",
        _list(_licences(run, report)),
    ]
    return plain_markdown("\n\n".join(part for part in parts if part) + "\n")


def _summary(run: RunFolder, report: StageReport, artefact: Artefact, exported: Exported | None) -> str:
    pipeline = run.pipeline
    words = [
        f"An image classifier from the pipeline “{pipeline.name}”, stage `{report.key}`, run `{run.name}`, made with "
        f"Espalier {core.__version__}.",
        f"{purpose(run, report)} Precision: {artefact.precision}.",
    ]
    if exported is not None:
        words.append(
            f"Written as {exported.kind.title}, {exported.bytes / 1e6:.3f} MB, SHA-256 `{exported.sha256}`."
        )
    return "\n".join(word for word in words if word)


def _interface(facts: dict[str, Any], exported: Exported | None) -> Iterator[str]:
    settings = exported.settings if exported is not None else None
    how = facts.get("preprocess")
    if how:
        crop = (
            "the centre square is cut out" if how["resize"] == "crop" else "images are stretched to a square"
        )
        mean, std = (", ".join(f"{value:.6g}" for value in how[name]) for name in ("mean", "std"))
        steps = (
            f"{crop}, resized to {how['size']} × {how['size']} pixels (bilinear, antialiased), divided by 255, "
            f"normalised with mean ({mean}) and deviation ({std})"
        )
        if settings is not None and settings.preprocessing:
            yield f"Input: bytes [batch, height, width, 3], red, green, blue, any size. Inside, {steps}."
        else:
            yield f"Input: float32 [batch, {how['channels']}, {how['size']}, {how['size']}]. Before it, {steps}."
    batch = settings.batch if settings is not None else None
    yield f"Batch: {f'exactly {batch}' if batch else 'any number of'} images in a call."
    classes = facts.get("classes") or []
    if classes:
        names = ", ".join(classes[:_CLASSES_SHOWN])
        more = f", … and {len(classes) - _CLASSES_SHOWN} more" if len(classes) > _CLASSES_SHOWN else ""
        yield f"Output: a logit for each of {len(classes)} classes, in this order: {names}{more}."
    if facts.get("opset"):
        opset = settings.opset if settings is not None and settings.opset else facts["opset"]
        yield f"ONNX operator set {opset}."


def _data(run: RunFolder) -> Iterator[str]:
    yield from data_lines(run)
    yield "Accuracy was measured on the test split; it was used for nothing else."


def _chain(run: RunFolder, report: StageReport) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(chain_lines(run, report), 1))


def _settings(lines: Sequence[Line]) -> str:
    rows = [(line.group, line.label or "(stage)", line.value) for line in lines if line.value != "not set"]
    return markdown(("Part", "Setting", "Value"), rows, left=3)


def _notes(report: StageReport, artefact: Artefact) -> list[str]:
    left = [f"Left alone: {path} ({reason})" for path, reason in report.skipped[:_SKIPPED_SHOWN]]
    if len(report.skipped) > _SKIPPED_SHOWN:
        left.append(f"… and {len(report.skipped) - _SKIPPED_SHOWN} more layers were left alone.")
    return [*artefact.notes, *report.notes, *left]


def _figures(artefact: Artefact, exported: Exported | None) -> str:
    rows = [
        (METRICS[name].label, value_in_full(name, metric), metric.how or "—")
        for name, metric in artefact.metrics.items()
        if name in METRICS and name not in _OPERATIONS and metric.value is not None
    ]
    if exported is not None:
        rung, latency = exported.rung, exported.latency
        rows.append(("Top-1 of the exported file", value_in_full("top1", rung.top1), rung.runtime))
        if latency is not None and exported.settings.latency:
            rows.append(("Latency of the exported file", value_in_full("latency_ms", latency), latency.how))
    return markdown(("Figure", "Value", "Where it comes from"), rows, left=3)


def _licences(run: RunFolder, report: StageReport) -> Iterator[str]:
    pipeline = run.pipeline
    yield SOURCES[pipeline.data.source].licence
    root = pipeline.root(pipeline.stage(report.id))
    yield root.source.licence(root.parameters)


def _list(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
