"""The results of a run: as text for a terminal, and as plain data."""

import math
from typing import Any

from core.commands.terminal import say, show_result
from core.common.command_lines import command_line


def print_results(run: Any) -> None:
    from core.analysis.report import paper_rows, why_lines
    from core.analysis.table import any_uncertain, as_text, columns_with_values, table_rows
    from core.analysis.wording import RANGES_MEAN
    from core.runs.finding import called
    from core.runs.grid_results import read_grids
    from core.runs.home import Home
    from core.search import text as study_text
    from core.search.records import read_study

    pipeline, reports = run.pipeline, run.reports()
    study = read_study(run)
    if study is not None:
        show_result(f"{study_text.as_text(study)}\n\n{study_text.headline(study)}")
        for line in study_text.confirmed_lines(study, {report.id: report for report in reversed(reports)}):
            show_result(line)
        show_result("")
    rows = table_rows(reports, pipeline.baseline_of_each())
    show_result(as_text(rows))
    if any_uncertain(rows, columns_with_values(rows)):
        show_result(f"{RANGES_MEAN}\n    {command_line('profile', called(run, Home.default()))}")
    for grid in read_grids(run).values():
        show_result(f"\n{grid.title}\n{grid.as_markdown()}")
    for paper in pipeline.paper:
        show_result(f"\n{paper.about}\n{as_text(paper_rows(paper))}")
    for report in run.reports():
        for note in (*why_lines(report), *report.notes):
            say(f"{report.name}: {note}")
    show_result(f"\nModel:  {run.final_model}\nReport: {run.markdown_report}")


def run_as_json(run: Any, keys: list[str]) -> dict[str, Any]:
    """The results as plain data: the baselines first, the final model last, else the file's order."""
    from core.analysis.interval_support import uncertain
    from core.analysis.table import changes
    from core.records.metrics import METRICS
    from core.search.records import read_study
    from core.search.text import as_plain

    pipeline, info = run.pipeline, run.info
    order = {pipeline.final_id: len(keys), **dict.fromkeys(pipeline.baselines, -1)}
    reports = sorted(
        run.reports(), key=lambda r: (pipeline.axes.seed.index(r.seed), order.get(r.id, keys.index(r.key)))
    )
    stages = []
    for report in reports:
        baseline = pipeline.baseline_of(report.id)
        base = next((r for r in reports if r.id == baseline and r.seed == report.seed), None)
        main = report.main
        stages.append({
            "id": report.id, "from": report.source, "seed": report.seed, "name": report.name, "kind": report.kind, "baseline": baseline,
            "cached": report.cached, "seconds": round(report.seconds, 3), "artefact": main.path if main else None,
            "metrics": {name: _number(report.metric(name)) for name in METRICS},
            "change": {n: m.model_dump(include={"value", "unit", "low", "high"}) for n, m in changes(main, base).items()} if main and base and base is not report else {},
            "artefacts": [{
                "id": a.id, "path": a.path, "precision": a.precision, "sha256": a.sha256, "verified": bool(a.verification and a.verification.good),
                "metrics": {name: _number(metric) for name, metric in a.metrics.items()},
                "uncertain": [name for name, metric in a.metrics.items() if uncertain(name, metric)],
            } for a in report.artefacts],
            "pytorch": {name: _number(metric) for name, metric in report.pytorch.items()},
            "notes": report.notes,
            "why": report.why.model_dump() if report.why is not None else None,
        })  # fmt: skip
    study = read_study(run)
    return {
        "run": str(run.folder),
        "status": info.status,
        "pipeline": pipeline.name,
        "machine": info.machine,
        "stages": stages,
        **({"search": as_plain(study)} if study is not None else {}),
    }


def _number(metric: Any) -> float | None:
    if metric is None or metric.value is None or not math.isfinite(metric.value):
        return None
    return float(metric.value)
