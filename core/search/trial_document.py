"""A trial as a document of its own, at full length."""

from core.document import dimensions
from core.runs.open_document import OpenedDocument
from core.runs.run_folder import RunFolder
from core.search.records import read_study


def trial_document(run: RunFolder, number: int) -> OpenedDocument:
    """The pipeline at a trial's point, without a file of its own.

    Raises:
        EspalierError: when the run has no such trial.
    """
    study = read_study(run)
    assert study is not None
    record = study.trial(number)
    name = f"{study.pipeline.name[:100]}, trial {number}"
    return OpenedDocument(dimensions.at(study.pipeline, record.values, name), None, run.base)
