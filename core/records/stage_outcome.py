"""What a stage left behind besides its network or file: the content of its `result.json`."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.common.content_hashes import DamagedError, intact
from core.common.files import write_atomically
from core.common.inner_paths import InnerName


class OwnFile(BaseModel):
    """A file that a stage made itself, in its `deployed` folder.

    Attributes:
        precision: also the file's name. label: what it is called in tables.
    """

    model_config = ConfigDict(frozen=True)

    precision: InnerName
    label: str


class StageOutcome(BaseModel):
    """One stage's outcome, kept in the cache with what it made.

    Attributes:
        skipped: layers that were left alone, each with the reason.
        facts: method-specific results as plain data.
        history: one mapping per epoch (`epoch`, `train_loss`, `val_top1`, …).
        training_seconds: spent training, or converting a file.
        params, nonzero_params: of the network, or of the one that the file stands for.
        deployed: the file that the stage made itself; None where its network is exported.
    """

    model_config = ConfigDict(frozen=True)

    notes: list[str] = Field(default_factory=list)
    skipped: list[tuple[str, str]] = Field(default_factory=list)
    facts: dict[str, Any] = Field(default_factory=dict)
    history: list[dict[str, int | float]] = Field(default_factory=list)
    training_seconds: float
    params: int
    nonzero_params: int
    deployed: OwnFile | None = None

    def write(self, path: Path) -> None:
        """Write the file."""
        content = self.model_dump()
        if self.deployed is None:
            del content["deployed"]
        write_atomically(path, json.dumps(content))

    @classmethod
    def read(cls, path: Path) -> "StageOutcome":
        """What `write` wrote.

        Raises:
            DamagedError: when it does not hold that any more.
        """
        try:
            return cls.model_validate_json(intact(path).read_bytes())
        except ValueError as error:
            raise DamagedError(path, "it is no stage's result") from error
