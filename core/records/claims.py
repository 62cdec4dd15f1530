"""A paper's claims as data: what would have to be measured for one to be right."""

from typing import Literal, Self

from pydantic import model_validator

from core.common.params import Params


class Claim(Params):
    """One claim of a paper, to be answered from measurements (`core.analysis.claims`).

    Attributes:
        says: the claim in words.
        stage: id of the stage that it is about.
        metric: id of a metric (`core.records.metrics`).
        of: the stage's value, or its change against another stage (points or percent).
        against: id of that other stage; "" is the pipeline's baseline.
        paper: the paper's own figure, in the unit of the value or change.
        at_least, at_most: bounds on the value or change within which the claim is right.
        control: id of a stage that had everything but the method (the same epochs, the same number of
            parameters): the stage has to be better than this one too.
        alike: id of a metric in which both stages have to be alike for the claim to be told: "at equal latency".
    """

    says: str
    stage: str
    metric: str
    of: Literal["change", "value"] = "change"
    against: str = ""
    paper: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    control: str = ""
    alike: str = ""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a claim wants a bound: at_least, at_most or both")
        return self
