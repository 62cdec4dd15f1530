"""What a run leaves behind when its stages are done: the report, and the final model beside it."""

from core.analysis.report import RunTexts, run_report
from core.common.content_hashes import intact
from core.common.files import copy_file, write_atomically
from core.comparison.compared_runs import read_run
from core.document.stage_keys import stage_key
from core.runs.grid_results import read_grids
from core.runs.run_folder import RunFolder
from core.search.records import read_study
from core.search.text import report_parts


def write_results(run: RunFolder) -> None:
    """Write `report.md` and `model.onnx` of a run from what its folder holds."""
    write_run_report(run)
    pipeline = run.pipeline
    final = run.report(stage_key(pipeline, pipeline.final_id, pipeline.axes.seed[0]))
    if final is not None and final.main is not None:
        copy_file(intact(run.folder / final.main.path), run.final_model)


def write_run_report(run: RunFolder) -> None:
    """Write `report.md`."""
    pipeline, info, compared, opened = run.pipeline, run.info, read_run(run), run.opened_data
    reports, study = run.reports(), read_study(run)
    notes = (*pipeline.notes, *(opened.notes if opened is not None else ()))
    text = run_report(
        RunTexts(pipeline.name, pipeline.about, pipeline.paper, notes, compared.answers()),
        compared.rows(), reports, info.machine, info.device, read_grids(run),
        () if study is None else report_parts(study, {report.id: report for report in reversed(reports)}),
    )  # fmt: skip
    write_atomically(run.markdown_report, text)
