"""The section `search` of a pipeline: which settings are free, what is wanted, and how much it may cost.

`core.document.dimensions` reads the paths here against the pipeline; `core.engine.search_run` runs it.
"""

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from core.common.params import Params, param
from core.records.metrics import METRICS

TRIALS = 20
"""Trials of a search that does not say how many."""

MOST_POINTS = 1000
_NO_AIM = {"compression_ratio", "memory_reduction", "training_seconds", "agreement", "max_logit_difference", "power_w"}  # fmt: skip

AIMS: tuple[str, ...] = tuple(id for id, kind in METRICS.items() if kind.better and id not in _NO_AIM)
"""The metrics that every trial knows: what objectives and limits may be of."""

Value = bool | int | float | str | None


class Free(Params):
    """The values that a free setting may take: a range, or choices. Neither: all that a choice or a switch has.

    `when` is a condition on another setting by its path: `stages.pruned.target=ratio`, `stages.mixed.enabled=true`.
    """

    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = Field(default=None, gt=0)
    log: bool = False
    choices: tuple[bool | int | float | str, ...] = ()
    when: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> "Free":
        if (self.low is None) != (self.high is None):
            raise ValueError("expected both ends of a range, low and high")
        if self.low is not None and self.high is not None:
            if self.choices:
                raise ValueError("expected a range or choices, received both")
            if not self.low < self.high:
                raise ValueError("expected the low end of the range below the high end")
            if self.log and self.low <= 0:
                raise ValueError("expected a range above 0 for steps of equal ratio (log)")
        elif self.step is not None or self.log:
            raise ValueError("expected a range, low and high, for a step or log")
        if self.log and self.step is not None:
            raise ValueError("expected a step or log, received both")
        if len(set(map(repr, self.choices))) != len(self.choices):
            raise ValueError("the same choice stands here twice")
        return self


class Fidelity(Params):
    """How trials are shortened; what all of them share, and the confirmation, are at full length."""

    epochs: float = param(
        1.0,
        "Epochs of trials",
        "Share of the training epochs that a trial gets; at least one epoch. 1 trains trials at full length.",
        gt=0,
        le=1,
        step=0.05,
    )


class Budget(Params):
    """How long a search goes on, who proposes, and what is confirmed."""

    trials: int | None = param(
        None,
        "Trials",
        f"So many candidates are tried; those that are known already do not count. Where empty {TRIALS}, the whole grid, or what the hours allow.",
        ge=1,
        le=100_000,
    )
    hours: float | None = param(
        None, "Hours", "The trials end after so many hours of work; empty sets no limit.", unit="h", gt=0, le=10_000
    )  # fmt: skip
    fidelity: Fidelity = param(
        Fidelity(), "Shortened training", "Trials train less, finalists as the pipeline says."
    )
    finalists: int = param(
        3, "Finalists", "So many of the best are confirmed: at full length, on the test images.", ge=1, le=50
    )
    sampler: Literal["tpe", "nsga2", "random", "grid"] = param(
        "tpe",
        "Sampler",
        "Who proposes the next candidate.",
        choices={
            "tpe": "Tree-structured Parzen estimator for several objectives; learns from few trials.",
            "nsga2": "Evolution (NSGA-II); for hundreds of trials.",
            "random": "Draws by chance.",
            "grid": "Every combination, in turn.",
        },
    )
    sampler_seed: int = param(
        0, "Sampler's seed", "Another number proposes other candidates.", ge=0, lt=2**31, advanced=True
    )


class Search(Budget):
    """What is searched for, where, and for how long."""

    free: dict[str, Free] = {}
    slots: dict[str, tuple[str | None, ...]] = {}
    objectives: tuple[str, ...] = Field(("top1", "size_mb"), min_length=1, max_length=4)
    limits: dict[str, float] = {}
    seeds: tuple[int, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _something_free(self) -> "Search":
        if not self.free and not self.slots:
            raise ValueError("expected at least one free setting or slot")
        return self

    @field_validator("slots")
    @classmethod
    def _alternatives(cls, slots: dict[str, tuple[str | None, ...]]) -> dict[str, tuple[str | None, ...]]:
        for name, ids in slots.items():
            if len(ids) < 2 or len(set(ids)) != len(ids):
                raise ValueError(f"expected at least two different stages in the slot {name!r}")
        return slots

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        for name in objectives:
            _check_aim(name)
        if len(set(objectives)) != len(objectives):
            raise ValueError("the same objective stands here twice")
        return objectives

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            _check_aim(name)
        return limits

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or any(not 0 <= seed < 2**31 for seed in seeds):
            raise ValueError("expected different whole numbers from 0 to 2147483647")
        return seeds

    @property
    def aims(self) -> tuple[str, ...]:
        """Every metric that the search looks at."""
        return tuple(dict.fromkeys((*self.objectives, *self.limits)))

    @property
    def budget(self) -> float:
        """How many trials it makes; without end for a whole grid, or where only hours are given."""
        if self.trials is not None:
            return self.trials
        return math.inf if self.sampler == "grid" or self.hours is not None else TRIALS


def _check_aim(name: Any) -> None:
    if name not in AIMS:
        raise ValueError(f"expected one of the metrics {', '.join(AIMS)}; {name!r} is none of them")
