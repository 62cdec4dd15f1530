"""What the table of methods and backbones (`core.engine.coverage`) tries of a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Saving = Literal["params", "nonzero_params", "bytes", ""]

TRAINED = "trained"  # id of the stage before it in every cell's pipeline


@dataclass(frozen=True, slots=True)
class CoverageCase:
    """A way to use a stage, with settings that suit a few images.

    Attributes:
        id: name on the command line. title: of the table's row.
        settings: those that differ from the stage's own.
        saves: what there has to be less of than before, for the cell to count as working; "" for training.
    """

    id: str
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    saves: Saving = ""
