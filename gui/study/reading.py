"""A search as the place shows it, read from a run's folder on a worker (no widgets)."""

from dataclasses import dataclass

from core.common.errors import EspalierError
from core.runs.run_folder import RunFolder
from core.search import judging
from core.search.records import Study, TrialRecord, read_study
from core.search.text import confirmed, headline, limits_in_words


@dataclass(frozen=True, slots=True)
class ShownStudy:
    """A study, and what is computed from it.

    Attributes:
        best: the front within the limits; of all trials where none keeps them.
        confirmed: by trial, the stage that confirms it.
    """

    run: RunFolder
    study: Study
    best: tuple[TrialRecord, ...]
    headline: str
    limits: str
    confirmed: dict[int, str]


def read(run: RunFolder) -> ShownStudy | None:
    """The search of a run; None where it has none."""
    study = read_study(run)
    if study is None:
        return None
    best = judging.front(study.search, study.trials) or judging.front(study.search, study.trials, False)
    try:
        stages = confirmed(study)
    except EspalierError:  # nothing was done yet
        stages = {}
    return ShownStudy(run, study, tuple(best), headline(study), limits_in_words(study), stages)
