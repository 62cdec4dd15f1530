"""How alike every stage of a run represents images to its baseline, as a table for the terminal."""

from collections.abc import Sequence

from core.analysis import similarity
from core.analysis.similarity import LayerSimilarity
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.text_tables import markdown
from core.machine.child import Child
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile, check_files, subjects_of

_HEAD = (
    "Stage",
    "CKA, pooled features",
    "Channel correlation, pooled features",
    "Least alike layer",
    "Its CKA",
    "Images",
)


def similarity_table(run: RunFolder, home: Home, control: RunControl | None = None) -> str:
    """A row for every stage but the baseline, in Markdown.

    Raises:
        EspalierError: when the run has no second stage of the baseline's seed, or a file cannot be run.
        Stopped: a person asked to stop.
    """
    stages = [one for one in subjects_of(run) if one.artefact_id == one.report.headline]
    pairs = [
        (stage, baseline) for stage in stages if (baseline := _baseline(stage, stages)) not in (None, stage)
    ]
    if not pairs:
        raise EspalierError(
            f"{run.name} has no two finished stages that could be compared.",
            "Choose a run with a baseline and a stage after it.",
        )
    check_files(stages)
    rows = []
    with Child("tool") as child:
        for stage, baseline in pairs:
            assert baseline is not None
            arguments = {
                "files": [str(stage.file), str(baseline.file)], "count": similarity.IMAGES, **stage.access(home).as_plain()
            }  # fmt: skip
            result = child.call(similarity.of_files, arguments, control)
            rows.append((stage.title, *_cells(similarity.read(result)), str(result["images"])))
    return markdown(_HEAD, rows)


def _baseline(stage: StageFile, stages: Sequence[StageFile]) -> StageFile | None:
    """The baseline's file of the same seed."""
    key = "@".join((stage.pipeline.baseline_of(stage.report.id), *stage.key.split("@")[1:]))
    return next((one for one in stages if one.key == key), None)


def _cells(layers: Sequence[LayerSimilarity]) -> tuple[str, ...]:
    pooled, inner = layers[0], [layer for layer in layers[1:] if layer.cka is not None]
    least = min(inner, key=lambda layer: layer.cka or 0.0, default=None)
    return (
        _figure(pooled.cka), _figure(pooled.correlation),
        least.layer if least else "—", _figure(least.cka if least else None),
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}".replace("-", "−")
