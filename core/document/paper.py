"""What a paper reports, as a pipeline file carries it: its table, its claims, remarks on them."""

from collections.abc import Iterator, Sequence

from core.common.errors import Problem
from core.common.params import Params
from core.common.validation_messages import unknown
from core.records.claims import Claim
from core.records.metrics import METRICS


class PaperRow(Params):
    """One row of a paper's table; `stage` is the id of this file's stage that reproduces it."""

    name: str
    stage: str = ""
    values: dict[str, float | None]


class PaperTable(Params):
    """A paper's own figures and claims, kept with the results. Keys of `values` are metric ids.

    Attributes:
        data: the data set of the axis that it is about; "" is all of them.
    """

    source: str
    setting: str = ""
    data: str = ""
    rows: tuple[PaperRow, ...]
    claims: tuple[Claim, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Whose table it is, and of which experiment where that is said."""
        return f"{self.source}. {self.setting}" if self.setting else self.source


def check_claims(papers: Sequence[PaperTable]) -> Iterator[Problem]:
    """Claims about what no metric says. A stage may be missing: the answer is then that it was not measured."""
    for number, paper in enumerate(papers):
        for index, claim in enumerate(paper.claims):
            place = ("paper", number, "claims", index, "metric")
            if claim.metric not in METRICS:
                yield unknown(claim.metric, "a metric", METRICS, place)
            elif claim.alike and claim.alike not in METRICS:
                yield unknown(claim.alike, "a metric", METRICS, (*place[:-1], "alike"))
            elif claim.of == "change" and not METRICS[claim.metric].change:
                words = f"{METRICS[claim.metric].label} has no change to be claimed."
                yield Problem(words, "Write 'of: value'.", place)
